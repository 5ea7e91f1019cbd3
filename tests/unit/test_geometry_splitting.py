"""Several volumes in one series are split by what varies, and stored each for itself."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset

from radnet3d.cli import radnet3d
from radnet3d.dicom.extract import extract_series
from radnet3d.dicom.geometry import series_geometry, volume_geometries
from radnet3d.dicom.slices import TRAITS, Slice
from radnet3d.tables import EXCLUDED, VOLUMES, read_table
from support.dicom_series import AXIAL, CORONAL, enhanced, image

N_PLACES = 5


def part(z: float, number: float, uid: str = "", orientation=AXIAL, n_rows: int = 4, dimensions=(), **values) -> Slice:
    """Return one slice with these of TRAITS; numbers and texts are absent otherwise."""
    traits = [values.pop(name, math.nan if kind == "number" else "") for name, (kind, _) in TRAITS.items()]
    assert not values
    uid = uid or f"{z}.{number}.{traits}.{dimensions}"
    return Slice(
        f"{uid}.dcm", 0, uid, number, n_rows, 6, (1.0, 2.0), (0.0, 0.0, float(z)), orientation, (*traits, *dimensions)
    )


def volumes_of(slices: list[Slice]) -> dict[str, list[int]]:
    """Return what tells each volume from the others, and which of `slices` it holds, lowest first."""
    whole = series_geometry(slices)
    found = {}
    for number, geometry in enumerate(volume_geometries(slices, whole)):
        members = np.flatnonzero(whole.volume == number)
        found[whole.volume_of[number]] = members[np.argsort(geometry.place, kind="stable")].tolist()
    return found


def verdicts(slices: list[Slice]) -> list[str]:
    return [geometry.geometry for geometry in volume_geometries(slices, series_geometry(slices))]


def block(trait: str, values, **same) -> list[Slice]:
    """Volume after volume."""
    return [part(z, N_PLACES * i + z, **{trait: v}, **same) for i, v in enumerate(values) for z in range(N_PLACES)]


@pytest.mark.parametrize(
    ("trait", "values", "names"),
    [
        ("EchoTime", [80.0, 2.3], ["EchoTime=2.3", "EchoTime=80"]),
        ("DiffusionBValue", [0.0, 1000.0, math.nan], ["DiffusionBValue=0", "DiffusionBValue=1000", "DiffusionBValue=none"]),
        ("ImageType", ["ORIGINAL\\M", "ORIGINAL\\P"], ["ImageType=ORIGINAL\\M", "ImageType=ORIGINAL\\P"]),
        ("ComplexImageComponent", ["PHASE", "MAGNITUDE"], ["ComplexImageComponent=PHASE", "ComplexImageComponent=MAGNITUDE"]),
        ("TemporalPositionIdentifier", [2.0, 1.0], ["TemporalPositionIdentifier=1", "TemporalPositionIdentifier=2"]),
        ("TriggerTime", [0.0, 33.5], ["TriggerTime=0", "TriggerTime=33.5"]),
        ("KVP", [140.0, 80.0], ["KVP=80", "KVP=140"]),
        ("AcquisitionNumber", [1.0, 2.0], ["AcquisitionNumber=1", "AcquisitionNumber=2"]),
        ("AcquisitionTime", ["101500", "101630.25"], ["AcquisitionTime=101500", "AcquisitionTime=101630.25"]),
        ("ContentTime", ["101500", "101630"], ["ContentTime=101500", "ContentTime=101630"]),
        ("FrameReferenceTime", [1234567.5, 7.0], ["FrameReferenceTime=7", "FrameReferenceTime=1234567.5"]),
    ],
)  # fmt: skip
def test_one_value_a_volume(trait, values, names):
    slices = block(trait, values)
    found = volumes_of(slices)
    assert list(found) == names
    for name, members in found.items():
        stated = {f"{slices[i].traits[list(TRAITS).index(trait)]}".removesuffix(".0") for i in members}
        assert stated == {name.removeprefix(f"{trait}=").replace("none", "nan")}
    geometry = series_geometry(slices)
    assert (geometry.geometry, geometry.n_volumes, geometry.n_slices) == ("multi_volume", len(values), N_PLACES)
    assert set(verdicts(slices)) == {"regular"}


def test_directions_of_one_b_value_and_averages_of_another():
    slices = [
        part(z, number, DiffusionBValue=b, DiffusionGradientOrientation=direction)
        for number, (b, direction, z) in enumerate(
            (b, direction, z)
            for b, direction in [(0.0, ""), (0.0, ""), (1000.0, "1\\0\\0"), (1000.0, "0\\1\\0"), (1000.0, "0\\0\\1")]
            for z in range(N_PLACES)
        )
    ]
    assert list(volumes_of(slices)) == [
        "DiffusionBValue=0, InstanceNumber 1 of 2",
        "DiffusionBValue=0, InstanceNumber 2 of 2",
        "DiffusionBValue=1000, DiffusionGradientOrientation=1\\0\\0",
        "DiffusionBValue=1000, DiffusionGradientOrientation=0\\1\\0",
        "DiffusionBValue=1000, DiffusionGradientOrientation=0\\0\\1",
    ]


def test_times_that_differ_from_slice_to_slice_rank_the_slices_of_each_place():
    """A heart cut by cut: each place has its own trigger times, and numbers that follow no plan."""
    times = np.random.default_rng(0).uniform(0, 30, (N_PLACES, 3)) + np.array([0, 300, 600])
    numbers = np.random.default_rng(1).permutation(15)
    slices = [part(z, numbers[3 * z + i], TriggerTime=float(times[z, i])) for z in range(N_PLACES) for i in (2, 0, 1)]
    assert list(volumes_of(slices).values()) == [[1, 4, 7, 10, 13], [2, 5, 8, 11, 14], [0, 3, 6, 9, 12]]
    assert list(volumes_of(slices)) == [f"TriggerTime {i} of 3" for i in (1, 2, 3)]


def test_a_clock_that_passes_midnight_ranks_nothing():
    times = ["235958", "000001", "235959", "000002", "000000", "000003", "235957", "000004"]
    slices = [part(i // 2, i, AcquisitionTime=time) for i, time in enumerate(times)]
    assert list(volumes_of(slices).values()) == [[0, 2, 4, 6], [1, 3, 5, 7]]
    assert list(volumes_of(slices)) == ["InstanceNumber 1 of 2", "InstanceNumber 2 of 2"]


@pytest.mark.parametrize("is_block", [True, False])
def test_numbers_are_the_last_resort(is_block):
    slices = [part(z, N_PLACES * v + z if is_block else 3 * z + v) for v in range(3) for z in range(N_PLACES)]
    assert list(volumes_of(slices).values()) == [list(range(5 * v, 5 * v + 5)) for v in range(3)]


def test_numbers_without_a_plan_are_not_believed():
    numbers = [0, 7, 3, 9, 4, 6, 1, 2, 8, 5]
    slices = [part(i % 5, number, uid=str(i)) for i, number in enumerate(numbers)]
    geometry = series_geometry(slices)
    assert geometry.geometry == "multi_volume"  # positions alone say so
    assert len(geometry.volume_of) == 1 and verdicts(slices) == ["multi_volume"]


def test_a_volume_that_was_aborted_is_left_and_the_others_are_kept():
    slices = block("TemporalPositionIdentifier", [1.0, 2.0, 3.0])[:-3]
    geometry = series_geometry(slices)
    assert (geometry.geometry, geometry.n_volumes) == ("multi_volume", 3)
    assert verdicts(slices) == ["regular", "regular", "too_few_slices"]
    missing_in_second = [s for i, s in enumerate(block("EchoTime", [1.0, 2.0, 3.0])) if i != 7]
    assert verdicts(missing_in_second) == ["regular", "missing_slice", "regular"]


def test_a_value_that_varies_at_random_tells_nothing_apart():
    slices = [part(z, z, EchoTime=2.0 + z % 2, AcquisitionNumber=float(z)) for z in range(6)]
    assert series_geometry(slices).geometry == "regular" and list(volumes_of(slices)) == [""]
    one_twice = [*slices, part(3, 6, EchoTime=7.0)]
    geometry = series_geometry(one_twice)
    assert (geometry.geometry, geometry.n_volumes) == ("duplicate_position", 1)
    said_otherwise = [*(part(z, z, EchoTime=2.0) for z in range(6)), part(3, 6, EchoTime=7.0)]
    assert series_geometry(said_otherwise).geometry == "duplicate_position"


def test_images_of_one_uid_are_no_volumes_unless_something_else_tells():
    again = [part(z, z, uid=f"u{z}") for z in range(N_PLACES)] * 2
    geometry = series_geometry(again)
    assert (geometry.geometry, geometry.n_volumes) == ("duplicate_position", 1)
    echoes = [
        part(z, z, uid=f"u{z}", EchoTime=te) for te in (1.0, 2.0) for z in range(N_PLACES)
    ]  # a careless anonymiser
    assert list(volumes_of(echoes)) == ["EchoTime=1", "EchoTime=2"]


def test_a_scout_among_axial_slices():
    slices = [part(0, 0, orientation=CORONAL, n_rows=9), *(part(z, z + 1) for z in range(N_PLACES))]
    geometry = series_geometry(slices)
    assert (geometry.geometry, geometry.n_volumes, geometry.n_slices) == ("mixed_orientation", 2, 6)
    assert list(volumes_of(slices)) == ["stack 1 of 2", "stack 2 of 2"]
    assert verdicts(slices) == ["too_few_slices", "regular"]
    assert geometry.place.tolist() == [0, 0, 1, 2, 3, 4]


def test_stacks_of_two_sizes_with_two_echoes_each():
    slices = [part(z, n, n_rows=n_rows, EchoTime=te)
              for n, (n_rows, te, z) in enumerate((r, e, z) for r in (4, 8) for e in (1.0, 2.0) for z in range(4))]  # fmt: skip
    assert series_geometry(slices).geometry == "mixed_size"
    assert list(volumes_of(slices)) == [f"stack {i} of 2, EchoTime={e}" for i in (1, 2) for e in (1, 2)]
    assert set(verdicts(slices)) == {"regular"}


def test_slices_in_every_direction_are_no_volumes():
    turned = [(1, 0, 0, 0, math.cos(a), math.sin(a)) for a in np.linspace(0, 3, 12)]  # a radial projection
    geometry = series_geometry([part(0, i, orientation=o) for i, o in enumerate(turned)])
    assert (geometry.geometry, geometry.n_volumes) == ("mixed_orientation", 1)
    assert np.isnan(geometry.position_mm).all()


def test_two_stretches_of_the_body_at_their_own_spacing():
    slices = [*(part(z, z, AcquisitionNumber=1.0) for z in range(6)),
              *(part(z, z, AcquisitionNumber=2.0) for z in (20.5, 23, 25.5, 28))]  # fmt: skip
    geometry = series_geometry(slices)
    assert (geometry.geometry, geometry.n_volumes) == ("irregular_spacing", 2)
    assert verdicts(slices) == ["regular", "regular"]


def test_dimensions_of_an_enhanced_file_tell_apart_what_nothing_else_does():
    slices = [
        part(z, 1, uid=f"{v}.{z}", dimensions=(1.0, float(z + 1), float(v + 1))) for z in range(5) for v in (1, 0)
    ]
    assert list(volumes_of(slices)) == ["DimensionIndexValues[3]=1", "DimensionIndexValues[3]=2"]
    assert list(volumes_of(slices).values()) == [[1, 3, 5, 7, 9], [0, 2, 4, 6, 8]]


@settings(max_examples=80, deadline=None)
@given(
    n_volumes=st.integers(2, 5),
    n_places=st.integers(4, 9),
    trait=st.sampled_from(["EchoTime", "DiffusionBValue", "TemporalPositionIdentifier", "AcquisitionNumber"]),
    order=st.randoms(use_true_random=False),
    noise=st.booleans(),
)
def test_whatever_the_order_each_slice_goes_to_its_own_volume(n_volumes, n_places, trait, order, noise):
    """Other values may change from slice to slice, and files may come and be numbered in any order."""
    numbers = list(range(n_volumes * n_places))
    order.shuffle(numbers)
    slices = [
        part(z, numbers[n_places * v + z], **{trait: float(v)},
             ContentTime=f"{order.randrange(240000):06d}" if noise else "", FlipAngle=float(z % 2) * noise)
        for v in range(n_volumes)
        for z in range(n_places)
    ]  # fmt: skip
    order.shuffle(slices)
    geometry = series_geometry(slices)
    place = list(TRAITS).index(trait)
    assert geometry.n_volumes == n_volumes
    for volume in range(n_volumes):
        assert len({slices[i].traits[place] for i in np.flatnonzero(geometry.volume == volume)}) == 1
        assert np.bincount(geometry.place[geometry.volume == volume]).tolist() == [1] * n_places


# files


def write_classic(folder: Path, value_of, n_volumes: int = 2, n_places: int = 4, **same) -> None:
    """Write place after place, volume after volume; pixels of volume v at place z are 100 v + z."""
    folder.mkdir(parents=True, exist_ok=True)
    for z in range(n_places):
        for v in range(n_volumes):
            pixels = np.full((6, 8), 100 * v + z, np.int16)
            header = image(pixels, "MR", ImagePositionPatient=[0, 0, 2.0 * z], InstanceNumber=n_volumes * z + v + 1)
            for keyword, value in {**value_of(v), **same}.items():
                setattr(header, keyword, value)
            header.save_as(folder / f"{z}_{v}.dcm", enforce_file_format=True)


def resample(folder: Path, out: Path, *options: object) -> pd.DataFrame:
    words = ["volumes", "resample", folder, out, "--shape-zyx", "4,6,8", *options]
    assert CliRunner().invoke(radnet3d, [str(word) for word in words], catch_exceptions=False).exit_code == 0
    return read_table(out / "volumes.parquet", VOLUMES)


def middle(folder: Path, name: str) -> list[int]:
    return np.load(folder / name)[:, 3, 4].tolist()


def test_echoes_become_a_volume_each(tmp_path):
    write_classic(tmp_path / "in", lambda v: {"EchoTime": [80, 20][v]}, Modality="CT")
    volumes = resample(tmp_path / "in", tmp_path / "out")
    assert volumes["path"].tolist() == ["1.2.3.4_0.npy", "1.2.3.4_1.npy"]
    assert volumes["volume_of"].tolist() == ["EchoTime=20", "EchoTime=80"]
    assert volumes["is_whole"].all() and volumes["original_spacing_zyx_mm"].unique().tolist() == ["2,2,1.5"]
    assert middle(tmp_path / "out", "1.2.3.4_0.npy") == [100, 101, 102, 103]
    assert middle(tmp_path / "out", "1.2.3.4_1.npy") == [0, 1, 2, 3]
    assert read_table(tmp_path / "out/excluded.csv", EXCLUDED).empty
    files = extract_series(tmp_path / "in", n_processes=1).files
    assert files["volume"].tolist() == [0] * 4 + [1] * 4 and files["slice"].tolist() == [0, 1, 2, 3] * 2
    assert all(path.endswith("_1.dcm") for path in files.loc[files["volume"] == 0, "path"])


def test_as_many_volumes_as_asked(tmp_path):
    write_classic(tmp_path / "in", lambda v: {"TemporalPositionIdentifier": v + 1}, n_volumes=3)
    volumes = resample(tmp_path / "in", tmp_path / "out", "--n-per-series-max", 1)
    assert volumes["volume_of"].tolist() == ["TemporalPositionIdentifier=1"]
    assert sorted(path.name for path in (tmp_path / "out").glob("*.npy")) == ["1.2.3.4_0.npy"]


@pytest.mark.parametrize(
    ("creator", "tag", "vr", "values"),
    [
        ("SIEMENS MR HEADER", (0x19, 0x0C), "IS", ["50", "800"]),
        ("GEMS_PARM_01", (0x43, 0x39), "IS", [["1000000050", "8", "0"], ["1000000800", "8", "0"]]),
        ("Philips Imaging DD 001", (0x2001, 0x03), "FL", [50.0, 800.0]),
    ],
)
def test_b_values_where_vendors_keep_them(tmp_path, creator, tag, vr, values):
    write_classic(tmp_path, lambda v: {})
    for path in tmp_path.iterdir():
        header = dcmread(path)
        volume = int(path.stem[-1])
        header.private_block(tag[0], creator, create=True).add_new(tag[1], vr, values[volume])
        header.save_as(path, enforce_file_format=True)
    volumes = resample(tmp_path, tmp_path / "out")
    assert volumes["volume_of"].tolist() == ["DiffusionBValue=50", "DiffusionBValue=800"]


def test_frames_of_one_enhanced_file_become_volumes(tmp_path):
    z_mm = [2.0 * z for z in range(4) for _ in range(3)]
    header = enhanced(np.repeat(np.arange(12), 48).reshape(12, 6, 8).astype(np.int16), z_mm)
    for number, group in enumerate(header.PerFrameFunctionalGroupsSequence):
        content, echo, diffusion, gradient = Dataset(), Dataset(), Dataset(), Dataset()
        content.TemporalPositionIndex, content.DimensionIndexValues, content.StackID = 1, [1, number // 3 + 1], "1"
        echo.EffectiveEchoTime = 90.0
        diffusion.DiffusionBValue = 0.0 if number % 3 == 0 else 1000.0
        gradient.DiffusionGradientOrientation = [float(number % 3 == i) for i in range(3)]
        diffusion.DiffusionGradientDirectionSequence = [gradient]
        group.FrameContentSequence, group.MREchoSequence, group.MRDiffusionSequence = [content], [echo], [diffusion]
    header.save_as(tmp_path / "e", enforce_file_format=True)
    files = extract_series(tmp_path, n_processes=1).files
    assert files.groupby("volume")["frame"].apply(list).tolist() == [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 11]]
    volumes = resample(tmp_path, tmp_path / "out")
    assert volumes["volume_of"].tolist() == [
        "DiffusionBValue=0",
        "DiffusionBValue=1000, DiffusionGradientOrientation=0.0\\1.0\\0.0",
        "DiffusionBValue=1000, DiffusionGradientOrientation=0.0\\0.0\\1.0",
    ]


def test_what_forms_no_volume_is_named_and_the_rest_is_kept(tmp_path):
    write_classic(tmp_path / "in", lambda v: {"EchoTime": 10 * (v + 1)})
    (tmp_path / "in/2_0.dcm").unlink()
    volumes = resample(tmp_path / "in", tmp_path / "out")
    assert volumes["volume_of"].tolist() == ["EchoTime=20"]
    excluded = read_table(tmp_path / "out/excluded.csv", EXCLUDED)
    assert excluded[["reason", "detail"]].values.tolist() == [
        ["too_few_slices", "volume 0 (EchoTime=10): 3 places, 3 slices"]
    ]


def test_a_file_gone_since_its_header_was_read_costs_the_series_alone(tmp_path):
    write_classic(tmp_path / "in", lambda v: {"EchoTime": 10 * (v + 1)})
    assert CliRunner().invoke(radnet3d, ["dicom", "extract", str(tmp_path / "in"), str(tmp_path / "h")]).exit_code == 0
    (tmp_path / "in/2_0.dcm").write_bytes(b"no")
    assert resample(tmp_path / "in", tmp_path / "out", "--headers", tmp_path / "h").empty
    excluded = read_table(tmp_path / "out/excluded.csv", EXCLUDED)
    assert excluded["reason"].tolist() == ["undecodable_pixels"] and excluded["detail"].str.startswith("2_0.dcm:").all()


def test_real_repetitions(real_data, tmp_path):
    volumes = resample(real_data / "real/mr_mosaic_orientation", tmp_path / "out")
    assert len(volumes) == 14 and volumes["SeriesInstanceUID"].nunique() == 7
    assert set(volumes["volume_of"]) == {"AcquisitionNumber=1", "AcquisitionNumber=2"}
    assert volumes.groupby("SeriesInstanceUID")["axes_lps"].nunique().eq(1).all()
