"""Reading headers: any name and depth, odd values, files that are of no use, and never a crash."""

import math
import os
import random

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

from radnet3d.dicom.extract import extract_series
from radnet3d.dicom.headers import Excluded, Header, find_files, read_header
from radnet3d.tables import HEADER_NUMBERS, HEADER_TEXT
from support.dicom_series import image, write_series

PIXELS = np.arange(48, dtype=np.int16).reshape(6, 8)


def save(folder, name="a.dcm", **values):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    image(PIXELS, **values).save_as(path, enforce_file_format=True)
    return path


def read(path) -> Header:
    found = read_header(path.parent, path)
    assert isinstance(found, Header), found
    return found


def reason(path) -> str:
    found = read_header(path.parent, path)
    assert isinstance(found, Excluded), found
    return found.reason


def test_every_column_is_there(tmp_path):
    assert set(read(save(tmp_path)).values) == {*HEADER_TEXT, *HEADER_NUMBERS}


def test_several_values_are_joined_as_dicom_writes_them(tmp_path):
    region, other = Dataset(), Dataset()
    region.CodeMeaning, other.CodeMeaning = "Chest", "Abdomen"
    values = read(save(tmp_path, ImageType=["ORIGINAL", "PRIMARY", "AXIAL"], ScanOptions="HELICAL MODE ",
                       AnatomicRegionSequence=[region, other])).values  # fmt: skip
    assert values["ImageType"] == "ORIGINAL\\PRIMARY\\AXIAL"
    assert values["AnatomicRegionSequence"] == "Chest;Abdomen"
    assert values["ScanOptions"] == "HELICAL MODE"
    assert values["ImageOrientationPatient"] == "1.0\\0.0\\0.0\\0.0\\1.0\\0.0"
    assert values["ContrastBolusAgent"] == ""
    assert math.isnan(values["RepetitionTime"])


def test_text_is_decoded(tmp_path):
    values = read(
        save(tmp_path, SpecificCharacterSet="ISO_IR 192", SeriesDescription="Thorax nativ, früh – spät")
    ).values
    assert values["SeriesDescription"] == "Thorax nativ, früh – spät"


@pytest.mark.parametrize(
    "odd", [b"1,5", b"", b"abc", b"1e999", b"nan", b"1.0\\2.0", b" 3 ", b"12345678901234567890123456789"]
)
def test_odd_numbers_cost_nothing_but_themselves(tmp_path, odd):
    path = save(tmp_path, SliceThickness="9.87654321")
    content = path.read_bytes()
    marker = content.index(b"9.87654321")
    path.write_bytes(content[: marker - 2] + len(odd + b" " * (len(odd) % 2)).to_bytes(2, "little")
                     + odd + b" " * (len(odd) % 2) + content[marker + 10 :])  # fmt: skip
    found = read(path)
    assert found.values["Modality"] == "CT"
    assert found.slices[0].position_lps_mm == (0.0, 0.0, 0.0)


def test_a_broken_position_is_no_position(tmp_path):
    path = save(tmp_path, ImagePositionPatient=[1.0, 2.0, 3.0])
    path.write_bytes(path.read_bytes().replace(b"1.0\\2.0\\3.0", b"1.0\\2.0\\ ? "))
    assert read(path).slices[0].position_lps_mm is None


def test_files_of_any_name_and_depth_are_found_once(tmp_path):
    deep, hidden = tmp_path / "a/b/c d/ü", tmp_path / ".hidden"
    write_series(deep, range(4))
    (deep / "000.dcm").rename(deep / "no extension")
    hidden.mkdir()
    (deep / "001.dcm").rename(hidden / "1.2.840")
    (tmp_path / "a/loop").symlink_to(tmp_path)
    extract = extract_series(tmp_path, n_processes=1)
    assert extract.series.loc[0, ["n_files", "geometry"]].tolist() == [4, "regular"]
    assert len(extract.excluded) == 0


def test_a_linked_folder_is_followed(tmp_path):
    write_series(tmp_path / "elsewhere", range(4))
    (tmp_path / "here").mkdir()
    (tmp_path / "here/link").symlink_to(tmp_path / "elsewhere")
    assert len(find_files(tmp_path / "here")) == 4


def test_no_dicom(tmp_path):
    for name, content in {
        "empty.dcm": b"", "text.dcm": b"hello", "zeros": b"\0" * 4096, "page.html": b"<html>" * 100,
        "short": b"\x08\x00", "random": random.Random(0).randbytes(5000), "preamble only": b"\0" * 128,
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes(content)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    extract = extract_series(tmp_path, n_processes=1)
    assert len(extract.series) == 0
    assert extract.excluded["reason"].tolist() == ["not_dicom"] * 9


def test_without_preamble(tmp_path):
    path = save(tmp_path)
    path.write_bytes(path.read_bytes()[132:])
    assert read(path).values["Modality"] == "CT"
    bare = tmp_path / "bare"
    header = image(PIXELS)
    header.file_meta, header.preamble = FileMetaDataset(), None
    header.save_as(bare, implicit_vr=True, little_endian=True, enforce_file_format=False)
    assert read(bare).values["Modality"] == "CT"


def test_implicit_and_deflated(tmp_path):
    for syntax in (ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian):
        header = image(PIXELS)
        header.file_meta.TransferSyntaxUID = syntax
        path = tmp_path / str(syntax)
        header.save_as(path, enforce_file_format=True)
        assert read(path).values["TransferSyntaxUID"] == syntax
    path.write_bytes(path.read_bytes()[:-40])
    assert reason(path) == "truncated"


def test_cut_anywhere_is_truncated_or_no_image_and_never_a_crash(tmp_path):
    path = save(tmp_path)
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        expected = ("not_dicom",) if length < 132 else ("truncated", "no_pixel_data")
        assert reason(path) in expected, length
    for length in range(len(content) - PIXELS.nbytes, len(content)):
        path.write_bytes(content[:length])
        assert reason(path) == "truncated"


def test_fewer_pixels_than_rows_and_columns(tmp_path):
    assert reason(save(tmp_path, Rows=7)) == "truncated"
    assert isinstance(read_header(tmp_path, save(tmp_path, Rows=5)), Header)  # padding at the end is harmless


def test_garbage_in_the_header_never_crashes(tmp_path):
    path = save(tmp_path, SeriesDescription="x" * 40)
    content = path.read_bytes()
    dice = random.Random(3)
    for _ in range(300):
        broken = bytearray(content)
        for _ in range(dice.randint(1, 6)):
            broken[dice.randrange(128, len(broken))] = dice.randrange(256)
        path.write_bytes(broken)
        assert isinstance(read_header(tmp_path, path), Header | Excluded)


def test_no_pixels_and_no_series(tmp_path):
    report = image(PIXELS)
    del report.PixelData, report.Rows, report.Columns
    report.save_as(tmp_path / "report", enforce_file_format=True)
    assert reason(tmp_path / "report") == "no_pixel_data"
    assert reason(save(tmp_path, SeriesInstanceUID=None)) == "no_series_uid"
    outside = tmp_path / "outside"
    outside.write_bytes(save(tmp_path, SeriesInstanceUID="1.2.3.4.5").read_bytes().replace(b"1.2.3.4.5", b"../../../"))
    assert reason(outside) == "no_series_uid"  # it would become a file name


def test_one_row_a_series_with_the_first_value_that_is_given(tmp_path):
    write_series(tmp_path / "one", [0, 2, 4, 6], SeriesInstanceUID="1.1", KVP=120)
    paths = write_series(tmp_path / "two", [0, 2, 4, 6], SeriesInstanceUID="1.2")
    late = image(PIXELS, SeriesInstanceUID="1.2", InstanceNumber=1, ImagePositionPatient=[0, 0, 0], KVP=90)
    late.save_as(paths[0], enforce_file_format=True)
    series = extract_series(tmp_path, n_processes=1).series
    assert series["SeriesInstanceUID"].tolist() == ["1.1", "1.2"]
    assert series["KVP"].tolist() == [120, 90]
    assert series["slice_spacing_mm"].tolist() == [2, 2]
    assert (
        series[["pixel_spacing_row_mm", "pixel_spacing_column_mm", "n_rows", "n_columns"]].values.tolist()
        == [[2.0, 1.5, 6, 8]] * 2
    )


def test_a_copy_of_a_file_is_left_out_and_its_series_stays(tmp_path):
    paths = write_series(tmp_path / "a", [0, 2, 4, 6])
    names = ["a/001 copy.dcm", "b/001.dcm", "b/002.dcm"]
    (tmp_path / "b").mkdir()
    for name, path in zip(names, [paths[1], paths[1], paths[2]], strict=True):
        (tmp_path / name).write_bytes(path.read_bytes())
    os.link(paths[3], tmp_path / "b/link")
    extract = extract_series(tmp_path, n_processes=1)
    assert extract.series.loc[0, ["n_files", "geometry"]].tolist() == [4, "regular"]
    excluded = extract.excluded[["path", "SeriesInstanceUID", "reason", "detail"]].values.tolist()
    kept = ["a/001 copy.dcm", "a/001 copy.dcm", "a/002.dcm", "a/003.dcm"]
    left_out = ["a/001.dcm", "b/001.dcm", "b/002.dcm", "b/link"]
    assert excluded == [
        [name, "1.2.3.4", "duplicate_file", f"same bytes as {first}"]
        for name, first in zip(left_out, kept, strict=True)
    ]


def test_files_that_share_an_image_but_not_its_bytes_are_all_kept(tmp_path):
    paths = write_series(tmp_path, [0, 2, 4, 6])
    (tmp_path / "other.dcm").write_bytes(paths[1].read_bytes()[:-2] + b"\x7f\x7f")
    extract = extract_series(tmp_path, n_processes=1)
    assert extract.series.loc[0, ["n_files", "geometry"]].tolist() == [5, "duplicate_position"]
    assert len(extract.excluded) == 0


def test_result_does_not_depend_on_names_or_processes(tmp_path):
    order = random.Random(1).sample(range(90), 90)
    for index in range(90):
        image(PIXELS, SOPInstanceUID=generate_uid(entropy_srcs=[str(index)]), InstanceNumber=index + 1,
              ImagePositionPatient=[0, 0, 3.0 * index]).save_as(tmp_path / f"{order[index]}", enforce_file_format=True)  # fmt: skip
    one, two = extract_series(tmp_path, n_processes=1), extract_series(tmp_path, n_processes=2)
    assert one.series.equals(two.series)
    assert one.files.equals(two.files)
    assert one.files["path"].tolist() == [str(number) for number in order]
    assert one.files["position_mm"].tolist() == [3.0 * index for index in range(90)]
