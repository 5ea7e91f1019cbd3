"""Geometry from positions: every reason, the laws, and every real series."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radnet3d.dicom.geometry import Geometry, in_series_order, series_geometry
from radnet3d.dicom.slices import Slice
from support.dicom_series import AXIAL, CORONAL, SAGITTAL


def slice_at(position, orientation=AXIAL, *, number=1.0, uid=None, **values) -> Slice:
    values = {"n_rows": 4, "n_columns": 6, "pixel_spacing_mm": (1.0, 2.0), **values}
    uid = uid or f"{position}{number}"
    return Slice(f"{uid}.dcm", 0, uid, number, position_lps_mm=position, orientation=orientation, **values)


def stack(z_mm, **values) -> list[Slice]:
    return [slice_at((0.0, 0.0, float(z)), number=float(i), **values) for i, z in enumerate(z_mm)]


def tilted(degrees: float, n: int = 10, gap_mm: float = 5.0) -> list[Slice]:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return [slice_at((0.0, 0.0, gap_mm * i), (1, 0, 0, 0, c, -s)) for i in range(n)]


REASONS = {
    "too_few_slices": stack([0, 1, 2]),
    "missing_slice": stack([0, 2, 4, 8, 10]),
    "duplicate_position": stack([0, 2, 4, 4, 6]),
    "irregular_spacing": stack([0, 2, 4, 6.3, 8]),
    "mixed_orientation": [*stack([0, 1, 2, 3]), slice_at((0.0, 0.0, 4.0), CORONAL)],
    "gantry_tilt": tilted(12),
    "mixed_size": [*stack([0, 1, 2, 3]), slice_at((0.0, 0.0, 4.0), n_rows=5)],
    "multi_volume": stack([0, 2, 4, 6, 0, 2, 4, 6]),
    "no_geometry": [*stack([0, 1, 2]), slice_at(None)],
    "regular": stack([6, 0, 4, 2]),
}


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason(reason):
    assert series_geometry(REASONS[reason]).geometry == reason


@pytest.mark.parametrize(
    ("slices", "reason"),
    [
        (stack([0]), "too_few_slices"),
        (stack([5, 5, 5, 5]), "duplicate_position"),  # monitoring: one place again and again
        (stack([0, 1, 2, 3, 0, 1, 2]), "duplicate_position"),  # one volume and a part of another
        ([slice_at((0.0, 0.0, z), uid=f"same{z}", number=float(z)) for z in (0, 1, 2, 3)] * 2, "duplicate_position"),
        (stack([0, 1, 2, 3], pixel_spacing_mm=None), "no_geometry"),
        (stack([0, 1, 2, 3], orientation=None), "no_geometry"),
        (stack([0, 1, 2, 3], orientation=(1, 0, 0, 1, 0, 0)), "no_geometry"),  # row and column are one
        (stack([0, 1, 2, 3], orientation=(0.0,) * 6), "no_geometry"),
        ([*stack([0, 1, 2]), slice_at((0.0, 0.0, 3.0), pixel_spacing_mm=(1.0, 2.1))], "mixed_size"),
        ([*stack([0, 1, 2]), slice_at((0.0, 5.0, 3.0))], "irregular_spacing"),  # one slice lies aside
        (stack([0, 1, 2, 3.008]), "regular"),  # within 1 %: coordinates are rounded
        (stack([0, 1, 2, 3.1]), "irregular_spacing"),
        (tilted(0.02), "regular"),
        (tilted(0.09, n=30), "gantry_tilt"),  # 0.2 mm from first to last: IDC refuses it too
        ([*stack([0, 1, 2]), slice_at((0.0, 0.0, 3.0), (1, 0, 0, 0, 1, 0.001))], "mixed_orientation"),
        ([*stack([0, 1, 2]), slice_at((0.0, 0.0, 3.0), (1, 0, 0, 0, 1, 0.00005))], "regular"),  # rounding
        ([*stack([0, 1, 2]), slice_at((0.0, 0.0, 3.0), pixel_spacing_mm=(1.0, 2.001))], "mixed_size"),
        (stack([0, 1, 2, 3], orientation=(1.009, 0, 0, 0, 1.009, 0)), "no_geometry"),  # row x column is 1.018 long
        ([slice_at((0.06 * (i % 2), 0.0, float(i))) for i in range(7)], "irregular_spacing"),  # steps of +-0.06 mm
        ([slice_at((0.02 * (i % 2), 0.0, float(i))) for i in range(7)], "regular"),
        (tilted(0.5), "gantry_tilt"),
        (tilted(12)[:5] + tilted(12)[6:], "missing_slice"),  # the first reason of several
        (stack([0, 3, 6, 12, 24]), "missing_slice"),
    ],
)
def test_first_reason(slices, reason):
    assert series_geometry(slices).geometry == reason


def test_tilt_is_measured_from_positions_and_spacing_along_the_normal():
    geometry = series_geometry(tilted(12))
    assert geometry.gantry_tilt_deg == pytest.approx(12, abs=1e-6)
    assert geometry.slice_spacing_mm == pytest.approx(5 * math.cos(math.radians(12)))
    assert geometry.orientation_plane == "axial"


def test_volumes_are_told_apart_by_instance_number():
    geometry = series_geometry(stack([0, 2, 4, 6, 0, 2, 4, 6]))
    assert (geometry.n_slices, geometry.n_volumes, geometry.slice_spacing_mm) == (4, 2, 2.0)
    assert geometry.volume.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert geometry.place.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]


@pytest.mark.parametrize(
    ("orientation", "plane", "obliquity"),
    [
        (AXIAL, "axial", 0.0),
        (CORONAL, "coronal", 0.0),
        (SAGITTAL, "sagittal", 0.0),
        ((-1, 0, 0, 0, -1, 0), "axial", 0.0),  # prone
        ((1, 0, 0, 0, math.cos(0.5), math.sin(0.5)), "axial", math.degrees(0.5)),
        ((1, 0, 0, 0, math.cos(0.75), math.sin(0.75)), "oblique", math.degrees(0.75)),
    ],
)
def test_plane(orientation, plane, obliquity):
    normal = np.cross(orientation[:3], orientation[3:])
    geometry = series_geometry([slice_at(tuple(normal * i), orientation) for i in range(5)])
    assert (geometry.geometry, geometry.orientation_plane) == ("regular", plane)
    assert geometry.obliquity_deg == pytest.approx(obliquity, abs=1e-5)


def test_three_planes_are_multi():
    slices = [slice_at((0.0, 0.0, float(i)), plane) for plane in (AXIAL, CORONAL, SAGITTAL) for i in range(2)]
    geometry = series_geometry(slices)
    assert (geometry.orientation_plane, geometry.geometry, geometry.n_slices) == ("multi", "mixed_orientation", 6)
    assert math.isnan(geometry.slice_spacing_mm)


def test_extent_along_the_body_includes_whole_pixels():
    coronal = [slice_at((0.0, float(y), 100.0), CORONAL) for y in range(4)]  # 4 rows of 1 mm, downwards
    geometry = series_geometry(coronal)
    assert (geometry.z_min_lps_mm, geometry.z_max_lps_mm) == (96.5, 100.5)
    assert (geometry.position_min_mm, geometry.position_max_mm) == (0.0, 3.0)
    assert geometry.body_coverage_mm == 4.0  # four rows; slices are stacked across the body


@pytest.mark.parametrize(
    ("slices", "coverage_mm"),
    [
        (stack([0, 2.5, 5, 7.5]), 10.0),  # half a slice more at each end than from centre to centre
        (stack([10, 8, 6, 4, 8]), 8.0),
        (stack([3]), 0.0),  # one slice: how thick it is, positions do not say
        (tilted(12, n=10), 45.0 + 4 * math.sin(math.radians(12)) + 5 * math.cos(math.radians(12)) ** 2),
        ([*stack([0, 1, 2, 3]), slice_at((0.0, 0.0, 60.0), CORONAL)], 60.5),
    ],
)
def test_coverage_of_the_body(slices, coverage_mm):
    assert series_geometry(slices).body_coverage_mm == pytest.approx(coverage_mm)


@pytest.mark.parametrize(
    ("orientation", "axes"),
    [
        (AXIAL, "S,P,L"),
        ((-1, 0, 0, 0, -1, 0), "S,A,R"),  # prone, seen from the feet
        ((-1, 0, 0, 0, 1, 0), "I,P,R"),  # seen from the head: slices ascend to the feet
        (CORONAL, "P,I,L"),
        (SAGITTAL, "R,I,P"),
        ((0, 1, 0, 0, 0, 1), "L,S,P"),
        ((0.8, 0.6, 0, -0.6, 0.8, 0), "S,P,L"),  # turned by 37 degrees in the plane
        ((0.7, 0.714143, 0, -0.714143, 0.7, 0), "S,R,P"),  # by 46 degrees: each axis is named once
    ],
)
def test_where_the_axes_point_to(orientation, axes):
    assert series_geometry([slice_at((0.0, 0.0, 0.0), orientation)]).axes_lps == axes


NUMBERS = st.floats(-500, 500, allow_nan=False)
STACKS = st.lists(st.sampled_from([0.5, 1.0, 1.0, 1.0, 2.0, 0.0]), min_size=1, max_size=12).map(np.cumsum)


def facts(geometry: Geometry) -> dict:
    return {name: value for name, value in vars(geometry).items() if isinstance(value, str | float | int)}


@settings(max_examples=60, deadline=None)
@given(z_mm=STACKS, order=st.randoms(use_true_random=False))
def test_order_does_not_matter(z_mm, order):
    slices = stack(z_mm)
    shuffled = slices.copy()
    order.shuffle(shuffled)
    assert facts(series_geometry(shuffled)) == pytest.approx(facts(series_geometry(slices)), nan_ok=True)


@settings(max_examples=60, deadline=None)
@given(z_mm=STACKS, shift=st.tuples(NUMBERS, NUMBERS, NUMBERS), angles=st.tuples(*[st.floats(0, 6.3)] * 3))
def test_spacing_and_reason_survive_any_movement(z_mm, shift, angles):
    turn = np.eye(3)
    for axis, angle in enumerate(angles):
        one, other = (axis + 1) % 3, (axis + 2) % 3
        step = np.eye(3)
        step[[one, other], [one, other]] = math.cos(angle)
        step[one, other], step[other, one] = -math.sin(angle), math.sin(angle)
        turn = turn @ step
    orientation = (*(turn @ AXIAL[:3]).tolist(), *(turn @ AXIAL[3:]).tolist())
    moved = [
        slice_at(tuple((turn @ part.position_lps_mm + shift).tolist()), orientation, number=part.instance_number)
        for part in stack(z_mm)
    ]
    before, after = series_geometry(stack(z_mm)), series_geometry(moved)
    assert (after.geometry, after.n_slices, after.n_volumes) == (before.geometry, before.n_slices, before.n_volumes)
    assert after.slice_spacing_mm == pytest.approx(before.slice_spacing_mm, abs=1e-6, nan_ok=True)


def test_unnumbered_slices_sort_last():
    slices = [slice_at((0.0, 0.0, 0.0), number=math.nan), slice_at((0.0, 0.0, 0.0), number=7.0)]
    assert sorted(slices, key=in_series_order)[0].instance_number == 7.0
