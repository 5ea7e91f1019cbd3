import numpy as np
import pytest
from click.testing import CliRunner

from radnet3d.cli import features, pretrain
from radnet3d.errors import CheckpointError
from radnet3d.tables import PREDICTIONS, read_table
from support.dicom_series import write_series as write_dicom
from support.tiny_training import NETWORK, write_run, write_series


def invoke(*arguments):
    return CliRunner().invoke(features.command, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("features")
    record = write_run(folder / "p.json", "pretrain", {"encoder": "dicom"}, write_series(folder / "series"))
    done = CliRunner().invoke(pretrain.commands, ["train", str(record), str(folder / "dicom")])
    assert done.exit_code == 0, done.output
    return folder / "dicom" / "checkpoint.pt"


def test_one_row_a_usable_series_with_features_and_predictions(checkpoint, tmp_path):
    generator = np.random.default_rng(0)
    for uid in ("1.2.3.4", "1.2.3.5"):
        volume = generator.integers(-100, 200, (12, 10, 11)).astype(np.int16)
        write_dicom(tmp_path / "in" / uid, [4.0 * i for i in range(12)], volume, SeriesInstanceUID=uid)
    write_dicom(tmp_path / "in" / "gap", [0, 4, 8, 20, 24, 28], SeriesInstanceUID="1.2.3.6")
    done = invoke(tmp_path / "in", tmp_path / "out.parquet", "--checkpoint", checkpoint)
    assert done.exit_code == 0, done.output
    rows = read_table(tmp_path / "out.parquet", PREDICTIONS)
    assert sorted(rows["SeriesInstanceUID"]) == ["1.2.3.4", "1.2.3.5"]
    names = [name for name in rows if name.startswith("f") and name[1:].isdecimal()]
    assert names == [f"f{i:03d}" for i in range(NETWORK.fc_features)]
    assert np.isfinite(rows[names]).all(axis=None) and rows["p_body_Liver"].between(0, 1).all()
    np.testing.assert_allclose(rows.filter(like="p_view_").sum(axis=1), 1, rtol=1e-5)
    assert not list(tmp_path.glob(".features*"))


def test_a_folder_without_series_gives_an_empty_table(checkpoint, tmp_path):
    (tmp_path / "in").mkdir()
    done = invoke(tmp_path / "in", tmp_path / "out.parquet", "--checkpoint", checkpoint)
    assert done.exit_code == 0, done.output
    assert read_table(tmp_path / "out.parquet", PREDICTIONS).empty


def test_something_else_is_no_checkpoint(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "c.pt").write_text("weights")
    done = invoke(tmp_path / "in", tmp_path / "out.parquet", "--checkpoint", tmp_path / "c.pt")
    assert isinstance(done.exception, CheckpointError)
