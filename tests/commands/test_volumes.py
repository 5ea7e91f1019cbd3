"""`radnet3d volumes resample`."""

import os

import numpy as np
import pytest
from click.testing import CliRunner

from radnet3d.cli import radnet3d
from radnet3d.errors import OutputError
from radnet3d.tables import EXCLUDED, VOLUMES, read_table
from support.dicom_series import enhanced, image, write_series


def run(*words: object):
    return CliRunner().invoke(radnet3d, [str(word) for word in words])


@pytest.fixture
def archive(tmp_path):
    """A CT ramp, an enhanced MR, and series of no use."""
    folder = tmp_path / "in"
    ramp = (np.arange(12)[:, None, None] * 10 + np.zeros((12, 16, 20))).astype(np.int16)
    write_series(folder / "ct", 2.5 * np.arange(12), ramp, SeriesInstanceUID="1.1")
    volume = np.random.default_rng(0).integers(0, 4000, (8, 16, 16)).astype(np.int16)
    header = enhanced(volume, range(8))
    header.SeriesInstanceUID = "1.2"
    header.save_as(folder / "mr", enforce_file_format=True)
    write_series(folder / "gap", [0, 1, 2, 4, 5], SeriesInstanceUID="1.3")
    write_series(folder / "us", [0, 1, 2, 3], SeriesInstanceUID="1.4", Modality="US")
    write_series(folder / "broken", [0, 1, 2, 3], SeriesInstanceUID="1.5", BitsAllocated=12, BitsStored=12, HighBit=11)
    (folder / "broken/002.dcm").write_bytes(b"x")
    write_series(folder / "rgb", [0, 1, 2, 3], SeriesInstanceUID="1.6", SamplesPerPixel=3, Columns=2,
                 PhotometricInterpretation="RGB", PlanarConfiguration=0)  # fmt: skip
    return folder


def test_usable_series_become_volumes_and_the_rest_a_reason(archive, tmp_path):
    assert run("volumes", "resample", archive, tmp_path / "out", "--shape-zyx", "6,8,10").exit_code == 0
    volumes = read_table(tmp_path / "out/volumes.parquet", VOLUMES).set_index("SeriesInstanceUID")
    assert volumes.index.tolist() == ["1.1", "1.2"]
    assert volumes["intensity"].tolist() == ["hu", "robust_0_1000"]
    ct = volumes.loc["1.1"]
    assert (ct["original_shape_zyx"], ct["original_spacing_zyx_mm"]) == ("12,16,20", "2.5,2,1.5")
    assert ct["spacing_zyx_mm"] == "5,4,3"  # extent over voxels
    array = np.load(tmp_path / "out" / ct["path"], mmap_mode="r")
    assert (array.dtype, array.shape) == (np.int16, (6, 8, 10))
    assert array[:, 0, 0].tolist() == [5, 25, 45, 65, 85, 105]  # z is axis 0, the middle of each pair
    mr = np.load(tmp_path / "out" / volumes.loc["1.2", "path"])
    assert 0 <= mr.min() < mr.max() <= 1000
    excluded = read_table(tmp_path / "out/excluded.csv", EXCLUDED)
    reasons = excluded[excluded["path"] == ""].set_index("SeriesInstanceUID")["reason"].to_dict()
    assert reasons == {
        "1.3": "missing_slice", "1.4": "unsupported_modality", "1.5": "too_few_slices", "1.6": "undecodable_pixels",
    }  # fmt: skip
    assert excluded.loc[excluded["path"] != "", ["path", "reason"]].values.tolist() == [["broken/002.dcm", "not_dicom"]]


def test_headers_are_not_read_twice_and_processes_change_nothing(archive, tmp_path):
    run("dicom", "extract", archive, tmp_path / "headers")
    run("volumes", "resample", archive, tmp_path / "one")
    result = run("volumes", "resample", archive, tmp_path / "two", "--headers", tmp_path / "headers", "--threads", 2)
    assert result.exit_code == 0
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


def test_a_killed_run_goes_on_where_it_was(archive, tmp_path):
    partial = tmp_path / "out.partial"
    partial.mkdir()
    np.save(partial / "1.1.npy", np.full((6, 8, 10), 7, np.int16))  # finished by the run before
    (partial / ".1.1.digests").write_text("0123456789abcdef")
    np.save(partial / "1.2.npy", np.full((2, 2, 2), 7, np.int16))  # of another shape
    np.save(partial / "1.9.npy", np.zeros((6, 8, 10), np.int16))  # of a series that is gone
    run("volumes", "resample", archive, tmp_path / "out", "--shape-zyx", "6,8,10")
    assert np.load(tmp_path / "out/1.1.npy").max() == 7
    volumes = read_table(tmp_path / "out/volumes.parquet", VOLUMES).set_index("SeriesInstanceUID")
    assert volumes.loc["1.1", "slice_digests"] == "0123456789abcdef"
    assert not list((tmp_path / "out").glob(".*.digests"))
    assert np.load(tmp_path / "out/1.2.npy").shape == (6, 8, 10)
    assert not (tmp_path / "out/1.9.npy").exists()
    assert not partial.exists()


def test_a_volume_without_the_digests_of_its_slices_is_made_again(archive, tmp_path):
    partial = tmp_path / "out.partial"
    partial.mkdir()
    np.save(partial / "1.1.npy", np.full((6, 8, 10), 7, np.int16))
    run("volumes", "resample", archive, tmp_path / "out", "--shape-zyx", "6,8,10")
    assert np.load(tmp_path / "out/1.1.npy").max() > 7


def test_a_volume_older_than_its_files_is_made_again(archive, tmp_path):
    partial = tmp_path / "out.partial"
    partial.mkdir()
    np.save(partial / "1.1.npy", np.full((48, 48, 48), 7, np.int16))
    os.utime(partial / "1.1.npy", (1, 1))
    run("volumes", "resample", archive, tmp_path / "out")
    assert np.load(tmp_path / "out/1.1.npy").max() > 7


def test_a_folder_of_nothing_gives_empty_tables(tmp_path):
    (tmp_path / "in").mkdir()
    assert run("volumes", "resample", tmp_path / "in", tmp_path / "out").exit_code == 0
    assert len(read_table(tmp_path / "out/volumes.parquet", VOLUMES)) == 0
    assert len(read_table(tmp_path / "out/excluded.csv", EXCLUDED)) == 0


@pytest.mark.parametrize("shape", ["48", "48,48", "0,48,48", "48,48,x", "-1,2,3", "1,2,3,4"])
def test_wrong_shape(tmp_path, shape):
    result = run("volumes", "resample", tmp_path, tmp_path / "out", "--shape-zyx", shape)
    assert result.exit_code == 2
    assert "three whole numbers" in result.output


def test_sizes_that_change_within_a_file_list_are_refused(archive, tmp_path):
    run("dicom", "extract", archive, tmp_path / "headers")
    image(np.zeros((3, 3), np.int16)).save_as(
        archive / "ct/005.dcm", enforce_file_format=True
    )  # behind the headers' back
    result = run("volumes", "resample", archive, tmp_path / "out", "--headers", tmp_path / "headers")
    assert result.exit_code == 0
    excluded = read_table(tmp_path / "out/excluded.csv", EXCLUDED).set_index("SeriesInstanceUID")
    assert excluded.loc["1.1", "reason"] == "undecodable_pixels"
    assert "wanted (16, 20)" in excluded.loc["1.1", "detail"]


def test_real_archive(real_data, tmp_path):
    result = run(
        "volumes", "resample", real_data / "real", tmp_path / "out", "--correct-tilt", "--shape-zyx", "48,48,48"
    )
    assert result.exit_code == 0
    volumes = read_table(tmp_path / "out/volumes.parquet", VOLUMES)
    assert (len(volumes), volumes["SeriesInstanceUID"].nunique()) == (27, 20)  # seven mosaics of two volumes each
    assert (volumes["corrected_tilt_deg"] > 0).sum() == 1
    axial = volumes[volumes["axes_lps"].str[0].isin(["S", "I"])]
    assert len(axial) > 10 and (axial["axes_lps"] == "S,P,L").all()
    for row in volumes.itertuples():
        array = np.load(tmp_path / "out" / row.path)
        assert array.shape == (48, 48, 48)
        assert array.std() > 0
    reasons = read_table(tmp_path / "out/excluded.csv", EXCLUDED)["reason"].value_counts()
    assert set(reasons.index) == {
        "not_dicom", "no_pixel_data", "unsupported_modality", "too_few_slices", "missing_slice", "mixed_orientation",
        "no_geometry", "duplicate_position",
    }  # fmt: skip


def test_a_folder_with_the_input_in_it_is_no_output(archive, tmp_path):
    for command in (("volumes", "resample"), ("dicom", "extract")):
        result = run(*command, archive / "ct", archive)
        assert isinstance(result.exception, OutputError)
        assert str(result.exception) == f"{archive}: holds the input {archive / 'ct'}, wanted a folder of its own"
    assert (archive / "mr").is_file() and len(list((archive / "ct").iterdir())) == 12


def test_what_a_run_left_is_replaced_and_its_marker_is_no_data(archive, tmp_path):
    for _ in range(2):
        assert run("volumes", "resample", archive, tmp_path / "out", "--shape-zyx", "6,8,10").exit_code == 0
    assert run("dicom", "extract", tmp_path / "out", tmp_path / "headers").exit_code == 0
    excluded = read_table(tmp_path / "headers/excluded.csv", EXCLUDED)
    assert sorted(excluded["path"]) == ["1.1.npy", "1.2.npy", "excluded.csv", "volumes.parquet"]


@pytest.mark.parametrize("n_more", [-3, 3])
def test_frames_that_the_header_does_not_describe_cost_the_series_alone(archive, tmp_path, n_more):
    frames = np.zeros((8, 16, 16), np.int16)
    header = enhanced(frames, range(8))
    header.SeriesInstanceUID = "1.2"
    header.NumberOfFrames = 8 + n_more
    header.PixelData = np.zeros((8 + n_more, 16, 16), np.int16).tobytes()
    header.save_as(archive / "mr", enforce_file_format=True)
    assert run("volumes", "resample", archive, tmp_path / "out", "--shape-zyx", "6,8,10").exit_code == 0
    excluded = read_table(tmp_path / "out/excluded.csv", EXCLUDED).set_index("SeriesInstanceUID")
    assert excluded.loc["1.2", "reason"] == "undecodable_pixels"
    assert f"{8 + n_more} frames of pixels, its header describes 8" in excluded.loc["1.2", "detail"]
    assert read_table(tmp_path / "out/volumes.parquet", VOLUMES)["SeriesInstanceUID"].tolist() == ["1.1"]
