"""Files of liver cases that were cut short, damaged, or hold what is no volume: each is named, and says what it holds."""

import gzip
import struct

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from radnet3d.errors import LiverCaseError, ScanError
from radnet3d.liver import chaos, lits
from radnet3d.liver.frame import read_nifti
from radnet3d.liver.importing import import_cases
from support.dicom_series import write_series

SHAPE = (8, 10, 12)
N_VOXELS = 8 * 10 * 12


def write_nifti(path, array):
    made = sitk.GetImageFromArray(array)
    made.SetSpacing((0.8, 0.9, 2.5))
    sitk.WriteImage(made, str(path))
    return path


def ct(dtype=np.int16):
    """Return noise, so that it compresses little, with a liver of 100 HU."""
    volume = np.random.default_rng(0).integers(-1000, -900, SHAPE)
    volume[1:4, 1:5, 1:6] = 100
    return volume.astype(dtype)


def write_case(folder, case_id, suffix=".nii.gz", dtype=np.int16):
    folder.mkdir(exist_ok=True)
    write_nifti(folder / f"volume-{case_id}{suffix}", ct(dtype))
    write_nifti(folder / f"segmentation-{case_id}{suffix}", (ct() == 100).astype(np.uint8))
    return folder


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_file_cut_short_is_refused(tmp_path, suffix, dtype):
    path = write_nifti(tmp_path / f"scan{suffix}", ct(dtype))
    read_nifti(path)
    whole = path.read_bytes()
    for n_bytes in (0, 100, 348, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:n_bytes])
        with pytest.raises(ScanError, match=f"scan{suffix}: (cut short|not a readable NIfTI)"):
            read_nifti(path)


def test_a_whole_gzip_of_too_few_voxels_is_refused_and_bytes_behind_them_are_not(tmp_path):
    path = write_nifti(tmp_path / "scan.nii", ct())
    packed = tmp_path / "scan.nii.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()[:-4]))
    with pytest.raises(ScanError, match=f"cut short: {2 * N_VOXELS - 4} bytes of voxels, .* tells of {2 * N_VOXELS}"):
        read_nifti(packed)
    path.write_bytes(path.read_bytes() + b"\xff" * 100)
    assert np.array_equal(sitk.GetArrayFromImage(read_nifti(path)), ct())
    path.write_bytes(write_nifti(path, ct(np.float32)).read_bytes() + b"\xff" * 100)  # NaN, but no voxels
    assert np.array_equal(sitk.GetArrayFromImage(read_nifti(path)), ct())


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_what_is_no_gzip_is_refused(tmp_path, dtype):
    plain = write_nifti(tmp_path / "scan.nii", ct(dtype)).read_bytes()
    path = write_nifti(tmp_path / "scan.nii.gz", ct(dtype))
    packed = path.read_bytes()
    damaged = bytearray(packed)
    damaged[len(packed) // 2] ^= 0xFF
    for content in (plain, packed + b"behind it", bytes(damaged)):
        path.write_bytes(content)
        with pytest.raises(ScanError, match=r"scan.nii.gz: not a readable NIfTI file: "):
            read_nifti(path)


def test_voxels_in_the_order_of_other_machines_are_counted_too(tmp_path):
    values = np.array([[[1.5, np.inf], [-2, 3]]], ">f4")
    header = bytearray(352)
    for start, layout, numbers in (
        (0, ">i", (348,)), (40, ">8h", (3, 2, 2, 1, 1, 1, 1, 1)), (70, ">2h", (16, 32)),
        (76, ">4f", (1, 0.8, 0.9, 2)), (108, ">2f", (352, 1)), (344, "4s", (b"n+1",)),
    ):  # fmt: skip
        struct.pack_into(layout, header, start, *numbers)
    path = tmp_path / "scan.nii"
    path.write_bytes(bytes(header) + values.tobytes())
    with pytest.raises(ScanError, match="1 voxels are NaN or infinite"):
        read_nifti(path)
    path.write_bytes(bytes(header) + np.nan_to_num(values, posinf=7).tobytes())
    assert sitk.GetArrayFromImage(read_nifti(path)).tolist() == [[[1.5, 7], [-2, 3]]]
    path.write_bytes(struct.pack(">i", 540) + bytes(header[4:]))
    with pytest.raises(ScanError, match="NIfTI-2, wanted NIfTI-1"):
        read_nifti(path)


def test_voxels_that_are_no_numbers_are_refused(tmp_path):
    path = tmp_path / "scan.nii"
    colours = sitk.GetImageFromArray(np.zeros((*SHAPE, 3), np.uint8), isVector=True)
    for made in (sitk.Image(SHAPE, sitk.sitkComplexFloat32), sitk.Image([4, 4, 4, 2], sitk.sitkInt16), colours):
        sitk.WriteImage(made, str(path))
        with pytest.raises(ScanError, match=r"scan.nii: .* wanted (real numbers|one volume of numbers)"):
            read_nifti(path)


def test_nan_in_a_segmentation_is_refused(tmp_path):
    folder = write_case(tmp_path / "in", "0")
    labels = (ct() == 100).astype(np.float32)
    labels[0, 0, 0] = np.nan
    write_nifti(folder / "segmentation-0.nii.gz", labels)
    with pytest.raises(ScanError, match=r"segmentation-0.nii.gz: 1 voxels are NaN"):
        lits.read_case(*lits.find_cases(folder)[0], spacings={})


def test_damaged_cases_are_all_named_at_once(tmp_path):
    for case_id in "0123":
        folder = write_case(tmp_path / "in", case_id, dtype=np.float32)
    for case_id, n_bytes in (("1", 30), ("2", 300)):
        path = folder / f"volume-{case_id}.nii.gz"
        path.write_bytes(path.read_bytes()[:-n_bytes])
    (folder / "volume-3.nii.gz").write_bytes(b"<html>404 Not Found</html>")
    (tmp_path / "out").mkdir()
    with pytest.raises(LiverCaseError, match=r"(?s)3 of 4 cases.*volume-1.*volume-2.*volume-3"):
        import_cases(folder, tmp_path / "out", layout="lits", n_processes=1)


def test_what_macos_leaves_beside_the_files_is_no_case(tmp_path):
    folder = write_case(tmp_path / "in", "0")
    for name in ("volume-0.nii.gz", "segmentation-0.nii.gz", "volume-1.nii"):
        (folder / f"._{name}").write_bytes(b"Mac OS X")
    assert [case[0] for case in lits.find_cases(folder)] == ["0"]
    assert lits.read_spacings(folder) == {}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"case_id,z_mm,y_mm,x_mm\n1,1,1,1\n28,2.5,0.9,0.8,7\n",
        b"case_id,z_mm,y_mm,x_mm\n28,2.5,0.9,0.8,7\n",  # were its first value an index, this would be case 2.5
        b"case_id,z_mm,y_mm,x_mm\n28,2.5\n",
        b"case_id,z_mm,y_mm,x_mm\n28,2.5,0.9,inf\n",
        "case_id,z_mm,y_mm,x_mm,größe\n28,2.5,0.9,0.8,1\n".encode("latin-1"),
        "case_id,z_mm,y_mm,x_mm\n28,2.5,0.9,0.8\n".encode("utf-16"),
        b"case_id;z_mm;y_mm;x_mm\n28;2,5;0,9;0,8\n",
    ],
)
def test_a_damaged_table_of_spacings_is_named(tmp_path, content):
    path = tmp_path / "spacings.csv"
    path.write_bytes(content)
    with pytest.raises(LiverCaseError, match=f"{path}: "):
        lits.read_spacings_file(path)


def test_tables_of_spacings_as_programs_write_them(tmp_path):
    path = tmp_path / "spacings.csv"
    for text in (
        "\ufeffcase_id,z_mm,y_mm,x_mm\r\n28,2.5,0.9,0.8\r\n", "case_id,z_mm,y_mm,x_mm\n28,2.5,0.9,0.8,\n",
        "case_id,z_mm,y_mm,x_mm,note\n28,2.5,0.9,0.8,größer\n",
    ):  # fmt: skip
        path.write_text(text, encoding="utf-8")
        assert lits.read_spacings_file(path) == {"28": (2.5, 0.9, 0.8)}


# CHAOS


def write_chaos(folder):
    """Write four slices of 6 x 8 pixels and their masks, and return the folder of the masks."""
    write_series(folder / "DICOM_anon", [0, 2, 4, 6], np.full((4, 6, 8), 60, np.int16))
    (folder / "Ground").mkdir()
    for index in range(4):
        pixels = np.random.default_rng(index).integers(0, 2, (6, 8)).astype(np.uint8) * 255
        Image.fromarray(pixels).save(folder / f"Ground/liver_GT_{index:03d}.png")
    return folder / "Ground"


def read_chaos(folder):
    (found,) = chaos.find_cases(folder)
    return chaos.read_case(*found)


def test_a_mask_of_another_shape_is_named(tmp_path):
    masks = write_chaos(tmp_path / "1")
    assert read_chaos(tmp_path).segmentation_zyx.shape == (4, 6, 8)
    for size in ((8, 5), (6, 8)):  # columns, rows
        Image.new("L", size).save(masks / "liver_GT_002.png")
        with pytest.raises(LiverCaseError, match=r"liver_GT_002.png: mask of .* its slice has \(6, 8\)"):
            read_chaos(tmp_path)
    Image.new("RGB", (8, 6)).save(masks / "liver_GT_002.png")
    with pytest.raises(LiverCaseError, match=r"liver_GT_002.png: mask of \(6, 8, 3\)"):
        read_chaos(tmp_path)


def test_a_damaged_mask_is_named(tmp_path):
    path = write_chaos(tmp_path / "1") / "liver_GT_001.png"
    whole = path.read_bytes()
    for content in (b"", b"xx", whole[: len(whole) // 2], whole[:40] + b"????" + whole[44:], whole[:8] + whole[20:]):
        path.write_bytes(content)
        with pytest.raises(LiverCaseError, match=r"liver_GT_001.png: not a readable PNG"):
            read_chaos(tmp_path)


def test_what_macos_leaves_beside_the_masks_is_no_mask(tmp_path):
    masks = write_chaos(tmp_path / "1")
    (masks / "._liver_GT_000.png").write_bytes(b"Mac OS X")
    (tmp_path / ".trash/Ground").mkdir(parents=True)
    assert read_chaos(tmp_path).segmentation_zyx.any()
