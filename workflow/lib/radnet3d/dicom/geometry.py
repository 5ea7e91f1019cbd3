"""The geometry of a series, from the positions of its slices and nothing else.

SliceThickness, SpacingBetweenSlices and GantryDetectorTilt are what a console was told, not where slices lie.
Sources: the `volume_geometry_index` of the NCI Imaging Data Commons (regular spacing, one orientation, one size, unique
positions, in-plane jitter) and dicom2nifti's checks (three slices or fewer are a localizer; tilt of the gantry). Criterion
by criterion: workflow/decisions/0011-geometry.md.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from radnet3d.dicom.slices import Slice
from radnet3d.dicom.splitting import Leaf, split_repeats, telling_values

Array = NDArray[np.float64]
Places = NDArray[np.int64]

N_SLICES_MIN = 4  # dicom2nifti: three or fewer are a localizer
UNIT_TOLERANCE = 0.01  # IDC: length of row x column, 1 +- 0.01
ORIENTATION_TOLERANCE = 1e-4  # cosines of one series: 0.05 mm at the edge of half a metre; IDC compares their text
PIXEL_SPACING_RTOL = 1e-4  # as much again; IDC compares their text
SAME_PLACE_MM = 1e-3  # slices closer than this along the normal lie in the same place
GAP_RTOL = 0.01  # IDC: every gap within 1 % of (max - min) / (n - 1)
JITTER_MM = 0.1  # IDC: range of positions along row and column; dicom2nifti: departure of one step from the first
TILT_MIN_DEG = 0.1  # ASSUME: less is rounding of the cosines, if the whole series stays within JITTER_MM
MISSING_RTOL = 0.05  # ASSUME: a gap this close to a multiple of the median is a hole, else the spacing is irregular
OBLIQUE_MIN_DEG = 35.0  # ASSUME: further off every axis than this, no plane is named
AXES = ("sagittal", "coronal", "axial")
TOWARDS = ("LR", "PA", "SI")  # where the patient axes of DICOM point to, and where they come from


@dataclass(frozen=True)
class Geometry:
    """What the positions of a series say; NaN and "" where they say nothing."""

    geometry: str  # tables.GEOMETRY: regular, or the first reason why not
    is_mixed: bool  # slices of several orientations or sizes, which are stacks of their own
    n_slices: int  # distinct places; all slices where places are unknown
    n_volumes: int
    volume_of: tuple[str, ...]  # what tells each volume from the others, such as "EchoTime=2.3"; "" of a single one
    slice_spacing_mm: float  # along the normal, median gap
    obliquity_deg: float  # of the normal, to the nearest patient axis
    gantry_tilt_deg: float  # between the normal and the line through the slices
    orientation_plane: str
    position_min_mm: float
    position_max_mm: float
    z_min_lps_mm: float
    z_max_lps_mm: float
    body_coverage_mm: float  # along the body axis, from outer face to outer face of the voxels
    axes_lps: str  # where slices, rows and columns ascend to, such as "S,P,L"
    shear: tuple[float, float]  # how far slices move along a column and along a row, per mm along the normal
    pixel_spacing_row_mm: float
    pixel_spacing_column_mm: float
    n_rows: int
    n_columns: int
    volume: Places  # (n,) of each slice, in the order given
    place: Places  # (n,) along the normal, ascending
    position_mm: Array  # (n,) along the normal


def series_geometry(slices: Sequence[Slice]) -> Geometry:
    """Return the geometry of one series; the order of `slices` (at least one) does not matter.

    The reasons are looked for in this order, and the first that holds is given: no_geometry, too_few_slices,
    mixed_orientation, mixed_size, multi_volume, duplicate_position, missing_slice, irregular_spacing, gantry_tilt.
    A series that is not regular may still be split into volumes that are: see `volume_geometries`.
    """
    positions_mm, orientations = _placed(slices)
    if positions_mm.shape[0] < len(slices):
        return _without_positions(slices)
    normals = unit_normals(orientations)
    along_mm = positions_mm @ normals[0]
    is_one_orientation = bool((np.abs(orientations - orientations[0]) <= ORIENTATION_TOLERANCE).all())
    sizes = _sizes(slices)
    is_mixed_size = not bool(_are_equal_sizes(sizes, sizes[0]).all())
    place = places(along_mm)
    n_places = int(place.max()) + 1
    counts = np.bincount(place)
    first_of_place = np.unique(place, return_index=True)[1]
    tilt_deg, drift_mm, jitter_mm, shear = line_through(positions_mm[first_of_place], orientations[0])
    spacing_mm, gap_fault = spacing_and_fault(along_mm[first_of_place])
    known = is_one_orientation  # places along one normal mean nothing where slices have several
    is_mixed = not known or is_mixed_size
    if is_mixed:
        place, along_mm, leaves = _split_stacks(slices, positions_mm, orientations)
    elif len(slices) > n_places or gap_fault == "irregular_spacing":
        leaves = _split_stack(slices, place, along_mm)
    else:
        leaves = [(np.arange(len(slices)), ())]
    n_repeats = _n_repeats(slices, counts)
    faults = {
        "no_geometry": not _has_pixel_size(slices),
        "too_few_slices": len(slices) < N_SLICES_MIN,
        "mixed_orientation": not is_one_orientation,
        "mixed_size": is_mixed_size,
        "multi_volume": n_repeats > 1 or (len(slices) > n_places and len(leaves) > 1),
        "duplicate_position": bool((counts > 1).any()),
        "missing_slice": gap_fault == "missing_slice",
        "irregular_spacing": gap_fault == "irregular_spacing" or jitter_mm > JITTER_MM,
        "gantry_tilt": tilt_deg > TILT_MIN_DEG or drift_mm > JITTER_MM,
    }
    z_min, z_max = _z_extent(sizes, positions_mm, orientations)
    plane, obliquity_deg = plane_and_obliquity(normals)
    row_mm, column_mm = slices[0].pixel_spacing_mm or (math.nan, math.nan)
    return Geometry(
        geometry=next((name for name, holds in faults.items() if holds), "regular"),
        is_mixed=is_mixed,
        n_slices=n_places if known else len(slices),
        n_volumes=max(len(leaves), n_repeats if known else 1),
        volume_of=tuple(", ".join(words) for _, words in leaves),
        slice_spacing_mm=spacing_mm if known else math.nan,
        obliquity_deg=obliquity_deg,
        gantry_tilt_deg=tilt_deg if known else math.nan,
        orientation_plane=plane,
        position_min_mm=float(along_mm.min()) if known else math.nan,
        position_max_mm=float(along_mm.max()) if known else math.nan,
        z_min_lps_mm=z_min,
        z_max_lps_mm=z_max,
        body_coverage_mm=z_max - z_min + (abs(normals[0, 2]) * spacing_mm if known and n_places > 1 else 0.0),
        axes_lps=axes_lps(orientations[0]) if known else "",
        shear=shear if known else (math.nan, math.nan),
        pixel_spacing_row_mm=row_mm,
        pixel_spacing_column_mm=column_mm,
        n_rows=slices[0].n_rows,
        n_columns=slices[0].n_columns,
        volume=_volume_of_each(leaves, len(slices)),
        place=place,
        position_mm=along_mm,
    )


def volume_geometries(slices: Sequence[Slice], geometry: Geometry) -> list[Geometry]:
    """Return the geometry of each volume of a series, its slices alone; `geometry` is that of the whole.

    Slices of one volume keep their order. A volume that nothing could split has the series' own verdict.
    """
    members = [np.flatnonzero(geometry.volume == number) for number in range(len(geometry.volume_of))]
    return [series_geometry([slices[member] for member in part.tolist()]) for part in members]


def unit_normals(orientations: Array) -> Array:
    """Return row x column of (n, 6) orientations as (n, 3) unit vectors."""
    normals = np.cross(orientations[:, :3], orientations[:, 3:])
    return np.asarray(normals / np.linalg.norm(normals, axis=1, keepdims=True))


def places(along_mm: Array) -> Places:
    """Return the place of each of (n,) positions along the normal, ascending from 0; equal positions share one."""
    order = np.argsort(along_mm, kind="stable")
    steps = np.concatenate([[0], np.diff(along_mm[order]) > SAME_PLACE_MM]).cumsum()
    found = np.empty(len(along_mm), np.int64)
    found[order] = steps
    return found


def spacing_and_fault(along_mm: Array) -> tuple[float, str]:
    """Return the median gap between (n,) distinct ascending positions, and what is wrong with the gaps ("" if nothing).

    `missing_slice`: every gap is a multiple of the median one, and at least one a higher multiple.
    """
    gaps_mm = np.diff(along_mm)
    if not len(gaps_mm):
        return math.nan, ""
    spacing_mm = float(np.sort(gaps_mm)[(len(gaps_mm) - 1) // 2])  # the lower median: a gap that is really there
    mean_mm = float(gaps_mm.mean())
    if (np.abs(gaps_mm - mean_mm) <= GAP_RTOL * mean_mm).all():
        return mean_mm, ""
    ratios = gaps_mm / spacing_mm
    multiples = np.round(ratios)
    if (np.abs(ratios - multiples) <= MISSING_RTOL).all() and (multiples >= 1).all() and (multiples > 1).any():
        return spacing_mm, "missing_slice"
    return spacing_mm, "irregular_spacing"


def line_through(positions_mm: Array, orientation: Array) -> tuple[float, float, float, tuple[float, float]]:
    """Return how slices lie beside the normal through the first: tilt, drift, jitter and shear.

    `positions_mm`: (n, 3), distinct and ascending along the normal; a single one has no tilt. `orientation`: (6,).
    Tilt (degrees): between the normal and the line from first to last. Drift (mm): range of positions along row or
    column. Jitter (mm): range of their departures from that line, or how much one step differs from the first.
    Shear: of the line along a column and along a row, per mm along the normal.
    """
    if len(positions_mm) < 2:
        return math.nan, 0.0, 0.0, (0.0, 0.0)
    normal = unit_normals(orientation[None])[0]
    from_first = positions_mm - positions_mm[0]
    along_mm, aside_mm = from_first @ normal, from_first @ np.stack([orientation[3:], orientation[:3]], axis=1)
    shear = aside_mm[-1] / along_mm[-1]
    departures = aside_mm - np.outer(along_mm, shear)
    steps = np.diff(departures, axis=0)
    jitter_mm = max(float(np.ptp(departures, axis=0).max()), float(np.abs(steps - steps[0]).max()))
    tilt_deg = math.degrees(math.atan(float(np.linalg.norm(shear))))
    return tilt_deg, float(np.ptp(aside_mm, axis=0).max()), jitter_mm, (float(shear[0]), float(shear[1]))


def axes_lps(orientation: Array) -> str:
    """Return where the axes of an array of slices point to in the patient: along the normal, down a column, along a row.

    `orientation`: (6,) direction along a row, then along a column. Letters of the nearest axes, each used once:
    L(eft), P(osterior), S(uperior) as DICOM's x, y, z ascend, else R, A, I: "S,P,L" are axial slices from the feet up.
    """
    along_row, along_column = orientation[:3], orientation[3:]
    directions = np.stack([np.cross(along_row, along_column), along_column, along_row])
    fits = {axes: sum(abs(directions[i, axis]) for i, axis in enumerate(axes)) for axes in permutations(range(3))}
    nearest = max(fits, key=lambda axes: fits[axes])
    return ",".join(TOWARDS[axis][int(directions[i, axis] < 0)] for i, axis in enumerate(nearest))


def plane_and_obliquity(normals: Array) -> tuple[str, float]:
    """Return the plane of (n, 3) unit normals and the angle (degrees) of the first to its nearest patient axis.

    `oblique` where that angle exceeds OBLIQUE_MIN_DEG; `multi`, with an undefined angle, where slices differ in plane.
    """
    largest = np.abs(normals).argmax(axis=1)
    cosines = np.abs(normals).max(axis=1).clip(max=1.0)
    obliquity_deg = np.degrees(np.arccos(cosines))
    names = {
        "oblique" if angle > OBLIQUE_MIN_DEG else AXES[axis] for axis, angle in zip(largest, obliquity_deg, strict=True)
    }
    return (names.pop(), float(obliquity_deg[0])) if len(names) == 1 else ("multi", math.nan)


def _placed(slices: Sequence[Slice]) -> tuple[Array, Array]:
    """Return positions (m, 3) and orientations (m, 6) of the slices whose headers give both, properly."""
    placed = [
        (part.position_lps_mm, part.orientation)
        for part in slices
        if part.position_lps_mm is not None and part.orientation is not None
    ]
    positions = np.array([position for position, _ in placed], float).reshape(-1, 3)
    orientations = np.array([orientation for _, orientation in placed], float).reshape(-1, 6)
    is_proper = are_proper(orientations)
    return positions[is_proper], orientations[is_proper]


def are_proper(orientations: Array) -> NDArray[np.bool_]:
    """Return of (n, 6) orientations whether row and column are unit vectors at right angles, within UNIT_TOLERANCE."""
    along_row, along_column = orientations[:, :3], orientations[:, 3:]
    vectors = np.stack([along_row, along_column, np.cross(along_row, along_column)])
    is_unit = (np.abs(np.linalg.norm(vectors, axis=2) - 1.0) <= UNIT_TOLERANCE).all(axis=0)
    return np.asarray(is_unit & (np.abs((along_row * along_column).sum(axis=1)) <= UNIT_TOLERANCE))


def _without_positions(slices: Sequence[Slice]) -> Geometry:
    nan, n = math.nan, len(slices)
    row_mm, column_mm = slices[0].pixel_spacing_mm or (nan, nan)
    oriented = np.array([part.orientation for part in slices if part.orientation is not None], float).reshape(-1, 6)
    is_oriented = len(oriented) == n and bool(are_proper(oriented).all())
    plane = plane_and_obliquity(unit_normals(oriented))[0] if is_oriented else ""
    return Geometry(
        "no_geometry", False, n, 1, ("",), nan, nan, nan, plane, nan, nan, nan, nan, nan, "", (nan, nan), row_mm, column_mm,
        slices[0].n_rows, slices[0].n_columns, np.zeros(n, np.int64), np.arange(n), np.full(n, nan),
    )  # fmt: skip


def _n_repeats(slices: Sequence[Slice], counts: Places) -> int:
    """Return how often every place is taken, 1 where places differ in that or an image is there twice."""
    if len(counts) == 1 or counts[0] == 1 or (counts != counts[0]).any():
        return 1
    images = {(part.sop_instance_uid, part.frame) for part in slices}
    return int(counts[0]) if len(images) == len(slices) else 1


def _split_stack(slices: Sequence[Slice], place: Places, along_mm: Array) -> list[Leaf]:
    """Return the volumes among slices of one orientation and size: repeated places, or stretches that are regular."""
    order = _series_order(slices)
    if len(slices) > int(place.max()) + 1:
        return split_repeats(slices, place, order)
    for value in telling_values(slices, order):
        parts = [np.flatnonzero(value.code == code) for code in range(len(value.text))]
        if all(len(part) >= N_SLICES_MIN and not spacing_and_fault(np.sort(along_mm[part]))[1] for part in parts):
            return [(part, (f"{value.name}={text}",)) for part, text in zip(parts, value.text, strict=True)]
    return [(np.arange(len(slices)), ())]


def _split_stacks(
    slices: Sequence[Slice], positions_mm: Array, orientations: Array
) -> tuple[Places, Array, list[Leaf]]:
    """Return place, position along its own normal (mm) and volumes of slices that differ in orientation or size.

    Where no N_SLICES_MIN slices are of one kind there is one volume, without places.
    """
    n = len(slices)
    place, along_mm = np.arange(n), np.full(n, math.nan)
    sizes = _sizes(slices)
    stacks, left = [], _series_order(slices)
    while len(left):
        first = left[0]
        is_same = (np.abs(orientations[left] - orientations[first]) <= ORIENTATION_TOLERANCE).all(axis=1)
        is_same &= _are_equal_sizes(sizes[left], sizes[first])
        stacks.append(np.sort(left[is_same]))
        left = left[~is_same]
    if max(len(stack) for stack in stacks) < N_SLICES_MIN:
        return place, along_mm, [(np.arange(n), ())]
    leaves: list[Leaf] = []
    for number, stack in enumerate(stacks):
        along_mm[stack] = positions_mm[stack] @ unit_normals(orientations[stack[:1]])[0]
        place[stack] = places(along_mm[stack])
        parts = _split_stack([slices[member] for member in stack.tolist()], place[stack], along_mm[stack])
        leaves += [(stack[part], (f"stack {number + 1} of {len(stacks)}", *words)) for part, words in parts]
    return place, along_mm, leaves


def _series_order(slices: Sequence[Slice]) -> Places:
    return np.array(sorted(range(len(slices)), key=lambda index: in_series_order(slices[index])), np.int64)


def _volume_of_each(leaves: Sequence[Leaf], n: int) -> Places:
    volume = np.zeros(n, np.int64)
    for number, (members, _) in enumerate(leaves):
        volume[members] = number
    return volume


def in_series_order(part: Slice) -> tuple[float, str, str, int]:
    """Return the key that sorts slices as the console numbered them; unnumbered ones come last, by UID and path."""
    is_numbered = math.isfinite(part.instance_number)
    return (part.instance_number if is_numbered else math.inf, part.sop_instance_uid, part.path, part.frame)


def _has_pixel_size(slices: Sequence[Slice]) -> bool:
    return all(
        part.n_rows > 0 and part.n_columns > 0 and part.pixel_spacing_mm is not None and min(part.pixel_spacing_mm) > 0
        for part in slices
    )


def _sizes(slices: Sequence[Slice]) -> Array:
    """Return (n, 4): rows, columns, and pixel spacing between rows and columns, 0 where it is unknown."""
    return np.array([(part.n_rows, part.n_columns, *(part.pixel_spacing_mm or (0.0, 0.0))) for part in slices], float)


def _are_equal_sizes(sizes: Array, size: Array) -> NDArray[np.bool_]:
    """Return whether (n, 4) sizes are equal to one of them."""
    return np.asarray((np.abs(sizes - size) <= PIXEL_SPACING_RTOL * np.array([0, 0, 1, 1]) * size).all(axis=1))


def _z_extent(sizes: Array, positions_mm: Array, orientations: Array) -> tuple[float, float]:
    """Return the lowest and highest patient z (mm, toward the head) of the outer corners of all slices."""
    n_rows, n_columns, row_mm, column_mm = sizes.T
    corners = [
        positions_mm[:, 2] + columns * column_mm * orientations[:, 2] + rows * row_mm * orientations[:, 5]
        for rows in (np.full_like(n_rows, -0.5), n_rows - 0.5)
        for columns in (np.full_like(n_columns, -0.5), n_columns - 0.5)
    ]
    return float(np.min(corners)), float(np.max(corners))
