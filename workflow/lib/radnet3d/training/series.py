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
from radnet3d.training.bands import WHOLE, Part, bands_of, bits_of_part, draw_part
from radnet3d.training.inputs import input_range, jittered_grid, jittered_intensity, moved, scale
from radnet3d.volumes.choice import one_a_series
from radnet3d.volumes.resample import resample_axis

log = logging.getLogger(__name__)

BODY_COLUMNS = [f"body_{organ}" for organ in PAPER_BODY]


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
        targets = {head: values[self.source[places]] for head, values in self.targets.items()}
        for i, place in enumerate(places):
            source = self.source[place]
            part = draw_part(generator, has_bands=self.bands(place) is not None)
            target_part = part if source == place else draw_part(dealer, has_bands=self.bands(source) is not None)
            bands = self.bands(source)
            if bands and target_part != WHOLE:
                targets["body"][i] = bits_of_part(targets["body"][i], bands, target_part)
                targets["spacing"][i] = np.nan  # stretching a part changes what slices look like
            grid = jittered_grid(self.shape_zyx, generator)
            batch[i] = jittered_intensity(moved(cut(self.read(int(place)), part), grid), generator)
        return batch, to_targets(targets, device)

    def bands(self, place: int) -> dict[str, Part] | None:
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
    """Return the targets of tables.TARGETS rows as arrays: class numbers, 0/1/NaN organs, spacing in mm."""
    encoded: dict[str, NDArray[np.generic]] = {}
    for head, classes in CLASSES.items():
        numbers = {name: number for number, name in enumerate(classes)} | {"": UNKNOWN_CLASS}
        encoded[head] = table[head].map(numbers).to_numpy(np.int64)
    encoded["body"] = table[BODY_COLUMNS].to_numpy(np.float32)
    encoded["spacing"] = table["slice_spacing_mm"].to_numpy(np.float32)
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
