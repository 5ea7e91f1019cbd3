"""CHAOS: a folder of CT slices and a folder of PNG masks; PNG i belongs to DICOM file i in the order of file names.

The slices run downwards and carry no number the PNGs know, so a sort of one without the other flips the liver.
"""

import struct
import zlib
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from PIL import Image

from radnet3d.dicom.extract import extract_series
from radnet3d.errors import LiverCaseError
from radnet3d.liver.cases import Case
from radnet3d.liver.frame import as_int16, dicom_grid, only_ct_volume, spacing_zyx_mm, to_frame
from radnet3d.volumes.pixels import read_volume

DICOM_NAMES = ("DICOM_anon", "dicom")
MASK_NAMES = ("Ground", "liver_mask_png")


def find_cases(folder: Path) -> list[tuple[str, Path, Path]]:
    """Return (case_id, folder of slices, folder of masks) of `folder` itself or of the folders in it.

    Raises LiverCaseError where there is none, or one half without the other.
    """
    candidates = [folder, *sorted(path for path in folder.iterdir() if path.is_dir() and is_shown(path))]
    cases = []
    for candidate in candidates:
        dicom_dir = next((candidate / name for name in DICOM_NAMES if (candidate / name).is_dir()), None)
        mask_dir = next((candidate / name for name in MASK_NAMES if (candidate / name).is_dir()), None)
        if (dicom_dir is None) != (mask_dir is None):
            raise LiverCaseError(f"{candidate}: has {(dicom_dir or mask_dir).name} alone, "  # type: ignore[union-attr]
                                 f"wanted one of {DICOM_NAMES} and one of {MASK_NAMES}")  # fmt: skip
        if dicom_dir and mask_dir:
            cases.append((candidate.resolve().name, dicom_dir, mask_dir))
    if not cases:
        raise LiverCaseError(f"{folder}: no folder with one of {DICOM_NAMES} and one of {MASK_NAMES}")
    return cases


def read_case(case_id: str, dicom_dir: Path, mask_dir: Path) -> Case:
    """Return one CHAOS CT case in the common frame, liver = 1. Raises LiverCaseError, ScanError, GeometryError."""
    extract = extract_series(dicom_dir, n_processes=1)
    row = only_ct_volume(extract, dicom_dir)
    files = extract.files[extract.files["SeriesInstanceUID"] == row["SeriesInstanceUID"]].sort_values("slice")
    masks = sorted(path for path in mask_dir.iterdir() if path.suffix.lower() == ".png" and is_shown(path))
    if len(masks) != len(files):
        raise LiverCaseError(f"{mask_dir}: {len(masks)} PNG masks, {dicom_dir.name} has {len(files)} slices")
    mask_of = dict(zip(sorted(files["path"]), masks, strict=True))
    grid = dicom_grid(dicom_dir, files, row)
    n_columns, n_rows, _ = grid.size_xyz
    segmentation = np.stack([read_mask(mask_of[path], (n_rows, n_columns)) for path in files["path"]])
    volume = to_frame(grid.image(as_int16(read_volume(dicom_dir, files))))
    return Case(
        case_id=case_id,
        patient_id=str(row["PatientID"]) or case_id,
        volume_hu_zyx=sitk.GetArrayFromImage(volume),
        segmentation_zyx=sitk.GetArrayFromImage(to_frame(grid.image(segmentation.astype(np.uint8)))),
        spacing_zyx_mm=spacing_zyx_mm(volume),
        series_uid=str(row["SeriesInstanceUID"]),
        study_uid=str(row["StudyInstanceUID"]),
    )


def is_shown(path: Path) -> bool:
    """Return whether a name has no dot in front, as what macOS leaves beside a file (`._liver_GT_000.png`) has."""
    return not path.name.startswith(".")


def read_mask(path: Path, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return where a PNG mask is above 0, (rows, columns). Raises LiverCaseError where it is damaged or not of `shape`."""
    try:
        pixels = np.asarray(Image.open(path))
    except (OSError, EOFError, SyntaxError, ValueError, struct.error, zlib.error) as error:  # all that Pillow lets out
        raise LiverCaseError(f"{path}: not a readable PNG: {error}") from error
    if pixels.shape != shape:
        raise LiverCaseError(f"{path}: mask of {pixels.shape} pixels (rows, columns), its slice has {shape}")
    return pixels > 0
