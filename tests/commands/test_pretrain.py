import json

import pandas as pd
import pytest
from click.testing import CliRunner

from radnet3d.cli.pretrain import commands
from radnet3d.errors import OutputError, ParamsError, TableError
from radnet3d.tables import HEAD_SCORES, HISTORY, PATIENT_SPLIT, PREDICTIONS, read_table
from radnet3d.training.output import STATE, training_directory
from support.tiny_training import SETTINGS, write_cases, write_run, write_series


def run(*arguments):
    return CliRunner().invoke(commands, [str(argument) for argument in arguments])


def test_split_deals_the_patients_who_have_volumes(tmp_path):
    inputs = write_series(tmp_path)
    done = run(
        "split",
        inputs["targets"],
        *inputs["volumes"],
        tmp_path / "out.csv",
        "--settings",
        json.dumps({**SETTINGS["pretrain"], "encoders": {"dicom": {"labels": "own", "heads": ["body"]}}}),
    )
    assert done.exit_code == 0, done.output
    assert read_table(tmp_path / "out.csv", PATIENT_SPLIT)["split"].value_counts().to_dict() == {
        "train": 6, "test": 2, "validation": 2,
    }  # fmt: skip


@pytest.mark.parametrize("encoder", ["dicom", "shuffled"])
def test_train_leaves_all_its_files_and_nothing_else(tmp_path, encoder):
    record = write_run(tmp_path / "out" / "run.json", "pretrain", {"encoder": encoder}, write_series(tmp_path))
    said = record.read_text()
    done = run("train", record, tmp_path / "out")
    assert done.exit_code == 0, done.output
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        "run.json",
        "checkpoint.pt",
        "history.csv",
        "predictions.parquet",
        "metrics.json",
        "environment.json",
    }
    assert record.read_text() == said and not (tmp_path / "out.partial").exists()
    predictions = read_table(tmp_path / "out" / "predictions.parquet", PREDICTIONS)
    assert set(predictions["PatientID"]) == {"P00", "P01"} and "sequence_target" in predictions
    history = read_table(tmp_path / "out" / "history.csv", HISTORY)
    assert set(history["split"]) == {"train", "validation"} and history["step"].max() == 6
    environment = json.loads((tmp_path / "out" / "environment.json").read_text())
    settings = json.dumps(SETTINGS["comparison"])
    scored = run("score", tmp_path / "out" / "predictions.parquet", tmp_path / "heads.csv", "--settings", settings)
    assert scored.exit_code == 0, scored.output
    assert len(read_table(tmp_path / "heads.csv", HEAD_SCORES)) == 6 + 9 + 2
    assert environment["n_threads"] == 1 and environment["seconds"] > 0 and environment["peak_memory_mb"] > 50


def test_what_another_record_left_is_not_continued(tmp_path):
    inputs = write_series(tmp_path)
    record = write_run(tmp_path / "run.json", "pretrain", {"encoder": "dicom"}, inputs)
    partial = tmp_path / "out.partial"
    partial.mkdir()
    (partial / "run.json").write_text("{}")
    (partial / "state.pt").write_bytes(b"not a state of this run")
    done = run("train", record, tmp_path / "out")
    assert done.exit_code == 0, done.output


def test_control_leaves_a_checkpoint(tmp_path):
    inputs = write_cases(tmp_path)
    record = write_run(
        tmp_path / "run.json", "control", {"encoder": "control"}, {name: inputs[name] for name in ("cases", "split")}
    )
    done = run("control", record, tmp_path / "out")
    assert done.exit_code == 0, done.output
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"run.json", "checkpoint.pt", "history.csv", "metrics.json", "environment.json"}


def test_a_record_of_another_kind_and_a_missing_table_are_named(tmp_path):
    inputs = write_series(tmp_path)
    record = write_run(tmp_path / "run.json", "pretrain", {"encoder": "dicom"}, inputs)
    assert isinstance(run("control", record, tmp_path / "out").exception, ParamsError)
    assert isinstance(run("train", tmp_path / "none.json", tmp_path / "out").exception, ParamsError)
    (tmp_path / "split.csv").unlink()
    done = run("train", record, tmp_path / "out")
    assert isinstance(done.exception, TableError) and "split.csv" in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_volumes_of_another_shape_are_named(tmp_path):
    inputs = write_series(tmp_path)
    record = write_run(tmp_path / "run.json", "pretrain", {"encoder": "dicom"}, inputs, volumes__shape_zyx=[8, 8, 8])
    done = run("train", record, tmp_path / "out")
    assert isinstance(done.exception, TableError) and "wanted (8, 8, 8)" in str(done.exception)


def test_predictions_are_the_checkpoint_s_own(tmp_path):
    """The same volumes through `features`' path give the numbers written at training's end."""
    from radnet3d.models.checkpoint import load_checkpoint
    from radnet3d.tables import VOLUMES
    from radnet3d.training.loop import choose_device
    from radnet3d.training.predicting import describe_volumes

    inputs = write_series(tmp_path)
    record = write_run(tmp_path / "run.json", "pretrain", {"encoder": "dicom"}, inputs, pretrain__precision="fp32")
    assert run("train", record, tmp_path / "out").exit_code == 0
    held_out = read_table(tmp_path / "out" / "predictions.parquet", PREDICTIONS).set_index("SeriesInstanceUID")
    volumes = read_table(tmp_path / "000" / "volumes.parquet", VOLUMES)
    checkpoint = load_checkpoint(tmp_path / "out" / "checkpoint.pt", kinds=["pretrain"])
    rows = describe_volumes(volumes, tmp_path / "000", checkpoint, device=choose_device(1)).set_index(
        "SeriesInstanceUID"
    )
    columns = [name for name in rows if name.startswith("p_")]
    pd.testing.assert_frame_equal(
        rows.loc[held_out.index, columns], held_out[columns], rtol=1e-3, atol=1e-4, check_dtype=False
    )


def test_a_killed_training_goes_on_only_with_the_same_inputs(tmp_path):
    inputs = write_series(tmp_path)
    out = tmp_path / "out"
    record = write_run(out / "run.json", "pretrain", {"encoder": "dicom"}, inputs)

    def found_state():
        with pytest.raises(KeyboardInterrupt), training_directory(record, out, n_threads=1) as folder:
            found = (folder / STATE).exists()
            (folder / STATE).touch()
            raise KeyboardInterrupt
        return found

    assert [found_state(), found_state()] == [False, True]
    table = pd.read_csv(inputs["split"])
    table.iloc[::-1].to_csv(inputs["split"], index=False)  # a table changes
    assert [found_state(), found_state()] == [False, True]
    next(tmp_path.rglob("*.npy")).write_bytes(b"another array")
    assert [found_state(), found_state()] == [False, True]


def test_a_folder_that_holds_more_than_a_training_is_kept(tmp_path):
    out = tmp_path / "out"
    record = write_run(out / "run.json", "pretrain", {"encoder": "dicom"}, write_series(tmp_path / "in"))
    for _ in range(2):  # over an earlier training too
        with training_directory(record, out, n_threads=1) as folder:
            (folder / "checkpoint.pt").touch()
        assert {path.name for path in out.iterdir()} == {"run.json", "checkpoint.pt", "environment.json"}
    (out / "thesis.txt").touch()
    with pytest.raises(OutputError, match="not made by radnet3d"), training_directory(record, out, n_threads=1):
        pass
    (out / "thesis.txt").unlink()
    record = write_run(out / "run.json", "pretrain", {"encoder": "dicom"}, write_series(out))
    with pytest.raises(OutputError, match="holds the input"), training_directory(record, out, n_threads=1):
        pass
