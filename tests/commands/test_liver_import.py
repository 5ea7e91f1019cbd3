"""`radnet3d liver import`."""

import numpy as np
import pytest
import SimpleITK as sitk
from click.testing import CliRunner

from radnet3d.cli import radnet3d
from radnet3d.errors import LiverCaseError
from radnet3d.tables import LIVER_CASES, read_table


def run(*words: object):
    return CliRunner().invoke(radnet3d, [str(word) for word in words])


@pytest.fixture
def folder(tmp_path):
    """Three LiTS-like cases."""
    (tmp_path / "in").mkdir()
    for case_id in (0, 1, 12):
        volume = np.full((6, 8, 10), -1000, np.int16)
        volume[:, 2:6, 2:8] = 100 + case_id
        labels = (volume > 0).astype(np.uint8)
        for kind, array in (("volume", volume), ("segmentation", labels)):
            image = sitk.GetImageFromArray(array)
            image.SetSpacing((0.5, 0.5, 2))
            sitk.WriteImage(image, str(tmp_path / "in" / f"{kind}-{case_id}.nii"))
    return tmp_path / "in"


@pytest.mark.parametrize("threads", [1, 2])
def test_cases_are_checked_and_stored(folder, tmp_path, threads):
    result = run("liver", "import", folder, tmp_path / "out", "--threads", threads)
    assert result.exit_code == 0, result.output
    cases = read_table(tmp_path / "out/cases.parquet", LIVER_CASES)
    assert cases["case_id"].tolist() == ["0", "1", "12"]
    assert cases["liver_ml"].tolist() == pytest.approx([6 * 4 * 6 * 0.5 / 1000] * 3)
    volume = np.load(tmp_path / "out" / cases["volume_path"][2], mmap_mode="r")
    assert (volume.dtype, volume.max()) == (np.int16, 112)
    assert len(set(cases["image_sha256"])) == 3


def test_every_case_at_fault_is_named_at_once(folder, tmp_path):
    for case_id in (1, 12):
        sitk.WriteImage(sitk.Image([10, 8, 6], sitk.sitkUInt8), str(folder / f"segmentation-{case_id}.nii"))
    result = run("liver", "import", folder, tmp_path / "out")
    assert result.exit_code == 1
    assert isinstance(result.exception, LiverCaseError)
    assert "2 of 3 cases" in str(result.exception)
    assert "case 1: " in str(result.exception)
    assert "case 12: " in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_a_half_without_the_other(folder, tmp_path):
    (folder / "segmentation-1.nii").unlink()
    result = run("liver", "import", folder, tmp_path / "out")
    assert result.exit_code == 1
    assert "volume-1.nii has no segmentation-1.nii" in str(result.exception)


def test_real_chaos(real_data, tmp_path):
    result = run("liver", "import", real_data / "real/liver", tmp_path / "out", "--layout", "chaos")
    assert result.exit_code == 0
    cases = read_table(tmp_path / "out/cases.parquet", LIVER_CASES)
    assert cases["liver_ml"].tolist() == pytest.approx([1417.5], rel=0.001)
    assert cases["spacing_zyx_mm"].tolist() == ["2,0.726562,0.726562"]


def test_chaos_with_a_mask_too_few(real_data, tmp_path):
    source = real_data / "real/liver/chaos_ct_set3"
    (tmp_path / "case/Ground").mkdir(parents=True)
    (tmp_path / "case/DICOM_anon").symlink_to(source / "dicom")
    for path in sorted((source / "liver_mask_png").iterdir())[1:]:
        (tmp_path / "case/Ground" / path.name).symlink_to(path)
    result = run("liver", "import", tmp_path / "case", tmp_path / "out", "--layout", "chaos")
    assert "77 PNG masks, DICOM_anon has 78 slices" in str(result.exception)


def test_wrong_usage(tmp_path):
    assert run("liver", "import", tmp_path / "nowhere", tmp_path / "out").exit_code == 2
    assert run("liver", "import", tmp_path, tmp_path / "out", "--layout", "msd").exit_code == 2
