"""LiTS cases: pairing, checks, lost affines, orientation; one frame for all, and the way back to the input's grid."""

import re

import numpy as np
import pytest
import SimpleITK as sitk

from radnet3d.dicom.extract import extract_series
from radnet3d.errors import GeometryError, LiverCaseError, ScanError
from radnet3d.liver import chaos, lits
from radnet3d.liver.cases import Case, check_case, store_case
from radnet3d.liver.frame import Grid, orientation_code, read_nifti, read_scan, to_frame, write_mask
from support.dicom_series import AXIAL, CORONAL, SAGITTAL, image, write_series

ORIENTATIONS = ["LPS", "RAS", "LAS", "RPI", "PIR", "SAR", "ILP"]


def phantom() -> tuple[sitk.Image, sitk.Image]:
    """Return a volume and its segmentation in the common frame: the liver is low, at the front, on the right."""
    volume = np.full((8, 10, 12), -1000, np.int16)
    volume[1:7, 1:9, 1:11] = -80
    volume[1:7, 6:8, 3:9] = 700  # a spine
    volume[1:7, 1:3, 7:10] = -900  # a stomach
    volume[1:4, 1:5, 1:6] = 100
    labels = np.zeros((8, 10, 12), np.uint8)
    labels[1:4, 1:5, 1:6] = 1
    labels[2, 2, 2] = 2
    images = []
    for array in (volume, labels):
        made = sitk.GetImageFromArray(array)
        made.SetSpacing((0.8, 0.9, 2.5))
        made.SetOrigin((-20.0, 30.0, 40.0))
        images.append(made)
    return images[0], images[1]


def write_case(folder, case_id="0", *, code="LPS", suffix=".nii", change=lambda volume, labels: None):
    folder.mkdir(exist_ok=True)
    volume, labels = (sitk.DICOMOrient(made, code) for made in phantom())
    change(volume, labels)
    sitk.WriteImage(volume, str(folder / f"volume-{case_id}{suffix}"))
    sitk.WriteImage(labels, str(folder / f"segmentation-{case_id}{suffix}"))
    return folder


def read(folder, case_id="0") -> Case:
    found = {case[0]: case for case in lits.find_cases(folder)}
    return lits.read_case(*found[case_id], spacings=lits.read_spacings(folder))


@pytest.mark.parametrize("code", ORIENTATIONS)
def test_any_orientation_comes_out_in_the_common_frame(tmp_path, code):
    case = read(write_case(tmp_path / "in", code=code))
    volume, labels = phantom()
    assert np.array_equal(case.volume_hu_zyx, sitk.GetArrayFromImage(volume))
    assert np.array_equal(case.segmentation_zyx, sitk.GetArrayFromImage(labels))
    assert case.spacing_zyx_mm == pytest.approx((2.5, 0.9, 0.8))


def test_row_of_a_case(tmp_path):
    row = store_case(read(write_case(tmp_path / "in", suffix=".nii.gz")), tmp_path)
    voxel_ml = 2.5 * 0.9 * 0.8 / 1000
    assert row["liver_ml"] == pytest.approx(60 * voxel_ml)  # the tumour is part of the liver
    assert row["tumour_ml"] == pytest.approx(1 * voxel_ml)
    assert (row["shape_zyx"], row["spacing_zyx_mm"]) == ("8,10,12", "2.5,0.9,0.8")
    assert np.load(tmp_path / row["volume_path"]).dtype == np.int16
    assert np.load(tmp_path / row["segmentation_path"]).dtype == np.uint8
    again = store_case(read(write_case(tmp_path / "turned", code="RPI")), tmp_path / "other")
    assert again["image_sha256"] == row["image_sha256"]  # the same scan, however it is stored


def test_cases_are_paired_and_in_the_order_of_their_numbers(tmp_path):
    for name in ("2", "10", "1"):
        write_case(tmp_path / "in", name)
    (tmp_path / "in/readme.txt").write_text("")
    assert [case[0] for case in lits.find_cases(tmp_path / "in")] == ["1", "2", "10"]


def test_halves_and_doubles_are_named(tmp_path):
    folder = write_case(tmp_path / "in", "7")
    (folder / "segmentation-7.nii").rename(folder / "segmentation-8.nii")
    with pytest.raises(
        LiverCaseError, match=r"volume-7.nii has no segmentation-7.nii; segmentation-8.nii has no volume-8"
    ):
        lits.find_cases(folder)
    write_case(folder, "7")
    (folder / "volume-7.nii.gz").write_bytes(b"")
    with pytest.raises(LiverCaseError, match=r"volume twice"):
        lits.find_cases(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(LiverCaseError, match=r"no volume-N.nii"):
        lits.find_cases(tmp_path / "empty")


def lose_affine(volume, labels):
    for made in (volume, labels):
        made.SetSpacing((1, 1, 1))
        made.SetOrigin((0, 0, 0))
        made.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))  # what ITK makes of an identity affine


def test_a_lost_affine_is_refused_and_mended_by_a_table(tmp_path):
    folder = write_case(tmp_path / "in", "28", code="RAS", change=lose_affine)
    with pytest.raises(LiverCaseError, match=r"volume-28.nii: identity affine.*Task03_Liver.*case_id,z_mm,y_mm,x_mm"):
        read(folder, "28")
    (folder / "spacings.csv").write_text("case_id,z_mm,y_mm,x_mm\n28,2.5,0.9,0.8\n")
    case = read(folder, "28")
    assert case.spacing_zyx_mm == (2.5, 0.9, 0.8)
    assert np.array_equal(case.volume_hu_zyx, sitk.GetArrayFromImage(phantom()[0]))


def test_a_table_of_spacings_lies_beside_the_real_files(tmp_path):
    folder = write_case(tmp_path / "real", "28", change=lose_affine)
    (tmp_path / "links").mkdir()
    for path in folder.iterdir():
        (tmp_path / "links" / path.name).symlink_to(path)
    with pytest.raises(LiverCaseError, match=f"write it into {folder / 'spacings.csv'} "):
        read(tmp_path / "links", "28")
    (folder / "spacings.csv").write_text("case_id,z_mm,y_mm,x_mm\n28,2.5,0.9,0.8\n")
    assert read(tmp_path / "links", "28").spacing_zyx_mm == (2.5, 0.9, 0.8)


def test_a_table_that_contradicts_a_header_is_refused_and_one_that_agrees_is_not(tmp_path):
    folder = write_case(tmp_path / "in")
    (folder / "spacings.csv").write_text("case_id,z_mm,y_mm,x_mm\n0,2.5,0.9,0.8\n")
    assert read(folder).spacing_zyx_mm == pytest.approx((2.5, 0.9, 0.8))
    (folder / "spacings.csv").write_text("case_id,z_mm,y_mm,x_mm\n0,5,0.9,0.8\n")
    with pytest.raises(LiverCaseError, match=r"volume-0.nii: its header has a spacing of .* spacings.csv says \(5.0,"):
        read(folder)


@pytest.mark.parametrize("code", ORIENTATIONS[1:])
def test_a_mask_saved_in_another_orientation_than_its_volume_is_taken_by_header(tmp_path, caplog, code):
    folder = write_case(tmp_path / "in")
    sitk.WriteImage(sitk.DICOMOrient(phantom()[1], code), str(folder / "segmentation-0.nii"))
    assert np.array_equal(read(folder).segmentation_zyx, sitk.GetArrayFromImage(phantom()[1]))
    assert "taken by header" in caplog.text
    folder = write_case(tmp_path / "other", code=code)
    sitk.WriteImage(phantom()[1], str(folder / "segmentation-0.nii"))
    assert np.array_equal(read(folder).segmentation_zyx, sitk.GetArrayFromImage(phantom()[1]))


@pytest.mark.parametrize("code", ["RAS", "LAS", "RPI"])  # whose axes are in the same order
def test_a_mask_whose_header_alone_was_turned_is_taken_voxel_by_voxel(tmp_path, caplog, code):
    folder = write_case(tmp_path / "in")
    header = Grid.of(sitk.DICOMOrient(phantom()[1], code))
    sitk.WriteImage(header.image(sitk.GetArrayFromImage(phantom()[1])), str(folder / "segmentation-0.nii"))
    assert np.array_equal(read(folder).segmentation_zyx, sitk.GetArrayFromImage(phantom()[1]))
    assert "100 ± 0 voxel by voxel" in caplog.text


def test_headers_that_cover_other_boxes_or_hu_that_do_not_tell_mean_voxel_by_voxel(tmp_path, caplog):
    folder = write_case(tmp_path / "in")
    turned = sitk.DICOMOrient(phantom()[1], "RPI")
    by_voxel = sitk.GetArrayFromImage(turned)
    sitk.WriteImage(turned, str(folder / "segmentation-0.nii"))
    volume = np.full((8, 10, 12), 60, np.int16)
    volume[0, 0, 0] = -1000  # a box of one tissue
    made = Grid.of(phantom()[0]).image(volume)
    sitk.WriteImage(made, str(folder / "volume-0.nii"))
    assert np.array_equal(read(folder).segmentation_zyx, by_voxel)
    assert "60 ± 0 by header, 60 ± 0 voxel by voxel" in caplog.text
    write_case(tmp_path / "in")
    turned.SetOrigin((0.0, 0.0, 0.0))
    sitk.WriteImage(turned, str(folder / "segmentation-0.nii"))
    assert np.array_equal(read(folder).segmentation_zyx, by_voxel)
    assert "its header lies elsewhere" in caplog.text


def test_air_is_no_liver_however_little_its_hu_differ():
    rng = np.random.default_rng(0)
    liver, twice_as_noisy = (rng.normal(100, noise, 500).astype(np.int16) for noise in (20, 40))
    air = np.full(500, -1000, np.int16)
    assert lits.is_rather_liver(liver, air) and not lits.is_rather_liver(air, liver)
    assert lits.is_rather_liver(liver, twice_as_noisy) and not lits.is_rather_liver(twice_as_noisy, liver)
    assert not lits.is_rather_liver(liver, np.append(liver, [160] * 5))  # 4 % more


@pytest.mark.parametrize("is_mirrored", [False, True])
def test_a_liver_on_the_left_of_a_file_without_affine_is_said(tmp_path, caplog, is_mirrored):
    def lose_and_mirror(volume, labels):
        labels[:] = 0
        half = labels.GetSize()[0] // 2
        labels[half + 1 if is_mirrored else 0 : None if is_mirrored else half, :, :] = 1
        lose_affine(volume, labels)

    folder = write_case(tmp_path / "in", code="LPS", change=lose_and_mirror)
    (folder / "spacings.csv").write_text("case_id,z_mm,y_mm,x_mm\n0,2.5,0.9,0.8\n")
    read(folder)
    assert (
        "it may be stored mirrored" in caplog.text
    ) is not is_mirrored  # what ITK makes of an identity affine turns x


def nifti(path, volume, *, spacing=(0.8, 0.9, 2.5), origin=(1.0, 2.0, 3.0)):
    made = sitk.GetImageFromArray(volume)
    made.SetSpacing(spacing)
    made.SetOrigin(origin)
    sitk.WriteImage(made, str(path))
    return path


def test_a_nifti_that_is_no_ct_is_refused(tmp_path):
    volume = sitk.GetArrayFromImage(phantom()[0])
    path = tmp_path / "scan.nii"
    with pytest.raises(ScanError, match=r"scan.nii: identity affine"):
        read_scan(nifti(path, volume, spacing=(1, 1, 1), origin=(0, 0, 0)))
    for lost in (np.nan, np.inf):
        with pytest.raises(ScanError, match=r"scan.nii: 1 voxels are NaN or infinite"):
            read_scan(nifti(path, np.where(np.arange(volume.size).reshape(volume.shape) == 5, lost, volume)))
    for mr in (np.abs(volume), volume.clip(-199)):
        with pytest.raises(ScanError, match=r"scan.nii: lowest value -?\d+, wanted a CT in HU"):
            read_scan(nifti(path, mr))
    for ct in (volume.clip(-200), volume - 24, volume.astype(np.float32)):  # clipped, padded, as fractions
        assert read_scan(nifti(path, ct)).volume_hu_zyx.min() == ct.min()
    folder = write_case(tmp_path / "in", change=lambda volume, labels: None)
    nifti(folder / "volume-0.nii", np.where(volume == 100, np.nan, volume))
    with pytest.raises(ScanError, match=r"volume-0.nii: 60 voxels are NaN"):
        read(folder)


@pytest.mark.parametrize(
    "text", ["case,z\n1,2\n", "case_id,z_mm,y_mm,x_mm\n1,0,1,1\n", "case_id,z_mm,y_mm,x_mm\n1,,1,1\n"]
)
def test_a_wrong_table_of_spacings(tmp_path, text):
    (tmp_path / "spacings.csv").write_text(text)
    with pytest.raises(LiverCaseError, match=r"spacings.csv"):
        lits.read_spacings(tmp_path)


def case_with(volume=None, labels=None) -> Case:
    arrays = [sitk.GetArrayFromImage(made) for made in phantom()]
    return Case("5", "p5", arrays[0] if volume is None else volume, arrays[1] if labels is None else labels, (1, 1, 1))


def gassy(n_voxels):
    """Return the volume of the phantom with air in so many of the 60 voxels of its liver."""
    volume = sitk.GetArrayFromImage(phantom()[0])
    volume[tuple(np.argwhere(volume == 100)[:n_voxels].T)] = -800
    return volume


def test_some_gas_in_a_liver_is_no_fault():
    check_case(case_with(volume=gassy(6)))


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (case_with(labels=np.zeros((8, 10, 11), np.uint8)), "volume (8, 10, 12), segmentation (8, 10, 11)"),
        (case_with(labels=np.full((8, 10, 12), 3)), "segmentation holds [3]"),
        (case_with(labels=np.full((8, 10, 12), 255)), "segmentation holds [255]"),
        (case_with(labels=np.zeros((8, 10, 12), np.uint8)), "segmentation is empty"),
        (case_with(volume=np.full((8, 10, 12), 100, np.int16)), "wanted HU, with air"),
        (case_with(volume=np.full((8, 10, 12), -1000, np.int16)), "median -1000 HU under the liver"),
        (
            case_with(volume=gassy(7)),
            "12% of the liver below -200 HU, wanted 10% or less: other units, or a segmentation",
        ),
    ],
)
def test_cases_that_cannot_be(case, message):
    with pytest.raises(LiverCaseError, match=f"case 5: .*{re.escape(message)}"):
        check_case(case)


def test_shapes_and_files_that_cannot_be(tmp_path):
    folder = write_case(tmp_path / "in")
    sitk.WriteImage(phantom()[1][:, :, :5], str(folder / "segmentation-0.nii"))
    with pytest.raises(LiverCaseError, match=r"segmentation-0.nii: \(12, 10, 5\)"):
        read(folder)
    (folder / "segmentation-0.nii").write_bytes(b"\0" * 400)
    with pytest.raises(ScanError, match=r"segmentation-0.nii: not a readable NIfTI"):
        read(folder)


@pytest.mark.parametrize("code", ORIENTATIONS)
def test_a_mask_goes_back_onto_the_grid_of_its_nifti(tmp_path, code):
    folder = write_case(tmp_path / "in", code=code)
    scan = read_scan(folder / "volume-0.nii")
    assert scan.volume_hu_zyx.shape == (8, 10, 12)
    write_mask(scan.volume_hu_zyx == 100, scan, tmp_path / "mask.nii.gz")
    mask, volume = sitk.ReadImage(str(tmp_path / "mask.nii.gz")), sitk.ReadImage(str(folder / "volume-0.nii"))
    assert np.array_equal(sitk.GetArrayFromImage(mask) > 0, sitk.GetArrayFromImage(volume) == 100)
    assert Grid.of(mask) == Grid.of(volume)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "mask.nii.gz"]


PLANES = {
    "axial": (AXIAL, "RAS"), "feet first, prone": ((-1, 0, 0, 0, -1, 0), None), "coronal": (CORONAL, None),
    "sagittal": (SAGITTAL, None), "oblique": ((0.8, 0.6, 0, 0, 0, -1), None), "rows upwards": ((1, 0, 0, 0, -1, 0), None),
}  # fmt: skip


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("is_reversed", [False, True])
def test_a_mask_goes_back_onto_the_grid_of_its_series(tmp_path, plane, is_reversed):
    orientation = PLANES[plane][0]
    normal = np.cross(orientation[:3], orientation[3:])
    stored = np.random.default_rng(0).integers(-900, 900, (5, 6, 8)).astype(np.int16)
    folder = tmp_path / "in"
    folder.mkdir()
    for index in range(5):
        place = 4 - index if is_reversed else index
        header = image(stored[index], InstanceNumber=index, ImageOrientationPatient=list(orientation),
                       ImagePositionPatient=(normal * 3.0 * place + [5, 6, 7]).tolist())  # fmt: skip
        header.save_as(folder / f"{index}", enforce_file_format=True)
    scan = read_scan(folder)
    write_mask(scan.volume_hu_zyx > 500, scan, tmp_path / "mask.nii.gz")
    mask = sitk.ReadImage(str(tmp_path / "mask.nii.gz"))
    assert np.array_equal(sitk.GetArrayFromImage(mask) > 0, (stored[::-1] if is_reversed else stored) > 500)
    # every voxel lies where its pixel lies
    corner = mask.TransformIndexToPhysicalPoint((7, 5, 4))
    expected = (
        np.array([5, 6, 7]) + normal * 12 + np.array(orientation[:3]) * 7 * 1.5 + np.array(orientation[3:]) * 5 * 2
    )
    np.testing.assert_allclose(corner, expected, atol=1e-4)
    # and the common frame is the common frame
    assert orientation_code(scan.grid) == "LPS"
    for index in ((0, 0, 0), (3, 2, 1)):
        point = scan.grid.image(scan.volume_hu_zyx).TransformIndexToPhysicalPoint(index)
        there = mask.TransformPhysicalPointToIndex(point)
        in_stack = stored[::-1] if is_reversed else stored
        assert in_stack[there[2], there[1], there[0]] == scan.volume_hu_zyx[index[2], index[1], index[0]]


def test_inputs_that_are_no_volume(tmp_path):
    with pytest.raises(ScanError, match="no such file"):
        read_scan(tmp_path / "none.nii")
    with pytest.raises(ScanError, match="wanted a NIfTI file"):
        read_scan(tmp_path / "scan.mhd")
    with pytest.raises(ScanError, match="no DICOM image"):
        read_scan(tmp_path)
    write_series(tmp_path / "gap", [0, 1, 2, 4])
    with pytest.raises(GeometryError, match="missing_slice") as caught:
        read_scan(tmp_path / "gap")
    assert caught.value.reason == "missing_slice"
    write_series(tmp_path / "mr", [0, 1, 2, 3], Modality="MR")
    with pytest.raises(ScanError, match=r"\['MR'\], wanted a CT"):
        read_scan(tmp_path / "mr")
    for uid in ("1.1", "1.2"):
        write_series(tmp_path / f"two/{uid}", [0, 1, 2, 3], SeriesInstanceUID=uid)
    with pytest.raises(ScanError, match="2 CT volumes"):
        read_scan(tmp_path / "two")
    sitk.WriteImage(sitk.Image([4, 4, 4, 2], sitk.sitkInt16), str(tmp_path / "4d.nii"))
    with pytest.raises(ScanError, match=r"4d.nii: found an image of \(4, 4, 4, 2\)"):
        read_scan(tmp_path / "4d.nii")


def test_a_localizer_beside_the_scan_is_no_trouble(tmp_path):
    write_series(tmp_path / "in/scan", range(5), SeriesInstanceUID="1.1")
    write_series(tmp_path / "in/scout", [0], SeriesInstanceUID="1.2")
    assert read_scan(tmp_path / "in").volume_hu_zyx.shape == (5, 6, 8)


def test_masks_that_do_not_fit(tmp_path):
    scan = read_scan(write_case(tmp_path / "in") / "volume-0.nii")
    with pytest.raises(ScanError, match="the grid has"):
        write_mask(np.zeros((2, 2, 2)), scan, tmp_path / "m.nii")
    with pytest.raises(ScanError, match=r"ends in .nii"):
        write_mask(np.zeros((8, 10, 12)), scan, tmp_path / "m.png")


def test_real_chaos_ct(real_data):
    (found,) = chaos.find_cases(real_data / "real/liver/chaos_ct_set3")
    case = chaos.read_case(*found)
    liver = case.segmentation_zyx > 0
    assert liver.sum() * np.prod(case.spacing_zyx_mm) / 1000 == pytest.approx(1417.5, rel=0.001)
    assert case.volume_hu_zyx[liver].mean() == pytest.approx(141, abs=1)  # 36 where the masks are flipped
    assert case.volume_hu_zyx[::-1][liver].mean() < 100
    left = np.flatnonzero(liver.any(axis=(0, 1))).mean() / liver.shape[2]
    assert left < 0.4  # the liver is on the right, and x runs to the left
    check_case(case)


def test_real_nifti_and_its_masks(real_data, tmp_path):
    folder = real_data / "real/liver/totalseg_example"
    scan = read_scan(folder / "example_ct.nii.gz")
    with pytest.raises(ScanError, match="lowest value 0"):  # a mask is no CT
        read_scan(folder / "masks/liver.nii.gz")
    liver = sitk.GetArrayFromImage(to_frame(read_nifti(folder / "masks/liver.nii.gz")))
    assert liver.sum() * 27 / 1000 == pytest.approx(1126.8, abs=0.1)
    assert np.flatnonzero(liver.any(axis=(0, 1))).mean() < scan.volume_hu_zyx.shape[2] / 2
    write_mask(liver, scan, tmp_path / "again.nii.gz")
    again = sitk.ReadImage(str(tmp_path / "again.nii.gz"))
    original = sitk.ReadImage(str(folder / "masks/liver.nii.gz"))
    assert np.array_equal(sitk.GetArrayFromImage(again), sitk.GetArrayFromImage(original))
    assert Grid.of(again) == Grid.of(original)


@pytest.mark.parametrize("code", ["RAS", "RPI", "PIR"])
def test_a_real_mask_in_another_orientation_than_its_ct(real_data, tmp_path, code):
    ct, liver = (
        read_nifti(real_data / "real/liver/totalseg_example" / name)
        for name in ("example_ct.nii.gz", "masks/liver.nii.gz")
    )
    sitk.WriteImage(ct, str(tmp_path / "volume-0.nii"))
    sitk.WriteImage(sitk.DICOMOrient(liver, code), str(tmp_path / "segmentation-0.nii"))
    case = read(tmp_path)
    assert np.array_equal(case.segmentation_zyx, sitk.GetArrayFromImage(to_frame(liver)))
    check_case(case)
    turned = Grid.of(sitk.DICOMOrient(liver, code))
    if code != "PIR":  # the array as it was, under a header that was turned
        sitk.WriteImage(turned.image(sitk.GetArrayFromImage(liver)), str(tmp_path / "segmentation-0.nii"))
        assert np.array_equal(read(tmp_path).segmentation_zyx, case.segmentation_zyx)


def test_real_series_equals_itks_own_reading(real_data):
    folder = real_data / "real/liver/chaos_ct_set3/dicom"
    scan = read_scan(folder)
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
    reference = sitk.DICOMOrient(sitk.ReadImage(names), "LPS")
    assert np.array_equal(scan.volume_hu_zyx, np.maximum(sitk.GetArrayFromImage(reference), -1024))
    np.testing.assert_allclose(scan.grid.origin_lps_mm, reference.GetOrigin(), atol=1e-6)
    files = extract_series(folder, n_processes=1).files
    assert scan.volume_hu_zyx.shape == (len(files), 512, 512)
