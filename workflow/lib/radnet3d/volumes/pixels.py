"""The pixels of a series as intensities, slice by slice in the acquisition frame."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from radnet3d.dicom.slices import first_numbers, functional_groups, is_mosaic, number, read_mosaic, whole_number
from radnet3d.dicom.values import lenient
from radnet3d.errors import PixelError

Array = NDArray[np.float32]
Reader = Callable[[Path], Array]  # of one file, as `read_file`

AIR_HU = -1024.0


def read_volume(root: Path, files: pd.DataFrame) -> Array:
    """Return one volume as (z, y, x) float32: HU for CT, rescaled stored values else.

    `files`: the rows of tables.FILES of one volume, their paths below `root`; z ascends with `slice`, rows and columns
    are as stored. Raises PixelError naming the file.
    """
    return np.stack(list(read_planes(root, files)))


def read_planes(root: Path, files: pd.DataFrame, *, read: Reader | None = None) -> Iterator[Array]:
    """Yield the (y, x) slices of one volume along the normal; see `read_volume`. One file is held at a time.

    `read` takes the place of `read_file`, where one file holds slices of several volumes and need not be decoded again.
    """
    read = read or read_file
    path, planes, shape = "", np.empty((0, 0, 0), np.float32), None
    for row in files.sort_values("slice").itertuples():
        if row.path != path:
            path, planes = str(row.path), read(root / str(row.path))
        if shape not in (None, planes.shape[1:]):
            raise PixelError(f"{root / path}: slices of {planes.shape[1:]} pixels, wanted {shape} as in the others")
        shape, frame = planes.shape[1:], int(str(row.frame))
        if frame >= len(planes):
            raise PixelError(f"{root / path}: {len(planes)} frames, wanted frame {frame} (from 0) as its header says")
        yield planes[frame]


def read_file(path: Path) -> Array:
    """Return the (n, y, x) slices of one file as intensities: frames of an enhanced file, tiles of a mosaic.

    Raises PixelError for pixels that cannot be decoded, for colour, and for frames that the header does not describe.
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
    frames = stored.reshape(-1, *stored.shape[-2:])
    n_groups = len(content.get("PerFrameFunctionalGroupsSequence") or [])
    if n_groups not in (0, len(frames)):
        raise PixelError(f"{path}: {len(frames)} frames of pixels, its header describes {n_groups}")
    if is_mosaic(content):
        frames = cut_mosaic(frames[0], content)
    return intensities(frames, content)


def cut_mosaic(image: NDArray[Any], header: Dataset) -> NDArray[Any]:
    """Return the (n, y, x) tiles of a Siemens mosaic in their order."""
    mosaic = read_mosaic(header)
    n_across = mosaic.n_tiles_across
    n_rows, n_columns = (size // n_across for size in image.shape)
    tiles = image[: n_rows * n_across, : n_columns * n_across].reshape(n_across, n_rows, n_across, n_columns)
    return tiles.swapaxes(1, 2).reshape(-1, n_rows, n_columns)[: mosaic.n_tiles]


def intensities(stored: NDArray[Any], header: Dataset) -> Array:
    """Return stored (n, y, x) values rescaled, frame by frame; what the scanner filled in outside its field is air.

    `RescaleSlope` and `RescaleIntercept` may differ between frames and between the files of a series (PET).
    CT below air (-1024 HU) is air too: values there are fill, whether announced or not.
    """
    groups = list(functional_groups(header)) or [[header]]
    if len(groups) == 1:  # a classic file, or the tiles of one mosaic
        groups *= len(stored)
    is_ct = str(header.get("Modality") or "") == "CT"
    is_fill = padding_mask(stored, header)
    rescaled = np.empty(stored.shape, np.float32)
    for frame, items in enumerate(groups):
        # ASSUME: values without a rescaling are meant as they are
        slope = (first_numbers(items, "RescaleSlope", 1) or (1.0,))[0]
        intercept = (first_numbers(items, "RescaleIntercept", 1) or (0.0,))[0]
        rescaled[frame] = stored[frame] * np.float32(slope) + np.float32(intercept)
    if is_fill.any():
        rescaled[is_fill] = AIR_HU if is_ct else lowest_of(rescaled[~is_fill])
    return np.maximum(rescaled, np.float32(AIR_HU)) if is_ct else rescaled


def lowest_of(values: Array) -> float:
    """Return the lowest value, 0 where there is none."""
    return float(values.min()) if values.size else 0.0


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
