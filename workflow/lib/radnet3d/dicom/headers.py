"""Reading one DICOM header: what `tables.SERIES` keeps of it, its slices, or the reason why it is of no use."""

import math
import os
import stat
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_partial
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, MediaStorageDirectoryStorage

from radnet3d.atomic import MARKER, SNAKEMAKE_NOTE
from radnet3d.dicom.names import escaped
from radnet3d.dicom.plain import SERIES_UID, PlainReader
from radnet3d.dicom.slices import Slice, read_slices, whole_number
from radnet3d.dicom.values import NEEDED, header_values, lenient
from radnet3d.dicom.walker import PIXEL_DATA, UNDEFINED_LENGTH, cut_fragments

_PLAIN = PlainReader()


class Header(NamedTuple):
    """What is kept of one file; a tuple, because a scan holds one a file."""

    values: dict[str, str | float]  # the columns HEADER_TEXT and HEADER_NUMBERS of tables.SERIES
    slices: list[Slice]


@dataclass(frozen=True)
class Excluded:
    """A file that is of no use: `reason` is one of tables.EXCLUSIONS."""

    path: str  # as tables hold it (dicom.names)
    series_uid: str
    reason: str
    detail: str


class _UpToPixels:
    """Stops pydicom at the pixel data and remembers the last element announced: enough to tell a file cut short."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.tag, self.length, self.value_start = 0, 0, 0

    def __call__(self, tag: int, vr: str | None, length: int) -> bool:
        self.tag, self.length, self.value_start = int(tag), length, self.stream.tell()
        return self.tag in PIXEL_DATA

    @property
    def has_pixels(self) -> bool:
        """Whether the last element announced was the pixel data."""
        return self.tag in PIXEL_DATA


def find_files(root: Path) -> list[Path]:
    """Return everything below `root` that is not a folder, as `find_names` does."""
    return [root / name for name in find_names(root)]


def find_names(root: Path) -> list[str]:
    """Return the path, relative to `root`, of everything below it that is not a folder, sorted part by part.

    Links are followed, each folder once.
    Raises OSError for a folder that cannot be listed: what is in it would be missing from every count.
    """

    def stop(error: OSError) -> None:
        raise error

    found: list[str] = []
    seen: set[tuple[int, int]] = set()
    top = os.fspath(root).rstrip("/") + "/"
    for folder, below, names in os.walk(root, followlinks=True, onerror=stop):
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in seen:
            below.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        below.sort()
        below_top = folder[len(top) :] + "/" if len(folder) > len(top) else ""
        found += [below_top + name for name in names if name not in (SNAKEMAKE_NOTE, MARKER)]
    return sorted(found, key=path_parts)


def path_parts(name: str) -> list[str]:
    """Return the folders and the name of a path, by which paths are sorted."""
    return name.split("/")


def read_header(root: Path, path: Path) -> Header | Excluded:
    """Return what is kept of the file `path` below `root`, or why it is excluded. Never raises for what a file holds."""
    return read_named(root, path.relative_to(root).as_posix())


def read_named(root: Path, name: str) -> Header | Excluded:
    """Return what `read_header` does of the file `name` below `root`."""
    listed = escaped(name)
    plain = _PLAIN.read(f"{root}/{name}", listed)
    return Header(*plain) if plain else read_with_pydicom(root / name, listed)


def read_with_pydicom(path: Path, name: str) -> Header | Excluded:
    """Return what `read_header` returns, the long way: this defines it, and `radnet3d.dicom.plain` has to agree.

    `name`: that of the file as tables hold it.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return Excluded(name, "", "not_dicom", "not a regular file")
        with path.open("rb") as stream, lenient():
            return _read(stream, name)
    except InvalidDicomError:
        return Excluded(name, "", "not_dicom", "no DICM mark at byte 128, and no data set at its start")
    except OSError as error:
        return Excluded(name, "", "not_dicom", f"cannot be read: {error.strerror or error}")
    except Exception as error:  # whatever a broken file makes pydicom raise costs that file, not the run
        return Excluded(name, "", "truncated", f"unreadable header: {type(error).__name__}: {error}")


def _read(stream: BinaryIO, name: str) -> Header | Excluded:
    size = os.fstat(stream.fileno()).st_size
    end = _UpToPixels(stream)
    is_bare = starts_with_data_set(stream)  # no preamble: pydicom has to be told that this is DICOM
    try:
        header = read_partial(stream, end, force=is_bare, specific_tags=NEEDED)
    except zlib.error as error:
        return Excluded(name, "", "truncated", f"deflated data set: {error}")
    meta = header.file_meta
    series_uid = str(header.get("SeriesInstanceUID") or "").strip()
    if str(meta.get("MediaStorageSOPClassUID", "")) == MediaStorageDirectoryStorage:
        return Excluded(name, "", "no_pixel_data", "DICOMDIR: a list of files")
    if not len(header):
        return Excluded(name, "", "not_dicom" if is_bare else "truncated", "no data set")
    is_deflated = str(meta.get("TransferSyntaxUID", "")) == DeflatedExplicitVRLittleEndian
    fault = "" if is_deflated else _cut_short(stream, size, end, header)
    if fault:
        return Excluded(name, series_uid, "truncated", fault)
    if not end.has_pixels:
        kind = UID(str(header.get("SOPClassUID") or "")).name or "unknown SOP class"
        return Excluded(name, series_uid, "no_pixel_data", kind)
    if not SERIES_UID.fullmatch(series_uid):
        return Excluded(name, "", "no_series_uid", f"SeriesInstanceUID is {series_uid!r}")
    return Header(header_values(header), read_slices(header, name))


def starts_with_data_set(stream: BinaryIO) -> bool:
    """Return whether a file without preamble starts as a data set does: a low group, then a VR or a short length."""
    start = stream.read(132)
    stream.seek(0)
    if start[128:] == b"DICM" or len(start) < 16:
        return False
    for order in ("little", "big"):
        group, element = int.from_bytes(start[:2], order), int.from_bytes(start[2:4], order)  # type: ignore[arg-type]
        length = int.from_bytes(start[4:8], order)  # type: ignore[arg-type]
        is_explicit = start[4:6].isalpha() and start[4:6].isupper()
        if group in (0x0002, 0x0008) and element <= 0x0100 and (is_explicit or length <= 64):
            return True
    return False


def _cut_short(stream: BinaryIO, size: int, end: _UpToPixels, header: Dataset) -> str:
    """Return in words how a file is shorter than it says, "" if it is not."""
    if not end.has_pixels:
        if end.length == UNDEFINED_LENGTH:
            is_cut = end.tag in NEEDED and end.tag not in header
            return f"ends within element {end.tag:08X}" if is_cut else ""
        lacking = end.value_start + end.length - size
        return f"ends {lacking} bytes within element {end.tag:08X}" if lacking > 0 else ""
    if end.length == UNDEFINED_LENGTH:
        return cut_fragments(stream, size, end.value_start)
    if end.value_start + end.length > size:
        return f"{size - end.value_start} bytes of pixel data, the file announces {end.length}"
    wanted = math.prod(whole_number(header, word) or 1 for word in ("Rows", "Columns", "NumberOfFrames"))
    wanted *= (whole_number(header, "SamplesPerPixel") or 1) * (whole_number(header, "BitsAllocated") or 1)
    if end.length < wanted // 8 and "422" not in str(header.get("PhotometricInterpretation") or ""):
        return f"{end.length} bytes of pixel data, rows x columns x frames want {wanted // 8}"
    return ""
