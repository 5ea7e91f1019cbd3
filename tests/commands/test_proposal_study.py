"""Proposers and segmenters of a tiny run, compared from end to end."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from radnet3d.cli import finetune, liver, pretrain, transfer
from radnet3d.errors import SplitError, TableError
from radnet3d.tables import PROPOSAL_CASES, PROPOSAL_SCORES, PROPOSAL_STUDY, PROPOSED, RUN_CASES, read_table
from support.results_tree import comparison_settings
from support.tiny_training import FINETUNE_FACTORS, PRETRAIN_FACTORS, SETTINGS, write_cases, write_run, write_series

CHOICE = {"thresholds": [0.3, 0.5], "margins_mm": [0, 10]}
CLASSIFIER = {"steps": 3, "batch_size": 4, "learning_rate": 0.01, "weight_decay": 0.0}
OF_CLASSIFIER = json.dumps(
    {"classifier": CLASSIFIER, "choice": CHOICE, "volumes": SETTINGS["volumes"], "input": SETTINGS["input"]}
)
OF_COVERAGE = json.dumps({"choice": CHOICE, "proposal": SETTINGS["proposal"]})


def run(commands: object, *arguments: object) -> Result:
    return CliRunner().invoke(commands, [str(argument) for argument in arguments])


def done(result: Result) -> None:
    assert result.exit_code == 0, (result.output, result.exception)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pretrained encoder, liver cases with their proposals, and one run of each of two arms."""
    folder = tmp_path_factory.mktemp("study")
    record = write_run(folder / "p.json", "pretrain", PRETRAIN_FACTORS, write_series(folder / "series"))
    done(run(pretrain.commands, "train", record, folder / "dicom"))
    checkpoint = str(folder / "dicom" / "checkpoint.pt")
    inputs = {**write_cases(folder / "liver"), "proposer": checkpoint}
    proposals = folder / "liver" / "proposals.csv"
    settings = json.dumps(SETTINGS["proposal"])
    done(
        run(
            liver.commands,
            "propose",
            folder / "liver/cases",
            proposals,
            "--checkpoint",
            checkpoint,
            "--settings",
            settings,
        )
    )
    for init in ("scratch", "pretrained"):
        encoder = {} if init == "scratch" else {"encoder": checkpoint}
        factors = {**FINETUNE_FACTORS, "init": init, "encoder": "dicom" if encoder else None, "subset_seed": 1}
        path = write_run(folder / f"{init}.json", "finetune", factors, {**inputs, **encoder})
        done(run(finetune.commands, "train", path, folder / init))
    return folder


@pytest.fixture(scope="module")
def proposers(folder: Path) -> list[Path]:
    """The folders of the coverage head and of the classifier of the runs' own training set."""
    cases, split, subsets = (folder / "liver" / name for name in ("cases/cases.parquet", "split.csv", "subsets.csv"))
    coverage, classifier = folder / "coverage", folder / "classifier"
    checkpoint = folder / "dicom" / "checkpoint.pt"
    done(
        run(
            liver.commands,
            "study-coverage",
            cases,
            split,
            coverage,
            "--checkpoint",
            checkpoint,
            "--settings",
            OF_COVERAGE,
        )
    )
    which = ("--n-train", 2, "--subset-seed", 1, "--settings", OF_CLASSIFIER)
    done(run(liver.commands, "study-classifier", cases, split, subsets, classifier, *which))
    return [coverage, classifier]


@pytest.fixture(scope="module")
def studied(folder: Path, proposers: list[Path]) -> pd.DataFrame:
    proposed = [part for path in proposers for part in ("--proposed", path / "proposed.csv")]
    arguments = [
        folder / "liver/cases/cases.parquet",
        folder / "liver/split.csv",
        folder / "scratch",
        folder / "pretrained",
    ]
    done(run(liver.commands, "study-segmenters", *arguments, folder / "cases.csv", *proposed))
    return read_table(folder / "cases.csv", PROPOSAL_CASES)


def test_coverage_as_used_is_what_feeds_every_run(folder: Path, proposers: list[Path]) -> None:
    proposed = read_table(proposers[0] / "proposed.csv", PROPOSED)
    used = proposed[proposed["method"] == "coverage"].set_index("case_id")
    fed = pd.read_csv(folder / "liver" / "proposals.csv", dtype={"case_id": str}).set_index("case_id").loc[used.index]
    for column in ("start_slice", "stop_slice", "recall", "n_extra_slices", "fallback"):
        assert used[column].tolist() == fed[column].tolist(), column
    assert len(used) == 3 and (used["n_labels"] == 0).all()


def test_settings_are_chosen_on_validation_cases_alone(folder: Path, proposers: list[Path]) -> None:
    for path in proposers:
        scores = read_table(path / "scores.csv", PROPOSAL_SCORES)
        validation = scores[scores["role"] == "validation"]
        assert len(validation) == 4 and (validation["n_cases"] == 2).all()
        best = validation[validation["n_whole"] == validation["n_whole"].max()]["extra_mm"].min()
        chosen = read_table(path / "proposed.csv", PROPOSED).iloc[-1]
        row = validation[
            (validation["threshold"] == chosen["threshold"]) & (validation["margin_mm"] == chosen["margin_mm"])
        ]
        assert row["extra_mm"].item() == best


def test_under_the_proposals_of_training_dice_is_that_of_the_run(folder: Path, studied: pd.DataFrame) -> None:
    for init in ("scratch", "pretrained"):
        again = studied[(studied["method"] == "coverage") & (studied["init"] == init)].set_index("case_id")[
            "dice_per_case"
        ]
        own = read_table(folder / init / "cases.csv", RUN_CASES).set_index("case_id")["dice_per_case"]
        assert np.allclose(again, own.loc[again.index], atol=1e-6)


def test_bounds_of_the_study(studied: pd.DataFrame) -> None:
    true, whole = (studied[studied["method"] == method] for method in ("true_range", "whole_scan"))
    assert (true["recall"] == 1).all() and (true["n_extra_slices"] == 0).all()
    assert (whole["start_slice"] == 0).all() and (whole["stop_slice"] == whole["n_slices"]).all()
    assert (whole["n_labels"] == 0).all() and (true["n_labels"] > 0).all()


def test_labels_and_seconds_are_counted(folder: Path, studied: pd.DataFrame) -> None:
    learnt = studied[studied["method"] == "classifier"]
    assert (learnt["n_labels_trained"] > 0).all() and (learnt["n_labels"] > learnt["n_labels_trained"]).all()
    assert (learnt["seconds_propose"] > 0).all()
    timed = studied[studied["init"] == "scratch"]
    assert (timed["seconds_segment"] > 0).all() and studied.loc[
        studied["init"] != "scratch", "seconds_segment"
    ].isna().all()


def test_the_summary_has_a_row_a_method_and_arm(folder: Path, studied: pd.DataFrame) -> None:
    out = folder / "study.csv"
    done(
        run(
            transfer.commands,
            "compare-proposals",
            folder / "cases.csv",
            out,
            "--settings",
            json.dumps(comparison_settings().model_dump()),
        )
    )
    study = read_table(out, PROPOSAL_STUDY)
    assert len(study) == 5 * 2 and (study["n_cases"] == 3).all()


def test_a_run_without_a_classifier_of_its_own_is_refused(folder: Path, proposers: list[Path]) -> None:
    proposed = read_table(proposers[1] / "proposed.csv", PROPOSED).assign(subset_seed=0)
    proposed.to_csv(folder / "other.csv", index=False)
    arguments = [
        folder / "liver/cases/cases.parquet",
        folder / "liver/split.csv",
        folder / "scratch",
        folder / "out.csv",
    ]
    given = ("--proposed", proposers[0] / "proposed.csv", "--proposed", folder / "other.csv")
    refused = run(liver.commands, "study-segmenters", *arguments, *given)
    assert isinstance(refused.exception, SplitError) and "trained on the same cases" in str(refused.exception)
    assert not (folder / "out.csv").exists()


def test_a_proposal_for_every_test_case_is_wanted(folder: Path, proposers: list[Path]) -> None:
    read_table(proposers[1] / "proposed.csv", PROPOSED).iloc[1:].to_csv(folder / "fewer.csv", index=False)
    arguments = [
        folder / "liver/cases/cases.parquet",
        folder / "liver/split.csv",
        folder / "scratch",
        folder / "out.csv",
    ]
    refused = run(liver.commands, "study-segmenters", *arguments, "--proposed", folder / "fewer.csv")
    assert isinstance(refused.exception, SplitError) and "wanted one for each of 3" in str(refused.exception)


def test_a_table_of_something_else_is_refused(folder: Path) -> None:
    arguments = [
        folder / "liver/cases/cases.parquet",
        folder / "liver/split.csv",
        folder / "scratch",
        folder / "out.csv",
    ]
    refused = run(liver.commands, "study-segmenters", *arguments, "--proposed", folder / "liver" / "proposals.csv")
    assert isinstance(refused.exception, TableError) and "proposals.csv" in str(refused.exception)


def test_training_cases_must_be_training_cases(folder: Path, tmp_path: Path) -> None:
    split = pd.read_csv(folder / "liver/split.csv", dtype=str)
    split.loc[split["role"] == "train", "role"] = "control"
    split.to_csv(tmp_path / "split.csv", index=False)
    cases, subsets = folder / "liver/cases/cases.parquet", folder / "liver/subsets.csv"
    which = ("--n-train", 2, "--subset-seed", 1, "--settings", OF_CLASSIFIER)
    refused = run(liver.commands, "study-classifier", cases, tmp_path / "split.csv", subsets, tmp_path / "out", *which)
    assert isinstance(refused.exception, SplitError) and "wanted some of the role train" in str(refused.exception)
