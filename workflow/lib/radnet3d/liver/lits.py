# mypy: allow-untyped-calls
"""The LiTS folder as its users have it: volume-N.nii and segmentation-N.nii, in any orientation, some without affine.

About 20 of the 131 cases (those of 3D-IRCADb) carry an identity affine: their true spacing is not in the file. They are
found by that, not by a list of numbers.
"""

import logging
import math
import re
import warnings
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import SimpleITK as sitk
from numpy.typing import NDArray

from radnet3d.errors import LiverCaseError
from radnet3d.liver.cases import Case, liver_fault
from radnet3d.liver.frame import Grid, array_in_frame, as_int16, read_nifti, spacing_zyx_mm, to_frame

logger = logging.getLogger(__name__)

SPACINGS_FILE = "spacings.csv"
SPACINGS_COLUMNS = ("case_id", "z_mm", "y_mm", "x_mm")
SAME_SPREAD = 0.05  # ASSUME: SD of the HU under a mask, laid in two ways, that differ by less tell nothing
NAME = re.compile(r"(volume|segmentation)-(.+?)\.nii(\.gz)?")


def find_cases(folder: Path) -> list[tuple[str, Path, Path]]:
    """Return (case_id, volume path, segmentation path) of a LiTS folder, in the order of their numbers.

    Raises LiverCaseError for an empty folder, for a half without the other (naming both), and for one there twice.
    """
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir()):
        match = NAME.fullmatch(path.name)
        if not match:
            continue
        kind, case_id = match.group(1), match.group(2)
        if kind in found.setdefault(case_id, {}):
            raise LiverCaseError(
                f"{path}: case {case_id} has its {kind} twice; the other is {found[case_id][kind].name}"
            )
        found[case_id][kind] = path
    if not found:
        raise LiverCaseError(f"{folder}: no volume-N.nii and segmentation-N.nii (.nii.gz) in it")
    names = sorted(found, key=natural)
    lacking = [
        f"{found[case_id][kind].name} has no {other}-{case_id}.nii"
        for case_id in names
        for kind, other in (("volume", "segmentation"), ("segmentation", "volume"))
        if kind in found[case_id] and other not in found[case_id]
    ]
    if lacking:
        raise LiverCaseError(f"{folder}: {'; '.join(lacking)}")
    return [(case_id, found[case_id]["volume"], found[case_id]["segmentation"]) for case_id in names]


def natural(case_id: str) -> tuple[tuple[int, str], ...]:
    """Return the key that sorts 2 before 10."""
    return tuple((int(part or 0), text) for text, part in re.findall(r"(\D*)(\d*)", case_id))


def read_spacings(folder: Path) -> dict[str, tuple[float, float, float]]:
    """Return the spacing (z, y, x in mm, common frame) of the cases in spacings.csv; none without that file.

    It lies in `folder`, or beside the files that the volumes in `folder` are links to. Raises LiverCaseError.
    """
    volumes = [path for path in sorted(folder.iterdir()) if NAME.fullmatch(path.name)]
    places = dict.fromkeys([*(path.resolve().parent for path in volumes), folder.resolve()])
    found: dict[str, tuple[float, float, float]] = {}
    for place in places:
        if (place / SPACINGS_FILE).is_file():
            found |= read_spacings_file(place / SPACINGS_FILE)
    return found


def read_spacings_file(path: Path) -> dict[str, tuple[float, float, float]]:
    """Return the spacings one table holds, by case. Raises LiverCaseError naming it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # of a row longer than the header
            table = pd.read_csv(path, dtype={"case_id": str}, index_col=False)
    except (ValueError, pd.errors.ParserWarning) as error:  # empty, ragged, not UTF-8
        raise LiverCaseError(f"{path}: {error}; wanted a csv in UTF-8 with columns {list(SPACINGS_COLUMNS)}") from error
    if not set(SPACINGS_COLUMNS) <= set(table.columns):
        raise LiverCaseError(f"{path}: found columns {list(table.columns)}, wanted {list(SPACINGS_COLUMNS)}")
    table[list(SPACINGS_COLUMNS[1:])] = table[list(SPACINGS_COLUMNS[1:])].apply(pd.to_numeric, errors="coerce")
    spacings = {}
    for row in table.to_dict("records"):
        z, y, x = (float(row[name]) for name in SPACINGS_COLUMNS[1:])
        if not all(0 < mm < math.inf for mm in (z, y, x)):
            raise LiverCaseError(f"{path}: case {row['case_id']}: spacing {(z, y, x)} mm, wanted three numbers above 0")
        spacings[str(row["case_id"])] = (z, y, x)
    return spacings


def read_case(
    case_id: str, volume_path: Path, segmentation_path: Path, *, spacings: dict[str, tuple[float, float, float]]
) -> Case:
    """Return one LiTS case in the common frame; its PatientID is its own, LiTS names no patients.

    `spacings`: of cases whose files have lost theirs. Raises LiverCaseError naming the file and what to do.
    """
    image, segmentation = read_nifti(volume_path), read_nifti(segmentation_path)
    grid = Grid.of(image)
    if grid.is_default and case_id not in spacings:
        raise LiverCaseError(
            f"{volume_path}: identity affine, so its spacing is unknown. Take it from the same scan of the Medical "
            f"Segmentation Decathlon (Task03_Liver) and write it into {volume_path.resolve().parent / SPACINGS_FILE} "
            f"with the columns {','.join(SPACINGS_COLUMNS)}"
        )
    labels = sitk.GetArrayFromImage(segmentation)
    if not np.array_equal(labels, np.rint(labels)):
        raise LiverCaseError(f"{segmentation_path}: holds fractions, wanted labels 0, 1, 2")
    turned = to_frame(image)
    labels_zyx = align_labels(image, segmentation, volume_path, segmentation_path)
    if grid.is_default and lies_left(labels_zyx):
        logger.warning("%s: identity affine, and its liver lies on the left: it may be stored mirrored", volume_path)
    return Case(
        case_id=case_id,
        patient_id=f"lits-{case_id}",
        volume_hu_zyx=as_int16(sitk.GetArrayFromImage(turned)),
        segmentation_zyx=labels_zyx,
        spacing_zyx_mm=spacing_of(case_id, volume_path, grid, spacing_zyx_mm(turned), spacings),
    )


def align_labels(image: sitk.Image, segmentation: sitk.Image, volume_path: Path, path: Path) -> NDArray[Any]:
    """Return the labels of the segmentation at `path` on the voxels of its volume, (z, y, x) in the common frame.

    LiTS is scored voxel by voxel, so the arrays belong together whatever their headers say. But a tool that saves one of
    the two in another orientation turns its array with its header: where both headers cover the same box, they may hold
    instead. Raises LiverCaseError where neither can.
    """
    grid = Grid.of(image)
    has_same_size = image.GetSize() == segmentation.GetSize()
    if has_same_size and same_place(grid, Grid.of(segmentation)):
        return array_in_frame(grid.image(sitk.GetArrayFromImage(segmentation)))
    has_same_box = same_box(to_frame(image), to_frame(segmentation))
    if has_same_size and has_same_box:
        by_voxel = array_in_frame(grid.image(sitk.GetArrayFromImage(segmentation)))
        return choose_labels(by_voxel, array_in_frame(segmentation), as_int16(array_in_frame(image)), path)
    if has_same_box:
        logger.warning("%s: its axes are in another order than those of %s; taken by header", path, volume_path.name)
        return array_in_frame(segmentation)
    if has_same_size:
        logger.warning("%s: its header lies elsewhere than that of %s; taken voxel by voxel", path, volume_path.name)
        return array_in_frame(grid.image(sitk.GetArrayFromImage(segmentation)))
    raise LiverCaseError(f"{path}: {segmentation.GetSize()} voxels (x, y, z), {volume_path.name} has {image.GetSize()}")


def choose_labels(
    by_voxel: NDArray[Any], by_header: NDArray[Any], volume_hu: NDArray[np.int16], path: Path
) -> NDArray[Any]:
    """Return the one of two placements of a mask that is the liver's by its HU; voxel by voxel where they do not tell."""
    hu, hu_by_header = volume_hu[by_voxel > 0], volume_hu[by_header > 0]
    if not len(hu) or np.array_equal(by_voxel, by_header):
        return by_voxel
    is_by_header = is_rather_liver(hu_by_header, hu)
    logger.warning(
        "%s: its header is turned against that of its volume; taken %s: HU under the mask are %.0f ± %.0f by header, "
        "%.0f ± %.0f voxel by voxel (median, SD)", path, "by header" if is_by_header else "voxel by voxel",
        np.median(hu_by_header), hu_by_header.std(), np.median(hu), hu.std(),
    )  # fmt: skip
    return by_header if is_by_header else by_voxel


def is_rather_liver(one_hu: NDArray[np.int16], other_hu: NDArray[np.int16]) -> bool:
    """Return whether the voxels of one place are clearly more like a liver than those of another.

    A liver's HU differ less than those of a mask that cuts through other organs, fat and air.
    """
    is_fault, is_other_fault = bool(liver_fault(one_hu)), bool(liver_fault(other_hu))
    if is_fault != is_other_fault:
        return is_other_fault
    return bool(one_hu.std() < (1 - SAME_SPREAD) * other_hu.std())


def spacing_of(
    case_id: str,
    path: Path,
    grid: Grid,
    stored: tuple[float, float, float],
    spacings: Mapping[str, tuple[float, float, float]],
) -> tuple[float, float, float]:
    """Return the spacing (z, y, x) of a case: its file's, or where that has lost it, the table's.

    Raises LiverCaseError where the table contradicts a file that has its own.
    """
    if grid.is_default:
        return spacings[case_id]
    given = spacings.get(case_id, stored)
    if not np.allclose(given, stored, rtol=0.01):
        raise LiverCaseError(
            f"{path}: its header has a spacing of {stored} mm (z, y, x), {SPACINGS_FILE} says {given}; "
            "wanted there only cases whose file has lost it"
        )
    return stored


def lies_left(labels_zyx: NDArray[Any]) -> bool:
    """Return whether the middle of a liver (labels above 0) is in the half of the picture at the patient's left."""
    along_x = (labels_zyx > 0).sum(axis=(0, 1))
    return bool(along_x.any() and np.average(np.arange(len(along_x)), weights=along_x) > (len(along_x) - 1) / 2)


def same_place(first: Grid, second: Grid) -> bool:
    """Return whether two grids lie in the same place, to a hundredth of a millimetre."""
    return all(
        np.allclose(one, other, atol=0.01)
        for one, other in zip(list(vars(first).values())[1:], list(vars(second).values())[1:], strict=True)
    )


def same_box(first: sitk.Image, second: sitk.Image) -> bool:
    """Return whether two images have as many voxels and their corners in the same places, to half a voxel."""
    if first.GetSize() != second.GetSize():
        return False
    gaps_mm = [
        np.subtract(first.TransformIndexToPhysicalPoint(corner), second.TransformIndexToPhysicalPoint(corner))
        for corner in product(*((0, n_voxels - 1) for n_voxels in first.GetSize()))
    ]
    return bool(np.abs(gaps_mm).max() < min(first.GetSpacing()) / 2)
