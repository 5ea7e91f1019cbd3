"""DICOM files to break, and ways to break them: what the fast reader of headers is held against pydicom with."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from radnet3d.dicom.values import NEEDED
from radnet3d.dicom.walker import PIXEL_DATA
from support.dicom_series import enhanced, image

SYNTAXES = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEG2000Lossless,
)
CHARACTER_SETS = {
    None: "plain",
    "ISO_IR 6": "plain",
    "ISO_IR 100": "Größe µ naïve",
    "ISO_IR 101": "čšž",
    "ISO_IR 144": "Грудь",
    "ISO_IR 192": "胸部 Größe",
    "GB18030": "胸部",
    "ISO_IR 13": "ｼﾝｿﾞｳ",
    "\\ISO 2022 IR 87": "胸部 CT",
    "ISO 2022 IR 6\\ISO 2022 IR 100": "Größe",
    "\\ISO 2022 IR 149": "흉부",
    "ISO IR 100": "spelled wrong ß",
    "unheard of": "plain",
}
"""Character sets, with a text that needs them."""

VRS = [
    b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"OB", b"OD", b"OF", b"OL",
    b"OV", b"OW", b"PN", b"SH", b"SL", b"SQ", b"SS", b"ST", b"SV", b"TM", b"UC", b"UI", b"UL", b"UN", b"UR", b"US",
    b"UT", b"UV", b"ZZ", b"??", b"\0\0", b"us", b"  ", b"\xff\xff",
]  # fmt: skip
VALUES = [
    b"", b" ", b"\0", b"\0\0", b"1", b"-1 ", b"+2.50", b"1,5", b"1_0", b"abc", b"1e5", b"1e999", b"nan", b"inf", b"0x10",
    b"1.0\\2.0", b"1\\2\\3", b"1\\2\\3\\4\\5\\6", b"1\\\\3 ", b"\\", b"\\\\", b"1.0\\2.0\\", b" 7 ", b"7\0", b"7 \0 ", b"1\0002",
    b"12345678901234567890123456789", b"9" * 400, b".5", b"5.", b"-.e", b"--1", b"1.0", b"1.5", b"\xb2", b"\xa01\xa0",
    b"\x1b$B65It\x1b(B", b"\xc3\xa4", b"\xe4", b"\xff\xfe", b"a\0b", b" a \\ b \\", b"\ta\n", b"\x85a\x85", b"\\a", b"a\\\0",
    b"MOSAIC", b"mosaic\\ MOSAIC", b"ORIGINAL\\PRIMARY\\ MOSAIC ", b"ISO_IR 100", b"ISO_IR 192", b"ISO 2022 IR 6\\ISO 2022 IR 87",
    b"ISO_IR 100\0", b"ISO_IR\0100", b"utf-8", b"\\ISO_IR 100", b"1.2.3", b"1.2.3\0", b" 1.2.3", b"1.2.3\\1.2.4", b"../x",
    b"\0\2", b"\0\2\0\2", b"\xff\xff", b"\0\0\0\0\0\0\xf8\x7f", b"\0\0\0\0\0\0\xf0\x7f", b"\0\0\0\0\0@\x8f@", b"x" * 300,
    b"1.2.840.10008.1.2\0", b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.2\0", b"1.2.840.10008.1.2.4.50", b"1.2.840.10008.1.3.10",
    b"012Y", b"120000.5", b"1\xb9", b"\xd9\xa1", b"\x1b-Aa\xe4", b"2\0\\3", b"A\0\\B", b"-5", b"0", b"00", b"1e400\\1\\1",
]  # fmt: skip
"""Values that a reader may take in its own way."""

ITEM, ITEM_END, SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0" + bytes(4), b"\xfe\xff\xdd\xe0" + bytes(4)
OPEN = b"\xff" * 4


@dataclass(frozen=True)
class Parts:
    """A file cut into its elements, as pydicom finds them; joined they are the file."""

    preamble: bytes
    elements: tuple[bytes, ...]  # of group 2, then of the data set
    rest: bytes  # from the pixel data on
    is_implicit: bool

    def join(self) -> bytes:
        """Return the file."""
        return self.preamble + b"".join(self.elements) + self.rest


@lru_cache(maxsize=600)
def cut(content: bytes) -> Parts | None:
    """Return the parts of a file, None where pydicom does not find its elements one after the other."""
    try:
        header = pydicom.dcmread(BytesIO(content))
    except Exception:  # broken by an earlier mutation
        return None
    elements = [data[tag] for data in (header.file_meta._dict, header._dict) for tag in sorted(data)]
    is_implicit = bool(header.original_encoding[0])
    starts = []
    for element in elements:
        tell = element.value_tell if hasattr(element, "value_tell") else element.file_tell
        is_long = str(element.VR) in ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")
        starts.append(tell - (12 if is_long and not (is_implicit and element.tag.group != 2) else 8))
        if element.tag in PIXEL_DATA:
            break
    if starts != sorted(starts) or not starts or starts[0] > 200:
        return None
    has_pixels = element.tag in PIXEL_DATA
    starts = starts if has_pixels else [*starts, len(content)]
    pieces = tuple(content[start:stop] for start, stop in pairwise(starts))
    parts = Parts(content[: starts[0]], pieces, content[starts[-1] :], is_implicit)
    return parts if parts.join() == content else None


def rich(character_set: str | None = "ISO_IR 100", text: str = "Größe", *, modality: str = "MR") -> FileDataset:
    """Return an image whose header has a value for nearly everything that is read, sequences and private elements."""
    header = image(np.arange(48, dtype=np.int16).reshape(6, 8), modality)
    header.SpecificCharacterSet = character_set.split("\\") if character_set else None
    if character_set is None:
        del header.SpecificCharacterSet
    for tag in NEEDED:
        keyword = pydicom.datadict.keyword_for_tag(tag)
        vr = pydicom.datadict.dictionary_VR(tag) if keyword else ""
        if keyword in header or keyword.startswith(("Number", "Specific", "Transfer")):
            continue
        if vr in ("LO", "SH"):
            setattr(header, keyword, f"{text} {keyword}"[:16])
        elif vr == "CS":
            setattr(header, keyword, [keyword[:15].upper(), "B"] if keyword == "ImageType" else keyword[:15].upper())
        elif vr in ("DS", "IS"):
            setattr(header, keyword, 3)
        elif vr == "FD":
            setattr(header, keyword, [0.0, 0.6, 0.8] if "Orientation" in keyword else 800.0)
        elif vr in ("TM", "AS", "UI"):
            setattr(header, keyword, {"TM": "101500.25", "AS": "061Y", "UI": "1.2.3.9"}[vr])
    code, route, study, inner = Dataset(), Dataset(), Dataset(), Dataset()
    code.CodeMeaning, route.CodeMeaning = text, "Intravenous route"
    code.ContrastBolusAdministrationRouteSequence = Sequence([route])
    inner.ReferencedSOPInstanceUID, study.ReferencedSOPInstanceUID = "1.2.9", "1.2.8"
    study.PurposeOfReferenceCodeSequence = Sequence([inner, Dataset()])
    header.AnatomicRegionSequence, header.ContrastBolusAgentSequence = [code, code], [code]
    header.ReferencedStudySequence, header.RequestAttributesSequence = [study, study], []
    header.private_block(0x19, "SIEMENS MR HEADER", create=True).add_new(0x0C, "IS", "1000")
    private = header.private_block(0x21, "TEST", create=True)
    private.add_new(1, "UN", b"\1\2\3\4")
    private.add_new(2, "SQ", [inner])
    private.add_new(3, "OB", b"\0" * 40)
    return header


def leave_open(header: Dataset) -> None:
    """Have every sequence and item of a header written with undefined length."""
    for element in header:
        if element.VR == "SQ":
            element.is_undefined_length = True
            for item in element.value:
                item.is_undefined_length_sequence_item = True
                leave_open(item)


def encoded(header: FileDataset, syntax: str) -> bytes:
    """Return a file in a transfer syntax; where that compresses, its pixels are the encapsulated bytes, not decodable."""
    header.file_meta.TransferSyntaxUID = syntax
    if header.file_meta.TransferSyntaxUID.is_encapsulated:
        header.PixelData = encapsulate([header.PixelData])
        header["PixelData"].is_undefined_length = True
        header["PixelData"].VR = "OB"
    buffer = BytesIO()
    pydicom.dcmwrite(buffer, header, enforce_file_format=True)
    return buffer.getvalue()


def generated() -> Iterator[bytes]:
    """Yield files of every transfer syntax and character set, plain and odd ones."""
    for syntax in SYNTAXES:
        for is_open in (False, True):
            header = rich()
            if is_open:
                leave_open(header)
            yield encoded(header, syntax)
    for character_set, text in CHARACTER_SETS.items():
        for syntax in SYNTAXES[:2]:
            header = rich(character_set, text)
            if character_set == "ISO_IR 192":
                leave_open(header)
            yield encoded(header, syntax)
    for syntax in SYNTAXES[:3]:
        yield encoded(image(np.zeros((6, 8), np.int16)), syntax)
        mosaic = rich(modality="MR")
        mosaic.ImageType = ["ORIGINAL", "PRIMARY", "MOSAIC"]
        mosaic.private_block(0x29, "SIEMENS CSA HEADER", create=True).add_new(0x10, "OB", b"SV10\4\3\2\1" + bytes(90))
        yield encoded(mosaic, syntax)
        yield encoded(enhanced(np.zeros((3, 6, 8), np.int16), range(3)), syntax)
        large = rich()
        large.private_block(0x29, "LARGE", create=True).add_new(0x10, "OB", bytes(20_000))
        large.private_block(0x29, "LARGE").add_new(0x11, "SQ", [rich_item() for _ in range(200)])
        leave_open(large)
        yield encoded(large, syntax)


def rich_item() -> Dataset:
    """Return an item of a sequence."""
    item, inner = Dataset(), Dataset()
    item.CodeMeaning, inner.CodeValue = "x" * 60, "1"
    item.ConceptCodeSequence = [inner]
    return item


def bundled() -> Iterator[bytes]:
    """Yield the files that come with pydicom itself and are not large."""
    for path in sorted(Path(pydicom.__file__).parent.glob("data/*_files/*.dcm")):
        if path.stat().st_size < 200_000:
            yield path.read_bytes()


def real(folder: Path) -> Iterator[bytes]:
    """Yield every real file, and the first of each folder in every transfer syntax that needs no compression."""
    seen = set()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        yield content
        if path.parent not in seen and content[128:132] == b"DICM":
            seen.add(path.parent)
            yield from reencoded(content)


def reencoded(content: bytes) -> Iterator[bytes]:
    """Yield a file as pydicom writes it in other transfer syntaxes and in UTF-8; what it cannot write is left out."""
    for syntax in SYNTAXES[:4]:
        for character_set in (None, "ISO_IR 192"):
            try:
                header = pydicom.dcmread(BytesIO(content))
                if header.file_meta.TransferSyntaxUID.is_compressed:
                    return
                if character_set:
                    header.decode()
                    header.SpecificCharacterSet = character_set
                    header.SeriesDescription = "Größe 胸部"
                yield encoded(header, syntax)
            except (AttributeError, ValueError, TypeError, KeyError, NotImplementedError):
                continue


Mutation = tuple[int, int, int]  # which way, where, with what


def mutate(content: bytes, mutations: list[Mutation]) -> bytes:
    """Return a file after some mutations, each of bytes or of whole elements."""
    for way, where, what in mutations:
        parts = cut(content) if way % 2 else None
        if parts is None or not parts.elements:
            change = OF_BYTES[way // 2 % len(OF_BYTES)]
            content = change(content, where % min(len(content) + 1, 1 << 13), what)
        else:
            index = where % len(parts.elements)
            change_element = OF_ELEMENTS[way // 2 % len(OF_ELEMENTS)]
            elements = change_element(list(parts.elements), index, what, parts.is_implicit)
            content = parts.preamble + b"".join(elements) + parts.rest
    return content


def _replace_byte(content: bytes, at: int, what: int) -> bytes:
    return content[:at] + bytes([what % 256]) + content[at + 1 :]


def _flip_bit(content: bytes, at: int, what: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1 << what % 8]) + content[at + 1 :] if at < len(content) else content


def _truncate(content: bytes, at: int, what: int) -> bytes:
    return content[:at] if what % 2 else content[: len(content) - 1 - what % 200]


def _insert(content: bytes, at: int, what: int) -> bytes:
    return content[:at] + VALUES[what % len(VALUES)] + content[at:]


def _delete(content: bytes, at: int, what: int) -> bytes:
    return content[:at] + content[at + 1 + what % 40 :]


def _zero(content: bytes, at: int, what: int) -> bytes:
    n_bytes = 1 + what % 16
    return content[:at] + bytes(n_bytes) + content[at + n_bytes :]


OF_BYTES: list[Callable[[bytes, int, int], bytes]] = [_replace_byte, _flip_bit, _truncate, _insert, _delete, _zero]


def _is_long(element: bytes, is_implicit: bool) -> bool:
    return not is_implicit and element[4:6] in (b"OB", b"OW", b"SQ", b"UN", b"UT", b"UC")


def with_value(element: bytes, value: bytes, *, is_implicit: bool, is_padded: bool = True) -> bytes:
    """Return an element with another value and its length, its tag and VR kept."""
    value += b" " * (len(value) % 2 if is_padded else 0)
    if is_implicit and element[:2] != b"\2\0":
        return element[:4] + len(value).to_bytes(4, "little") + value
    if _is_long(element, is_implicit):
        return element[:8] + len(value).to_bytes(4, "little") + value
    return element[:6] + len(value).to_bytes(2, "little") + value


def tag_of(element: bytes) -> int:
    """Return the tag of an encoded element."""
    group, number = struct.unpack_from("<HH", element)
    return int(group << 16 | number)


def with_element(parts: Parts, keyword: str, value: bytes) -> Parts:
    """Return a file one of whose elements has another value, not padded; the length of group 2 is put right."""
    tag = pydicom.datadict.tag_for_keyword(keyword)
    length, *others = (
        with_value(element, value, is_implicit=parts.is_implicit, is_padded=False)
        if tag_of(element) == tag
        else element
        for element in parts.elements
    )
    n_bytes = sum(len(element) for element in others if element[:2] == b"\2\0")
    return replace(parts, elements=(length[:8] + n_bytes.to_bytes(4, "little"), *others))


Elements = list[bytes]


def _revalue(elements: Elements, index: int, what: int, is_implicit: bool) -> Elements:
    """Give an element that is read, or else any, an odd value."""
    wanted = [place for place, element in enumerate(elements) if tag_of(element) in NEEDED]
    index, value = wanted[index % len(wanted)] if wanted else index, VALUES[what % len(VALUES)]
    elements[index] = with_value(elements[index], value, is_implicit=is_implicit, is_padded=what % 3 > 0)
    return elements


def _revr(elements: Elements, index: int, what: int, is_implicit: bool) -> Elements:
    elements[index] = elements[index][:4] + VRS[what % len(VRS)] + elements[index][6:]
    return elements


def _relength(elements: Elements, index: int, what: int, is_implicit: bool) -> Elements:
    at, n_bytes = (4, 4) if is_implicit else (8, 4) if _is_long(elements[index], is_implicit) else (6, 2)
    before = int.from_bytes(elements[index][at : at + n_bytes], "little")
    lengths = (0, 0xFFFF, 0xFFFFFFFF, before + 1, before - 1, before + 2, before + 8, 2 * before, what, 1 << 24)
    length = lengths[what % len(lengths)] % (1 << 8 * n_bytes)
    elements[index] = elements[index][:at] + length.to_bytes(n_bytes, "little") + elements[index][at + n_bytes :]
    return elements


def _repeat(elements: Elements, index: int, what: int, is_implicit: bool) -> Elements:
    elements.insert(what % (len(elements) + 1), elements[index])
    return elements


def _move(elements: Elements, index: int, what: int, is_implicit: bool) -> Elements:
    element = elements.pop(index)
    elements.insert(what % (len(elements) + 1), element)
    return elements


def _remove(elements: Elements, index: int, what: int, is_implicit: bool) -> Elements:
    del elements[index]
    return elements


def _retag(elements: Elements, index: int, what: int, is_implicit: bool) -> Elements:
    tag = int(NEEDED[what % len(NEEDED)])
    elements[index] = (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little") + elements[index][4:]
    return elements


def _new(elements: Elements, index: int, what: int, is_implicit: bool) -> Elements:
    """Add an element of a tag that follows its neighbour's: a sequence, an unknown, a value under an odd VR."""
    before = elements[index][:4]
    number = int.from_bytes(before[2:], "little")
    tag = before[:2] + min(number + 1, 0xFFFF).to_bytes(2, "little")
    inner = with_value(b"\x08\x00\x04\x01LO\0\0", VALUES[what % len(VALUES)], is_implicit=is_implicit)
    item, open_item = ITEM + len(inner).to_bytes(4, "little") + inner, ITEM + OPEN + inner + ITEM_END
    bodies = (
        OPEN + item + SEQUENCE_END, OPEN + open_item + SEQUENCE_END, OPEN + SEQUENCE_END, OPEN + item,
        len(item).to_bytes(4, "little") + item, OPEN + ITEM + bytes(4) + ITEM + OPEN + ITEM_END + SEQUENCE_END,
        OPEN + ITEM + (len(inner) - 2).to_bytes(4, "little") + inner + SEQUENCE_END, OPEN + inner + SEQUENCE_END,
        OPEN + ITEM + (len(inner) + 2).to_bytes(4, "little") + inner + SEQUENCE_END, b"\2\0\0\0ab",
        OPEN + open_item[:-2] + b"\1\0" + SEQUENCE_END, OPEN + open_item + SEQUENCE_END[:-1] + b"\1",
    )  # fmt: skip
    head = b"" if is_implicit else (b"SQ", b"SQ", b"UN", b"OB")[what // 7 % 4] + b"\0\0"
    elements.insert(index + 1, tag + head + bodies[what // 29 % len(bodies)])
    return elements


def _nest(elements: Elements, index: int, what: int, is_implicit: bool) -> Elements:
    """Put the elements before one into an open item of a sequence of a low tag."""
    n_inner = 1 + what % 3
    inner = b"".join(elements[index : index + n_inner])
    head = b"\x08\x00\x10\x11" + (b"" if is_implicit else b"SQ\0\0") + OPEN
    place = next((i for i, e in enumerate(elements) if e[:2] != b"\2\0" and e[:4] > b"\x08\x00\x10\x11"), index)
    elements.insert(place, head + ITEM + OPEN + inner + ITEM_END + SEQUENCE_END)
    return elements


def _stray(elements: Elements, index: int, what: int, is_implicit: bool) -> Elements:
    elements.insert(index, (ITEM_END, SEQUENCE_END, ITEM + bytes(4), ITEM + OPEN, bytes(8), OPEN + OPEN)[what % 6])
    return elements


OF_ELEMENTS: list[Callable[[Elements, int, int, bool], Elements]] = [
    _revalue, _revalue, _revalue, _revalue, _revr, _relength, _repeat, _move, _remove, _retag, _new, _nest, _stray,
]  # fmt: skip
