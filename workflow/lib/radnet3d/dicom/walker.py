"""A guarded walk through a plain header: where its elements lie, and the bytes of the wanted ones.

Plain is: a preamble and a complete group 2, little endian and not deflated, tags that ascend, VRs as in the dictionary,
complete pixel data. One read of WINDOW bytes serves most files, and no data set is built. Whatever pydicom might take in
another way is `Odd`.
Sources: DICOM PS3.5 section 7 (elements), PS3.10 section 7 (preamble and group 2), and pydicom's reader.
"""

import math
import os
import struct
from collections.abc import Iterable
from typing import BinaryIO, NamedTuple, TypeVar

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.tag import Tag
from pydicom.uid import (
    AllTransferSyntaxes,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
)
from pydicom.valuerep import EXPLICIT_VR_LENGTH_16, EXPLICIT_VR_LENGTH_32

from radnet3d.dicom.values import NEEDED

PIXEL_DATA = (0x7FE00010, 0x7FE00009, 0x7FE00008)  # integer, double, float
UNDEFINED_LENGTH = 0xFFFFFFFF

WINDOW = 1 << 14  # bytes of one read
WINDOW_MAX = 1 << 18  # bytes of a sequence of undefined length, of an element that is cut out
N_REMEMBERED = 2048  # heads of elements, values of one column: the memory of a reader is bounded
KEY_MAX = 1 << 8  # bytes of a value that is remembered
SEQUENCE_MAX = 1 << 12  # bytes of a sequence that is recognised when it comes again
N_NESTED_MAX = 16

T = TypeVar("T")


class Odd(Exception):
    """Something that only pydicom may judge."""


class _CutByWindow(Odd):
    """The bytes at hand end before what is looked at does."""


SKIP, DECODE, CUT_OUT, STOP, DECLINE = range(5)  # what to do with an element

_HEAD = struct.Struct("<HH2sH")
_IMPLICIT_HEAD = struct.Struct("<HHL")
_TAG, _LONG, _US = struct.Struct("<HH"), struct.Struct("<L"), struct.Struct("<H")
_SHORT_VRS = {str(vr).encode() for vr in EXPLICIT_VR_LENGTH_16}
_LONG_VRS = {str(vr).encode() for vr in EXPLICIT_VR_LENGTH_32}
_META_START = b"DICM\x02\x00\x00\x00UL\x04\x00"
_ITEM, _ITEM_END, _SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0" + bytes(4), b"\xfe\xff\xdd\xe0" + bytes(4)
_SYNTAXES = {
    uid.encode() + b"\0" * (len(uid) % 2): str(uid)
    for uid in AllTransferSyntaxes
    if uid not in (ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
}


def tag_number(keyword: str) -> int:
    """Return the tag of a keyword."""
    return int(Tag(keyword))


SPECIFIC_CHARACTER_SET = tag_number("SpecificCharacterSet")
ROWS, COLUMNS = tag_number("Rows"), tag_number("Columns")
_SAMPLES, _BITS = tag_number("SamplesPerPixel"), tag_number("BitsAllocated")
_TRANSFER_SYNTAX, _MEDIA_CLASS = tag_number("TransferSyntaxUID"), tag_number("MediaStorageSOPClassUID")

_ENHANCED = (tag_number("SharedFunctionalGroupsSequence"), tag_number("PerFrameFunctionalGroupsSequence"))
_PRIVATE = {int(tag) for tag in NEEDED if tag >> 16 & 1}
_WANTED = {int(tag) for tag in NEEDED} - _PRIVATE - {*_ENHANCED} | {_MEDIA_CLASS}
VRS = {tag: str(dictionary_VR(tag)).encode() for tag in sorted(_WANTED)}
"""The VR of each wanted element; another one is odd."""

_ACTIONS = {
    **{tag: CUT_OUT if vr == b"SQ" else DECODE for tag, vr in VRS.items()},
    **dict.fromkeys(_PRIVATE, CUT_OUT),
    **dict.fromkeys(PIXEL_DATA, STOP),
    **dict.fromkeys(_ENHANCED, DECLINE),
}


class _Element(NamedTuple):
    """What the first eight bytes of an element say; `n_bytes` is 0 where they do not say how long it is."""

    tag: int
    n_bytes: int
    action: int


class Found(NamedTuple):
    """What one walk found."""

    file: int  # descriptor of the open file
    is_implicit: bool
    transfer_syntax: str
    raw: dict[int, bytes]  # values of the wanted elements
    cut_out: dict[int, tuple[int, int]]  # from and to which byte sequences and private elements lie
    pixels_start: int
    pixels_length: int

    def excerpt(self, tags: Iterable[int]) -> bytes:
        """Return those of the elements that the file has, as they are encoded in it, for pydicom to read."""
        parts = []
        for tag in tags:
            if tag in self.cut_out:
                start, end = self.cut_out[tag]
                if end - start > WINDOW_MAX:
                    raise Odd
                parts.append(os.pread(self.file, end - start, start))
            elif tag in self.raw:
                value = self.raw[tag]
                group, number = divmod(tag, 1 << 16)
                if self.is_implicit:
                    parts.append(_IMPLICIT_HEAD.pack(group, number, len(value)) + value)
                else:
                    parts.append(_HEAD.pack(group, number, VRS[tag], len(value)) + value)
        excerpt = b"".join(parts)
        if self.is_implicit and excerpt[4:6].isalpha():  # a length that pydicom may take for a VR
            raise Odd
        return excerpt


class Walker:
    """Walks headers; what it saw in earlier files makes it faster, never different. Its memory is bounded."""

    def __init__(self) -> None:
        self._heads: tuple[dict[bytes, _Element], dict[bytes, _Element]] = {}, {}  # explicit, implicit VR
        self._sequences: tuple[dict[bytes, bytes], dict[bytes, bytes]] = {}, {}  # whole ones of undefined length

    def walk(self, file: int, size: int) -> Found:
        """Return the wanted elements of an open file of `size` bytes. Raises Odd, struct.error or OSError."""
        found = self._walk(file)
        _check_pixels(found, size)
        return found

    def _walk(self, file: int) -> Found:
        """Return the wanted elements of the file's header, up to its pixel data."""
        content = os.read(file, WINDOW)
        raw, start = self._walk_meta(content)
        syntax = _SYNTAXES.get(raw.get(_TRANSFER_SYNTAX, b""))
        if syntax is None or raw.get(_MEDIA_CLASS, b"").startswith(MediaStorageDirectoryStorage.encode()):
            raise Odd
        is_implicit = syntax == ImplicitVRLittleEndian
        if is_implicit and content[start + 4 : start + 6].isalpha():  # pydicom would look whether that is a VR
            raise Odd
        heads, sequences = self._heads[is_implicit], self._sequences[is_implicit]
        cut_out: dict[int, tuple[int, int]] = {}
        position, base, last = start, 0, 0x0002FFFF  # `content` starts at byte `base` of the file
        while True:
            head = content[position : position + 8]
            element = heads.get(head)
            if element is None:
                if len(head) < 8:
                    content, base, position = _window(file, base + position, 8), base + position, 0
                    continue
                element = _learn(heads, head, is_implicit=is_implicit)
            tag, n_bytes, action = element
            if tag <= last:
                raise Odd
            last = tag
            if n_bytes:
                if action == DECODE:
                    if position + n_bytes > len(content):
                        content, base, position = _window(file, base + position, n_bytes), base + position, 0
                    raw[tag] = content[position + 8 : position + n_bytes]
                elif action == CUT_OUT:
                    cut_out[tag] = base + position, base + position + n_bytes
                position += n_bytes
                continue
            if position + 12 > len(content):
                content, base, position = _window(file, base + position, 12), base + position, 0
            n_head = 8 if is_implicit else 12
            (length,) = _LONG.unpack_from(content, position + n_head - 4)
            if action == STOP:
                return Found(file, is_implicit, syntax, raw, cut_out, base + position + n_head, length)
            if length == UNDEFINED_LENGTH:
                seen = sequences.get(head)
                if seen is not None and content.startswith(seen, position):
                    n_bytes = len(seen)
                else:
                    n_bytes, content, base, position = self._sequence(file, content, base, position, is_implicit)
                    if n_bytes <= SEQUENCE_MAX:
                        remember(sequences, head, content[position : position + n_bytes])
            else:
                n_bytes = n_head + length
            if action == CUT_OUT:
                cut_out[tag] = base + position, base + position + n_bytes
            position += n_bytes

    def _walk_meta(self, content: bytes) -> tuple[dict[int, bytes], int]:
        """Return the wanted elements of group 2, and where the data set starts."""
        if content[128:140] != _META_START:
            raise Odd
        end = 144 + _LONG.unpack_from(content, 140)[0]
        if end + 12 > len(content):
            raise Odd
        heads = self._heads[0]
        raw: dict[int, bytes] = {}
        position, last = 144, 0x00020000
        while position < end:
            head = content[position : position + 8]
            tag, n_bytes, action = heads.get(head) or _learn(heads, head, is_implicit=False)
            if not last < tag <= 0x0002FFFF:
                raise Odd
            last = tag
            if action == DECODE:
                raw[tag] = content[position + 8 : position + n_bytes]
            position += n_bytes or 12 + _LONG.unpack_from(content, position + 8)[0]
        if position != end:
            raise Odd
        return raw, end

    def _sequence(
        self, file: int, content: bytes, base: int, position: int, is_implicit: bool
    ) -> tuple[int, bytes, int, int]:
        """Return how long an element of undefined length is, and a window that holds it: content, base, position."""
        try:
            end = self._sequence_end(content, position, is_implicit, depth=0)
        except (_CutByWindow, struct.error):
            content, base, position = os.pread(file, WINDOW_MAX, base + position), base + position, 0
            end = self._sequence_end(content, position, is_implicit, depth=0)
        return end - position, content, base, position

    def _sequence_end(self, content: bytes, position: int, is_implicit: bool, *, depth: int) -> int:
        """Return where the sequence of undefined length that starts at `position` ends.

        Everything in it is walked as pydicom walks it; an item that its elements do not fill exactly is odd.
        """
        if depth > N_NESTED_MAX or not _is_sequence(content, position, is_implicit):
            raise Odd
        heads = self._heads[is_implicit]
        position += 8 if is_implicit else 12
        while content[position : position + 8] != _SEQUENCE_END:
            if content[position : position + 4] != _ITEM:
                raise Odd if position + 8 <= len(content) else _CutByWindow
            (length,) = _LONG.unpack_from(content, position + 4)
            is_open = length == UNDEFINED_LENGTH
            position += 8
            end = len(content) if is_open else position + length
            if end > len(content):
                raise _CutByWindow
            while position < end:
                head = content[position : position + 8]
                if is_open and head == _ITEM_END:
                    break
                if len(head) < 8:
                    raise _CutByWindow
                tag, n_bytes, _ = heads.get(head) or _learn(heads, head, is_implicit=is_implicit)
                if tag == SPECIFIC_CHARACTER_SET:
                    raise Odd
                position = position + n_bytes if n_bytes else self._long_end(content, position, is_implicit, depth)
            if is_open:
                if content[position : position + 8] != _ITEM_END:
                    raise _CutByWindow
                position += 8
            elif position != end:
                raise Odd
        return position + 8

    def _long_end(self, content: bytes, position: int, is_implicit: bool, depth: int) -> int:
        n_head = 8 if is_implicit else 12
        (length,) = _LONG.unpack_from(content, position + n_head - 4)
        if length == UNDEFINED_LENGTH:
            return self._sequence_end(content, position, is_implicit, depth=depth + 1)
        return int(position + n_head + length)


def _learn(heads: dict[bytes, _Element], head: bytes, *, is_implicit: bool) -> _Element:
    """Return what the first eight bytes of an element say, and remember it. Raises Odd where they are not plain."""
    if is_implicit:
        group, number, length = _IMPLICIT_HEAD.unpack(head)
        vr, is_long = b"", length == UNDEFINED_LENGTH
    else:
        group, number, vr, length = _HEAD.unpack(head)
        is_long = vr in _LONG_VRS
        if vr not in (_LONG_VRS if is_long else _SHORT_VRS) or (is_long and length):
            raise Odd
    tag = group << 16 | number
    action = _ACTIONS.get(tag, SKIP)
    if group == 0xFFFE or action == DECLINE:
        raise Odd
    if action == DECODE and (is_long or (vr and vr != VRS[tag])):
        raise Odd
    if action == STOP and vr in _SHORT_VRS:
        raise Odd
    n_bytes = 0 if is_long or action == STOP else 8 + length
    return remember(heads, head, _Element(tag, n_bytes, action))


def remember(known: dict[bytes, T], key: bytes, value: T) -> T:
    """Return `value`, kept in `known` if that stays small."""
    if len(known) >= N_REMEMBERED:
        known.clear()
    if len(key) <= KEY_MAX:
        known[key] = value
    return value


def _window(file: int, start: int, n_bytes: int) -> bytes:
    """Return the bytes of a file from `start` on, at least `n_bytes` of them. Raises Odd if they are not there."""
    content = os.pread(file, WINDOW, start)
    if len(content) < n_bytes:
        raise Odd
    return content


def _is_sequence(content: bytes, position: int, is_implicit: bool) -> bool:
    """Return whether pydicom reads an element of undefined length as a sequence, without guessing."""
    if not is_implicit:
        return content[position + 4 : position + 6] == b"SQ"
    group, number = _TAG.unpack_from(content, position)
    if group % 2:
        return content[position + 8 : position + 12] == _ITEM
    tag = group << 16 | number
    return dictionary_has_tag(tag) and dictionary_VR(tag) == "SQ"


def _check_pixels(found: Found, size: int) -> None:
    """Raise Odd where the pixel data are not all there."""
    if found.pixels_length == UNDEFINED_LENGTH:
        with open(found.file, "rb", buffering=0, closefd=False) as stream:
            if cut_fragments(stream, size, found.pixels_start):
                raise Odd
        return
    wanted = math.prod(unsigned(found.raw.get(tag, b"")) or 1 for tag in (ROWS, COLUMNS, _SAMPLES, _BITS))
    if found.pixels_length < wanted // 8 or found.pixels_start + found.pixels_length > size:
        raise Odd


def unsigned(raw: bytes) -> int:
    """Return the one number of a US, 0 where it is empty. Raises struct.error for several."""
    return int(_US.unpack(raw)[0]) if raw else 0


def cut_fragments(stream: BinaryIO, size: int, start: int) -> str:
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
