"""Intensities: rescaling, fill, order of slices, compression, colour."""

import numpy as np
import pytest
import SimpleITK as sitk

from radnet3d.dicom.extract import extract_series
from radnet3d.errors import PixelError
from radnet3d.volumes.pixels import read_file, read_volume
from radnet3d.volumes.store import to_int16
from support.dicom_series import image, write_series


def values_of(tmp_path, pixels, modality="CT", **values):
    image(np.array([pixels]), modality, **values).save_as(tmp_path / "a", enforce_file_format=True)
    return read_file(tmp_path / "a").ravel().tolist()


def test_slices_ascend_along_the_normal_whatever_their_names_and_numbers(tmp_path):
    write_series(tmp_path, [30, 0, 20, 10])
    volume = read_volume(tmp_path, extract_series(tmp_path, n_processes=1).files)
    assert volume[:, 0, 0].tolist() == [1, 3, 2, 0]
    assert volume.shape == (4, 6, 8)


def test_rescaling_differs_from_slice_to_slice(tmp_path):
    for index in range(4):
        image(np.full((6, 8), 10, np.int16), "PT", InstanceNumber=index, ImagePositionPatient=[0, 0, index],
              RescaleSlope=index + 1, RescaleIntercept=-1).save_as(tmp_path / f"{index}", enforce_file_format=True)  # fmt: skip
    volume = read_volume(tmp_path, extract_series(tmp_path, n_processes=1).files)
    assert volume[:, 0, 0].tolist() == [9, 19, 29, 39]


def test_signed_and_unsigned(tmp_path):
    rescale = {"RescaleSlope": 1, "RescaleIntercept": -1024}
    assert values_of(tmp_path, np.array([0, 1064, 65535], np.uint16), **rescale) == [-1024, 40, 64511]
    assert values_of(tmp_path, np.array([-2000, 40, 3000], np.int16)) == [-1024, 40, 3000]  # below air is fill


def test_announced_fill_is_air(tmp_path):
    pixels = np.array([-2000, 0, 50], np.int16)
    assert values_of(tmp_path, pixels, PixelPaddingValue=-2000) == [-1024, 0, 50]
    # the same value written as if it were unsigned, as some consoles do
    header = image(np.array([pixels]))
    header.add_new("PixelPaddingValue", "US", 63536)
    header.save_as(tmp_path / "a", enforce_file_format=True)
    assert read_file(tmp_path / "a").ravel().tolist() == [-1024, 0, 50]
    fill = np.array([4000, 3990, 50], np.int16)
    assert values_of(tmp_path, fill, PixelPaddingValue=3990, PixelPaddingRangeLimit=4095) == [-1024, -1024, 50]
    assert values_of(tmp_path, fill, "MR", PixelPaddingValue=4000) == [50, 3990, 50]


def test_without_preamble_or_meta_header(tmp_path):
    path = tmp_path / "a"
    image(np.array([[1, 2]], np.int16)).save_as(path, enforce_file_format=True)
    content = path.read_bytes()
    path.write_bytes(content[content.index(b"\x08\x00\x16\x00") :])  # from SOPClassUID on
    assert read_file(path).ravel().tolist() == [1, 2]


def test_colour_and_rubbish_are_refused_by_name(tmp_path):
    rgb = image(np.zeros((2, 2), np.int16), SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0,
                BitsAllocated=8, BitsStored=8, HighBit=7, PixelRepresentation=0, PixelData=bytes(12))  # fmt: skip
    rgb.save_as(tmp_path / "rgb", enforce_file_format=True)
    with pytest.raises(PixelError, match="rgb: 3 samples"):
        read_file(tmp_path / "rgb")
    (tmp_path / "rubbish").write_bytes(b"no")
    with pytest.raises(PixelError, match="rubbish: pixels cannot be decoded"):
        read_file(tmp_path / "rubbish")


def test_stored_scale():
    hu = np.array([-1024.4, 40.6, 40000], np.float32)
    assert to_int16(hu, "CT").tolist() == [-1024, 41, 32767]
    bright = np.append(np.linspace(0, 500, 9999), 1e6).astype(np.float32)
    scaled = to_int16(bright, "MR")
    assert (scaled.min(), scaled.max()) == (0, 1000)
    assert abs(int(scaled[5000]) - 500) < 10  # one metal voxel does not set the scale
    assert to_int16(np.zeros(10, np.float32), "PT").tolist() == [0] * 10


@pytest.mark.parametrize(
    "name", ["693_J2KR.dcm", "explicit_VR-UN.dcm", "JPEG-LL.dcm", "RG1_J2KI.dcm", "emri_small.dcm"]
)
def test_real_compressed_files_decode(real_data, name):
    planes = read_file(real_data / "real/pydicom_data_singles" / name)
    assert planes.ndim == 3
    assert planes.max() > planes.min()


def test_real_compressed_ct_equals_another_reader(real_data):
    path = real_data / "real/pydicom_data_singles/693_J2KR.dcm"
    expected = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    assert np.array_equal(read_file(path), np.maximum(expected, -1024))
