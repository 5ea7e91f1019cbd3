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
from radnet3d.params import load_params
from radnet3d.tables import CASES, COMPARISON, RUNS, read_table
from support.results_tree import REPOSITORY, write_results

PARAMS = json.loads(load_params(REPOSITORY / "params.yaml").model_dump_json())
SECTIONS = {name: PARAMS[name] for name in ("finetune", "network", "input", "volumes", "proposal")}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_results(tmp_path_factory.mktemp("made"))


@pytest.fixture
def runs_dir(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / "finetune" / "runs", tmp_path / "runs"))


def collect(runs_dir: Path, settings: dict[str, Any] = SECTIONS) -> Result:
    run_dirs = sorted(str(path) for path in runs_dir.iterdir())
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


def test_collect_then_compare(runs_dir: Path, made: Path) -> None:
    assert collect(runs_dir).exit_code == 0
    out = runs_dir.parent / "out"
    runs, cases = read_table(out / "runs.csv", RUNS), read_table(out / "cases.csv", CASES)
    assert len(runs) == 36 and len(cases) == 36 * 30
    assert list(runs["init"].unique()) == PARAMS["finetune"]["inits"]
    assert set(runs["task"]) == {"liver"}
    arguments = ["compare", str(out / "runs.csv"), str(out / "cases.csv"), str(out), "--settings"]
    assert CliRunner().invoke(commands, [*arguments, json.dumps(PARAMS["comparison"])]).exit_code == 0
    comparison = read_table(out / "comparison.csv", COMPARISON)
    assert len(comparison) == 12
    metrics = json.loads((out / "metrics.json").read_text())
    wanted = runs[(runs["init"] == "scratch") & (runs["n_train"] == 4)]["dice_per_case_mean"].mean()
    assert metrics["dice_per_case_mean"]["scratch"]["n_004"] == pytest.approx(wanted, abs=1e-5)
    shuffled = read_table(out / "against_shuffled.csv", COMPARISON)
    assert list(shuffled["init"].unique()) == ["shuffled", "pretrained"]


def test_other_settings_are_refused_by_name(runs_dir: Path) -> None:
    stale = sorted(runs_dir.iterdir())[5]
    change(stale / "run.json", "settings", "finetune", "steps", value=79)
    said = str(error(collect(runs_dir)))
    assert stale.name in said and "finetune.steps" in said and "79" in said and "80" in said


def test_other_network_is_refused(runs_dir: Path) -> None:
    settings = {**SECTIONS, "network": {**SECTIONS["network"], "widths": [4, 8, 16, 32]}}
    assert isinstance(error(collect(runs_dir, settings)), StaleResultError)


def test_a_larger_grid_names_what_is_missing_and_leaves_runs_valid(runs_dir: Path) -> None:
    settings = {**SECTIONS, "finetune": {**SECTIONS["finetune"], "n_train": [1, 4, 16, 32]}}
    said = str(error(collect(runs_dir, settings)))
    assert "missing: " in said and "pretrained-32-0-0" in said and "steps" not in said


def test_missing_doubled_and_unasked_cells(runs_dir: Path) -> None:
    first, second, *_ = sorted(runs_dir.iterdir())
    shutil.rmtree(first)
    shutil.copytree(second, runs_dir / "again")
    said = str(error(collect(runs_dir)))
    assert "missing: control-1-0-0" in said and "there twice: control-1-1-0" in said
    settings = {**SECTIONS, "finetune": {**SECTIONS["finetune"], "inits": ["scratch", "pretrained"]}}
    assert "not asked for: control" in str(error(collect(runs_dir, settings)))


def test_a_learning_rate_outside_the_grid_is_refused(runs_dir: Path) -> None:
    settings = {**SECTIONS, "finetune": {**SECTIONS["finetune"], "learning_rates": [0.3]}}
    assert "learning_rate" in str(error(collect(runs_dir, settings)))


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


def test_compare_refuses_tables_of_different_runs(made: Path, tmp_path: Path) -> None:
    runs = pd.read_csv(made / "transfer" / "runs.csv").iloc[1:]
    runs.to_csv(tmp_path / "runs.csv", index=False)
    arguments = ["compare", str(tmp_path / "runs.csv"), str(made / "transfer" / "cases.csv"), str(tmp_path)]
    result = CliRunner().invoke(commands, [*arguments, "--settings", json.dumps(PARAMS["comparison"])])
    assert "init-scratch_ntrain-001_subset-0_seed-0" in str(error(result))
