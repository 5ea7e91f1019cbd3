"""Siemens mosaics and enhanced multi-frame files are volumes in one file."""

import struct

import numpy as np
import pytest
import SimpleITK as sitk

from radnet3d.dicom.csa import read_csa
from radnet3d.dicom.extract import extract_series
from radnet3d.dicom.headers import read_header
from radnet3d.volumes.pixels import read_file, read_volume
from support.dicom_series import enhanced, image


def csa_header(**entries: list[str]) -> bytes:
    """Return a CSA2 header with these entries."""
    content = b"SV10\4\3\2\1" + struct.pack("<2I", len(entries), 77)
    for name, values in entries.items():
        content += struct.pack("<64si4s3i", name.encode(), len(values), b"IS", 6, len(values), 77)
        for value in values:
            text = value.encode() + b"\0"
            content += struct.pack("<4i", len(text), len(text), 77, len(text)) + text + b"\0" * (-len(text) % 4)
    return content


def csa1_header(**entries: list[str]) -> bytes:
    """Return a CSA1 header: no magic number, lengths counted from the first entry's own."""
    content = struct.pack("<2I", len(entries), 77)
    first = 9
    content += struct.pack("<64si4s3i", b"First", 0, b"IS", 6, 1, 77) + struct.pack("<4i", first, 0, 77, 0)
    content = struct.pack("<I", len(entries) + 1) + content[4:]
    for name, values in entries.items():
        content += struct.pack("<64si4s3i", name.encode(), len(values), b"IS", 6, len(values), 77)
        for value in values:
            text = value.encode() + b"\0"
            content += struct.pack("<4i", len(text) + first, 0, 77, 0) + text + b"\0" * (-len(text) % 4)
    return content


def mosaic_file(path, n_tiles=5, normal=(0.0, 0.0, 1.0), csa=True):
    """Write a mosaic of 3 x 3 tiles of 4 x 4 pixels; tile i holds the value 10 i."""
    pixels = np.zeros((12, 12), np.int16)
    for tile in range(n_tiles):
        row, column = divmod(tile, 3)
        pixels[4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = 10 * tile
    header = image(pixels, "MR", ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"], SpacingBetweenSlices=3.0)
    header.PixelSpacing, header.ImagePositionPatient = [2.0, 2.0], [-8.0, -8.0, 50.0]
    if csa:
        block = header.private_block(0x29, "SIEMENS CSA HEADER", create=True)
        words = [str(value) for value in normal]
        block.add_new(0x10, "OB", csa_header(NumberOfImagesInMosaic=[str(n_tiles)], SliceNormalVector=words))
    header.save_as(path, enforce_file_format=True)


@pytest.mark.parametrize("write", [csa_header, csa1_header])
def test_csa_both_versions(write):
    entries = read_csa(write(NumberOfImagesInMosaic=["36"], SliceNormalVector=["0.1", "-0.2", "0.9", ""]))
    assert entries["NumberOfImagesInMosaic"] == ["36"]
    assert entries["SliceNormalVector"] == ["0.1", "-0.2", "0.9"]


@pytest.mark.parametrize(
    "content", [b"", b"SV10", b"SV10\4\3\2\1" + b"\xff" * 8, csa_header(A=["1"])[:-8], b"\0" * 500]
)
def test_csa_that_is_none(content):
    with pytest.raises(ValueError, match="CSA"):
        read_csa(content)


@pytest.mark.parametrize(("normal", "z_mm"), [((0.0, 0.0, 1.0), 50.0), ((0.0, 0.0, -1.0), 38.0)])
def test_mosaic_is_a_volume(tmp_path, normal, z_mm):
    mosaic_file(tmp_path / "m", normal=normal)
    extract = extract_series(tmp_path, n_processes=1)
    row = extract.series.iloc[0]
    assert (row["n_slices"], row["n_rows"], row["slice_spacing_mm"], row["geometry"]) == (5, 4, 3.0, "regular")
    assert row["Rows"] == 12
    assert row["position_min_mm"] == z_mm
    values = read_volume(tmp_path, extract.files)[:, 0, 0].tolist()
    assert values == [0, 10, 20, 30, 40][:: int(normal[2])]
    # the first tile sits in the middle of where the mosaic says it begins
    assert read_header(tmp_path, tmp_path / "m").slices[0].position_lps_mm == (0.0, 0.0, 50.0)


def test_mosaic_without_its_private_header_has_no_geometry(tmp_path):
    mosaic_file(tmp_path / "m", csa=False)
    assert extract_series(tmp_path, n_processes=1).series["geometry"].tolist() == ["no_geometry"]


def test_several_mosaics_are_several_volumes(tmp_path):
    for index in range(3):
        mosaic_file(tmp_path / str(index))
    row = extract_series(tmp_path, n_processes=1).series.iloc[0]
    assert (row["geometry"], row["n_slices"], row["n_volumes"], row["n_files"]) == ("multi_volume", 5, 3, 3)


def test_enhanced_frames_are_sorted_and_rescaled_one_by_one(tmp_path):
    volume = np.arange(5, dtype=np.int16)[:, None, None] * np.ones((1, 6, 8), np.int16)
    enhanced(volume, [8, 0, 4, 2, 6], slopes=[1, 2, 3, 4, 5]).save_as(tmp_path / "e", enforce_file_format=True)
    extract = extract_series(tmp_path, n_processes=1)
    row = extract.series.iloc[0]
    assert (row["n_slices"], row["slice_spacing_mm"], row["geometry"]) == (5, 2.0, "regular")
    assert (row["RepetitionTime"], row["SliceThickness"]) == (500.0, 9.0)  # thickness is not the spacing
    assert row["ImageOrientationPatient"] == "1.0\\0.0\\0.0\\0.0\\1.0\\0.0"
    assert read_volume(tmp_path, extract.files)[:, 0, 0].tolist() == [2, 12, 6, 20, 0]


def test_frames_without_groups_have_no_geometry(tmp_path):
    header = image(np.zeros((5, 6, 8), np.int16), "MR", NumberOfFrames=5)
    header.save_as(tmp_path / "old", enforce_file_format=True)
    assert extract_series(tmp_path, n_processes=1).series["geometry"].tolist() == ["no_geometry"]


def test_real_mosaic_equals_its_conversion_by_another_program(real_data):
    folder = real_data / "real/mr_mosaic_orientation/ax/axasc35"
    converted = sitk.ReadImage(str(next(folder.glob("*.nii"))))  # by dcm2niix: rows run the other way
    for volume, path in enumerate(sorted(folder.glob("MR*"))):
        image_3d = converted[:, :, :, volume]
        assert np.array_equal(read_file(path), sitk.GetArrayFromImage(image_3d)[:, ::-1])
        slices = read_header(folder, path).slices
        for index in (0, 17, 34):
            corner = image_3d.TransformIndexToPhysicalPoint((0, 63, index))
            np.testing.assert_allclose(slices[index].position_lps_mm, corner, atol=1e-4)
