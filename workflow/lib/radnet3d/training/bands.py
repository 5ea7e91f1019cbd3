"""Coverage of a part of a series: anatomical bands along the body.

PAPER: coverage labels come from anatomical bands along the body. ASSUME: the bands below, in fractions of what a series
shows. Without parts of series, no label ever says "CT, but no liver", and the head learns to tell bodies from heads.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radnet3d.tables import PAPER_BODY

Bits = NDArray[np.float32]
Part = tuple[float, float]

WHOLE: Part = (0.0, 1.0)
TRUNK: dict[str, Part] = {  # from the symphysis (0) to the thoracic inlet (1), about 60 cm
    "Pelvis": (0.0, 0.30),
    "Intestine": (0.10, 0.50),
    "Kidney": (0.33, 0.55),
    "Liver": (0.36, 0.64),
    "Lung": (0.50, 1.0),
}
ABDOMEN_AND_PELVIS: dict[str, Part] = {  # from the symphysis (0) to the dome of the liver (1), about 40 cm
    "Pelvis": (0.0, 0.42),
    "Intestine": (0.12, 0.75),
    "Kidney": (0.48, 0.80),
    "Liver": (0.55, 1.0),
}
CHEST: dict[str, Part] = {  # from the lung's base (0) to the thoracic inlet (1), about 25 cm
    "Lung": (0.0, 1.0),
    "Liver": (0.0, 0.45),
    "Kidney": (0.0, 0.15),
    "Intestine": (0.0, 0.30),
    "Pelvis": (0.0, 0.0),
}
CLEAR = 0.06  # an organ is absent from a part that ends this far from its band, and unknown nearer by
EDGE = 0.04  # nothing is said of places that are nearer to the edge of a band
PROBABILITY = 0.75  # of drawing a part of a series whose bands are known
LENGTHS = (0.2, 0.6)  # shortest, longest part


@dataclass(frozen=True)
class Along:
    """Where organs lie in a series."""

    axis: int  # which of the volume's axes z, y, x runs along the body
    bands: dict[str, Part]  # fractions of that axis, from its first voxel to its last


def bands_of(bits: Bits, view: str, axes_lps: str) -> Along | None:
    """Return where organs lie in a series with these coverage bits; None if not known.

    Known for series of the chest, of abdomen and pelvis, and of all three, in any of the three planes. `axes_lps`, as in
    tables.VOLUMES, says which axis runs along the body and which way: towards the head, or towards the feet, where bands
    are turned. An axial series whose slices run across the body contradicts itself: nothing is known of it.
    """
    bands = bands_from_feet(bits)
    axis = next((place for place, towards in enumerate(axes_lps.split(",")) if towards in ("S", "I")), None)
    if bands is None or axis is None or view == "" or (view == "AX") != (axis == 0):
        return None
    is_turned = axes_lps.split(",")[axis] == "I"
    return Along(axis, {organ: (1 - high, 1 - low) for organ, (low, high) in bands.items()} if is_turned else bands)


def bands_from_feet(bits: Bits) -> dict[str, Part] | None:
    """Return the bands of a series with these coverage bits in fractions from its lowest end; None if not known."""
    covers = dict(zip(PAPER_BODY, bits, strict=True))
    has_lung, has_liver, has_pelvis = (covers[organ] == 1 for organ in ("Lung", "Liver", "Pelvis"))
    if covers["Brain"] != 0:
        return None
    if has_liver and has_pelvis:
        return TRUNK if has_lung else ABDOMEN_AND_PELVIS
    return CHEST if has_lung and not has_liver and not has_pelvis else None


def can_be_cut(along: Along | None) -> bool:
    """Return whether parts of a series are drawn: of those with known bands whose slices follow the body."""
    return along is not None and along.axis == 0


def draw_part(generator: np.random.Generator, *, can_be_cut: bool) -> Part:
    """Return the part of a series to train on, (from, to) as fractions; WHOLE where it cannot be cut."""
    is_drawn, length, place = generator.random() < PROBABILITY, generator.uniform(*LENGTHS), generator.random()
    if not (can_be_cut and is_drawn):
        return WHOLE
    # a third each: from the lower end, to the upper end, and anywhere between
    start = float(np.clip(3 * place - 1, 0, 1)) * (1 - length)
    return start, start + length


def bits_along(bits: Bits, bands: dict[str, Part] | None, places: NDArray[np.floating[Any]]) -> Bits:
    """Return (9, n) coverage bits at `places` along the body, fractions of the series: 1, 0, or NaN where it cannot be told.

    Near the edge of a band nothing is said, unless it is the series' own edge. What the series does not cover is absent at
    every place, and that is all that is known without bands.
    """
    found = np.where(bits == 0, 0.0, np.nan)[:, None].repeat(len(places), axis=1)
    for number, organ in enumerate(PAPER_BODY):
        if bits[number] == 0 or not bands or organ not in bands:
            continue
        low, high = bands[organ]
        found[number, (places <= low - EDGE) | (places >= high + EDGE)] = 0.0
        if bits[number] == 1:
            is_inside = (places >= (low + EDGE if low > 0 else 0)) & (places <= (high - EDGE if high < 1 else 1))
            found[number, is_inside] = 1.0
    return found.astype(np.float32)


def bits_of_part(bits: Bits, bands: dict[str, Part], part: Part) -> Bits:
    """Return the coverage bits of a part of a series: 1, 0, or NaN where it cannot be told.

    Present: the part shows half of the organ's band, or lies half within it, and the series is known to cover it.
    Absent: what the series does not cover, and bands that the part is clear of.
    """
    if part == WHOLE:
        return bits
    start, stop = part
    found = bits.copy()
    for place, organ in enumerate(PAPER_BODY):
        if bits[place] == 0:
            continue
        low, high = bands.get(organ, WHOLE)
        overlap = min(stop, high) - max(start, low)
        is_present = bits[place] == 1 and organ in bands and overlap >= 0.5 * min(high - low, stop - start)
        found[place] = 1.0 if is_present else 0.0 if overlap <= -CLEAR else np.nan
    return found
