import json

import numpy as np
import pytest
import SimpleITK as sitk
from click.testing import CliRunner

from radnet3d.cli import finetune, liver, pretrain
from radnet3d.errors import CheckpointError, ScanError
from radnet3d.tables import LIVER_CASES, PROPOSALS, read_table
from support.dicom_series import write_series as write_dicom
from support.tiny_training import SETTINGS, write_cases, write_run, write_series

FACTORS = {
    "init": "pretrained", "n_train": 4, "subset_seed": 0, "init_seed": 0, "learning_rate": 0.01, "evaluate_on": "test",
}  # fmt: skip


def invoke(commands, *arguments):
    return CliRunner().invoke(commands, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folder with liver/ (cases), dicom/checkpoint.pt (pretrained) and liver.pt (a segmenter that knows blobs)."""
    folder = tmp_path_factory.mktemp("segment")
    record = write_run(folder / "p.json", "pretrain", {"encoder": "dicom"}, write_series(folder / "series"))
    assert invoke(pretrain.commands, "train", record, folder / "dicom").exit_code == 0
    checkpoint = str(folder / "dicom" / "checkpoint.pt")
    inputs = {**write_cases(folder / "liver"), "proposer": checkpoint, "encoder": checkpoint}
    record = write_run(folder / "f.json", "finetune", FACTORS, inputs, finetune__steps=60)
    assert invoke(finetune.commands, "train", record, folder / "run").exit_code == 0
    return folder


def test_propose_writes_a_range_for_every_case(trained, tmp_path):
    done = invoke(
        liver.commands, "propose", trained / "liver" / "cases", tmp_path / "out.csv",
        "--checkpoint", trained / "dicom" / "checkpoint.pt", "--settings", json.dumps(SETTINGS["proposal"]),
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    rows = read_table(tmp_path / "out.csv", PROPOSALS)
    assert len(rows) == 12
    assert (rows["start_slice"] < rows["stop_slice"]).all() and (rows["stop_slice"] <= rows["n_slices"]).all()
    assert rows["recall"].between(0, 1).all()


def test_a_nifti_in_any_orientation_gets_its_mask_on_its_own_grid(trained, tmp_path):
    cases = read_table(trained / "liver" / "cases" / "cases.parquet", LIVER_CASES)
    volume = np.load(trained / "liver" / "cases" / cases["volume_path"][0])
    truth = np.load(trained / "liver" / "cases" / cases["segmentation_path"][0])
    volume[0, 0, 0] = -1000  # air, as in every CT
    image = sitk.GetImageFromArray(volume)
    image.SetSpacing((3.0, 3.0, 5.0))
    image.SetOrigin((-12.5, 7.0, 900.0))
    for code in ("LPS", "RAS", "SPL"):
        turned = sitk.DICOMOrient(image, code)
        sitk.WriteImage(turned, str(tmp_path / f"{code}.nii.gz"))
        out = tmp_path / "masks" / f"{code}.nii.gz"
        done = invoke(
            liver.commands,
            "segment",
            tmp_path / f"{code}.nii.gz",
            out,
            "--checkpoint",
            trained / "run" / "checkpoint.pt",
        )
        assert done.exit_code == 0, done.output
        mask = sitk.ReadImage(str(out))
        read_back = sitk.ReadImage(str(tmp_path / f"{code}.nii.gz"))
        assert mask.GetSize() == read_back.GetSize() and mask.GetDirection() == read_back.GetDirection()
        assert mask.GetOrigin() == pytest.approx(read_back.GetOrigin())
        found = sitk.GetArrayFromImage(sitk.DICOMOrient(mask, "LPS")) > 0
        assert 2 * (found & (truth > 0)).sum() / (found.sum() + (truth > 0).sum()) > 0.7


def test_a_dicom_series_is_segmented(trained, tmp_path):
    volume = np.load(next((trained / "liver" / "cases").glob("volume-*.npy")))
    write_dicom(tmp_path / "series", [5.0 * i for i in range(len(volume))], volume, PixelSpacing=[3.0, 3.0])
    out = tmp_path / "mask.nii.gz"
    done = invoke(
        liver.commands, "segment", tmp_path / "series", out, "--checkpoint", trained / "run" / "checkpoint.pt"
    )
    assert done.exit_code == 0, done.output
    assert sitk.GetArrayFromImage(sitk.ReadImage(str(out))).sum() > 100


def test_wrong_checkpoints_inputs_and_outputs_are_named(trained, tmp_path):
    scan = tmp_path / "scan.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 5, 6), np.int16)), str(scan))
    good = trained / "run" / "checkpoint.pt"
    done = invoke(
        liver.commands, "segment", scan, tmp_path / "o.nii.gz", "--checkpoint", trained / "dicom" / "checkpoint.pt"
    )
    assert isinstance(done.exception, CheckpointError) and "kind 'pretrain', wanted finetune" in str(done.exception)
    done = invoke(liver.commands, "segment", scan, tmp_path / "o.png", "--checkpoint", good)
    assert isinstance(done.exception, ScanError) and "ends in .nii" in str(done.exception)
    done = invoke(liver.commands, "segment", scan, tmp_path / "o.png", "--checkpoint", tmp_path / "none.pt")
    assert "ends in .nii" in str(done.exception)  # before anything is loaded
    (tmp_path / "text.nii").write_text("no image")
    done = invoke(liver.commands, "segment", tmp_path / "text.nii", tmp_path / "o.nii.gz", "--checkpoint", good)
    assert isinstance(done.exception, ScanError) and "text.nii" in str(done.exception)
    assert (
        invoke(liver.commands, "segment", tmp_path / "none.nii", tmp_path / "o.nii", "--checkpoint", good).exit_code
        == 2
    )


def test_a_tiny_scan_is_no_reason_to_fail(trained, tmp_path):
    scan = tmp_path / "scan.nii.gz"
    image = sitk.GetImageFromArray(np.full((2, 5, 6), -1000, np.int16))
    image.SetSpacing((3.0, 3.0, 5.0))
    sitk.WriteImage(image, str(scan))
    out = tmp_path / "o.nii.gz"
    done = invoke(liver.commands, "segment", scan, out, "--checkpoint", trained / "run" / "checkpoint.pt")
    assert done.exit_code == 0, done.output
    assert sitk.ReadImage(str(out)).GetSize() == (6, 5, 2)
