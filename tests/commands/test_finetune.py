import json
import math

import pytest
from click.testing import CliRunner

from radnet3d.cli import finetune, pretrain
from radnet3d.errors import ParamsError, SplitError
from radnet3d.tables import HISTORY, LIVER_SPLIT, RUN_CASES, SUBSETS, read_table
from support.tiny_training import LIVER_SPLIT_SETTINGS, write_cases, write_run, write_series

LIVER = {
    "source": "phantom", "phantom": {"seed": 1, "n_cases": 12, "difficulty": 1}, "lits": {"dir": ""},
    "split": LIVER_SPLIT_SETTINGS.model_dump(),
}  # fmt: skip
FACTORS = {"init": "pretrained", "n_train": 2, "subset_seed": 0, "init_seed": 0, "learning_rate": 0.01}


def run(*arguments):
    return CliRunner().invoke(finetune.commands, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finetune")
    record = write_run(folder / "run.json", "pretrain", {"encoder": "dicom"}, write_series(folder / "series"))
    done = CliRunner().invoke(pretrain.commands, ["train", str(record), str(folder / "dicom")])
    assert done.exit_code == 0, done.output
    checkpoint = str(folder / "dicom" / "checkpoint.pt")
    return {**write_cases(folder / "liver"), "proposer": checkpoint, "encoder": checkpoint}


def test_split(tmp_path, inputs):
    done = run("split", inputs["cases"], tmp_path, "--settings", json.dumps(LIVER), "--subset-seeds", "0,3")
    assert done.exit_code == 0, done.output
    assert read_table(tmp_path / "split.csv", LIVER_SPLIT)["role"].value_counts()["test"] == 3
    assert set(read_table(tmp_path / "subsets.csv", SUBSETS)["subset_seed"]) == {0, 3}
    bad = run("split", inputs["cases"], tmp_path, "--settings", json.dumps(LIVER), "--subset-seeds", "0;3")
    assert isinstance(bad.exception, ParamsError)


def test_train_leaves_all_its_files(tmp_path, inputs):
    out = tmp_path / "out"
    record = write_run(out / "run.json", "finetune", {**FACTORS, "evaluate_on": "test"}, inputs)
    done = run("train", record, out)
    assert done.exit_code == 0, done.output
    names = {"run.json", "checkpoint.pt", "history.csv", "cases.csv", "metrics.json", "environment.json"}
    assert {path.name for path in out.iterdir()} == names
    cases = read_table(out / "cases.csv", RUN_CASES)
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["dice_per_case_mean"] == pytest.approx(cases["dice_per_case"].mean())
    assert metrics["run_id"] == "init-pretrained_ntrain-002_subset-0_seed-0" == cases["run_id"][0]
    assert read_table(out / "history.csv", HISTORY)["step"].max() == 4


def test_an_unknown_role_leaves_nothing(tmp_path, inputs):
    record = write_run(tmp_path / "run.json", "finetune", {**FACTORS, "n_train": 50, "evaluate_on": "test"}, inputs)
    assert isinstance(run("train", record, tmp_path / "out").exception, SplitError)
    assert not (tmp_path / "out").exists()


def metrics(folder, rate, dice, **changed):
    path = folder / f"{rate}.json"
    content = {**FACTORS, "learning_rate": rate, "evaluate_on": "validation", "dice_per_case_mean": dice, **changed}
    path.write_text(json.dumps(content))
    return path


def test_the_best_rate_is_chosen_and_of_equal_ones_the_lowest(tmp_path):
    paths = [
        metrics(tmp_path, 0.01, 0.5),
        metrics(tmp_path, 0.002, 0.5),
        metrics(tmp_path, 0.005, 0.4),
        metrics(tmp_path, 0.1, None),
    ]
    done = run("choose-rate", *paths, tmp_path / "out.json")
    assert done.exit_code == 0, done.output
    chosen = json.loads((tmp_path / "out.json").read_text())
    assert chosen["init"] == "pretrained" and math.isclose(chosen["learning_rate"], 0.002)
    assert chosen["validation"] == {"0.01": 0.5, "0.002": 0.5, "0.005": 0.4, "0.1": 0.0}


def test_rates_are_not_chosen_on_test_cases_nor_across_arms(tmp_path):
    first = metrics(tmp_path, 0.01, 0.5)
    for changed, said in [
        ({"evaluate_on": "test"}, "scored on test cases"), ({"init": "scratch"}, "init is 'scratch'"),
        ({"n_train": 8}, "n_train is 8"),
    ]:  # fmt: skip
        done = run("choose-rate", first, metrics(tmp_path, 0.002, 0.6, **changed), tmp_path / "out.json")
        assert isinstance(done.exception, ParamsError) and said in str(done.exception)
    (tmp_path / "bad.json").write_text("[]")
    assert isinstance(run("choose-rate", tmp_path / "bad.json", tmp_path / "out.json").exception, ParamsError)
