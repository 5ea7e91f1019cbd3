"""Liver cases as the segmenter meets them: slices around the liver, the whole field in plane, on the network's grid."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radnet3d.errors import SplitError
from radnet3d.liver.proposal import liver_slices
from radnet3d.params import Input
from radnet3d.tables import LIVER_CASES, read_table
from radnet3d.training.case_metrics import case_metrics, dice, largest_component
from radnet3d.training.inputs import jittered_grid, jittered_intensity, moved, scale
from radnet3d.volumes.resample import resample

Array = NDArray[np.float32]
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Case:
    """One liver case. Slabs are resampled in plane only, so that a crop along z costs little."""

    case_id: str
    slab_hu: Array  # (slices, H, W) of the network's H and W
    slab_liver: Array  # fraction of liver in each voxel of the slab
    liver: tuple[int, int]  # half-open range of slices that hold liver
    spacing_zyx_mm: tuple[float, float, float]
    segmentation_path: Path  # native grid; liver is label >= 1


def load_cases(table_path: Path, case_ids: list[str], shape_zyx: Shape) -> list[Case]:
    """Return cases of a tables.LIVER_CASES in the order of `case_ids`. Raises SplitError if one is not there."""
    table = read_table(table_path, LIVER_CASES).set_index("case_id")
    absent = sorted(set(case_ids) - set(table.index))
    if absent:
        raise SplitError(f"{table_path}: no cases {absent[:5]}, wanted all {len(case_ids)} of the split")
    rows = table.loc[case_ids].to_dict("index")
    return [load_case(str(case_id), row, table_path.parent, shape_zyx) for case_id, row in rows.items()]


def load_case(case_id: str, row: dict[Any, Any], folder: Path, shape_zyx: Shape) -> Case:
    """Return one case from its row of tables.LIVER_CASES."""
    volume_hu = np.load(folder / row["volume_path"], mmap_mode="r")
    segmentation = np.load(folder / row["segmentation_path"], mmap_mode="r")
    shape = (len(volume_hu), *shape_zyx[1:])
    depth, height, width = (float(size) for size in row["spacing_zyx_mm"].split(","))
    return Case(
        case_id=case_id,
        slab_hu=resample(volume_hu, shape),
        slab_liver=resample(np.asarray(segmentation) >= 1, shape),
        liver=liver_slices(segmentation),
        spacing_zyx_mm=(depth, height, width),
        segmentation_path=folder / row["segmentation_path"],
    )


def crop(case: Case, start: int, stop: int, shape_zyx: Shape, settings: Input) -> Array:
    """Return slices start ... stop - 1 of a case as network input."""
    return scale(resample(case.slab_hu[start:stop], shape_zyx), *settings.ct_window_hu)


def drawn_crop(
    case: Case, proposed: tuple[int, int], shape_zyx: Shape, settings: Input, generator: np.random.Generator
) -> tuple[Array, Array]:
    """Return a training crop and its liver fractions, both (D, H, W).

    At either end the crop reaches to a place drawn between the liver's edge and the proposal's, `proposed`: test cases
    are cropped by proposals, and a proposal reaches too far more often than not. Then the shared augmentation.
    """
    first, last = case.liver if case.liver != (0, 0) else proposed
    start = round(generator.uniform(min(proposed[0], first), first))
    stop = round(generator.uniform(last, max(proposed[1], last)))
    grid = jittered_grid(shape_zyx, generator)
    volume = moved(crop(case, start, stop, shape_zyx, settings), grid)
    liver = moved(resample(case.slab_liver[start:stop], shape_zyx), grid)
    return jittered_intensity(volume, generator), liver.clip(0, 1)


def native_mask(probability: Array, shape_zyx: Shape) -> NDArray[np.bool_]:
    """Return where the probability of liver, brought to `shape_zyx`, is above 0.5."""
    return resample(probability, shape_zyx) > 0.5


def evaluate(
    case: Case, start: int, probability: Array, n_slices_cropped: int, *, largest_only: bool
) -> dict[str, float | str | bool]:
    """Return a row of tables.RUN_CASES (without run_id) on the case's own grid.

    `probability`: (D, H, W) over slices start ... start + n_slices_cropped - 1; liver is where it is above 0.5 once
    brought back to the native grid, or with `largest_only` the largest component of that. Slices outside hold no
    prediction. What undefined metrics are: `case_metrics`.
    """
    truth = np.asarray(np.load(case.segmentation_path, mmap_mode="r")) >= 1
    found = native_mask(probability, (n_slices_cropped, *truth.shape[1:]))
    largest = largest_component(found)
    predicted = np.zeros_like(truth)
    predicted[start : start + n_slices_cropped] = largest
    dice_largest = dice(predicted, truth)
    if not largest_only:
        predicted[start : start + n_slices_cropped] = found
    metrics = case_metrics(predicted, truth, case.spacing_zyx_mm)
    return {"case_id": case.case_id, **metrics, "dice_largest_component": dice_largest}
