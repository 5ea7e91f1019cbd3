"""Series of digital patients: valid files, planned faults, truth in the words of the tables, nothing depends on the rest."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest

from radnet3d.archive.phantom.archive import PhantomSource, make_series
from radnet3d.archive.phantom.headers import series_uid
from radnet3d.archive.phantom.protocols import Series
from radnet3d.archive.phantom.series import render_series
from radnet3d.params import Archive, load_params
from radnet3d.tables import GEOMETRY, REGIONS


def archive_settings(repository: Path, **changes: object) -> Archive:
    archive = load_params(repository / "params.yaml").archive
    phantom = archive.phantom.model_copy(update=changes)
    return archive.model_copy(update={"phantom": phantom})


@pytest.fixture(scope="module")
def settings(repository: Path) -> Archive:
    return archive_settings(repository, n_patients=150)


@pytest.fixture(scope="module")
def planned(settings: Archive) -> list[Series]:
    source = PhantomSource(settings)
    return [series for number in range(150) for series in source.patient_series(number)]


def write(settings: Archive, series: Series, folder: Path) -> list[pydicom.Dataset]:
    target = folder / f"{series.patient.number}-{series.number}"
    make_series(settings, f"phantom/{series.patient.number}/{series.number}", target)
    return [pydicom.dcmread(path) for path in sorted(target.iterdir()) if path.suffix not in (".db", ".txt")]


def first(planned: list[Series], **wanted: object) -> Series:
    fits = [s for s in planned if all(getattr(s, name) == value for name, value in wanted.items())]
    return min(fits, key=lambda s: s.n_slices * np.prod(s.grids[0].shape[1:]))  # the cheapest


def positions_mm(files: list[pydicom.Dataset]) -> np.ndarray:
    rows, columns = np.reshape(files[0].ImageOrientationPatient, (2, 3)).astype(float)
    return np.sort([np.dot(np.array(f.ImagePositionPatient, dtype=float), np.cross(rows, columns)) for f in files])


def test_plan_and_truth_use_the_words_of_the_tables(settings: Archive, tmp_path: Path) -> None:
    plan, truth = PhantomSource(settings).plan(tmp_path)
    assert len(plan) == len(truth) == plan["SeriesInstanceUID"].nunique()
    assert set(plan["shard"].astype(int)) == set(range(settings.n_shards))
    assert set(";".join(truth.loc[truth["regions"] != "", "regions"]).split(";")) <= set(REGIONS)
    assert set(truth["geometry"]) <= set(GEOMETRY)
    assert set(
        truth.loc[truth["geometry"] == "regular", "slice_spacing_mm"].between(1, 8) | (truth["derived"] == "mip")
    )


def test_the_archive_has_what_pretraining_needs(planned: list[Series]) -> None:
    volumes = [s for s in planned if s.kind == "volume" and s.geometry == "regular"]
    assert len(volumes) > 300
    sequences, planes = Counter(s.sequence for s in volumes), Counter(s.plane for s in volumes)
    assert min(sequences[name] for name in ("CT", "T1", "T2", "T1_FLAIR", "FLAIR")) >= 15
    assert min(planes[name] for name in ("axial", "coronal", "sagittal")) >= 40
    assert all(s.patient.sex == "F" for s in planned if s.protocol == "breast")
    lies = Counter(lie for s in planned for lie in s.lies)
    for lie in ("contrast_agent_missing", "contrast_agent_none", "body_part_wrong", "body_part_absent", "description_absent",
                "missing_slice", "duplicate_position", "gantry_tilt", "stray_file", "truncated_file"):  # fmt: skip
        assert lies[lie] >= 1, lie
    assert {"CT", "MR", "PT"} == {s.modality for s in planned}
    assert {"localizer", "derived", "volume"} == {s.kind for s in planned}


def test_a_series_alone_equals_itself_in_the_whole(settings: Archive, repository: Path, tmp_path: Path) -> None:
    few = archive_settings(repository, n_patients=2)
    whole, truth = PhantomSource(few).plan(tmp_path)
    again, truth_again = PhantomSource(settings).plan(tmp_path)
    pd.testing.assert_frame_equal(whole, again.head(len(whole)))
    pd.testing.assert_frame_equal(truth, truth_again.head(len(truth)))
    row = whole.iloc[[1]]
    PhantomSource(few).fetch(whole.head(3), tmp_path, tmp_path / "whole", 1)
    PhantomSource(settings).fetch(row, tmp_path, tmp_path / "alone", 1)
    name = f"{row['PatientID'].item()}/{row['SeriesInstanceUID'].item()}"
    alone, among = (sorted((tmp_path / folder / name).iterdir()) for folder in ("alone", "whole"))
    assert [path.name for path in alone] == [path.name for path in among]
    assert [path.read_bytes() for path in alone] == [path.read_bytes() for path in among]
    assert len(alone) == row["n_instances"].item()


@pytest.mark.parametrize(
    "wanted",
    [
        {"modality": "CT", "plane": "axial"},
        {"modality": "CT", "plane": "sagittal"},
        {"modality": "MR", "plane": "coronal"},
        {"modality": "MR", "sequence": "FLAIR"},
        {"modality": "PT", "sequence": "PET_NAC"},
    ],
)
def test_regular_series_are_valid_stacks(
    settings: Archive, planned: list[Series], tmp_path: Path, wanted: dict[str, str]
) -> None:
    series = first(planned, kind="volume", geometry="regular", **wanted)
    files = write(settings, series, tmp_path)
    assert len(files) == series.n_instances
    for name in (
        "PatientID",
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "FrameOfReferenceUID",
        "Modality",
        "SOPClassUID",
    ):
        assert len({f[name].value for f in files}) == 1, name
    assert len({f.SOPInstanceUID for f in files}) == len(files)
    assert all(f.file_meta.MediaStorageSOPInstanceUID == f.SOPInstanceUID for f in files)
    assert all(uid.startswith("1.2.826.0.1.3680043.8.498.") and len(uid) <= 64 for uid in (files[0].SeriesInstanceUID,))
    assert "SYNTHETIC" in files[0].ImageComments
    assert [e.tag for e in files[0]] == sorted(e.tag for e in files[0])
    gaps = np.diff(positions_mm(files))
    np.testing.assert_allclose(gaps, series.spacing_mm, atol=2e-3)
    assert files[0].pixel_array.std() > 0
    assert files[0].pixel_array.shape == series.grids[0].shape[1:]


def test_identifiers_change_with_the_settings(repository: Path, planned: list[Series]) -> None:
    easier = PhantomSource(archive_settings(repository, difficulty=0.5)).patient_series(0)
    assert not {series_uid(s) for s in easier} & {series_uid(s) for s in planned}


def test_hu_are_hu(planned: list[Series]) -> None:
    series = first(planned, modality="CT", kind="volume", protocol="chest", geometry="regular")
    _, image = next(iter(render_series(series)))
    assert -1020 < np.percentile(image, 20) < -900
    assert 0.05 < ((image > -50) & (image < 150)).mean() < 0.9


@pytest.mark.parametrize("fault", ["missing_slice", "duplicate_position", "irregular_spacing"])
def test_planned_faults_are_really_there(settings: Archive, planned: list[Series], tmp_path: Path, fault: str) -> None:
    series = first(planned, fault=fault)
    gaps = np.diff(positions_mm(write(settings, series, tmp_path))) / series.spacing_mm
    wrong = {"missing_slice": 2.0, "duplicate_position": 0.0, "irregular_spacing": 1.35}[fault]
    assert np.isclose(gaps, wrong, atol=0.01).sum() == 1
    assert np.isclose(gaps, 1.0, atol=0.01).sum() >= len(gaps) - 2


def test_a_tilted_gantry_shears_the_stack(settings: Archive, planned: list[Series], tmp_path: Path) -> None:
    series = next(s for s in planned if s.gantry_tilt_deg)
    files = sorted(write(settings, series, tmp_path), key=lambda f: float(f.ImagePositionPatient[2]))
    rows, columns = np.reshape(files[0].ImageOrientationPatient, (2, 3)).astype(float)
    travel = np.array(files[-1].ImagePositionPatient, dtype=float) - np.array(
        files[0].ImagePositionPatient, dtype=float
    )
    cosine = abs(np.dot(np.cross(rows, columns), travel / np.linalg.norm(travel)))
    assert np.rad2deg(np.arccos(cosine)) == pytest.approx(abs(series.gantry_tilt_deg), abs=0.2)


def test_localizers_screens_and_dynamic_series(settings: Archive, planned: list[Series], tmp_path: Path) -> None:
    three_planes = write(settings, first(planned, plane="multi"), tmp_path)
    assert len({tuple(f.ImageOrientationPatient) for f in three_planes}) == 3
    scout = write(settings, first(planned, kind="localizer", modality="CT"), tmp_path)
    assert len(scout) == 1 and "LOCALIZER" in scout[0].ImageType
    screen = write(settings, first(planned, derived="screen"), tmp_path)[0]
    assert "ImagePositionPatient" not in screen and screen.ImageType[0] == "DERIVED"
    dynamic = next(s for s in planned if s.phases)
    files = write(settings, dynamic, tmp_path)
    assert len({tuple(f.ImagePositionPatient) for f in files}) * len(dynamic.phases) == len(files)


def test_prone_patients_are_shown_face_down(settings: Archive, planned: list[Series], tmp_path: Path) -> None:
    series = next(
        s for s in planned if s.pose.is_prone and s.plane == "axial" and s.kind == "volume" and not s.oblique_deg
    )
    first_file = write(settings, series, tmp_path)[0]
    assert first_file.PatientPosition.endswith("P")
    np.testing.assert_allclose(first_file.ImageOrientationPatient[:3], [-1, 0, 0], atol=1e-6)


def test_stray_and_truncated_files(settings: Archive, planned: list[Series], tmp_path: Path) -> None:
    stray = next(s for s in planned if "stray_file" in s.lies)
    write(settings, stray, tmp_path)
    assert (tmp_path / f"{stray.patient.number}-{stray.number}" / "README.txt").is_file()
    cut = next(s for s in planned if "truncated_file" in s.lies)
    files = write(settings, cut, tmp_path)
    sizes = [len(f.get("PixelData", b"")) for f in files]
    assert sum(size < max(sizes) for size in sizes) == 1


def test_contrast_is_visible(planned: list[Series]) -> None:
    from dataclasses import replace

    series = first(planned, modality="CT", protocol="chest", plane="axial", kind="volume", geometry="regular")
    native, enhanced = (next(iter(render_series(replace(series, phase=phase))))[1] for phase in ("native", "arterial"))
    assert ((enhanced > 180) & (enhanced < 400)).sum() > ((native > 180) & (native < 400)).sum() + 500
