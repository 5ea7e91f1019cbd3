"""Several volumes in one series: told apart by what varies where places are taken again and again.

Echoes, b-values and gradient directions, phases of the heart or of contrast, magnitude and phase images, repetitions: one
series may hold them all. A header value tells volumes apart if slices of one value show every place; where it changes
from slice to slice, as times and numbers do, it may still rank the slices of each place.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radnet3d.dicom.slices import FRAME_DIMENSIONS, TRAITS, Slice

Places = NDArray[np.int64]
Leaf = tuple[Places, tuple[str, ...]]  # the slices of one volume, and what tells it from the others

RANKING = ("TemporalPositionIdentifier", "FrameReferenceTime", "TriggerTime", "AcquisitionNumber", "AcquisitionTime")
"""What may rank the slices of each place; the first that can does, and InstanceNumber where none can."""
CLOCK_SPAN_MAX = 120_000.0  # ASSUME: a longer one, as HHMMSS, is that of a series acquired over midnight
COMPLETE_SHARE_MIN = 0.5  # ASSUME: of the slices, in volumes that lack none


@dataclass(frozen=True)
class Telling:
    """One header value of each slice of a series, as a number that sorts."""

    name: str
    code: Places  # (n,) from 0: ascending values, absent ones last; texts in the order of the series
    text: tuple[str, ...]  # of each code


def split_repeats(slices: Sequence[Slice], place: Places, order: Places) -> list[Leaf]:
    """Return the volumes of slices that share places, each without repeats if its slices can be told apart.

    `place`: (n,) of each slice along the normal. `order`: (n,) indices of the slices as the series is numbered.
    """
    return _split(slices, place, np.arange(len(slices)), (), telling_values(slices, order))


def _split(
    slices: Sequence[Slice], place: Places, members: Places, name: tuple[str, ...], telling: Sequence[Telling]
) -> list[Leaf]:
    """Return the volumes among `members`, by the first of `telling` that can, then by those after it, then by rank."""
    if np.unique(place[members]).size in (1, len(members)):  # nothing repeated, or nothing but one place
        return [(members, name)]
    for number, value in enumerate(telling):
        codes = value.code[members]
        if tells_apart(codes, place[members]):
            leaves: list[Leaf] = []
            for code in np.unique(codes):
                words = (*name, f"{value.name}={value.text[code]}")
                leaves += _split(slices, place, members[codes == code], words, telling[number + 1 :])
            return leaves
    return [
        (members[ranks == rank], (*name, f"{word} {rank + 1} of {int(ranks.max()) + 1}"))
        for word, ranks in ranked([slices[member] for member in members], place[members])
        for rank in range(int(ranks.max()) + 1)
    ] or [(members, name)]


def tells_apart(codes: Places, place: Places) -> bool:
    """Return whether slices of equal `codes` are volumes: most slices are of codes that show every place equally often.

    And there is a second code that shows half of the places so: an aborted volume, or one that lacks a slice.
    """
    if codes.min() == codes.max():
        return False
    places, at = np.unique(place, return_inverse=True)
    kind, counts = np.unique(codes, return_inverse=True, return_counts=True)[1:]
    is_many = counts >= len(places) / 2  # others show too little, and may be as many as there are slices
    row, is_kept = np.cumsum(is_many) - 1, is_many[kind]
    shown = np.zeros((int(is_many.sum()), len(places)), np.int64)
    np.add.at(shown, (row[kind[is_kept]], at[is_kept]), 1)
    n_often = (shown == np.maximum(np.median(shown, axis=1, keepdims=True), 1)).sum(axis=1)
    n_of_complete = shown[n_often == len(places)].sum()
    return bool(n_of_complete >= COMPLETE_SHARE_MIN * len(codes) and (n_often >= len(places) / 2).sum() > 1)


def ranked(slices: Sequence[Slice], place: Places) -> list[tuple[str, Places]]:
    """Return what ranks the slices of each place, and the ranks (n,) from 0; nothing where nothing does.

    Every place has to be taken equally often.
    """
    counts = np.unique(place, return_counts=True)[1]
    if (counts != counts[0]).any():
        return []
    for name in RANKING:
        values = np.array([_as_number(value) for value in traits(slices, list(TRAITS).index(name))])
        is_clock = name == "AcquisitionTime"
        if _is_distinct(values, place) and not (is_clock and np.ptp(values) > CLOCK_SPAN_MAX):
            return [(name, _rank(values, place, int(counts[0])))]
    numbers = np.array([part.instance_number for part in slices])
    if np.isfinite(numbers).all() and np.unique(numbers).size == len(numbers):
        ranks = _rank(numbers, place, int(counts[0]))
        by_number = np.argsort(numbers)
        is_volume_by_volume = bool((np.diff(ranks[by_number]) >= 0).all())
        is_place_by_place = bool((np.diff(place[by_number].reshape(-1, counts[0]), axis=1) == 0).all())
        if is_volume_by_volume or is_place_by_place:
            return [("InstanceNumber", ranks)]
    return []


def _is_distinct(values: NDArray[np.float64], place: Places) -> bool:
    order = np.lexsort((values, place))
    is_equal = (np.diff(values[order]) == 0) & (np.diff(place[order]) == 0)
    return bool(np.isfinite(values).all()) and not bool(is_equal.any())


def _rank(values: NDArray[np.float64], place: Places, n_repeats: int) -> Places:
    ranks = np.empty(len(values), np.int64)
    ranks[np.lexsort((values, place))] = np.tile(np.arange(n_repeats), len(values) // n_repeats)
    return ranks


def telling_values(slices: Sequence[Slice], order: Places) -> list[Telling]:
    """Return the header values that vary among `slices`: TRAITS, then frame dimensions, the number, the UID.

    The last two tell mosaics apart, of which each is a whole volume.
    """
    n_dimensions = max(len(part.traits) for part in slices) - len(TRAITS)
    found = []
    for place, (name, (kind, _)) in enumerate(TRAITS.items()):
        found.append(_numbers(name, slices, place) if kind == "number" else _texts(name, traits(slices, place), order))
    for number in range(n_dimensions):
        found.append(_numbers(f"{FRAME_DIMENSIONS}[{number + 1}]", slices, len(TRAITS) + number))
    found.append(_telling("InstanceNumber", np.array([part.instance_number for part in slices])))
    found.append(_texts("SOPInstanceUID", [part.sop_instance_uid for part in slices], order))
    return [value for value in found if len(value.text) > 1]


def traits(slices: Sequence[Slice], place: int) -> list[float | str]:
    """Return one value of `Slice.traits` of each slice, NaN where it has none."""
    return [part.traits[place] if place < len(part.traits) else math.nan for part in slices]


def _numbers(name: str, slices: Sequence[Slice], place: int) -> Telling:
    return _telling(name, np.array(traits(slices, place), float))


def _telling(name: str, values: NDArray[np.float64]) -> Telling:
    distinct, code = np.unique(values, return_inverse=True)
    return Telling(name, code, tuple("none" if math.isnan(value) else f"{value:.10g}" for value in distinct))


def _texts(name: str, values: Sequence[float | str], order: Places) -> Telling:
    words = [value if isinstance(value, str) and value else "none" for value in values]
    codes = {word: code for code, word in enumerate(dict.fromkeys(words[index] for index in order))}
    return Telling(name, np.array([codes[word] for word in words], np.int64), tuple(codes))


def _as_number(value: float | str) -> float:
    try:
        return float(value)
    except ValueError:
        return math.nan
