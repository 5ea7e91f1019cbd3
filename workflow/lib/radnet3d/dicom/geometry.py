"""The geometry of a series, from the positions of its slices and nothing else.

SliceThickness, SpacingBetweenSlices and GantryDetectorTilt are what a console was told, not where slices lie.
Sources: the `volume_geometry_index` of the NCI Imaging Data Commons (regular spacing, one orientation, one size, unique
positions, in-plane jitter) and dicom2nifti's checks (three slices or fewer are a localizer; tilt of the gantry).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radnet3d.dicom.slices import Slice

Array = NDArray[np.float64]
Places = NDArray[np.int64]

N_SLICES_MIN = 4  # dicom2nifti: three or fewer are a localizer
UNIT_TOLERANCE = 0.01  # IDC: length of row x column, 1 +- 0.01
ORIENTATION_TOLERANCE = 1e-3  # cosines of one series; consoles round them differently from slice to slice
PIXEL_SPACING_RTOL = 1e-3
SAME_PLACE_MM = 1e-3  # slices closer than this along the normal lie in the same place
GAP_RTOL = 0.01  # IDC: every gap within 1 % of (max - min) / (n - 1)
JITTER_MM = 0.1  # IDC: in-plane departure from the line through the slices
TILT_MIN_DEG = 0.1  # ASSUME: less is rounding of the cosines; more shears a volume by half a millimetre in 300
MISSING_RTOL = 0.05  # ASSUME: a gap this close to a multiple of the median is a hole, else the spacing is irregular
OBLIQUE_MIN_DEG = 35.0  # ASSUME: further off every axis than this, no plane is named
AXES = ("sagittal", "coronal", "axial")


@dataclass(frozen=True)
class Geometry:
    """What the positions of a series say; NaN and "" where they say nothing."""

    geometry: str  # tables.GEOMETRY: regular, or the first reason why not
    n_slices: int  # distinct places; all slices where places are unknown
    n_volumes: int
    slice_spacing_mm: float  # along the normal, median gap
    obliquity_deg: float  # of the normal, to the nearest patient axis
    gantry_tilt_deg: float  # between the normal and the line through the slices
    orientation_plane: str
    position_min_mm: float
    position_max_mm: float
    z_min_lps_mm: float
    z_max_lps_mm: float
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
    """
    positions_mm, orientations = _placed(slices)
    if positions_mm.shape[0] < len(slices):
        return _without_positions(slices)
    normals = unit_normals(orientations)
    along_mm = positions_mm @ normals[0]
    is_one_orientation = bool((np.abs(orientations - orientations[0]) <= ORIENTATION_TOLERANCE).all())
    place = places(along_mm)
    n_places = int(place.max()) + 1
    counts = np.bincount(place)
    n_repeats = _n_volumes(slices, counts)
    first_of_place = np.unique(place, return_index=True)[1]
    tilt_deg, jitter_mm = tilt_and_jitter(positions_mm[first_of_place], normals[0])
    spacing_mm, gap_fault = spacing_and_fault(along_mm[first_of_place])
    faults = {
        "no_geometry": not _has_pixel_size(slices),
        "too_few_slices": len(slices) < N_SLICES_MIN,
        "mixed_orientation": not is_one_orientation,
        "mixed_size": _is_mixed_size(slices),
        "multi_volume": n_repeats > 1,
        "duplicate_position": bool((counts > 1).any()),
        "missing_slice": gap_fault == "missing_slice",
        "irregular_spacing": gap_fault == "irregular_spacing" or jitter_mm > JITTER_MM,
        "gantry_tilt": tilt_deg > TILT_MIN_DEG,
    }
    reason = next((name for name, holds in faults.items() if holds), "regular")
    z_min, z_max = _z_extent(slices, positions_mm, orientations)
    plane, obliquity_deg = plane_and_obliquity(normals)
    known = is_one_orientation  # places along one normal mean nothing where slices have several
    row_mm, column_mm = slices[0].pixel_spacing_mm or (math.nan, math.nan)
    return Geometry(
        geometry=reason,
        n_slices=n_places if known else len(slices),
        n_volumes=n_repeats if known else 1,
        slice_spacing_mm=spacing_mm if known else math.nan,
        obliquity_deg=obliquity_deg,
        gantry_tilt_deg=tilt_deg if known else math.nan,
        orientation_plane=plane,
        position_min_mm=float(along_mm.min()) if known else math.nan,
        position_max_mm=float(along_mm.max()) if known else math.nan,
        z_min_lps_mm=z_min,
        z_max_lps_mm=z_max,
        pixel_spacing_row_mm=row_mm,
        pixel_spacing_column_mm=column_mm,
        n_rows=slices[0].n_rows,
        n_columns=slices[0].n_columns,
        volume=_volume_of_each(slices, place) if known else np.zeros(len(slices), np.int64),
        place=place if known else np.arange(len(slices)),
        position_mm=along_mm if known else np.full(len(slices), math.nan),
    )


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


def tilt_and_jitter(positions_mm: Array, normal: Array) -> tuple[float, float]:
    """Return the angle (degrees) between `normal` and the line through (n, 3) positions, and the departure from it (mm).

    `positions_mm` are distinct and ascend along the normal; a single one has neither.
    """
    if len(positions_mm) < 2:
        return math.nan, 0.0
    from_first = positions_mm - positions_mm[0]
    line = from_first[-1] / np.linalg.norm(from_first[-1])
    tilt_deg = math.degrees(math.atan2(float(np.linalg.norm(np.cross(line, normal))), abs(float(line @ normal))))
    departures = from_first - np.outer(from_first @ normal, line / (line @ normal))
    return tilt_deg, float(np.linalg.norm(departures, axis=1).max())


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
    placed = [part for part in slices if part.position_lps_mm is not None and has_orientation(part)]
    positions = np.array([part.position_lps_mm for part in placed], float).reshape(-1, 3)
    return positions, np.array([part.orientation for part in placed], float).reshape(-1, 6)


def has_orientation(part: Slice) -> bool:
    """Return whether row and column of a slice are unit vectors at right angles, within UNIT_TOLERANCE."""
    if part.orientation is None:
        return False
    along_row, along_column = np.reshape(part.orientation, (2, 3))
    lengths = np.sqrt([along_row @ along_row, along_column @ along_column])
    is_square = abs(along_row @ along_column) <= UNIT_TOLERANCE
    return bool(is_square and (np.abs(lengths - 1.0) <= UNIT_TOLERANCE).all())


def _without_positions(slices: Sequence[Slice]) -> Geometry:
    nan, n = math.nan, len(slices)
    row_mm, column_mm = slices[0].pixel_spacing_mm or (nan, nan)
    oriented = [part.orientation for part in slices if has_orientation(part)]
    plane = plane_and_obliquity(unit_normals(np.array(oriented, float)))[0] if len(oriented) == n else ""
    return Geometry(
        "no_geometry", n, 1, nan, nan, nan, plane, nan, nan, nan, nan, row_mm, column_mm,
        slices[0].n_rows, slices[0].n_columns, np.zeros(n, np.int64), np.arange(n), np.full(n, nan),
    )  # fmt: skip


def _n_volumes(slices: Sequence[Slice], counts: Places) -> int:
    """Return how often every place is taken, 1 where places differ in that or an image is there twice."""
    images = {(part.sop_instance_uid, part.frame) for part in slices}
    is_regular = len(counts) > 1 and bool((counts == counts[0]).all()) and len(images) == len(slices)
    return int(counts[0]) if is_regular else 1


def _volume_of_each(slices: Sequence[Slice], place: Places) -> Places:
    """Return the volume of each slice: its rank by instance number among the slices of its place."""
    volume = np.zeros(len(slices), np.int64)
    taken: dict[int, int] = {}
    for index in sorted(range(len(slices)), key=lambda index: in_series_order(slices[index])):
        volume[index] = taken.get(int(place[index]), 0)
        taken[int(place[index])] = int(volume[index]) + 1
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


def _is_mixed_size(slices: Sequence[Slice]) -> bool:
    first = slices[0]
    for part in slices[1:]:
        if (part.n_rows, part.n_columns) != (first.n_rows, first.n_columns):
            return True
        if not np.allclose(part.pixel_spacing_mm or 0, first.pixel_spacing_mm or 0, rtol=PIXEL_SPACING_RTOL, atol=0):
            return True
    return False


def _z_extent(slices: Sequence[Slice], positions_mm: Array, orientations: Array) -> tuple[float, float]:
    """Return the lowest and highest patient z (mm, toward the head) of the outer corners of all slices."""
    corners = []
    for part, position, orientation in zip(slices, positions_mm, orientations, strict=True):
        row_mm, column_mm = part.pixel_spacing_mm or (0.0, 0.0)
        for rows in (-0.5, part.n_rows - 0.5):
            for columns in (-0.5, part.n_columns - 0.5):
                corners.append(position[2] + columns * column_mm * orientation[2] + rows * row_mm * orientation[5])
    return float(min(corners)), float(max(corners))
