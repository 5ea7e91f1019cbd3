"""Liver cases: pairs that fit, plausible livers, orientations that differ, no threshold that finds them."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from radnet3d.archive.lits import link_cases
from radnet3d.archive.phantom.archive import PhantomSource
from radnet3d.archive.phantom.liver_cases import make_cases, render_case
from radnet3d.errors import ArchiveError
from radnet3d.params import load_params

N_CASES = 8


@pytest.fixture(scope="module")
def cases_dir(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("liver")
    settings = load_params(repository / "params.yaml").liver.phantom.model_copy(update={"n_cases": N_CASES})
    make_cases(settings, folder, 1)
    return folder


def pair(folder: Path, number: int) -> tuple[sitk.Image, sitk.Image]:
    return tuple(sitk.ReadImage(str(folder / f"{kind}-{number}.nii")) for kind in ("volume", "segmentation"))


def test_pairs_share_their_grid_and_hold_a_liver(cases_dir: Path) -> None:
    directions, volumes_ml = set(), []
    for number in range(N_CASES):
        volume, segmentation = pair(cases_dir, number)
        assert volume.GetSize() == segmentation.GetSize()
        np.testing.assert_allclose(volume.GetOrigin(), segmentation.GetOrigin(), atol=1e-4)
        assert volume.GetDirection() == segmentation.GetDirection()
        labels = sitk.GetArrayFromImage(segmentation)
        assert set(np.unique(labels)) <= {0, 1, 2}
        directions.add(volume.GetDirection())
        volumes_ml.append((labels > 0).sum() * np.prod(volume.GetSpacing()) / 1000)
    assert len(directions) > 1
    assert 900 < np.median(volumes_ml) < 2200
    assert all(400 < ml < 2700 for ml in volumes_ml)  # resected and large livers too


def test_the_stored_orientation_does_not_move_the_patient(cases_dir: Path, repository: Path) -> None:
    settings = load_params(repository / "params.yaml").liver.phantom
    for number in range(3):
        volume, _ = pair(cases_dir, number)
        expected, _, grid = render_case(settings, number)
        lps = sitk.DICOMOrient(volume, "LPS")
        np.testing.assert_array_equal(sitk.GetArrayFromImage(lps), expected)
        np.testing.assert_allclose(lps.GetOrigin(), grid.origin_lps_mm, atol=1e-3)


def best_threshold_dice(volume_hu: np.ndarray, liver: np.ndarray) -> float:
    bins = np.arange(-200, 400, 4)
    inside = np.cumsum(np.histogram(volume_hu[liver], bins)[0])
    everywhere = np.cumsum(np.histogram(volume_hu, bins)[0])
    hits = inside[None, :] - inside[:, None]
    return float(np.max(2 * hits / np.maximum(everywhere[None, :] - everywhere[:, None] + liver.sum(), 1)))


def test_intensity_alone_does_not_find_the_liver(cases_dir: Path) -> None:
    dice = []
    for number in range(N_CASES):
        volume, segmentation = (sitk.GetArrayFromImage(image) for image in pair(cases_dir, number))
        dice.append(best_threshold_dice(volume, segmentation > 0))
    assert np.mean(dice) < 0.6
    assert max(dice) < 0.8


def test_liver_patients_are_not_in_the_archive(repository: Path) -> None:
    params = load_params(repository / "params.yaml")
    archive_streams = {s.patient.stream for s in PhantomSource(params.archive).patient_series(0)}
    assert archive_streams == {"archive"}


def test_lits_folder_is_linked(tmp_path: Path) -> None:
    source = tmp_path / "lits" / "batch1"
    source.mkdir(parents=True)
    for name in ("volume-3.nii", "segmentation-3.nii", "volume-10.nii.gz", "segmentation-10.nii", "notes.txt"):
        (source / name).write_bytes(b"x")
    assert link_cases(tmp_path / "lits", tmp_path / "out") == 2
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "segmentation-10.nii", "segmentation-3.nii", "volume-10.nii.gz", "volume-3.nii",
    ]  # fmt: skip
    assert (tmp_path / "out" / "volume-3.nii").read_bytes() == b"x"


@pytest.mark.parametrize(("names", "said"), [([], "found no volume"), (["volume-1.nii"], "one file only")])
def test_bad_lits_folders_are_named(tmp_path: Path, names: list[str], said: str) -> None:
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ArchiveError, match=said) as error:
        link_cases(tmp_path, tmp_path / "out")
    assert str(tmp_path) in str(error.value)
    with pytest.raises(ArchiveError, match="no such folder"):
        link_cases(tmp_path / "absent", tmp_path / "out")
