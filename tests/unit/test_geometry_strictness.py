"""Verdicts against those of the Imaging Data Commons and of dicom2nifti, and against simulated faults."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radnet3d.dicom.geometry import series_geometry, volume_geometries
from radnet3d.dicom.headers import Header, find_files, read_header
from radnet3d.dicom.slices import Slice
from support.dicom_series import AXIAL, CORONAL

TURNED = (1.0, 0.0, 0.0, 0.0, 0.8, -0.6)


def stack(positions, orientation=AXIAL, **values) -> list[Slice]:
    """Return slices at these positions (mm), or at these places along the normal, numbered as they come."""
    normal = np.cross(orientation[:3], orientation[3:])
    values = {"n_rows": 400, "n_columns": 300, "pixel_spacing_mm": (0.8, 0.8), **values}
    points = [tuple(np.ravel(p if np.ndim(p) else p * normal).tolist()) for p in positions]
    return [Slice(f"{i}", 0, f"{i}", float(i), position_lps_mm=p, orientation=orientation, **values)
            for i, p in enumerate(points)]  # fmt: skip


def idc_verdict(slices: Sequence[Slice]) -> bool:
    """Return IDC's `regularly_spaced_3d_volume`, criterion by criterion as in its volume_geometry_index.sql.

    But for one thing: orientations and pixel spacings are equal here where their numbers are, to five digits; there,
    where their texts are.
    """
    positions = np.array([part.position_lps_mm for part in slices])
    orientations = np.array([part.orientation for part in slices])
    across = np.cross(orientations[:, :3], orientations[:, 3:])
    lengths = np.linalg.norm(across, axis=1)
    along = np.sort((positions * across).sum(axis=1))
    in_row, in_column = (positions * orientations[:, :3]).sum(axis=1), (positions * orientations[:, 3:]).sum(axis=1)
    expected = (along[-1] - along[0]) / (len(slices) - 1)
    return bool(
        np.ptp(orientations, axis=0).max() < 2e-4
        and np.ptp([part.pixel_spacing_mm for part in slices], axis=0).max() < 2e-4
        and len({(part.n_rows, part.n_columns) for part in slices}) == 1
        and len(np.unique(along)) == len({part.sop_instance_uid for part in slices})
        and (np.abs(lengths - 1) <= 0.01).all()
        and np.ptp(in_row) < 0.1 and np.ptp(in_column) < 0.1
        and np.abs(np.diff(along) - expected).max() < 0.01 * abs(expected)
    )  # fmt: skip


def dicom2nifti_verdict(slices: Sequence[Slice]) -> bool:
    """Return whether dicom2nifti 2.6 would convert a stack: its checks of count, orientation, increment and tilt."""
    positions = np.array([part.position_lps_mm for part in slices])
    orientations = np.array([part.orientation for part in slices])
    normal = np.cross(orientations[0, :3], orientations[0, 3:])
    positions = positions[np.argsort(positions @ normal)]
    steps = np.diff(positions, axis=0)
    line = positions[-1] - positions[0]
    line /= np.linalg.norm(line) or 1
    return bool(
        len(slices) > 3
        and np.allclose(orientations, orientations[0], rtol=0.001, atol=0.001)
        and np.allclose(steps[0], steps, rtol=0.05, atol=0.1)
        and (np.allclose(line, normal, rtol=0.05, atol=0.05) or np.allclose(line, -normal, rtol=0.05, atol=0.05))
    )


SIZES = st.floats(-1, 1).map(lambda size: size * abs(size))  # small ones as often as large ones


@settings(max_examples=400, deadline=None)
@given(
    n=st.integers(4, 40),
    gap_mm=st.sampled_from([0.1, 0.5, 1.0, 5.0]),
    orientation=st.sampled_from([AXIAL, CORONAL, TURNED]),
    fault=st.sampled_from(["along", "aside", "tilt", "turn", "stretch", "wide", "nothing"]),
    which=st.integers(0, 39),
    size=SIZES,
)
def test_what_is_regular_here_is_regular_there(n, gap_mm, orientation, fault, which, size):
    """Any one departure, of any size: nothing passes that the others refuse."""
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    positions = np.arange(n)[:, None] * gap_mm * np.cross(row, column) + np.array([-20.0, 30.0, 500.0])
    one = np.zeros((n, 1))
    one[which % n] = size
    orientations = np.tile(orientation, (n, 1))
    if fault == "along":
        positions += one * gap_mm / 10 * np.cross(row, column)
    if fault == "aside":
        positions += one * column / 2
    if fault == "tilt":
        positions += np.arange(n)[:, None] * gap_mm * size / 20 * row
    if fault == "turn":
        orientations = orientations + one * np.concatenate([column, -row]) / 100
    if fault == "stretch":
        orientations = orientations * (1 + size / 50)
    wide = 0.8 + (one.ravel() / 100 if fault == "wide" else 0)
    slices = [stack([p], tuple(o), pixel_spacing_mm=(w, 0.8))[0] for p, o, w in zip(
        positions, orientations.tolist(), np.broadcast_to(wide, n).tolist(), strict=True)]  # fmt: skip
    slices = [Slice(str(i), 0, str(i), float(i), *[getattr(part, name) for name in (
        "n_rows", "n_columns", "pixel_spacing_mm", "position_lps_mm", "orientation")]) for i, part in enumerate(slices)]  # fmt: skip
    if series_geometry(slices).geometry == "regular":
        assert idc_verdict(slices)
        assert dicom2nifti_verdict(slices)
    if fault == "nothing":
        assert series_geometry(slices).geometry == "regular"


def test_every_regular_volume_of_the_real_series_is_regular_there(real_data):
    root = real_data / "real"
    series: dict[str, list[Slice]] = {}
    for path in find_files(root):
        found = read_header(root, path)
        if isinstance(found, Header):
            series.setdefault(str(found.values["SeriesInstanceUID"]), []).extend(found.slices)
    n_regular = 0
    for slices in series.values():
        whole = series_geometry(slices)
        for number, geometry in enumerate(volume_geometries(slices, whole)):
            members = [part for part, volume in zip(slices, whole.volume, strict=True) if volume == number]
            if geometry.geometry == "regular":
                n_regular += 1
                single = [Slice(p.path, p.frame, f"{p.sop_instance_uid}.{p.frame}", p.instance_number, p.n_rows, p.n_columns,
                                p.pixel_spacing_mm, p.position_lps_mm, p.orientation) for p in members]  # fmt: skip
                assert idc_verdict(single) and dicom2nifti_verdict(single), slices[0].path
    assert n_regular == 26


N = 20
WHOLE = [2.5 * i for i in range(N)]


@pytest.mark.parametrize("orientation", [AXIAL, CORONAL, TURNED])
@pytest.mark.parametrize(
    ("fault", "places", "verdict"),
    [
        ("none", WHOLE, "regular"),
        # an end that is missing leaves no trace in positions: what is there is a regular volume
        ("first slice missing", WHOLE[1:], "regular"),
        ("last slice missing", WHOLE[:-1], "regular"),
        ("second slice missing", [WHOLE[0], *WHOLE[2:]], "missing_slice"),
        ("inner slice missing", [*WHOLE[:9], *WHOLE[10:]], "missing_slice"),
        ("last but one missing", [*WHOLE[:-2], WHOLE[-1]], "missing_slice"),
        ("three holes", [z for i, z in enumerate(WHOLE) if i not in (3, 4, 11)], "missing_slice"),
        ("every second missing from the middle on", [*WHOLE[:10], *WHOLE[10::2]], "missing_slice"),
        ("one slice twice", [*WHOLE, WHOLE[7]], "duplicate_position"),
        ("first slice twice", [WHOLE[0], *WHOLE], "duplicate_position"),
        ("one missing and one twice", [*WHOLE[:9], *WHOLE[10:], WHOLE[3]], "duplicate_position"),
        ("volume appended", [*WHOLE, *WHOLE], "multi_volume"),
        ("echoes interleaved", [z for z in WHOLE for _ in range(2)], "multi_volume"),
        ("part of a volume appended", [*WHOLE, *WHOLE[:6]], "duplicate_position"),
        ("volume appended half a slice on", [*WHOLE[:10], *(z + 1.2 for z in WHOLE[:10])], "irregular_spacing"),
        ("another volume further on", [*WHOLE, *(z + 101 for z in WHOLE)], "irregular_spacing"),
        ("spacing changes half way", [*WHOLE[:10], *(WHOLE[10] + 4.0 * i for i in range(10))], "irregular_spacing"),
        ("one slice out of place", [*WHOLE[:9], WHOLE[9] + 0.2, *WHOLE[10:]], "irregular_spacing"),
        ("rounded to a hundredth", [round(z / 3, 2) for z in WHOLE], "regular"),
        ("descending", WHOLE[::-1], "regular"),
        ("monitoring one place", [5.0] * N, "duplicate_position"),
        ("three slices", WHOLE[:3], "too_few_slices"),
    ],
)
def test_simulated_faults(orientation, fault, places, verdict):
    assert series_geometry(stack(places, orientation)).geometry == verdict, fault


@pytest.mark.parametrize("orientation", [AXIAL, TURNED])
def test_simulated_faults_beside_the_normal(orientation):
    row, normal = np.array(orientation[:3]), np.cross(orientation[:3], orientation[3:])
    points = [z * normal for z in WHOLE]

    def verdict(shift_mm: Sequence[float]) -> str:
        return series_geometry(
            stack([p + s * row for p, s in zip(points, shift_mm, strict=True)], orientation)
        ).geometry

    jitter = np.random.default_rng(0).uniform(-1, 1, N)
    assert verdict(0.01 * jitter) == "regular"
    assert verdict(0.2 * jitter) == "irregular_spacing"
    assert verdict([0.0] * 12 + [3.0] + [0.0] * 7) == "irregular_spacing"  # one slice moved
    assert verdict([0.0] * 10 + [3.0] * 10) == "irregular_spacing"  # the patient moved
    assert verdict([z * math.tan(math.radians(12)) for z in WHOLE]) == "gantry_tilt"
    assert series_geometry([*stack(WHOLE, orientation), *stack([60.0], CORONAL)]).geometry == "mixed_orientation"
    assert (
        series_geometry([*stack(WHOLE, orientation), *stack([50.0], orientation, n_rows=512)]).geometry == "mixed_size"
    )


def test_an_end_missing_in_one_of_several_volumes_is_seen():
    echoes = stack([*WHOLE, *WHOLE])
    traits = [("", "", "", float(i >= N)) for i in range(2 * N)]  # StackID, ImageType, ComplexImageComponent, EchoTime
    slices = [Slice(**{**{name: getattr(p, name) for name in Slice.__slots__}, "traits": t})
              for p, t in zip(echoes, traits, strict=True)]  # fmt: skip
    whole = series_geometry(slices[1:])
    assert [geometry.n_slices for geometry in volume_geometries(slices[1:], whole)] == [N - 1, N]
    assert whole.n_slices == N  # so the first volume does not show every place
