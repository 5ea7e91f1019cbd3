# mypy: allow-untyped-calls
"""The LiTS folder as its users have it: volume-N.nii and segmentation-N.nii, in any orientation, some without affine.

About 20 of the 131 cases (those of 3D-IRCADb) carry an identity affine: their true spacing is not in the file. They are
found by that, not by a list of numbers.
"""

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import SimpleITK as sitk
from numpy.typing import NDArray

from radnet3d.errors import LiverCaseError
from radnet3d.liver.cases import Case
from radnet3d.liver.frame import Grid, as_int16, check_finite, read_nifti, spacing_zyx_mm, to_frame

logger = logging.getLogger(__name__)

SPACINGS_FILE = "spacings.csv"
SPACINGS_COLUMNS = ("case_id", "z_mm", "y_mm", "x_mm")
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
    table = pd.read_csv(path, dtype={"case_id": str})
    if not set(SPACINGS_COLUMNS) <= set(table.columns):
        raise LiverCaseError(f"{path}: found columns {list(table.columns)}, wanted {list(SPACINGS_COLUMNS)}")
    table[list(SPACINGS_COLUMNS[1:])] = table[list(SPACINGS_COLUMNS[1:])].apply(pd.to_numeric, errors="coerce")
    spacings = {}
    for row in table.to_dict("records"):
        z, y, x = (float(row[name]) for name in SPACINGS_COLUMNS[1:])
        if not (z > 0 and y > 0 and x > 0):
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
    for path, found in ((volume_path, image), (segmentation_path, segmentation)):
        if found.GetDimension() != 3:
            raise LiverCaseError(f"{path}: {found.GetDimension()} dimensions, wanted 3")
    if image.GetSize() != segmentation.GetSize():
        raise LiverCaseError(
            f"{segmentation_path}: {segmentation.GetSize()} voxels (x, y, z), {volume_path.name} has {image.GetSize()}"
        )
    grid = Grid.of(image)
    if grid.is_default and case_id not in spacings:
        raise LiverCaseError(
            f"{volume_path}: identity affine, so its spacing is unknown. Take it from the same scan of the Medical "
            f"Segmentation Decathlon (Task03_Liver) and write it into {volume_path.resolve().parent / SPACINGS_FILE} "
            f"with the columns {','.join(SPACINGS_COLUMNS)}"
        )
    if not same_place(grid, Grid.of(segmentation)):
        # LiTS is scored voxel by voxel, so the arrays belong together whatever their headers say
        logger.warning(
            "%s: its header lies elsewhere than that of %s; taken voxel by voxel", segmentation_path, volume_path.name
        )
    labels = sitk.GetArrayFromImage(segmentation)
    if not np.array_equal(labels, np.rint(labels)):
        raise LiverCaseError(f"{segmentation_path}: holds fractions, wanted labels 0, 1, 2")
    check_finite(volume_path)
    turned = to_frame(image)
    labels_zyx = sitk.GetArrayFromImage(to_frame(grid.image(labels)))
    if grid.is_default and lies_left(labels_zyx):
        logger.warning("%s: identity affine, and its liver lies on the left: it may be stored mirrored", volume_path)
    return Case(
        case_id=case_id,
        patient_id=f"lits-{case_id}",
        volume_hu_zyx=as_int16(sitk.GetArrayFromImage(turned)),
        segmentation_zyx=labels_zyx,
        spacing_zyx_mm=spacing_of(case_id, volume_path, grid, spacing_zyx_mm(turned), spacings),
    )


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
