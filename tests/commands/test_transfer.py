"""`transfer collect` refuses what does not belong to one experiment; `transfer compare` writes the tables."""

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from radnet3d.cli.transfer import commands
from radnet3d.errors import RadnetError, StaleResultError, TableError
from radnet3d.params import Params, load_params
from radnet3d.runs import FinetuneSections
from radnet3d.tables import CASES, RUNS, TASK_COMPARISON, read_table
from support.results_tree import REPOSITORY, write_results

TASK = {
    "labels": "truth", "classes": ["head", "chest"], "seed": 0, "n_test": 6, "n_validation": 4, "n_train": {"4": 2},
    "arms": ["scratch", "pretrained"], "init_seeds": [0], "steps": 80, "margin": 0.05,
    "tune": {"n_train": 4, "subset_seed": 0, "init_seed": 0},
}  # fmt: skip


def with_a_task() -> Params:
    """The parameters of the repository, and a classification of two arms beside the liver."""
    content = json.loads(load_params(REPOSITORY / "params.yaml").model_dump_json())
    content["tasks"] = {"body_region": TASK}
    content["pretrain"]["fraction_tasks"] = 0.2
    return Params.model_validate(content)


PARAMS = with_a_task()
SECTIONS = json.loads(PARAMS.model_dump_json(include=set(FinetuneSections.model_fields)))
N_LIVER, N_TASK = 36, 4


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_results(tmp_path_factory.mktemp("made"), PARAMS)


@pytest.fixture
def runs_dir(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / "finetune" / "runs", tmp_path / "runs")) / "liver"


def collect(runs_dir: Path, settings: dict[str, Any] = SECTIONS) -> Result:
    run_dirs = sorted(str(path) for path in runs_dir.parent.glob("*/*"))
    arguments = ["collect", *run_dirs, str(runs_dir.parent / "out"), "--settings", json.dumps(settings)]
    return CliRunner().invoke(commands, arguments)


def change(path: Path, *keys: str, value: Any) -> None:
    content = json.loads(path.read_text())
    inner = content
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    path.write_text(json.dumps(content))


def error(result: Result) -> RadnetError:
    assert isinstance(result.exception, RadnetError), result.output
    return result.exception


def test_runs_of_all_tasks_come_in_the_order_of_their_grids(runs_dir: Path) -> None:
    done = collect(runs_dir)
    assert done.exit_code == 0, done.exception
    out = runs_dir.parent / "out"
    runs, cases = read_table(out / "runs.csv", RUNS), read_table(out / "cases.csv", CASES)
    assert runs["task"].tolist() == ["liver"] * N_LIVER + ["body_region"] * N_TASK
    liver, region = runs[runs["task"] == "liver"], runs[runs["task"] == "body_region"]
    assert list(liver["init"].unique()) == list(PARAMS.finetune.arms)
    assert list(region["init"].unique()) == ["scratch", "pretrained"]
    assert liver["dice_per_case_mean"].notna().all() and liver["correct_mean"].isna().all()
    assert region["correct_mean"].notna().all() and region["dice_per_case_mean"].isna().all()
    assert set(region["metric"]) == {"correct"} and region["balanced_accuracy"].between(0, 1).all()
    assert set(cases["task"]) == set(runs["task"])
    answers = cases[cases["task"] == "body_region"]
    assert answers["correct"].isin([0, 1]).all() and answers["label"].ne("").all()
    assert not answers["is_empty"].any() and answers["dice_per_case"].isna().all()
    arguments = ["compare", str(out / "runs.csv"), str(out / "cases.csv"), str(out), "--settings"]
    settings = PARAMS.model_dump_json(include={"comparison", "finetune", "tasks"})
    done = CliRunner().invoke(commands, [*arguments, settings])
    assert done.exit_code == 0, done.exception
    compared = read_table(out / "task_comparison.csv", TASK_COMPARISON)
    assert set(compared["task"]) == {"body_region"} and set(compared["init"]) == {"scratch", "pretrained"}
    scratch = compared[compared["init"] == "scratch"].iloc[0]
    assert scratch["mean"] == pytest.approx(region.loc[region["init"] == "scratch", "correct_mean"].mean())
    assert scratch["verdict"] == "reference"
    paired = answers.pivot_table(index=["case_id", "subset_seed"], columns="init", values="correct")
    wanted = (paired["pretrained"] - paired["scratch"]).mean()
    assert compared.loc[compared["init"] == "pretrained", "difference"].item() == pytest.approx(wanted)


def test_a_run_of_no_task_and_a_task_without_runs_are_refused(runs_dir: Path) -> None:
    assert "body_region" in str(error(collect(runs_dir, {**SECTIONS, "tasks": {}})))
    shutil.rmtree(runs_dir.parent / "body_region")
    assert "body_region: 0 runs for a grid of 4 cells" in str(error(collect(runs_dir)))


def test_other_settings_are_refused_by_name(runs_dir: Path) -> None:
    stale = sorted(runs_dir.iterdir())[5]
    change(stale / "run.json", "settings", "finetune", "steps", value=79)
    said = str(error(collect(runs_dir)))
    assert stale.name in said and "finetune.steps" in said and "79" in said and "80" in said


def test_other_network_is_refused(runs_dir: Path) -> None:
    settings = {**SECTIONS, "network": {**SECTIONS["network"], "widths": [4, 8, 16, 32]}}
    assert isinstance(error(collect(runs_dir, settings)), StaleResultError)


def test_a_larger_grid_names_what_is_missing_and_leaves_runs_valid(runs_dir: Path) -> None:
    settings = {
        **SECTIONS,
        "finetune": {**SECTIONS["finetune"], "n_train": {**SECTIONS["finetune"]["n_train"], "32": 1}},
    }
    said = str(error(collect(runs_dir, settings)))
    assert "missing: " in said and "pretrained-32-0-0" in said and "steps" not in said


def without_control() -> dict[str, Any]:
    return {name: arm for name, arm in SECTIONS["finetune"]["arms"].items() if name != "control"}


def test_missing_doubled_and_unasked_cells(runs_dir: Path) -> None:
    first, second, *_ = sorted(runs_dir.iterdir())
    shutil.rmtree(first)
    shutil.copytree(second, runs_dir / "again")
    said = str(error(collect(runs_dir)))
    assert "missing: control-1-0-0" in said and "there twice: control-1-1-0" in said
    settings = {**SECTIONS, "finetune": {**SECTIONS["finetune"], "arms": without_control()}}
    assert "not asked for: control" in str(error(collect(runs_dir, settings)))


def test_a_learning_rate_outside_the_grid_is_refused(runs_dir: Path) -> None:
    settings = {**SECTIONS, "finetune": {**SECTIONS["finetune"], "learning_rates": [0.3]}}
    assert "learning_rate" in str(error(collect(runs_dir, settings)))


@pytest.mark.parametrize(("factor", "value"), [("largest_component", True), ("learning_rate", 0.04)])
def test_a_choice_that_was_not_made_for_all_runs_alike_is_refused(runs_dir: Path, factor: str, value: Any) -> None:
    other = sorted(runs_dir.iterdir())[4]
    change(other / "run.json", "factors", factor, value=value)
    said = str(error(collect(runs_dir)))
    assert f"{other.name}: factors.{factor}: the run was made with {value}" in said and "as in init-" in said


def test_runs_scored_on_validation_cases_are_refused(runs_dir: Path) -> None:
    change(sorted(runs_dir.iterdir())[0] / "run.json", "factors", "evaluate_on", value="validation")
    assert "evaluate_on" in str(error(collect(runs_dir)))


def test_other_test_cases_are_refused(runs_dir: Path) -> None:
    folder = sorted(runs_dir.iterdir())[3]
    frame = pd.read_csv(folder / "cases.csv")
    frame.loc[0, "case_id"] = "case-777"
    frame.to_csv(folder / "cases.csv", index=False)
    found = error(collect(runs_dir))
    assert isinstance(found, TableError) and "case-777" in str(found)


def test_metrics_that_contradict_cases_are_refused(runs_dir: Path) -> None:
    change(sorted(runs_dir.iterdir())[0] / "metrics.json", "dice_per_case_mean", value=0.99)
    assert "0.99" in str(error(collect(runs_dir)))


def test_an_unfinished_run_is_named(runs_dir: Path) -> None:
    (sorted(runs_dir.iterdir())[0] / "metrics.json").unlink()
    assert "metrics.json: no such file" in str(error(collect(runs_dir)))


@pytest.mark.parametrize("settings", ["{", "[]", "{}"])
def test_bad_settings(runs_dir: Path, settings: str) -> None:
    run_dir = str(sorted(runs_dir.iterdir())[0])
    result = CliRunner().invoke(commands, ["collect", run_dir, str(runs_dir.parent / "out"), "--settings", settings])
    assert "--settings" in str(error(result))
