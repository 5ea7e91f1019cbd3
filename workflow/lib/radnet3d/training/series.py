"""The pretraining series: stored volumes joined with their targets and the side of the split their patient is on."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from radnet3d.errors import SplitError, TableError
from radnet3d.models.heads import CLASSES, UNKNOWN_CLASS, Targets
from radnet3d.params import Input
from radnet3d.runs import PretrainInputs
from radnet3d.splits import check_one_side
from radnet3d.tables import PAPER_BODY, PATIENT_SPLIT, TARGETS, VOLUMES, read_table
from radnet3d.training.bands import WHOLE, Along, Part, bands_of, bits_along, bits_of_part, can_be_cut, draw_part
from radnet3d.training.inputs import input_range, jittered_axes, jittered_intensity, moved, scale
from radnet3d.volumes.choice import one_a_series
from radnet3d.volumes.resample import resample_axis

log = logging.getLogger(__name__)

BODY_COLUMNS = [f"body_{organ}" for organ in PAPER_BODY]
HU_JITTER = 0.2  # of the usual random gain and offset: HU are absolute, and contrast agent is seen by them
CLASS_WEIGHTS = (0.2, 5.0)  # least, most
N_PLACES = 48  # along the body, at which coverage is known
Axes = tuple[tuple[NDArray[np.intp], float], ...]


@dataclass(frozen=True)
class Series:
    """Rows of (tables.VOLUMES x tables.TARGETS) and their encoded targets; volumes are read when drawn.

    Nothing is kept in memory but the tables: the system's page cache does that as far as memory goes.
    """

    table: pd.DataFrame  # with `file`, the path of the volume
    targets: dict[str, NDArray[Any]]  # head -> one row a series, as in Targets
    source: NDArray[np.intp]  # whose targets each series is trained on: its own, unless they were dealt to others
    input: Input
    shape_zyx: tuple[int, int, int]

    def __len__(self) -> int:
        return len(self.table)

    def class_weights(self, device: torch.device) -> dict[str, torch.Tensor]:
        """Return for each softmax head a weight a class, so that rare classes count as much as common ones, within limits."""
        weights = {}
        for head, classes in CLASSES.items():
            known = self.targets[head][self.targets[head] != UNKNOWN_CLASS]
            counts = np.bincount(known, minlength=len(classes))
            even = len(known) / (len(classes) * np.maximum(counts, 1))
            weights[head] = torch.tensor(even.clip(*CLASS_WEIGHTS), dtype=torch.float32, device=device)
        return weights

    def read(self, place: int) -> NDArray[np.float32]:
        """Return one volume as network input, float32 in 0..1."""
        row = self.table.iloc[place]
        volume = np.load(row["file"])
        if volume.shape != self.shape_zyx:
            raise TableError(f"{row['file']}: found a volume of {volume.shape}, wanted {self.shape_zyx}")
        return scale(volume, *input_range(row["intensity"], self.input))

    def volumes(self, places: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return (n, D, H, W) volumes as they are."""
        return np.stack([self.read(int(place)) for place in places])

    def targets_at(self, places: NDArray[np.intp], device: torch.device) -> Targets:
        """Return the targets of some series, whole."""
        return to_targets({head: values[self.source[places]] for head, values in self.targets.items()}, device)

    def drawn(
        self, places: NDArray[np.intp], generator: np.random.Generator, device: torch.device
    ) -> tuple[NDArray[np.float32], Targets]:
        """Return (n, D, H, W) volumes to train on, with their targets: parts of series, moved and brightened at random.

        Where targets were dealt to others, so is the part of the series they are about: nothing ties them together.
        """
        batch = np.empty((len(places), *self.shape_zyx), np.float32)
        dealer = generator.spawn(1)[0]  # of its own, so that volumes are moved alike in both arms
        rows = []
        for i, place in enumerate(map(int, places)):
            source, along = int(self.source[place]), self.along(place)
            part = draw_part(generator, can_be_cut=can_be_cut(along))
            target_along = self.along(source)
            target_part = part if source == place else draw_part(dealer, can_be_cut=can_be_cut(target_along))
            axes = jittered_axes(self.shape_zyx, generator)
            target_axes = axes if source == place else jittered_axes(self.shape_zyx, dealer)
            volume = moved(cut(self.read(place), part), tuple(places for places, _ in axes))
            is_hu = self.table["intensity"].iat[place] == "hu"
            batch[i] = jittered_intensity(volume, generator, times=HU_JITTER if is_hu else 1.0)
            rows.append(self.targets_of_part(source, target_part, target_along, target_axes))
        return batch, to_targets({name: np.stack([row[name] for row in rows]) for name in rows[0]}, device)

    def targets_of_part(self, place: int, part: Part, along: Along | None, axes: Axes) -> dict[str, NDArray[Any]]:
        """Return the targets of a part of a series whose volume was then moved to `axes`: one row of Targets."""
        targets = {head: np.asarray(values[place]) for head, values in self.targets.items()}
        bits, axis, bands = targets["body"], along.axis if along else 0, along.bands if along else None
        if bands and part != WHOLE:
            targets["body"] = bits_of_part(bits, bands, part)
        # a part is stretched to as many slices as the whole: they then lie closer together
        targets["spacing"] = targets["spacing"] * np.float32((part[1] - part[0]) * axes[0][1])
        places = axes[axis][0]
        seen = (places[np.arange(N_PLACES) * len(places) // N_PLACES] + 0.5) / len(places)
        if axis == 0:
            seen = part[0] + seen * (part[1] - part[0])
        return {**targets, "coverage": bits_along(bits, bands, seen), "axis": np.asarray(axis)}

    def along(self, place: int) -> Along | None:
        """Return where organs lie in a series, by its own header; None where that is not known."""
        row = self.table.iloc[place]
        return bands_of(np.asarray(self.targets["body"][place], np.float32), str(row["view"]), str(row["axes_lps"]))


def to_targets(values: dict[str, NDArray[Any]], device: torch.device) -> Targets:
    """Return arrays of targets as tensors."""
    return Targets(**{head: torch.from_numpy(array).to(device) for head, array in values.items()})


def cut(volume: NDArray[np.float32], part: Part) -> NDArray[np.float32]:
    """Return slices `part` of a volume, stretched to as many slices as it had."""
    if part == WHOLE:
        return volume
    n = len(volume)
    start = min(round(part[0] * n), n - 1)
    return resample_axis(volume[start : max(round(part[1] * n), start + 1)], n, axis=0)


def load_series(inputs: PretrainInputs, settings: Input, shape_zyx: tuple[int, int, int]) -> dict[str, Series]:
    """Return the series of each side of the split: "train", "validation", "test".

    Series without a volume or without any known target are left out, and counted in the log. Of a series that holds
    several volumes the first is taken, without what is said of sequence and contrast: it may be the echo or the phase
    that the series is not named for. Raises SplitError if a patient is not in the split or a side has no series.
    """
    volumes = one_a_series(pd.concat([read_volumes(path) for path in inputs.volumes], ignore_index=True))
    targets = read_table(inputs.targets, TARGETS)
    split = read_table(inputs.split, PATIENT_SPLIT)
    table = volumes.merge(targets.drop(columns=["PatientID", "Modality"]), on="SeriesInstanceUID")
    table.loc[table["volume_of"] != "", ["sequence", "contrast"]] = ""
    known = (table[list(CLASSES)] != "").any(axis=1) | table[BODY_COLUMNS].notna().any(axis=1)
    table = table[known].merge(split, on="PatientID", how="left").sort_values("SeriesInstanceUID", ignore_index=True)
    if table["split"].isna().any():
        patient = table.loc[table["split"].isna(), "PatientID"].iloc[0]
        raise SplitError(f"{inputs.split}: patient {patient} of {inputs.targets} is on no side of the split")
    check_one_side(table, "split")
    log.info("read %d volumes and %d targets, kept %d series", len(volumes), len(targets), len(table))
    sides = {}
    for side in ("train", "validation", "test"):
        rows = table[table["split"] == side].reset_index(drop=True)
        if rows.empty:
            raise SplitError(f"{inputs.split}: no series on side '{side}' of {len(table)} series, wanted at least 1")
        sides[side] = Series(rows, encode_targets(rows), np.arange(len(rows)), settings, shape_zyx)
    return sides


def read_volumes(path: Path) -> pd.DataFrame:
    """Return one tables.VOLUMES with `file`, the path of each volume from where we are."""
    table = read_table(path, VOLUMES)
    return table.assign(file=[str(path.parent / name) for name in table["path"]])


def encode_targets(table: pd.DataFrame) -> dict[str, NDArray[np.generic]]:
    """Return targets as arrays: class numbers, 0/1/NaN organs, mm between slices on the common grid.

    `table`: tables.TARGETS with `spacing_zyx_mm` of tables.VOLUMES.
    """
    encoded: dict[str, NDArray[np.generic]] = {}
    for head, classes in CLASSES.items():
        numbers = {name: number for number, name in enumerate(classes)} | {"": UNKNOWN_CLASS}
        encoded[head] = table[head].map(numbers).to_numpy(np.int64)
    encoded["body"] = table[BODY_COLUMNS].to_numpy(np.float32)
    # PAPER: slices are not resampled, so what the header says is what the network sees. Here they are, and it is not.
    encoded["spacing"] = table["spacing_zyx_mm"].str.split(",").str[0].to_numpy(np.float32)
    return encoded


def deal_to_others(series: Series, generator: np.random.Generator) -> Series:
    """Return the same volumes with the targets, all heads together, of a series of another patient.

    Patients and their series are put in a random order, and targets are moved on by as many places as the patient
    with most series has: nobody keeps targets of its own, and every target is used once. Raises SplitError if one
    patient has half of the series or more.
    """
    patients = series.table["PatientID"].to_numpy(str)
    names, sizes = np.unique(patients, return_counts=True)
    if 2 * sizes.max() > len(series):
        raise SplitError(f"{sizes.max()} of {len(series)} series are of one patient: labels cannot all go to others")
    rank = generator.permutation(len(names))[np.searchsorted(names, patients)]
    order = np.lexsort([generator.permutation(len(series)), rank])
    source = np.empty(len(series), np.intp)
    source[order] = np.roll(order, sizes.max())
    return replace(series, source=source)
