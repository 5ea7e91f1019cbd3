"""Odd and damaged DICOM as hospitals have it: it becomes a volume or a row that says why not, never a wrong value."""

import json
import os
import struct
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import DeflatedExplicitVRLittleEndian

from radnet3d.archive.folder import FolderSource, folder_state
from radnet3d.archive.nbia import check_instances
from radnet3d.archive.transfer import Unavailable
from radnet3d.cli import radnet3d
from radnet3d.dicom.extract import extract_series, series_row
from radnet3d.dicom.geometry import series_geometry
from radnet3d.dicom.headers import Header, read_header
from radnet3d.dicom.names import escaped, unescaped
from radnet3d.dicom.plain import EMPTY
from radnet3d.errors import PixelError
from radnet3d.params import Archive, load_params
from radnet3d.tables import EXCLUDED, FOLDER_FILES, SERIES, VOLUMES, read_table
from radnet3d.volumes.choice import one_a_series
from radnet3d.volumes.pixels import read_file, read_volume
from support.dicom_series import CORONAL, SAGITTAL, enhanced, image, write_series

PIXELS = np.arange(48, dtype=np.int16).reshape(6, 8)


def run(*words: object) -> None:
    result = CliRunner().invoke(radnet3d, [str(word) for word in words])
    assert result.exit_code == 0, result.exception


def resample(folder: Path, out: Path, *options: object) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return tables.VOLUMES and tables.EXCLUDED of a folder."""
    run("volumes", "resample", folder, out, "--shape-zyx", "4,6,8", *options)
    return read_table(out / "volumes.parquet", VOLUMES), read_table(out / "excluded.csv", EXCLUDED)


def replace_value(path: Path, group: int, number: int, value: bytes) -> None:
    """Give a DS of a file these bytes, which pydicom might not write."""
    content = path.read_bytes()
    start = content.index(struct.pack("<HH", group, number) + b"DS")
    (length,) = struct.unpack_from("<H", content, start + 6)
    value += b" " * (len(value) % 2)
    head = content[: start + 6] + struct.pack("<H", len(value))
    path.write_bytes(head + value + content[start + 8 + length :])


# the rescaling

INTERCEPT, SLOPE = (0x0028, 0x1052), (0x0028, 0x1053)


def rescaled(tmp_path: Path, element: tuple[int, int], value: bytes) -> np.ndarray:
    path = tmp_path / "a.dcm"
    image(PIXELS, RescaleIntercept=0, RescaleSlope=1).save_as(path, enforce_file_format=True)
    replace_value(path, *element, value)
    return read_file(path)[0]


@pytest.mark.parametrize("value", [b"-1024,0", b"-1024 HU", b"nan", b"1e999", b"\\-1024", b"."])
@pytest.mark.parametrize(("element", "name"), [(INTERCEPT, "RescaleIntercept"), (SLOPE, "RescaleSlope")])
def test_a_rescaling_that_is_no_number_is_refused_by_name(tmp_path, element, name, value):
    with pytest.raises(PixelError, match=rf"a\.dcm: {name} is .+, wanted a number"):
        rescaled(tmp_path, element, value)


@pytest.mark.parametrize(
    ("element", "value", "expected"),
    [
        (INTERCEPT, b"-24", PIXELS - 24),
        (INTERCEPT, b"-24\\-1024", PIXELS - 24),  # the first, as of every other number
        (INTERCEPT, b"-24\0\0", PIXELS - 24),
        (INTERCEPT, b"", PIXELS),
        (INTERCEPT, b"  ", PIXELS),
        (INTERCEPT, b"\0\0", PIXELS),
        (SLOPE, b"2\\7", 2 * PIXELS),
        (SLOPE, b"", PIXELS),
    ],
)
def test_a_rescaling_of_several_or_of_no_values(tmp_path, element, value, expected):
    assert rescaled(tmp_path, element, value).tolist() == expected.tolist()


def test_a_slope_of_zero_is_refused_where_it_would_lose_something(tmp_path):
    with pytest.raises(PixelError, match=r"a\.dcm: RescaleSlope is 0"):
        rescaled(tmp_path, SLOPE, b"0")
    empty = image(np.zeros((6, 8), np.int16), "PT", RescaleSlope=0, RescaleIntercept=3)  # a PET slice without counts
    empty.save_as(tmp_path / "empty", enforce_file_format=True)
    assert np.unique(read_file(tmp_path / "empty")).tolist() == [3]


def test_a_frame_of_slope_zero_is_refused(tmp_path):
    frames = np.arange(4 * 48, dtype=np.int16).reshape(4, 6, 8)
    enhanced(frames, range(4), slopes=[1.0, 1.0, 0.0, 1.0]).save_as(tmp_path / "e", enforce_file_format=True)
    with pytest.raises(PixelError, match="e: RescaleSlope is 0"):
        read_file(tmp_path / "e")


def test_a_series_with_one_unreadable_rescaling_is_a_row_and_no_volume(tmp_path):
    paths = write_series(tmp_path / "in", range(4), RescaleIntercept=-1024, RescaleSlope=1)
    replace_value(paths[2], *INTERCEPT, b"-1024,0")
    volumes, excluded = resample(tmp_path / "in", tmp_path / "out")
    assert volumes.empty
    assert excluded[["reason", "detail"]].values.tolist() == [
        ["undecodable_pixels", "002.dcm: RescaleIntercept is '-1024,0', wanted a number"]
    ]


# which header speaks for a series


def test_a_scout_does_not_decide_what_a_series_is(tmp_path):
    scout = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"], "SliceThickness": 500, "PatientPosition": "FFS"}
    axial = {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "SliceThickness": 2, "KVP": 120}
    image(PIXELS, InstanceNumber=0, ImageOrientationPatient=list(CORONAL), **scout).save_as(
        tmp_path / "scout", enforce_file_format=True
    )
    write_series(tmp_path, 2.0 * np.arange(6), **axial)
    row = extract_series(tmp_path, n_processes=1).series.loc[0]
    assert row["ImageType"] == "ORIGINAL\\PRIMARY\\AXIAL"
    assert row[["SliceThickness", "KVP"]].tolist() == [2, 120]
    assert row["PatientPosition"] == "FFS"  # nobody contradicts


def test_values_are_weighed_by_slices_and_the_first_of_equals_is_taken(tmp_path):
    write_series(tmp_path, range(5))
    slices = [read_header(tmp_path, path).slices[0] for path in sorted(tmp_path.iterdir())]
    geometry = series_geometry(slices)
    files = [("A", 1.0, slices[:1]), ("B", float("nan"), slices[1:3]), ("", 2.0, slices[3:4]), ("C", 2.0, slices[4:])]
    headers = [Header(EMPTY | {"ImageType": kind, "KVP": kvp}, part) for kind, kvp, part in files]
    assert series_row(headers, geometry)["ImageType"] == "B"  # one file of two slices
    assert series_row(headers, geometry)["KVP"] == 2
    assert series_row([headers[3], headers[0]], geometry)["ImageType"] == "C"
    assert series_row([headers[0], headers[3]], geometry)["ImageType"] == "A"
    assert np.isnan(series_row(headers, geometry)["EchoTime"])


# scouts among the slices of a series


def write_stack(folder: Path, n: int, first_number: int, orientation=(1, 0, 0, 0, 1, 0), step: float = 2.0, **values):
    """Write `n` slices along the normal of `orientation`, numbered from `first_number` on; each pixel holds that number."""
    folder.mkdir(parents=True, exist_ok=True)
    normal = np.cross(orientation[:3], orientation[3:])
    for index in range(n):
        number = first_number + index
        header = image(np.full((6, 8), number, np.int16), InstanceNumber=number, ImageOrientationPatient=list(orientation),
                       ImagePositionPatient=(step * index * normal).tolist(), **values)  # fmt: skip
        header.save_as(folder / f"{number:03d}.dcm", enforce_file_format=True)


def test_two_scouts_do_not_cost_the_axial_slices(tmp_path):
    write_stack(tmp_path / "in", 1, 1, CORONAL)
    write_stack(tmp_path / "in", 1, 2, SAGITTAL)
    write_stack(tmp_path / "in", 20, 3)
    volumes, excluded = resample(tmp_path / "in", tmp_path / "out", "--n-per-series-max", 1)
    chosen = one_a_series(volumes)
    assert chosen[["original_shape_zyx", "axes_lps"]].values.tolist() == [["20,6,8", "S,P,L"]]
    assert excluded["detail"].tolist() == [
        "volume 0 (stack 1 of 3): 1 places, 1 slices",
        "volume 1 (stack 2 of 3): 1 places, 1 slices",
    ]


@pytest.mark.parametrize("n_max", [["--n-per-series-max", 1], []])
def test_the_largest_stack_stands_for_a_series_whichever_comes_first(tmp_path, n_max):
    write_stack(tmp_path / "in", 5, 1, CORONAL)
    write_stack(tmp_path / "in", 20, 6)
    volumes, excluded = resample(tmp_path / "in", tmp_path / "out", *n_max)
    assert one_a_series(volumes)["original_shape_zyx"].tolist() == ["20,6,8"]
    assert volumes["is_whole"].sum() == 1 and len(volumes) == (1 if n_max else 2)
    assert excluded.empty


def test_a_stack_of_another_size_does_not_cost_the_larger_one(tmp_path):
    write_stack(tmp_path / "in", 5, 1, step=3.1, PixelSpacing=[4.0, 4.0])
    write_stack(tmp_path / "in", 8, 6)
    volumes, _ = resample(tmp_path / "in", tmp_path / "out")
    assert one_a_series(volumes)["original_shape_zyx"].tolist() == ["8,6,8"]


def test_scouts_without_a_pixel_size_do_not_cost_the_axial_slices(tmp_path):
    write_stack(tmp_path / "in", 2, 1, CORONAL, PixelSpacing=None)
    write_stack(tmp_path / "in", 8, 3)
    volumes, excluded = resample(tmp_path / "in", tmp_path / "out")
    assert one_a_series(volumes)["original_shape_zyx"].tolist() == ["8,6,8"]
    assert len(excluded) == 1


def test_a_smaller_stack_does_not_stand_for_a_larger_one_of_no_use_and_a_row_says_so(tmp_path):
    write_stack(tmp_path / "in", 5, 1, CORONAL)
    write_stack(tmp_path / "in", 20, 6)
    (tmp_path / "in/012.dcm").unlink()
    volumes, excluded = resample(tmp_path / "in", tmp_path / "out")
    assert volumes["original_shape_zyx"].tolist() == ["5,6,8"] and one_a_series(volumes).empty
    assert excluded[["reason", "detail"]].values.tolist() == [
        ["missing_slice", "volume 1 (stack 2 of 2): 19 places, 19 slices"],
        ["mixed_orientation", "1 of 2 volumes can be used, none of them shows the whole series"],
    ]


def test_stretches_of_which_none_shows_the_whole_series_are_a_row(tmp_path):
    for number, (z, stretch) in enumerate([*((z, 1) for z in range(6)), *((z, 2) for z in (20.5, 23, 25.5, 28))]):
        (tmp_path / "in").mkdir(exist_ok=True)
        header = image(PIXELS, InstanceNumber=number, ImagePositionPatient=[0, 0, z], AcquisitionNumber=stretch)
        header.save_as(tmp_path / f"in/{number}", enforce_file_format=True)
    volumes, excluded = resample(tmp_path / "in", tmp_path / "out")
    assert len(volumes) == 2 and one_a_series(volumes).empty
    assert excluded[["reason", "detail"]].values.tolist() == [
        ["irregular_spacing", "2 of 2 volumes can be used, none of them shows the whole series"]
    ]


# names that are no UTF-8


@given(st.binary(max_size=12).filter(lambda name: b"\0" not in name and b"/" not in name) | st.text(max_size=9).map(os.fsencode)
       | st.lists(st.sampled_from([b"\\", b"x", b"fc", b"5c", b"\xfc", b"\xc3\xbc", b"\n"])).map(b"".join))  # fmt: skip
def test_every_name_becomes_text_and_comes_back(name):
    given_name = os.fsdecode(name)
    written = escaped(given_name)
    assert written.encode() and "\n" not in written if written else not given_name
    assert unescaped(written) == given_name


def test_usual_names_stay_as_they_are():
    for name in ["a/001.dcm", "Müller – früh.dcm", "C:\\scans\\x1\\1.dcm", "日本", "a b\u00a0c"]:
        assert escaped(name) == name
    assert escaped(os.fsdecode(b"M\xfcller\r")) == "M\\xfcller\\x0d"
    assert escaped("M\\xfcller") == "M\\x5cxfcller"


@pytest.fixture
def named(tmp_path: Path) -> Path:
    """A series, a copy of a file and a text in a folder, all with names in Latin-1; a series that has to be split."""
    folder = tmp_path / os.fsdecode(b"in \xe4")
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("a file system that takes names in UTF-8 only")
    paths = write_series(folder / os.fsdecode(b"\xfcber"), range(4))
    (folder / os.fsdecode(b"M\xfcller.txt")).write_text("hello")
    (folder / os.fsdecode(b"copy \xe9")).write_bytes(paths[0].read_bytes())
    for number, path in enumerate(paths):
        path.rename(path.with_name(os.fsdecode(b"M\xfcller%d\n.dcm" % number)))
    write_stack(folder / os.fsdecode(b"scout\xdf"), 1, 1, CORONAL, SeriesInstanceUID="1.3")
    write_stack(folder / os.fsdecode(b"scout\xdf"), 5, 2, SeriesInstanceUID="1.3")
    broken = write_series(folder / os.fsdecode(b"\xff"), range(4), SeriesInstanceUID="1.4", RescaleIntercept=0)
    for path in broken:
        replace_value(path, *INTERCEPT, b"?")
        path.rename(path.with_name(os.fsdecode(path.name.encode() + b"\xa9")))
    return folder


def test_names_that_are_no_utf8_are_read_and_written_into_tables(named, tmp_path):
    run("dicom", "extract", named, tmp_path / "headers")
    series = read_table(tmp_path / "headers/series.parquet", SERIES)
    assert series[["SeriesInstanceUID", "n_files"]].values.tolist() == [["1.2.3.4", 4], ["1.3", 6], ["1.4", 4]]
    excluded = read_table(tmp_path / "headers/excluded.csv", EXCLUDED)
    assert excluded[["path", "reason"]].values.tolist() == [
        ["M\\xfcller.txt", "not_dicom"],
        ["copy \\xe9", "duplicate_file"],
    ]
    assert all((named / unescaped(path)).is_file() for path in excluded["path"])
    run("labels", "from-dicom", named, tmp_path / "labels.parquet")
    assert len(read_table(tmp_path / "labels_excluded.csv", EXCLUDED)) == 2
    for options in ([], ["--headers", tmp_path / "headers"]):
        volumes, excluded = resample(named, tmp_path / "out", *options)
        assert volumes["SeriesInstanceUID"].tolist() == ["1.2.3.4", "1.3"]
        assert excluded["detail"].iloc[-1] == "\\xff/000.dcm\\xa9: RescaleIntercept is '?', wanted a number"


@pytest.fixture
def archive(repository: Path) -> Archive:
    return load_params(repository / "params.yaml").archive


def with_folder(archive: Archive, folder: Path) -> Archive:
    own = archive.folder.model_copy(update={"dir": str(folder)})
    return archive.model_copy(update={"source": "folder", "folder": own})


def test_a_folder_with_names_that_are_no_utf8_is_planned_and_linked(archive, named, tmp_path):
    source = FolderSource(with_folder(archive, named))
    plan, _ = source.plan(tmp_path / "plan")
    files = read_table(tmp_path / "plan/files.parquet", FOLDER_FILES)
    assert len(files) == 16 and all(Path(unescaped(path)).is_file() for path in files["path"])
    fetched = source.fetch(plan, tmp_path / "plan", tmp_path / "raw", 1)
    assert fetched["n_files"].sum() == 16
    state = folder_state(named, tmp_path / "plan/files.parquet")
    named.rename(tmp_path / "unmounted")
    assert folder_state(named, tmp_path / "plan/files.parquet") == state != ""


# pixels that are no numbers, or no intensities


def float_image(pixels: np.ndarray, **values):
    return image(pixels, "MR", PixelData=None, BitsStored=None, HighBit=None, PixelRepresentation=None,
                 BitsAllocated=32, FloatPixelData=pixels.astype("<f4").tobytes(), **values)  # fmt: skip


def write_map(folder: Path, volume: np.ndarray) -> None:
    """Write a map that was worked out, such as T1 in ms, a file a slice."""
    folder.mkdir()
    for z, plane in enumerate(volume):
        header = float_image(plane, InstanceNumber=z, ImagePositionPatient=[0, 0, z])
        header.save_as(folder / f"{z}", enforce_file_format=True)


def a_map() -> np.ndarray:
    volume = np.random.default_rng(0).uniform(300, 2000, (4, 6, 8)).astype(np.float32)
    volume[:, 1, 1] = 250
    return volume


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_a_map_with_nothing_around_the_body_is_stored(tmp_path, odd):
    volume = a_map()
    volume[:, 0] = odd
    volume[3] = odd  # a slice beyond the body
    write_map(tmp_path / "in", volume)
    volumes, excluded = resample(tmp_path / "in", tmp_path / "out")
    assert excluded.empty
    stored = np.load(tmp_path / "out" / volumes.loc[0, "path"])
    assert (stored[:, 0] == 0).all() and (stored[3] == 0).all()
    assert stored[:3, 2:].std() > 100
    assert read_volume(tmp_path / "in", extract_series(tmp_path / "in", n_processes=1).files).min() == 250


def test_a_map_of_nothing_is_a_row(tmp_path):
    write_map(tmp_path / "in", np.full((4, 6, 8), np.nan))
    volumes, excluded = resample(tmp_path / "in", tmp_path / "out")
    assert volumes.empty
    assert excluded[["reason", "detail"]].values.tolist() == [
        ["undecodable_pixels", "1.2.3.4.npy: no slice shows anything: every pixel is fill, NaN or infinite"]
    ]


def test_a_ct_with_nothing_around_the_body_has_air_there(tmp_path):
    plane = np.full((6, 8), 40.0)
    plane[0] = np.nan
    float_image(plane, Modality="CT").save_as(tmp_path / "a", enforce_file_format=True)
    assert np.unique(read_file(tmp_path / "a")).tolist() == [-1024, 40]
    float_image(np.full((6, 8), np.nan), Modality="CT").save_as(tmp_path / "b", enforce_file_format=True)
    assert np.isnan(read_file(tmp_path / "b")).all()


def test_numbers_of_colours_are_no_intensities(tmp_path):
    path = tmp_path / "a"
    image(PIXELS, PhotometricInterpretation="PALETTE COLOR").save_as(path, enforce_file_format=True)
    with pytest.raises(PixelError, match=r"a: pixels are numbers of colours \(PALETTE COLOR\)"):
        read_file(path)


# broken files in an archive


def write_broken(folder: Path) -> list[Path]:
    """Write a deflated file that was cut short, and one cut within the length of its pixel data."""
    folder.mkdir(parents=True, exist_ok=True)
    deflated, cut = folder / "deflated.dcm", folder / "length.dcm"
    header = image(PIXELS)
    header.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    header.save_as(deflated, enforce_file_format=True)
    deflated.write_bytes(deflated.read_bytes()[:-60])
    image(PIXELS).save_as(cut, enforce_file_format=True)
    content = cut.read_bytes()
    cut.write_bytes(content[: content.index(b"\xe0\x7f\x10\x00") + 10])
    return [deflated, cut]


def test_broken_files_are_planned_as_unreadable_and_listed_with_a_reason(archive, tmp_path):
    write_series(tmp_path / "in", range(4))
    write_broken(tmp_path / "in")
    settings = with_folder(archive, tmp_path / "in").model_dump(mode="json")
    run("archive", "plan", tmp_path / "plan", "--settings", json.dumps(settings))
    run("archive", "fetch", tmp_path / "plan/plan.parquet", tmp_path / "raw", tmp_path / "fetched.csv",
        "--settings", json.dumps(settings))  # fmt: skip
    extract = extract_series(tmp_path / "raw", n_processes=1)
    assert extract.series["n_files"].tolist() == [4]
    assert extract.excluded[["path", "reason"]].values.tolist() == [
        ["unreadable/unreadable/000000_deflated.dcm", "truncated"],
        ["unreadable/unreadable/000001_length.dcm", "truncated"],
    ]


def test_broken_files_of_a_server_are_no_instances(tmp_path):
    write_series(tmp_path, range(2))
    row = SimpleNamespace(SeriesInstanceUID="1.2.3.4", n_instances=2)
    check_instances(tmp_path, row)
    for path in write_broken(tmp_path):
        with pytest.raises(Unavailable, match="the first of [12]: deflated.dcm is no DICOM"):
            check_instances(tmp_path, row)
        path.rename(tmp_path / "deflated.dcm")  # the other takes the first one's place
