"""A fast reader of plain headers: it answers where it answers as pydicom does, and declines anything else.

Values that are decoded here are those of which this is proven; sequences of codes, vendors' elements and mosaics are cut
out of the file and left to pydicom. What defines the right answer is `radnet3d.dicom.headers.read_with_pydicom`.
"""

import math
import os
import re
import stat
import struct
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from io import BytesIO
from typing import NamedTuple

from pydicom.charset import convert_encodings
from pydicom.datadict import keyword_for_tag
from pydicom.filereader import read_dataset
from pydicom.values import convert_string

from radnet3d.dicom.slices import (
    PRIVATE_B_VALUES,
    TRAITS,
    Slice,
    Traits,
    Vector,
    is_mosaic,
    private_b_value,
    read_mosaic,
)
from radnet3d.dicom.values import CODED, coded_text, lenient, text_of
from radnet3d.dicom.walker import (
    COLUMNS,
    ROWS,
    SPECIFIC_CHARACTER_SET,
    VRS,
    Found,
    Odd,
    Walker,
    remember,
    tag_number,
    unsigned,
)
from radnet3d.tables import HEADER_NUMBERS, HEADER_TEXT

SERIES_UID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,127}")  # it becomes a file name

Values = dict[str, str | float]
Decode = Callable[[bytes], str | float]

SERIES_INSTANCE_UID, SOP_INSTANCE_UID = tag_number("SeriesInstanceUID"), tag_number("SOPInstanceUID")
INSTANCE_NUMBER, NUMBER_OF_FRAMES = tag_number("InstanceNumber"), tag_number("NumberOfFrames")
POSITION, ORIENTATION = tag_number("ImagePositionPatient"), tag_number("ImageOrientationPatient")
PIXEL_SPACING, IMAGE_TYPE = tag_number("PixelSpacing"), tag_number("ImageType")
B_VALUE = tag_number("DiffusionBValue")
PRIVATE_B_ELEMENTS = sorted(tag for tags in PRIVATE_B_VALUES.values() for tag in tags)
SEQUENCES = {tag: str(keyword_for_tag(tag)) for tag, vr in VRS.items() if vr == b"SQ"}

EMPTY: Values = {**dict.fromkeys(HEADER_TEXT, ""), **dict.fromkeys(HEADER_NUMBERS, math.nan)}
ENCODINGS = {"iso8859": "latin-1", "latin_1": "latin-1", "UTF8": "utf-8"}
"""The encodings decoded here, by the names that pydicom gives them."""

_US, _FD = struct.Struct("<H"), struct.Struct("<d")


class _Column(NamedTuple):
    """How a column is filled: its name, what was decoded before, and how to decode."""

    keyword: str
    known: dict[bytes, str | float]
    decode: Decode


class _Trait(NamedTuple):
    """How one of `Slice.traits` is found: its element, its value without one, and as for a column."""

    tag: int
    absent: str | float
    known: dict[bytes, str | float]
    decode: Decode


class PlainReader:
    """Reads plain headers; what it saw in earlier files makes it faster, never different. Its memory is bounded."""

    def __init__(self) -> None:
        self._walker = Walker()
        self._columns = {encoding: _column_decoders(encoding) for encoding in ENCODINGS.values()}
        self._traits = {encoding: _trait_decoders(encoding) for encoding in ENCODINGS.values()}
        self._vectors: dict[bytes, Vector | None] = {}
        self._last: Values = {}

    def read(self, path: str, name: str) -> tuple[Values, list[Slice]] | None:
        """Return the columns and the slices of one file, None where pydicom has to judge; `name` is kept in slices."""
        try:
            file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe without a writer would wait for one
        except OSError:
            return None
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                return None
            found = self._walker.walk(file, status.st_size)
            encoding = _encoding(found.raw.get(SPECIFIC_CHARACTER_SET, b""))
            return self._values(found, encoding), self._slices(found, encoding, name)
        except (Odd, ValueError, OverflowError, struct.error, OSError):
            return None
        finally:
            os.close(file)

    def _values(self, found: Found, encoding: str) -> Values:
        """Return the columns HEADER_TEXT and HEADER_NUMBERS; files that agree in all of them share one dictionary."""
        values = EMPTY.copy()
        columns = self._columns[encoding]
        for tag, raw in found.raw.items():
            if tag in columns:
                keyword, known, decode = columns[tag]
                value = known.get(raw)
                if value is None:
                    value = remember(known, raw, decode(raw))
                values[keyword] = value
        values["TransferSyntaxUID"] = found.transfer_syntax
        if not SEQUENCES.keys().isdisjoint(found.cut_out):
            excerpt = found.excerpt((SPECIFIC_CHARACTER_SET, *SEQUENCES))
            for keyword, text in _coded_values(excerpt, found.is_implicit).items():
                values[keyword] = values[keyword] or text
        if not SERIES_UID.fullmatch(_uid(found.raw.get(SERIES_INSTANCE_UID, b""))):
            raise Odd
        if values == self._last:
            return self._last
        self._last = values
        return values

    def _slices(self, found: Found, encoding: str, name: str) -> list[Slice]:
        raw = found.raw
        if raw.get(NUMBER_OF_FRAMES, b"") not in (b"", b"1", b"1 "):
            raise Odd
        whole = Slice(
            path=name,
            frame=0,
            sop_instance_uid=_uid(raw.get(SOP_INSTANCE_UID, b"")),
            instance_number=_integer_string(raw.get(INSTANCE_NUMBER, b"")),
            n_rows=unsigned(raw.get(ROWS, b"")),
            n_columns=unsigned(raw.get(COLUMNS, b"")),
            pixel_spacing_mm=self._shared_vector(raw, PIXEL_SPACING, 2),
            position_lps_mm=_vector(raw.get(POSITION, b""), 3),
            orientation=self._shared_vector(raw, ORIENTATION, 6),
            traits=self._slice_traits(found, encoding),
        )
        if b"MOSAIC" not in raw.get(IMAGE_TYPE, b"").upper():
            return [whole]
        return _tiles(whole, found.excerpt(sorted({*raw, *found.cut_out})), found.is_implicit)

    def _slice_traits(self, found: Found, encoding: str) -> Traits:
        """Return what `radnet3d.dicom.slices.file_traits` does."""
        traits: list[float | str] = []
        for tag, absent, known, decode in self._traits[encoding]:
            raw = found.raw.get(tag)
            value = absent
            if raw:
                value = known[raw] if raw in known else remember(known, raw, decode(raw))
            elif tag == B_VALUE and not found.cut_out.keys().isdisjoint(PRIVATE_B_ELEMENTS):
                value = _private_b_value(found.excerpt(PRIVATE_B_ELEMENTS), found.is_implicit)
            traits.append(value)
        return tuple(traits)

    def _shared_vector(self, raw: dict[int, bytes], tag: int, n: int) -> Vector | None:
        """Return the numbers of one element; slices that agree in its bytes share them."""
        content = raw.get(tag, b"")
        vector = self._vectors.get(content)
        if vector is None or len(vector) != n:
            vector = remember(self._vectors, content, _vector(content, n))
        return vector


def _text(raw: bytes, *, encoding: str) -> str:
    """Return text as `radnet3d.dicom.values.text_of` does: values joined by a backslash, padding removed."""
    if b"\x1b" in raw:
        raise Odd
    text = raw.decode(encoding)
    if "\\" not in text:
        return text.replace("\0", "").strip()
    return "\\".join(word.replace("\0", "").strip() for word in text.split("\\")).strip("\\")


def _uid(raw: bytes) -> str:
    """Return a single UID as pydicom gives it: NULs inside it stay."""
    uid = raw.decode("latin-1").rstrip("\0 ").strip()
    if "\\" in uid:
        raise Odd
    return uid


def _decimals(raw: bytes) -> list[float]:
    """Return the numbers of a DS. Raises Odd or ValueError where Python's and DICOM's notation may differ."""
    if raw.translate(None, b"0123456789+-.eE \\\0"):
        raise Odd
    return [float(word) for word in raw.rstrip(b" \0").split(b"\\")]


def _decimal_text(raw: bytes) -> str:
    if raw:
        _decimals(raw)
    return _text(raw, encoding="latin-1")


def _decimal(raw: bytes) -> float:
    return _finite(_decimals(raw)[0]) if raw else math.nan


def _vector(raw: bytes, n: int) -> Vector | None:
    """Return the `n` numbers of a DS, None where it has another number of them."""
    numbers = tuple(map(_finite, _decimals(raw))) if raw else ()
    return numbers if len(numbers) == n else None


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise Odd
    return number


def _integer_string(raw: bytes) -> float:
    if len(raw) > 16 or raw.translate(None, b"0123456789+- "):
        raise Odd
    return float(int(raw)) if raw else math.nan


def _binary(raw: bytes, *, number: struct.Struct) -> float:
    if not raw:
        return math.nan
    (value,) = number.unpack(raw)  # several values are a struct.error
    return _finite(float(value))


def _joined_words(raw: bytes, *, encoding: str) -> str:
    """Return text as `radnet3d.dicom.slices.joined_text` does; it keeps some NULs and drops others, by VR."""
    text = raw.decode(encoding).rstrip("\0 ")
    if "\x1b" in text or "\0" in text:
        raise Odd
    return "\\".join(word.strip() for word in text.split("\\"))


def _joined_numbers(raw: bytes) -> str:
    return "\\".join(str(value) for (value,) in _FD.iter_unpack(raw))  # other lengths are a struct.error


def _decline(raw: bytes) -> str:
    raise Odd


def _decoders(encoding: str) -> tuple[dict[bytes, Decode], dict[bytes, Decode], dict[bytes, Decode]]:
    """Return by VR how to decode numbers, text of a column, and text that tells volumes apart."""
    plain, letters = (b"CS", b"AS", b"UI", b"DA", b"TM", b"DT"), (b"LO", b"SH", b"UC")
    numbers: dict[bytes, Decode] = {
        b"DS": _decimal,
        b"IS": _integer_string,
        b"US": partial(_binary, number=_US),
        b"FD": partial(_binary, number=_FD),
    }
    columns: dict[bytes, Decode] = {
        **dict.fromkeys(plain, partial(_text, encoding="latin-1")),
        **dict.fromkeys(letters, partial(_text, encoding=encoding)),
        b"DS": _decimal_text,
    }
    joined: dict[bytes, Decode] = {
        **dict.fromkeys(plain, partial(_joined_words, encoding="latin-1")),
        **dict.fromkeys(letters, partial(_joined_words, encoding=encoding)),
        b"FD": _joined_numbers,
    }
    return numbers, columns, joined


def _column_decoders(encoding: str) -> dict[int, _Column]:
    """Return by tag how a column of tables.SERIES is filled."""
    numbers, text, _ = _decoders(encoding)
    return {
        tag_number(keyword): _Column(keyword, {}, decoders.get(VRS[tag_number(keyword)], _decline))
        for keywords, decoders in ((HEADER_TEXT, text), (HEADER_NUMBERS, numbers))
        for keyword in keywords
        if VRS[tag_number(keyword)] != b"SQ"
    }


def _trait_decoders(encoding: str) -> list[_Trait]:
    """Return how each of `Slice.traits` is found, in their order."""
    numbers, _, text = _decoders(encoding)
    return [
        _Trait(
            tag_number(keyword),
            math.nan if kind == "number" else "",
            {},
            (numbers if kind == "number" else text).get(VRS[tag_number(keyword)], _decline),
        )
        for keyword, (kind, _) in TRAITS.items()
    ]


@lru_cache(maxsize=64)
def _encoding(character_set: bytes) -> str:
    """Return the encoding of text without escape sequences, as pydicom finds it. Raises Odd if it is not decoded here."""
    try:
        with lenient():
            return ENCODINGS[convert_encodings(convert_string(character_set, True))[0]]
    except Exception as error:
        raise Odd from error


@lru_cache(maxsize=32)
def _coded_values(excerpt: bytes, is_implicit: bool) -> dict[str, str]:
    """Return the columns that sequences of codes give: files of one series have the same ones."""
    try:
        with lenient():
            header = read_dataset(BytesIO(excerpt), is_implicit, True)
            direct = {keyword: text_of(header, keyword) for keyword in SEQUENCES.values() if keyword in EMPTY}
            return direct | {keyword: coded_text(header, keyword) for keyword in CODED}
    except Exception as error:  # whatever pydicom makes of them, it has to make of the whole file
        raise Odd from error


def _tiles(whole: Slice, excerpt: bytes, is_implicit: bool) -> list[Slice]:
    """Return the slices of a file that calls itself a mosaic, as `radnet3d.dicom.slices.read_slices` does."""
    try:
        with lenient():
            header = read_dataset(BytesIO(excerpt), is_implicit, True)
            if not is_mosaic(header):
                return [whole]
            try:
                mosaic = read_mosaic(header)
            except ValueError:  # anonymised beyond use: its position is not that of a slice
                return [replace(whole, position_lps_mm=None)]
    except Exception as error:
        raise Odd from error
    n_across = mosaic.n_tiles_across
    tile = replace(whole, n_rows=whole.n_rows // n_across, n_columns=whole.n_columns // n_across)
    positions = map(tuple, mosaic.positions_lps_mm.tolist())
    return [replace(tile, frame=frame, position_lps_mm=position) for frame, position in enumerate(positions)]


@lru_cache(maxsize=64)
def _private_b_value(excerpt: bytes, is_implicit: bool) -> float:
    """Return the b-value that a vendor's own element holds."""
    try:
        with lenient():
            return private_b_value(read_dataset(BytesIO(excerpt), is_implicit, True))
    except Exception as error:
        raise Odd from error
