"""The pixels of a series as intensities, slice by slice in the acquisition frame."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from radnet3d.dicom.names import unescaped
from radnet3d.dicom.slices import functional_groups, is_mosaic, number, read_mosaic, whole_number
from radnet3d.dicom.values import lenient
from radnet3d.errors import PixelError

Array = NDArray[np.float32]
Reader = Callable[[Path], Array]  # of one file, as `read_file`

AIR_HU = -1024.0


def read_volume(root: Path, files: pd.DataFrame) -> Array:
    """Return one volume as (z, y, x) float32: HU for CT, rescaled stored values else.

    `files`: the rows of tables.FILES of one volume, their paths below `root`; z ascends with `slice`, rows and columns
    are as stored. Raises PixelError naming the file, or the folder where no slice shows anything.
    """
    return without_gaps(np.stack(list(read_planes(root, files))), str(root))


def read_planes(root: Path, files: pd.DataFrame, *, read: Reader | None = None) -> Iterator[Array]:
    """Yield the (y, x) slices of one volume along the normal; see `read_volume`. One file is held at a time.

    `read` takes the place of `read_file`, where one file holds slices of several volumes and need not be decoded again.
    """
    read = read or read_file
    path, planes, shape = "", np.empty((0, 0, 0), np.float32), None
    for row in files.sort_values("slice").itertuples():
        if row.path != path:
            path, planes = str(row.path), read(root / unescaped(str(row.path)))
        if shape not in (None, planes.shape[1:]):
            raise PixelError(f"{root / path}: slices of {planes.shape[1:]} pixels, wanted {shape} as in the others")
        shape, frame = planes.shape[1:], int(str(row.frame))
        if frame >= len(planes):
            raise PixelError(f"{root / path}: {len(planes)} frames, wanted frame {frame} (from 0) as its header says")
        yield planes[frame]


def read_file(path: Path) -> Array:
    """Return the (n, y, x) slices of one file as intensities: frames of an enhanced file, tiles of a mosaic.

    NaN where a file has no value at all. Raises PixelError for pixels that cannot be decoded, for colour, for a rescaling
    that is no number, and for frames that the header does not describe.
    """
    try:
        with lenient():
            content = pydicom.dcmread(path, force=True)
            _name_transfer_syntax(content)
            stored = content.pixel_array
    except Exception as error:  # pydicom and its codecs raise what they like; the caller needs the file's name
        raise PixelError(f"{path}: pixels cannot be decoded: {type(error).__name__}: {error}") from error
    n_samples = whole_number(content, "SamplesPerPixel") or 1
    if n_samples != 1:
        raise PixelError(f"{path}: {n_samples} samples a pixel (colour), wanted one intensity")
    if str(content.get("PhotometricInterpretation") or "").strip() == "PALETTE COLOR":
        raise PixelError(f"{path}: pixels are numbers of colours (PALETTE COLOR), wanted intensities")
    frames = stored.reshape(-1, *stored.shape[-2:])
    n_groups = len(content.get("PerFrameFunctionalGroupsSequence") or [])
    if n_groups not in (0, len(frames)):
        raise PixelError(f"{path}: {len(frames)} frames of pixels, its header describes {n_groups}")
    if is_mosaic(content):
        frames = cut_mosaic(frames[0], content)
    try:
        with lenient():
            return intensities(frames, content)
    except ValueError as error:
        raise PixelError(f"{path}: {error}") from error


def cut_mosaic(image: NDArray[Any], header: Dataset) -> NDArray[Any]:
    """Return the (n, y, x) tiles of a Siemens mosaic in their order."""
    mosaic = read_mosaic(header)
    n_across = mosaic.n_tiles_across
    n_rows, n_columns = (size // n_across for size in image.shape)
    tiles = image[: n_rows * n_across, : n_columns * n_across].reshape(n_across, n_rows, n_across, n_columns)
    return tiles.swapaxes(1, 2).reshape(-1, n_rows, n_columns)[: mosaic.n_tiles]


def intensities(stored: NDArray[Any], header: Dataset) -> Array:
    """Return stored (n, y, x) values rescaled, frame by frame; what the scanner filled in outside its field is air.

    In what is no CT it is the lowest value of the file, NaN where there is none. NaN and infinity, as maps that were worked
    out have them around the body, are fill too.

    `RescaleSlope` and `RescaleIntercept` may differ between frames and between the files of a series (PET).
    CT below air (-1024 HU) is air too: values there are fill, whether announced or not.
    Raises ValueError for a rescaling that is no number, or of slope 0 where pixels differ.
    """
    groups = list(functional_groups(header)) or [[header]]
    if len(groups) == 1:  # a classic file, or the tiles of one mosaic
        groups *= len(stored)
    is_ct = str(header.get("Modality") or "") == "CT"
    rescaled = np.empty(stored.shape, np.float32)
    for frame, items in enumerate(groups):
        # ASSUME: values without a rescaling are meant as they are
        slope = np.float32(rescaling(items, "RescaleSlope", 1.0))
        intercept = np.float32(rescaling(items, "RescaleIntercept", 0.0))
        if slope == 0 and stored[frame].min() != stored[frame].max():
            raise ValueError("RescaleSlope is 0, wanted another number: all pixels would become the same")
        rescaled[frame] = stored[frame] * slope + intercept
    is_finite = np.isfinite(rescaled)
    is_fill = padding_mask(stored, header) | ~is_finite
    if is_fill.any():
        rescaled[is_fill] = AIR_HU if is_ct and is_finite.any() else lowest_of(rescaled[~is_fill])
    return np.maximum(rescaled, np.float32(AIR_HU)) if is_ct else rescaled


def rescaling(items: Sequence[Dataset], keyword: str, absent: float) -> float:
    """Return the first value of an element that is not empty in one of `items`, `absent` if it is in all.

    Raises ValueError where it is no number: without it the intensities are not known.
    """
    for item in items:
        value = number(item, keyword)
        if not np.isnan(value):
            return value
        found = item.get_item(keyword).value if keyword in item else None
        if found not in (None, "", b""):
            raise ValueError(f"{keyword} is {found!r}, wanted a number")
    return absent


def lowest_of(values: Array) -> float:
    """Return the lowest value, NaN where there is none."""
    return float(values.min()) if values.size else np.nan


def without_gaps(volume: Array, name: str) -> Array:
    """Return a volume with its lowest value for NaN, which slices without any value have.

    Raises PixelError where there is nothing else; `name` is what it calls the volume.
    """
    is_gap = np.isnan(volume)
    if is_gap.all():
        raise PixelError(f"{name}: no slice shows anything: every pixel is fill, NaN or infinite")
    return np.where(is_gap, lowest_of(volume[~is_gap]), volume) if is_gap.any() else volume


def padding_mask(stored: NDArray[Any], header: Dataset) -> NDArray[np.bool_]:
    """Return where stored values are the announced padding. Source: DICOM PS3.3 C.7.5.1.1.2."""
    value = number(header, "PixelPaddingValue")
    if np.isnan(value) or stored.dtype.kind not in "iu":
        return np.zeros(stored.shape, bool)
    limit = number(header, "PixelPaddingRangeLimit")
    # the element may have been written with the other sign than the pixels
    ends = [np.int64(end).astype(stored.dtype) for end in (value, value if np.isnan(limit) else limit)]
    return np.asarray((stored >= min(ends)) & (stored <= max(ends)))


def _name_transfer_syntax(content: FileDataset) -> None:
    """Give a file without meta header the transfer syntax its data set was read with: it has to be uncompressed."""
    if "TransferSyntaxUID" in content.file_meta:
        return
    is_implicit, is_little_endian = content.original_encoding
    explicit = ExplicitVRLittleEndian if is_little_endian else ExplicitVRBigEndian
    content.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if is_implicit else explicit
