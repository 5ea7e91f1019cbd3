"""`transfer compare` writes what was compared as finetune.arms says, and says what holds for one seed only."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from radnet3d.cli.transfer import Protocol, commands
from radnet3d.errors import ParamsError, TableError
from radnet3d.params import load_params
from radnet3d.tables import CASES, COMPARISON, LABELS_SAVED, POWER, RUNS, SECONDARY, read_table, write_table
from support.study import study

ARMS: dict[str, Any] = {
    "scratch": {},
    "pretrained": {"encoder": "dicom", "against": ["scratch", "shuffled"]},
    "shuffled": {"encoder": "shuffled", "against": ["scratch"]},
}
SIZES = {1: 2, 4: 1}


def tables(folder: Path, sizes: dict[int, int]) -> tuple[Path, Path]:
    """Write runs.csv and cases.csv of a made-up study; columns that comparing does not read hold 0."""
    effects = {"scratch": 0.0, "pretrained": 0.1, "shuffled": 0.0}
    cases = study(np.random.default_rng(0), effects, n_subsets=sizes, n_cases=6)
    cases = cases.reindex(
        columns=[*cases.columns, *(name for name in CASES.columns if name not in cases)], fill_value=0
    )
    runs = cases.drop_duplicates("run_id").assign(metric="dice_per_case")
    runs = runs.reindex(columns=[*RUNS.columns], fill_value=0)
    write_table(cases, folder / "cases.csv", CASES)
    write_table(runs, folder / "runs.csv", RUNS)
    return folder / "runs.csv", folder / "cases.csv"


def settings(repository: Path, arms: dict[str, Any]) -> str:
    params = json.loads(load_params(repository / "params.yaml").model_dump_json())
    params["finetune"] |= {"arms": arms, "n_train": SIZES, "init_seeds": [0, 1]}
    params["finetune"]["tune"] |= {"n_train": 1, "subset_seed": 0, "init_seed": 0}
    params["comparison"]["n_bootstrap"] = 100
    return json.dumps({name: params[name] for name in Protocol.model_fields})


def compare(runs: Path, cases: Path, asked: str) -> Result:
    arguments = ["compare", str(runs), str(cases), str(runs.parent / "out"), "--settings", asked]
    return CliRunner().invoke(commands, arguments)


def test_tables_of_the_declared_comparisons(tmp_path: Path, repository: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    result = compare(*tables(tmp_path, SIZES), settings(repository, ARMS))
    assert result.exit_code == 0, result.exception
    out = tmp_path / "out"
    comparison = read_table(out / "comparison.csv", COMPARISON)
    pairs = [("scratch", ""), ("pretrained", "scratch"), ("pretrained", "shuffled"), ("shuffled", "scratch")]
    assert list(comparison[["init", "reference"]].drop_duplicates().itertuples(index=False, name=None)) == pairs
    assert list(comparison.loc[comparison["n_train"] == 4, "fixed"].unique()) == ["subset_seed"]
    assert "one subset_seed at n_train [4]" in caplog.text
    assert len(read_table(out / "secondary.csv", SECONDARY)) == 3 * len(comparison)
    assert list(read_table(out / "labels_saved.csv", LABELS_SAVED)["init"].unique()) == ["pretrained", "shuffled"]
    assert len(read_table(out / "power.csv", POWER)) == 6
    metrics = json.loads((out / "metrics.json").read_text())
    first = comparison.query("init == 'pretrained' and reference == 'scratch' and n_train == 4")["difference"].item()
    assert metrics["difference"]["pretrained"]["n_004"] == pytest.approx(first, abs=1e-6)


def test_arms_that_were_not_run_and_runs_without_cases_are_refused(tmp_path: Path, repository: Path) -> None:
    runs, cases = tables(tmp_path, SIZES)
    more = {**ARMS, "control": {"encoder": "control", "against": ["scratch"]}}
    found = compare(runs, cases, settings(repository, more)).exception
    assert isinstance(found, TableError) and "control" in str(found)
    pd.read_csv(runs).iloc[1:].to_csv(runs, index=False)
    found = compare(runs, cases, settings(repository, ARMS)).exception
    assert isinstance(found, ParamsError) and "init-scratch_ntrain-001_subset-0_seed-0" in str(found)
