"""Siemens CSA headers: the private element that says how many slices a mosaic holds and which way they are stacked.

Source: the description of the format in nibabel's documentation, https://nipy.org/nibabel/dicom/siemens_csa.html
"""

import struct

CSA_GROUP = 0x0029
CSA_CREATOR = "SIEMENS CSA HEADER"
CSA_IMAGE_HEADER = 0x10  # element within the creator's block

_MAGIC = b"SV10"  # CSA2; CSA1 has no magic number
_TAG = struct.Struct("<64si4s3i")  # name, vm, vr, syngo type, number of items, check
_ITEM = struct.Struct("<4i")
_N_TAGS_MAX = 1000


def read_csa(content: bytes) -> dict[str, list[str]]:
    """Return the values of each named entry of a CSA header, as text, empty values left out.

    `content`: the raw bytes of element (0029,1010) or (0029,1020). Raises ValueError where they are no CSA header.
    """
    is_csa2 = content.startswith(_MAGIC)
    try:
        return _read_entries(content, offset=8 if is_csa2 else 0, is_csa2=is_csa2)
    except struct.error as error:
        raise ValueError(f"CSA header of {len(content)} bytes ends before its entries do") from error


def _read_entries(content: bytes, *, offset: int, is_csa2: bool) -> dict[str, list[str]]:
    n_tags, _ = struct.unpack_from("<2I", content, offset)
    if not 0 < n_tags <= _N_TAGS_MAX:
        raise ValueError(f"CSA header announces {n_tags} entries, wanted 1 to {_N_TAGS_MAX}")
    offset += 8
    entries: dict[str, list[str]] = {}
    first_item_size = None  # CSA1 adds the first entry's number to every length
    for _ in range(n_tags):
        name, _, _, _, n_items, _ = _TAG.unpack_from(content, offset)
        offset += _TAG.size
        values = []
        for _ in range(n_items):
            sizes = _ITEM.unpack_from(content, offset)
            offset += _ITEM.size
            if first_item_size is None:
                first_item_size = sizes[0]
            length = sizes[1] if is_csa2 else max(sizes[0] - first_item_size, 0)
            if not 0 <= length <= len(content) - offset:
                raise ValueError(f"CSA value of {length} bytes does not fit into {len(content) - offset}")
            values.append(_text(content[offset : offset + length]))
            offset += -(-length // 4) * 4
        entries[_text(name)] = [value for value in values if value]
    return entries


def _text(content: bytes) -> str:
    return content.split(b"\0", 1)[0].decode("latin-1").strip()
