"""Which elements of a header are kept, and how pydicom's values become those of `tables.SERIES`."""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from radnet3d.dicom.csa import CSA_GROUP, CSA_IMAGE_HEADER
from radnet3d.dicom.slices import TRAIT_TAGS, functional_groups, listed, number, value_of
from radnet3d.tables import HEADER_NUMBERS, HEADER_TEXT

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
CSA_TAGS = (
    *(CSA_GROUP << 16 | block for block in CSA_BLOCKS),
    *(CSA_GROUP << 16 | block << 8 | CSA_IMAGE_HEADER for block in CSA_BLOCKS),
)
"""Where a mosaic says how it is cut: the creators of private blocks, and the image header in each of them."""

NEEDED: list[BaseTag | int] = [
    *(Tag(keyword) for keyword in (*HEADER_TEXT, *HEADER_NUMBERS, *STRUCTURE, "ContrastBolusAgentSequence")),
    *TRAIT_TAGS,
    *CSA_TAGS,
]
"""Elements that are kept; pydicom skips the others, which halves the time."""


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


def header_values(header: Dataset) -> dict[str, str | float]:
    """Return the columns HEADER_TEXT and HEADER_NUMBERS of one header; enhanced files are looked into."""
    items = [header, *next(functional_groups(header), [])]
    values: dict[str, str | float] = {}
    for keyword in HEADER_TEXT:
        words = (text_of(item, name) for item in items for name in (keyword, *ELSEWHERE.get(keyword, ())))
        values[keyword] = next(filter(None, words), "") or coded_text(header, keyword)
    values["TransferSyntaxUID"] = str(header.file_meta.get("TransferSyntaxUID", ""))
    for keyword in HEADER_NUMBERS:
        found = (number(item, name) for item in items for name in (keyword, *ELSEWHERE.get(keyword, ())))
        values[keyword] = next((value for value in found if math.isfinite(value)), math.nan)
    return values


def text_of(item: Dataset, keyword: str) -> str:
    """Return an element as DICOM writes it, values joined by a backslash; of a sequence of codes, their meanings."""
    try:
        value: Any = value_of(item, keyword)
    except (ValueError, TypeError, OverflowError):
        return ""
    if isinstance(value, pydicom.Sequence):
        return ";".join(filter(None, (text_of(code, "CodeMeaning") for code in value)))
    words = [word.decode("latin-1") if isinstance(word, bytes) else str(word) for word in listed(value)]
    return "\\".join(word.replace("\0", "").strip() for word in words).strip("\\")


def coded_text(header: Dataset, keyword: str) -> str:
    """Return the meanings of the codes that stand for `keyword`, joined by ';', "" where it has none."""
    items = [header]
    path = CODED.get(keyword, ())
    for sequence in path:
        items = [inner for item in items for inner in item.get(sequence) or []]
    return ";".join(filter(None, (text_of(item, "CodeMeaning") for item in items))) if path else ""
