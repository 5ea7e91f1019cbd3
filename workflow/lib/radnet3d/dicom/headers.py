"""Reading one DICOM header: what `tables.SERIES` keeps of it, its slices, or the reason why it is of no use."""

import math
import os
import re
import stat
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, MediaStorageDirectoryStorage

from radnet3d.atomic import MARKER, SNAKEMAKE_NOTE
from radnet3d.dicom.csa import CSA_GROUP, CSA_IMAGE_HEADER
from radnet3d.dicom.slices import Slice, functional_groups, listed, number, read_slices, value_of, whole_number
from radnet3d.tables import HEADER_NUMBERS, HEADER_TEXT

PIXEL_DATA = (0x7FE00010, 0x7FE00009, 0x7FE00008)  # integer, double, float
UNDEFINED_LENGTH = 0xFFFFFFFF

ELSEWHERE = {
    "EchoTime": ("EffectiveEchoTime",),
    "InversionTime": ("InversionTimes",),
    "EchoTrainLength": ("RFEchoTrainLength",),
    "ImageType": ("FrameType",),
}
"""Where the macros of enhanced files keep a value under another keyword."""

CODED = {
    "ContrastBolusAgent": ("ContrastBolusAgentSequence",),
    "ContrastBolusRoute": ("ContrastBolusAgentSequence", "ContrastBolusAdministrationRouteSequence"),
}
"""Where enhanced files keep the code that classic files write as text."""

STRUCTURE = (
    "SpecificCharacterSet", "SOPInstanceUID", "InstanceNumber", "NumberOfFrames", "ImagePositionPatient",
    "PixelSpacing", "SamplesPerPixel", "BitsAllocated", "PhotometricInterpretation",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
)  # fmt: skip

CSA_BLOCKS = range(0x10, 0x14)
NEEDED: list[BaseTag | int] = [
    *(Tag(keyword) for keyword in (*HEADER_TEXT, *HEADER_NUMBERS, *STRUCTURE, "ContrastBolusAgentSequence")),
    *(CSA_GROUP << 16 | block for block in CSA_BLOCKS),
    *(CSA_GROUP << 16 | block << 8 | CSA_IMAGE_HEADER for block in CSA_BLOCKS),
]
"""Elements that are kept; pydicom skips the others, which halves the time."""


@dataclass(frozen=True)
class Header:
    """What is kept of one file."""

    values: dict[str, str | float]  # the columns HEADER_TEXT and HEADER_NUMBERS of tables.SERIES
    slices: list[Slice]


@dataclass(frozen=True)
class Excluded:
    """A file that is of no use: `reason` is one of tables.EXCLUSIONS."""

    path: str
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
    """Return everything below `root` that is not a folder, sorted by path; links are followed, each folder once.

    Raises OSError for a folder that cannot be listed: what is in it would be missing from every count.
    """

    def stop(error: OSError) -> None:
        raise error

    found: list[Path] = []
    seen: set[tuple[int, int]] = set()
    for folder, below, names in os.walk(root, followlinks=True, onerror=stop):
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in seen:
            below.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        below.sort()
        found += [Path(folder, name) for name in names if name not in (SNAKEMAKE_NOTE, MARKER)]
    return sorted(found)


def read_header(root: Path, path: Path) -> Header | Excluded:
    """Return what is kept of the file `path` below `root`, or why it is excluded. Never raises for what a file holds."""
    name = path.relative_to(root).as_posix()
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


@contextmanager
def lenient() -> Iterator[None]:
    """Within the block pydicom takes odd values as they are and does not warn of them."""
    before = pydicom.config.settings.reading_validation_mode
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        pydicom.config.settings.reading_validation_mode = before


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
    if not re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z._-]{0,127}", series_uid):  # it becomes a file name
        return Excluded(name, "", "no_series_uid", f"SeriesInstanceUID is {series_uid!r}")
    return Header(_values(header), read_slices(header, name))


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
        return _cut_fragments(stream, size, end.value_start)
    if end.value_start + end.length > size:
        return f"{size - end.value_start} bytes of pixel data, the file announces {end.length}"
    wanted = math.prod(whole_number(header, word) or 1 for word in ("Rows", "Columns", "NumberOfFrames"))
    wanted *= (whole_number(header, "SamplesPerPixel") or 1) * (whole_number(header, "BitsAllocated") or 1)
    if end.length < wanted // 8 and "422" not in str(header.get("PhotometricInterpretation") or ""):
        return f"{end.length} bytes of pixel data, rows x columns x frames want {wanted // 8}"
    return ""


def _cut_fragments(stream: BinaryIO, size: int, start: int) -> str:
    """Return how compressed pixel data fall short, walking their fragments. Source: DICOM PS3.5 A.4."""
    position, n_fragments = start, 0
    while position + 8 <= size:
        stream.seek(position)
        head = stream.read(8)
        if head[:4] == b"\xfe\xff\xdd\xe0":
            return "" if n_fragments > 1 else "compressed pixel data without a fragment"
        if head[:4] != b"\xfe\xff\x00\xe0":
            return f"no fragment of compressed pixel data at byte {position}"
        position += 8 + int.from_bytes(head[4:], "little")
        n_fragments += 1
    # ASSUME: a file that ends exactly with its last fragment has lost the closing mark only, and can be decoded
    return "" if position == size and n_fragments > 1 else "compressed pixel data end within a fragment"


def _values(header: Dataset) -> dict[str, str | float]:
    """Return the columns HEADER_TEXT and HEADER_NUMBERS of one header; enhanced files are looked into."""
    items = [header, *next(functional_groups(header), [])]
    values: dict[str, str | float] = {}
    for keyword in HEADER_TEXT:
        words = (_text(item, name) for item in items for name in (keyword, *ELSEWHERE.get(keyword, ())))
        values[keyword] = next(filter(None, words), "") or _coded_text(header, keyword)
    values["TransferSyntaxUID"] = str(header.file_meta.get("TransferSyntaxUID", ""))
    for keyword in HEADER_NUMBERS:
        found = (number(item, name) for item in items for name in (keyword, *ELSEWHERE.get(keyword, ())))
        values[keyword] = next((value for value in found if math.isfinite(value)), math.nan)
    return values


def _text(item: Dataset, keyword: str) -> str:
    """Return an element as DICOM writes it, values joined by a backslash; of a sequence of codes, their meanings."""
    try:
        value: Any = value_of(item, keyword)
    except (ValueError, TypeError, OverflowError):
        return ""
    if isinstance(value, pydicom.Sequence):
        return ";".join(filter(None, (_text(code, "CodeMeaning") for code in value)))
    words = [word.decode("latin-1") if isinstance(word, bytes) else str(word) for word in listed(value)]
    return "\\".join(word.replace("\0", "").strip() for word in words).strip("\\")


def _coded_text(header: Dataset, keyword: str) -> str:
    items = [header]
    path = CODED.get(keyword, ())
    for sequence in path:
        items = [inner for item in items for inner in item.get(sequence) or []]
    return ";".join(filter(None, (_text(item, "CodeMeaning") for item in items))) if path else ""
