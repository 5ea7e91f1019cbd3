# mypy: allow-untyped-calls
"""One frame for every liver volume: z up to the head, y to the back, x to the patient's left; and the way back.

ITK counts axes x, y, z; here and only here they are turned into arrays (z, y, x).
"""

import gzip
import io
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import SimpleITK as sitk
from numpy.typing import NDArray

from radnet3d.atomic import replacing
from radnet3d.dicom.extract import Extract, extract_series
from radnet3d.dicom.headers import Excluded, read_header
from radnet3d.dicom.names import unescaped
from radnet3d.errors import GeometryError, ScanError
from radnet3d.liver.cases import AIR_BELOW_HU
from radnet3d.volumes.pixels import read_volume

FRAME = "LPS"
NIFTI = (".nii", ".nii.gz")
NIFTI_HEADER_BYTES = 348
NIFTI_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
PART_BYTES = 1 << 24  # read at once; whole voxels of every type


@dataclass(frozen=True)
class Grid:
    """Where the voxels of an image lie, as ITK says it."""

    size_xyz: tuple[int, ...]
    spacing_xyz_mm: tuple[float, ...]
    origin_lps_mm: tuple[float, ...]
    direction: tuple[float, ...]  # 3 x 3 row by row; its columns are the axes

    @classmethod
    def of(cls, image: sitk.Image) -> "Grid":
        """Return the grid of an ITK image."""
        return cls(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())

    def image(self, array_zyx: NDArray[Any]) -> sitk.Image:
        """Return (z, y, x) voxels on this grid as an ITK image."""
        if array_zyx.shape[::-1] != self.size_xyz:
            raise ScanError(f"array of {array_zyx.shape} (z, y, x) voxels, the grid has {self.size_xyz[::-1]}")
        image = sitk.GetImageFromArray(array_zyx)
        image.SetSpacing(self.spacing_xyz_mm)
        image.SetOrigin(self.origin_lps_mm)
        image.SetDirection(self.direction)
        return image

    @property
    def is_default(self) -> bool:
        """Whether this is what a file carries whose affine was lost: 1 mm in every axis, and no origin."""
        is_axis_aligned = np.allclose(np.sort(np.abs(self.direction)), [0, 0, 0, 0, 0, 0, 1, 1, 1], atol=1e-6)
        return bool(is_axis_aligned and np.allclose(self.spacing_xyz_mm, 1) and np.allclose(self.origin_lps_mm, 0))


@dataclass(frozen=True)
class Scan:
    """A CT volume in the common frame."""

    volume_hu_zyx: NDArray[np.int16]
    spacing_zyx_mm: tuple[float, float, float]
    grid: Grid  # of the volume in the common frame
    reference: Grid  # of the input; of a DICOM series with its slices along row x column


def read_scan(path: Path) -> Scan:
    """Return the CT volume of a NIfTI file or of a folder with one DICOM series, in the common frame.

    Raises ScanError for anything else, GeometryError (with its reason) where the slices form no regular volume. What a
    NIfTI file cannot say, that it is a CT at its true spacing, is judged as `liver import` does; DICOM says it.
    """
    image = read_dicom(path) if path.is_dir() else read_nifti(path)
    if min(image.GetSize()) < 2:
        raise ScanError(f"{path}: found an image of {image.GetSize()} voxels, wanted two or more along every axis")
    turned = to_frame(image)
    volume = as_int16(sitk.GetArrayFromImage(turned))
    if not path.is_dir():
        check_nifti(volume, Grid.of(image), path)
    return Scan(volume, spacing_zyx_mm(turned), Grid.of(turned), Grid.of(image))


def check_nifti(volume_hu: NDArray[np.int16], grid: Grid, path: Path) -> None:
    """Raise ScanError if the affine of a NIfTI file was lost, or if its values cannot be HU."""
    if grid.is_default:
        raise ScanError(f"{path}: identity affine, so its spacing is unknown; wanted the affine of the scan")
    if volume_hu.min() > AIR_BELOW_HU:
        raise ScanError(f"{path}: lowest value {volume_hu.min()}, wanted a CT in HU, with air below {AIR_BELOW_HU}")


def check_mask_path(path: Path) -> None:
    """Raise ScanError unless a mask can be written to `path`."""
    if not path.name.endswith(NIFTI):
        raise ScanError(f"{path}: wanted a name that ends in .nii or .nii.gz")


def write_mask(mask_zyx: NDArray[Any], scan: Scan, path: Path) -> None:
    """Write a mask given in the common frame to `path` (.nii or .nii.gz), on the grid of the scan's own input.

    `mask_zyx`: the shape of `scan.volume_hu_zyx`. Stored as uint8. Raises ScanError.
    """
    check_mask_path(path)
    image = scan.grid.image(mask_zyx.astype(np.uint8))
    turned = sitk.DICOMOrient(image, orientation_code(scan.reference))
    # turning only permutes and flips; the reference's own numbers take the place of rounded ones
    on_input = scan.reference.image(sitk.GetArrayFromImage(turned))
    with replacing(path) as temporary:
        nifti = temporary.with_name(temporary.name + ".nii.gz" * path.name.endswith(".gz"))  # ITK goes by the name
        sitk.WriteImage(on_input, str(nifti))
        nifti.replace(temporary)


def to_frame(image: sitk.Image) -> sitk.Image:
    """Return an image with its axes permuted and flipped to the common frame; nothing is interpolated."""
    turned: sitk.Image = sitk.DICOMOrient(image, FRAME)
    return turned


def array_in_frame(image: sitk.Image) -> NDArray[Any]:
    """Return the voxels of an image as (z, y, x) in the common frame."""
    return np.asarray(sitk.GetArrayFromImage(to_frame(image)))


def spacing_zyx_mm(image: sitk.Image) -> tuple[float, float, float]:
    """Return the voxel spacing of an ITK image as (z, y, x)."""
    x, y, z = image.GetSpacing()
    return (z, y, x)


def as_int16(array: NDArray[Any]) -> NDArray[np.int16]:
    """Return intensities rounded to int16, clipped to what it holds."""
    limits = np.iinfo(np.int16)
    return np.asarray(np.rint(array).clip(limits.min, limits.max), np.int16)


def orientation_code(grid: Grid) -> str:
    """Return ITK's three letters for the axes of a grid, such as LPS."""
    return str(sitk.DICOMOrientImageFilter_GetOrientationFromDirectionCosines(grid.direction))


def read_nifti(path: Path) -> sitk.Image:
    """Return the volume of a NIfTI file. Raises ScanError naming the file where it is damaged, or not one of numbers."""
    if not path.name.endswith(NIFTI):
        raise ScanError(f"{path}: wanted a NIfTI file (.nii, .nii.gz) or a folder of DICOM files")
    if not path.is_file():
        raise ScanError(f"{path}: no such file")
    check_voxels(path)
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise ScanError(f"{path}: not a readable NIfTI file: {str(error).strip().splitlines()[-1]}") from error
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        kind = image.GetPixelIDTypeAsString()
        raise ScanError(f"{path}: found an image of {image.GetSize()} voxels ({kind}), wanted one volume of numbers")
    return image


def check_voxels(path: Path) -> None:
    """Raise ScanError unless a NIfTI file holds every voxel its header tells of, and none is NaN or infinite.

    ITK reads as 0 what is missing in a file that was cut short, and NaN, and says nothing.
    """
    try:
        with gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as stream:
            stored = StoredVoxels.of(stream.read(NIFTI_HEADER_BYTES))
            stream.seek(stored.start)
            n_bytes, n_lost = count_voxels(stream, stored)
    except (OSError, EOFError, zlib.error, ValueError, OverflowError) as error:
        raise ScanError(f"{path}: not a readable NIfTI file: {error}") from error
    if n_bytes < stored.n_bytes:
        raise ScanError(f"{path}: cut short: {n_bytes} bytes of voxels, its header tells of {stored.n_bytes}")
    if n_lost:
        raise ScanError(f"{path}: {n_lost} voxels are NaN or infinite, wanted numbers")


@dataclass(frozen=True)
class StoredVoxels:
    """What the header of a NIfTI-1 file tells of the voxels behind it."""

    start: int  # in bytes
    n_voxels: int
    dtype: np.dtype[Any]

    @property
    def n_bytes(self) -> int:
        """How many bytes they take."""
        return self.n_voxels * self.dtype.itemsize

    @classmethod
    def of(cls, header: bytes) -> "StoredVoxels":
        """Return what a header tells. Raises ValueError where it is none of NIfTI-1, or of voxels that are no numbers.

        Source: https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h. ITK reads no NIfTI-2.
        """
        order = next((order for order in "<>" if header[:4] == struct.pack(f"{order}i", NIFTI_HEADER_BYTES)), "")
        if not order or len(header) < NIFTI_HEADER_BYTES:
            is_second = header[:4] in (struct.pack("<i", 540), struct.pack(">i", 540))
            raise ValueError("NIfTI-2, wanted NIfTI-1" if is_second else "no NIfTI-1 header")
        n_axes, *sizes = struct.unpack_from(f"{order}8h", header, 40)
        (kind,) = struct.unpack_from(f"{order}h", header, 70)
        (start,) = struct.unpack_from(f"{order}f", header, 108)
        if kind not in NIFTI_TYPES:
            raise ValueError(f"voxels of NIfTI type {kind} (colours, complex numbers or others), wanted real numbers")
        n_voxels = math.prod(max(size, 1) for size in sizes[:n_axes])
        return cls(max(int(start), NIFTI_HEADER_BYTES), n_voxels, np.dtype(order + NIFTI_TYPES[kind]))


def count_voxels(stream: io.BufferedIOBase, stored: StoredVoxels) -> tuple[int, int]:
    """Return how many bytes of voxels are left in a stream, and how many voxels are NaN or infinite.

    Reads to the end, where gzip keeps its checksum.
    """
    n_bytes = n_lost = 0
    while part := stream.read(PART_BYTES):
        voxels = part[: stored.n_bytes - n_bytes]
        n_bytes += len(voxels)
        if stored.dtype.kind == "f":
            values = np.frombuffer(voxels, stored.dtype, count=len(voxels) // stored.dtype.itemsize)
            n_lost += int(np.count_nonzero(~np.isfinite(values)))
    return n_bytes, n_lost


def read_dicom(folder: Path) -> sitk.Image:
    """Return the one regular CT volume below `folder`, slices along row x column. Raises ScanError, GeometryError."""
    extract = extract_series(folder, n_processes=1)
    row = only_ct_volume(extract, folder)
    files = extract.files[extract.files["SeriesInstanceUID"] == row["SeriesInstanceUID"]]
    volume = as_int16(read_volume(folder, files))
    return dicom_grid(folder, files, row).image(volume)


def only_ct_volume(extract: Extract, folder: Path) -> pd.Series:
    """Return the row of the one regular CT series of an extract; others may lie beside it (a localizer)."""
    series = extract.series
    if not len(series):
        raise ScanError(f"{folder}: no DICOM image below it ({len(extract.excluded)} files of no use)")
    ct = series[series["Modality"] == "CT"]
    if not len(ct):
        raise ScanError(f"{folder}: found {sorted(set(series['Modality']))}, wanted a CT series")
    regular = ct[ct["geometry"] == "regular"]
    if len(regular) > 1:
        raise ScanError(f"{folder}: {len(regular)} CT volumes, wanted one; name the folder of one series")
    if not len(regular):
        first = ct.iloc[0]
        raise GeometryError(first["geometry"], f"{folder}: series {first['SeriesInstanceUID']} of {first['n_slices']} "
                            f"slices is no regular volume: {first['geometry']}")  # fmt: skip
    return regular.iloc[0]


def dicom_grid(folder: Path, files: pd.DataFrame, row: pd.Series) -> Grid:
    """Return the grid of a regular series: x along its rows, y along its columns, z along row x column."""
    first = files.sort_values("slice").iloc[0]
    header = read_header(folder, folder / unescaped(str(first["path"])))
    if isinstance(header, Excluded):
        raise ScanError(f"{folder / header.path}: {header.detail}")
    corner = next(part for part in header.slices if part.frame == first["frame"])
    along_row, along_column = np.array(corner.orientation, float).reshape(2, 3)
    along_row = along_row / np.linalg.norm(along_row)
    normal = np.cross(along_row, along_column)
    normal /= np.linalg.norm(normal)
    axes = np.stack([along_row, np.cross(normal, along_row), normal], axis=1)
    return Grid(
        size_xyz=(int(row["n_columns"]), int(row["n_rows"]), int(row["n_slices"])),
        spacing_xyz_mm=(row["pixel_spacing_column_mm"], row["pixel_spacing_row_mm"], row["slice_spacing_mm"]),
        origin_lps_mm=tuple(corner.position_lps_mm or ()),
        direction=tuple(axes.ravel().tolist()),
    )
