import json
import math

import pytest
from click.testing import CliRunner

from radnet3d.cli import finetune, pretrain
from radnet3d.errors import ParamsError, SplitError
from radnet3d.tables import (
    CLASSIFIED,
    HISTORY,
    LIVER_SPLIT,
    PATIENT_SPLIT,
    RUN_CASES,
    SUBSETS,
    TASK_CASES,
    VOLUMES,
    read_table,
    write_table,
)
from support.tiny_training import LIVER_SPLIT_SETTINGS, write_cases, write_run, write_series

LIVER = {
    "source": "phantom", "phantom": {"seed": 1, "n_cases": 12, "difficulty": 1}, "lits": {"dir": ""},
    "split": LIVER_SPLIT_SETTINGS.model_dump(),
}  # fmt: skip
FACTORS = {"task": "liver", "init": "pretrained", "n_train": 2, "subset_seed": 0, "init_seed": 0, "learning_rate": 0.01}


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
    done = run("split", inputs["cases"], tmp_path, "--settings", json.dumps(LIVER), "--n-subsets", 2)
    assert done.exit_code == 0, done.output
    assert read_table(tmp_path / "split.csv", LIVER_SPLIT)["role"].value_counts()["test"] == 3
    assert set(read_table(tmp_path / "subsets.csv", SUBSETS)["subset_seed"]) == {0, 1}
    bad = run("split", inputs["cases"], tmp_path, "--settings", json.dumps(LIVER), "--n-subsets", 0)
    assert bad.exit_code == 2


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
    content = {
        **FACTORS, "learning_rate": rate, "evaluate_on": "validation", "metric": "dice_per_case",
        "dice_per_case_mean": dice, **changed,
    }  # fmt: skip
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
    assert chosen["task"] == "liver" and chosen["init"] == "pretrained" and math.isclose(chosen["learning_rate"], 0.002)
    assert chosen["validation"] == {"0.01": 0.5, "0.002": 0.5, "0.005": 0.4, "0.1": 0.0}


@pytest.mark.parametrize(("of_largest", "chosen"), [(0.61, True), (0.6, False), (0.59, False), (None, False)])
def test_the_largest_component_is_chosen_if_it_is_better_at_the_best_rate(tmp_path, of_largest, chosen):
    other = metrics(tmp_path, 0.01, 0.5, dice_largest_component_mean=0.7)
    best = metrics(tmp_path, 0.02, 0.6, dice_largest_component_mean=of_largest)
    assert run("choose-rate", other, best, tmp_path / "out.json").exit_code == 0
    content = json.loads((tmp_path / "out.json").read_text())
    assert content["largest_component"] is chosen
    assert content["largest_component_gain"] == pytest.approx((of_largest or 0) - 0.6)


@pytest.mark.parametrize(("of_other", "chosen"), [(0.72, True), (0.70, False)])
def test_whether_only_the_largest_component_is_kept_is_decided_for_all_arms_alike(tmp_path, of_other, chosen):
    """Each arm at its best rate: else what is done to the masks would be a difference between arms."""
    folder = tmp_path / "other"
    folder.mkdir()
    own = metrics(tmp_path, 0.02, 0.60, dice_largest_component_mean=0.59)
    worse = metrics(folder, 0.01, 0.50, init="scratch", dice_largest_component_mean=0.99)
    other = metrics(folder, 0.02, 0.70, init="scratch", dice_largest_component_mean=of_other)
    options = [f"--arms={path}" for path in (own, worse, other)]
    done = run("choose-rate", own, tmp_path / "out.json", *options)
    assert done.exit_code == 0, done.exception
    content = json.loads((tmp_path / "out.json").read_text())
    assert content["largest_component"] is chosen
    assert content["largest_component_gain"] == pytest.approx((0.59 - 0.60 + of_other - 0.70) / 2)


def test_rates_are_not_chosen_on_test_cases_nor_across_arms(tmp_path):
    first = metrics(tmp_path, 0.01, 0.5)
    for changed, said in [
        ({"evaluate_on": "test"}, "scored on test cases"), ({"init": "scratch"}, "init is 'scratch'"),
        ({"n_train": 8}, "n_train is 8"), ({"task": "phase"}, "task is 'phase'"),
        ({"metric": "correct", "correct_mean": 0.6}, "metric is 'correct'"),
    ]:  # fmt: skip
        done = run("choose-rate", first, metrics(tmp_path, 0.002, 0.6, **changed), tmp_path / "out.json")
        assert isinstance(done.exception, ParamsError) and said in str(done.exception)
    (tmp_path / "bad.json").write_text("[]")
    assert isinstance(run("choose-rate", tmp_path / "bad.json", tmp_path / "out.json").exception, ParamsError)


TASK = {
    "labels": "truth", "classes": ["native", "portal"], "seed": 0, "n_test": 2, "n_validation": 2, "n_train": {2: 1},
}  # fmt: skip


def write_archive(folder):
    """Write series whose patients are kept for tasks, with what is said of them."""
    given = write_series(folder, n_patients=10, n_series=1)
    volumes = read_table(folder / "000" / "volumes.parquet", VOLUMES)
    split = volumes[["PatientID"]].assign(split=["train", *["tasks"] * 9])
    write_table(split, folder / "split.csv", PATIENT_SPLIT)
    labels = volumes[["SeriesInstanceUID"]].assign(label=["native", "portal"] * 5)
    labels.to_csv(folder / "labels.csv", index=False)
    return given["volumes"][0], folder / "split.csv", folder / "labels.csv"


def test_a_classification_from_the_user_s_labels_to_its_rate(tmp_path):
    volumes, patients, labels = write_archive(tmp_path / "archive")
    given = ("--task", "phase", "--patients", patients, "--settings", json.dumps(TASK))
    out = tmp_path / "split" / "phase"
    done = run("draw-cases", volumes, out, "--labels", labels, *given)
    assert done.exit_code == 0, done.output
    cases = read_table(out / "cases.csv", TASK_CASES)
    assert len(cases) == 9 and all((out / path).is_file() for path in cases["path"])
    assert isinstance(run("draw-cases", volumes, tmp_path / "b", *given).exception, ParamsError)
    inputs = {name: str(out / f"{name}.csv") for name in ("cases", "split", "subsets")}
    factors = {"task": "phase", "evaluate_on": "validation"}
    record = write_run(
        tmp_path / "run.json", "finetune", factors, inputs, task={"classes": ["native", "portal"]}, proposal=None
    )
    done = run("train", record, tmp_path / "tuning")
    assert done.exit_code == 0, done.output
    assert len(read_table(tmp_path / "tuning" / "cases.csv", CLASSIFIED)) == 2
    done = run("choose-rate", tmp_path / "tuning" / "metrics.json", tmp_path / "rate.json")
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "rate.json").read_text())["task"] == "phase"


def test_an_unknown_task_is_refused(tmp_path, inputs):
    record = write_run(
        tmp_path / "run.json", "finetune", {"task": "spleen"}, {n: inputs[n] for n in ("cases", "split", "subsets")}
    )
    with pytest.raises(ParamsError, match="found the task 'spleen', wanted one of"):
        raise run("train", record, tmp_path / "out").exception
