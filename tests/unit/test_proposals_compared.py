import numpy as np
import pandas as pd
import pytest

from radnet3d.errors import TableError
from radnet3d.evaluation.proposals import compare_proposals
from radnet3d.tables import PROPOSAL_CASES, PROPOSAL_STUDY, check_table
from support.proposal_cases import made_up_proposal_cases
from support.results_tree import comparison_settings

SETTINGS = comparison_settings()


@pytest.fixture(scope="module")
def cases():
    return check_table(made_up_proposal_cases(np.random.default_rng(3)), PROPOSAL_CASES, name="made up")


@pytest.fixture(scope="module")
def study(cases):
    return check_table(compare_proposals(cases, SETTINGS), PROPOSAL_STUDY, name="study")


def row_of(study: pd.DataFrame, method: str, init: str = "scratch", n_train: int = 4) -> "pd.Series[float]":
    return study.set_index(["method", "init", "n_train"]).loc[(method, init, n_train)]


def test_every_method_arm_and_size_has_a_row_with_intervals(study):
    assert len(study) == 5 * 2 * 2
    for name, low, high in (
        ("recall", "recall_low", "recall_high"), ("whole", "whole_low", "whole_high"), ("extra_mm", "extra_mm_low", "extra_mm_high"),
        ("dice_per_case_mean", "low", "high"), ("difference", "difference_low", "difference_high"),
    ):  # fmt: skip
        is_between = (study[low] <= study[name] + 1e-9) & (study[name] <= study[high] + 1e-9)
        is_none = (
            study[[low, high]].isna().all(axis=1)
        )  # where every value lies at a bound: all found, nothing too much
        assert (is_between ^ is_none).all(), name
        assert study.loc[is_none, name].isin([0, 1]).all(), name


def test_numbers_are_those_of_the_cases(cases, study):
    row = row_of(study, "classifier")
    cell = cases[(cases["method"] == "classifier") & (cases["init"] == "scratch") & (cases["n_train"] == 4)]
    assert row["recall"] == pytest.approx(cell["recall"].mean())
    assert row["dice_per_case_mean"] == pytest.approx(cell["dice_per_case"].mean())
    assert (row["n_cases"], row["n_runs"], row["n_labels_trained"]) == (12, 4, 200)
    true = cases[(cases["method"] == "true_range") & (cases["init"] == "scratch") & (cases["n_train"] == 4)]
    pairs = cell.merge(true, on=["run_id", "case_id"])
    assert row["difference"] == pytest.approx((pairs["dice_per_case_x"] - pairs["dice_per_case_y"]).mean())


def test_the_true_range_differs_from_itself_by_nothing(study):
    row = row_of(study, "true_range")
    assert (row["difference"], row["difference_low"], row["difference_high"]) == (0, 0, 0)
    assert row["seconds_propose"] == 0


def test_no_loss_in_a_few_cases_is_no_certainty(study):
    row = row_of(study, "coverage")
    assert row["whole"] == 1 and 0.7 < row["whole_low"] < 0.9  # Wilson: 12 of 12


def test_a_difference_is_paired_by_case(study):
    """Cases differ by far more than methods: an interval of unpaired means would hold 0."""
    row = row_of(study, "whole_scan")
    assert row["difference_high"] < 0 < row["low"] < row["high"]
    assert row["high"] - row["low"] > 3 * (row["difference_high"] - row["difference_low"])


def test_a_missing_run_is_refused(cases):
    lacking = cases[~((cases["method"] == "coverage") & (cases["subset_seed"] == 1))]
    with pytest.raises(TableError, match="coverage: wanted the runs and cases of true_range"):
        compare_proposals(lacking, SETTINGS)
