"""Every real series of the test data, against what its manifest knows of it."""

import pandas as pd
import pytest

from radnet3d.dicom.extract import Extract, extract_series

BROKEN = {
    "dicom2nifti_failing/gantrytilting/001": "gantry_tilt",
    "dicom2nifti_failing/sliceincrement/001": "missing_slice",
    "dicom2nifti_failing/sliceincrement/002": "missing_slice",
    "dicom2nifti_failing/sliceorientation/001": "mixed_orientation",
    "dicom2nifti_failing/slicecount/001": "too_few_slices",
    "dicom2nifti_failing/notavolume/001": "duplicate_position",
    "pydicom_dicomdirtests/77654033/CT2": "missing_slice",
    "pydicom_dicomdirtests/98892003/MR700": "mixed_orientation",
}
GOOD = {
    "liver/chaos_ct_set3/dicom",
    "mr_epi_ge/mr_0004_firstvol",
    "mr_oblique_toshiba/6006_DTI_SAG_30d_b0",
    "mr_oblique_toshiba/7006_DTI_ortho_b0",
    "mr_position/HFP_t1_fl2d_sag",
    "mr_position/HFS_t1_fl2d_sag",
    "mr_t1_philips/501_T1W_FFE_classic_and_enhanced",
    "pydicom_dicomdirtests/98892001/CT5N",
}


@pytest.fixture(scope="module")
def extract(real_data) -> Extract:
    return extract_series(real_data / "real", n_processes=1)


@pytest.fixture(scope="module")
def known(real_data, extract) -> pd.DataFrame:
    """The manifest beside what was read."""
    manifest = pd.read_csv(real_data / "real/manifest.csv", keep_default_na=False)
    manifest = manifest.rename(columns={"n_files": "n_images", "n_slices": "n_places"})
    return manifest.merge(extract.series, left_on="series_uid", right_on="SeriesInstanceUID", how="left")


def test_every_series_is_read_but_those_without_pixels(known):
    unread = known[known["SeriesInstanceUID"].isna()]
    assert unread["path"].tolist() == ["pydicom_dicomdirtests/TINY_ALPHA/PT000000/ST000000/SE000000"]


def test_modality_and_files(known):
    read = known.dropna(subset=["SeriesInstanceUID"])
    assert (read["Modality"] == read["modality"]).all()
    assert (read["n_images"] == read["n_files"]).all()


def test_plane(known):
    sure = known[known["plane_truth"] != ""]
    assert len(sure) > 35
    assert (sure["orientation_plane"] == sure["plane_truth"].str.split().str[0]).all()


def test_patient_position(known):
    sure = known[known["position_truth"] != ""]
    assert sure["PatientPosition"].tolist() == sure["position_truth"].tolist()


def test_broken_series_are_refused_for_the_right_reason(known):
    found = known[known["path"].isin(BROKEN)].set_index("path")["geometry"].to_dict()
    assert found == BROKEN


def test_good_series_are_regular(known):
    good = known["path"].isin(GOOD) | known["path"].str.startswith("dicom2nifti_small")
    assert known.loc[known["geometry"] == "regular", "path"].tolist() == known.loc[good, "path"].tolist()


def test_mosaics_hold_as_many_slices_as_their_names_say(known):
    mosaics = known[known["path"].str.startswith("mr_mosaic")]
    assert mosaics["n_slices"].tolist() == mosaics["path"].str.extract(r"asc(\d+)")[0].astype(int).tolist()
    assert (mosaics["n_volumes"] == 2).all()
    assert mosaics["slice_spacing_mm"].round(3).unique().tolist() == [3.6]


def test_spacing_and_slices_of_classic_series(known):
    stacks = known[(known["n_images"] > 3) & (known["n_places"] > 0)]
    stacks = stacks[stacks["geometry"].isin(["regular", "missing_slice", "gantry_tilt"])]
    assert stacks["n_places"].tolist() == stacks["n_slices"].tolist()
    assert (stacks["dz_mm"].astype(float) - stacks["slice_spacing_mm"]).abs().max() < 0.01


def test_thickness_is_not_the_spacing(known):
    chaos = known[known["path"] == "liver/chaos_ct_set3/dicom"].iloc[0]
    assert (chaos["SliceThickness"], round(chaos["slice_spacing_mm"], 6)) == (3.2, 2.0)


def test_oblique_series_keep_their_plane_and_say_how_far_off_it_is(known):
    tilted = known[known["path"] == "mr_oblique_toshiba/6006_DTI_SAG_30d_b0"].iloc[0]
    assert (tilted["orientation_plane"], round(tilted["obliquity_deg"])) == ("axial", 30)


def test_every_file_is_accounted_for(real_data, extract):
    n_files = sum(path.is_file() for path in (real_data / "real").rglob("*"))
    assert extract.series["n_files"].sum() + len(extract.excluded) == n_files
    assert set(extract.excluded["reason"]) == {"not_dicom", "no_pixel_data"}


def test_pydicom_alone_gives_the_same_tables(real_data, extract, monkeypatch):
    monkeypatch.setattr("radnet3d.dicom.headers.PlainReader.read", lambda *_: None)
    slow = extract_series(real_data / "real", n_processes=1)
    assert slow.series.equals(extract.series)
    assert slow.files.equals(extract.files)
    assert slow.excluded.equals(extract.excluded)
