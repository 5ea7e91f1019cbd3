"""The slices a DICOM file holds: one in a classic file, many in a Siemens mosaic or an enhanced multi-frame file."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from radnet3d.dicom.csa import CSA_CREATOR, CSA_GROUP, CSA_IMAGE_HEADER, read_csa

Vector = tuple[float, ...]
Traits = tuple[float | str, ...]

TRAITS: dict[str, tuple[str, tuple[str, ...]]] = {
    "StackID": ("text", ()),
    "ImageType": ("text", ("FrameType",)),
    "ComplexImageComponent": ("text", ()),
    "EchoTime": ("number", ("EffectiveEchoTime",)),
    "InversionTime": ("number", ("InversionTimes",)),
    "FlipAngle": ("number", ()),
    "DiffusionBValue": ("number", ()),
    "DiffusionGradientOrientation": ("text", ()),
    "KVP": ("number", ()),
    "TemporalPositionIdentifier": ("number", ("TemporalPositionIndex",)),
    "FrameReferenceTime": ("number", ()),
    "TriggerTime": ("number", ("NominalCardiacTriggerDelayTime",)),
    "AcquisitionNumber": ("number", ("FrameAcquisitionNumber",)),
    "AcquisitionTime": ("text", ("FrameAcquisitionDateTime",)),
    "ContentTime": ("text", ()),
}
"""What may tell the volumes of one series apart: how a value is read, and its keywords in an enhanced file's macros."""

FRAME_DIMENSIONS = "DimensionIndexValues"  # of an enhanced file: any number of traits more, after those above
PRIVATE_B_VALUES = {
    "SIEMENS MR HEADER": (0x00190010, 0x0019100C),
    "GEMS_PARM_01": (0x00430010, 0x00431039),
    "Philips Imaging DD 001": (0x20010010, 0x20011003),
}
"""Where classic files keep the b-value instead: creator, its element, the value's (in the first block).

Source: the vendors' conformance statements, as in pydicom's private dictionary.
"""
GE_B_VALUE_OFFSET = 100_000  # ASSUME: GE adds a multiple of it as a flag; no b-value is as high

TRAIT_TAGS: tuple[BaseTag | int, ...] = (
    *(Tag(keyword) for keyword in TRAITS),
    *(tag for tags in PRIVATE_B_VALUES.values() for tag in tags),
)
"""What a reader of headers has to keep for `Slice.traits`, beside the sequences of enhanced files."""


@dataclass(frozen=True, slots=True)
class Slice:
    """One slice of a series and where it lies; what a header does not say is None."""

    path: str  # as tables hold it (dicom.names)
    frame: int  # 0 in a classic file; frame of an enhanced file, tile of a mosaic
    sop_instance_uid: str
    instance_number: float  # NaN where absent
    n_rows: int
    n_columns: int
    pixel_spacing_mm: Vector | None  # between rows, between columns
    position_lps_mm: Vector | None  # centre of the first pixel
    orientation: Vector | None  # direction along a row, then along a column
    traits: Traits = ()  # the values of TRAITS, then FRAME_DIMENSIONS; NaN and "" where absent


@dataclass(frozen=True)
class Mosaic:
    """How a Siemens mosaic is cut: tiles of one image, left to right, then top to bottom."""

    n_tiles: int
    n_tiles_across: int
    positions_lps_mm: NDArray[np.float64]  # (n_tiles, 3), centre of each tile's first pixel


def read_slices(header: Dataset, path: str) -> list[Slice]:
    """Return the slices of one file, in the order they are stored; `path` is kept in them.

    Several frames that do not say where each of them lies have no position, whatever the file says of itself.
    """
    n_frames = max(whole_number(header, "NumberOfFrames"), 1)
    groups = list(functional_groups(header))
    if groups:
        traits = [frame_traits(list(macros(group))) for group in header.PerFrameFunctionalGroupsSequence]
    else:
        groups = [[header] if n_frames == 1 else []] * n_frames
        traits = [file_traits(header)] * n_frames
    positions = [first_numbers(items, "ImagePositionPatient", 3) for items in groups]
    n_across = 1
    if is_mosaic(header):
        try:
            mosaic = read_mosaic(header)
        except ValueError:  # anonymised beyond use: its position is not that of a slice
            positions = [None]
        else:
            groups, traits = groups * mosaic.n_tiles, traits * mosaic.n_tiles
            positions = [tuple(position) for position in mosaic.positions_lps_mm.tolist()]
            n_across = mosaic.n_tiles_across
    return [
        Slice(
            path=path,
            frame=frame,
            sop_instance_uid=str(header.get("SOPInstanceUID") or ""),
            instance_number=number(header, "InstanceNumber"),
            n_rows=whole_number(header, "Rows") // n_across,
            n_columns=whole_number(header, "Columns") // n_across,
            pixel_spacing_mm=first_numbers(items, "PixelSpacing", 2),
            position_lps_mm=position,
            orientation=first_numbers(items, "ImageOrientationPatient", 6),
            traits=traits[frame],
        )
        for frame, (items, position) in enumerate(zip(groups, positions, strict=True))
    ]


def file_traits(header: Dataset) -> Traits:
    """Return the values of TRAITS in a classic file or a mosaic."""
    values = [
        number(header, keyword) if kind == "number" else joined_text(header, keyword)
        for keyword, (kind, _) in TRAITS.items()
    ]
    place = list(TRAITS).index("DiffusionBValue")
    if math.isnan(float(values[place])):
        values[place] = private_b_value(header)
    return tuple(values)


def private_b_value(header: Dataset) -> float:
    """Return the b-value that a vendor's own element holds, NaN where there is none."""
    for creator, (creator_tag, tag) in PRIVATE_B_VALUES.items():
        if tag in header and creator_tag in header and str(header[creator_tag].value).strip() == creator:
            try:
                return float(listed(header[tag].value)[0]) % GE_B_VALUE_OFFSET
            except (ValueError, TypeError, OverflowError, IndexError):
                return math.nan
    return math.nan


def frame_traits(items: Sequence[Dataset]) -> Traits:
    """Return the values of TRAITS in the macros of one frame, then those of FRAME_DIMENSIONS."""
    values: list[float | str] = [math.nan if kind == "number" else "" for kind, _ in TRAITS.values()]
    dimensions: list[float] = []
    items = [*items, *(inner for item in items for inner in macros(item))]  # the gradient is one sequence deeper
    for item in items:
        for tag in list(item.keys()):  # iterating over the item itself would convert every element
            if tag == tag_of(FRAME_DIMENSIONS):
                dimensions = [float(value) for value in listed(item[tag].value)]
            elif tag in FRAME_TRAITS:
                place, keyword, kind = FRAME_TRAITS[tag]
                values[place] = number(item, keyword) if kind == "number" else joined_text(item, keyword)
    return (*values, *dimensions)


def functional_groups(header: Dataset) -> Iterator[list[Dataset]]:
    """Yield, for each frame of an enhanced file, its macros: those of the frame first, then the shared ones.

    Source: DICOM PS3.3 C.7.6.16. A classic file yields nothing.
    """
    shared = [macro for group in header.get("SharedFunctionalGroupsSequence") or [] for macro in macros(group)]
    for group in header.get("PerFrameFunctionalGroupsSequence") or []:
        yield [*macros(group), *shared]


def macros(group: Dataset) -> Iterator[Dataset]:
    """Yield the first item of each sequence in one functional group."""
    for element in group:
        if element.VR == "SQ" and element.value:
            yield element.value[0]


def is_mosaic(header: Dataset) -> bool:
    """Return whether a file says that it is a Siemens mosaic."""
    return "MOSAIC" in [str(word).upper() for word in listed(header.get("ImageType"))]


def read_mosaic(header: Dataset) -> Mosaic:
    """Return how a Siemens mosaic is to be cut.

    ImagePositionPatient of a mosaic is that of an image as large as the whole mosaic around the first slice's centre,
    so the first tile starts half of what is left over further in; further tiles follow SliceNormalVector, which may
    point against row x column. Source: https://nipy.org/nibabel/dicom/dicom_mosaic.html
    Raises ValueError where the file does not say how.
    """
    try:
        csa = read_csa(bytes(header.private_block(CSA_GROUP, CSA_CREATOR)[CSA_IMAGE_HEADER].value))
    except KeyError as error:
        raise ValueError("mosaic without a Siemens CSA header: the number of its tiles is unknown") from error
    n_tiles = int((csa.get("NumberOfImagesInMosaic") or ["0"])[0])
    orientation, position = numbers(header, "ImageOrientationPatient", 6), numbers(header, "ImagePositionPatient", 3)
    pixel_spacing_mm, spacing_mm = numbers(header, "PixelSpacing", 2), number(header, "SpacingBetweenSlices")
    if n_tiles < 1 or orientation is None or position is None or pixel_spacing_mm is None or not spacing_mm > 0:
        raise ValueError(f"mosaic of {n_tiles} tiles lacks position, orientation, pixel or slice spacing")
    n_across = math.ceil(math.sqrt(n_tiles))
    along_row, along_column = np.array(orientation[:3]), np.array(orientation[3:])
    normal = np.cross(along_row, along_column)
    stated = np.array([float(value) for value in csa.get("SliceNormalVector", [])])
    step = spacing_mm * normal * (-1.0 if stated.size == 3 and stated @ normal < 0 else 1.0)
    left_over = (1 - 1 / n_across) / 2
    first = np.array(position) + left_over * (
        along_row * pixel_spacing_mm[1] * whole_number(header, "Columns")
        + along_column * pixel_spacing_mm[0] * whole_number(header, "Rows")
    )
    return Mosaic(n_tiles, n_across, first + np.arange(n_tiles)[:, None] * step)


tag_of = cache(Tag)

FRAME_TRAITS = {
    tag_of(name): (place, name, kind)
    for place, (keyword, (kind, elsewhere)) in enumerate(TRAITS.items())
    for name in (keyword, *elsewhere)
}
"""Where in `Slice.traits` an element of a frame's macros goes: place, keyword, how it is read."""


def value_of(item: Dataset, keyword: str) -> Any:
    """Return the value of an element, None where it is absent; half the time of `item.get(keyword)`."""
    tag = tag_of(keyword)
    return item[tag].value if tag in item else None


def listed(value: Any) -> list[Any]:
    """Return the values of an element as a list, whatever its multiplicity."""
    if value is None:
        return []
    return [value] if isinstance(value, str | bytes) or not isinstance(value, Sequence) else list(value)


def joined_text(item: Dataset, keyword: str) -> str:
    """Return an element as text, several values joined by a backslash, "" where it is absent."""
    try:
        return "\\".join(str(value).strip() for value in listed(value_of(item, keyword)))
    except (ValueError, TypeError, OverflowError):
        return ""


def numbers(item: Dataset, keyword: str, n: int) -> Vector | None:
    """Return `n` finite numbers of one element, or None."""
    try:
        values = tuple(float(value) for value in listed(value_of(item, keyword)))
    except (ValueError, TypeError, OverflowError):
        return None
    return values if len(values) == n and all(math.isfinite(value) for value in values) else None


def first_numbers(items: Sequence[Dataset], keyword: str, n: int) -> Vector | None:
    """Return `n` numbers of the first of `items` that has them, or None."""
    return next((found for item in items if (found := numbers(item, keyword, n)) is not None), None)


def number(item: Dataset, keyword: str) -> float:
    """Return the first value of an element as a number, NaN where there is none or it is not a finite number."""
    try:
        value = float(next(iter(listed(value_of(item, keyword))), math.nan))
    except (ValueError, TypeError, OverflowError):
        return math.nan
    return value if math.isfinite(value) else math.nan


def whole_number(item: Dataset, keyword: str) -> int:
    """Return an element as a whole number, 0 where it has none."""
    value = number(item, keyword)
    return int(value) if value > 0 else 0
