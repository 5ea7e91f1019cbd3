"""The comparison: edge cases, laws, and simulations of what its intervals and verdicts promise."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from radnet3d.errors import TableError
from radnet3d.evaluation.comparison import (
    as_array,
    bootstrap_mean,
    compare,
    dice_of,
    flat_metrics,
    holm,
    resampled_means,
    wilcoxon_p,
)
from radnet3d.tables import COMPARISON, check_table
from support.results_tree import comparison_settings, made_up_cases


def row(comparison: pd.DataFrame, init: str, n_train: int) -> pd.Series:
    return comparison[(comparison["init"] == init) & (comparison["n_train"] == n_train)].iloc[0]


def test_a_table_of_the_schema_with_scratch_as_reference() -> None:
    cases = made_up_cases(np.random.default_rng(0), effects={"pretrained": 0.1, "scratch": 0.0, "shuffled": 0.0})
    comparison = check_table(compare(cases, comparison_settings()), COMPARISON, name="comparison")
    assert list(comparison["init"].unique()) == ["scratch", "pretrained", "shuffled"]
    assert set(comparison.loc[comparison["init"] == "scratch", "verdict"]) == {"reference"}
    assert comparison.loc[comparison["init"] == "scratch", "difference"].isna().all()
    assert set(comparison.loc[comparison["init"] == "pretrained", "verdict"]) == {"gain"}
    assert (comparison["low"] < comparison["dice_per_case_mean"]).all()
    assert (comparison["n_runs"] == 3).all() and (comparison["n_cases"] == 30).all()


def test_the_difference_is_paired_by_case_and_seed() -> None:
    """A constant added to every case leaves a difference without any width, however different cases are."""
    scratch = made_up_cases(np.random.default_rng(1), effects={"scratch": 0.0})
    other = scratch.assign(init="pretrained", dice_per_case=scratch["dice_per_case"] + 0.03)
    shuffled_rows = other.sample(frac=1, random_state=0)
    found = row(compare(pd.concat([shuffled_rows, scratch]), comparison_settings()), "pretrained", 4)
    assert [found["difference"], found["difference_low"], found["difference_high"]] == pytest.approx([0.03] * 3)


def test_loss_and_margin() -> None:
    scratch = made_up_cases(np.random.default_rng(2), effects={"scratch": 0.0})
    worse = scratch.assign(init="shuffled", dice_per_case=scratch["dice_per_case"] - 0.05)
    hardly = scratch.assign(init="pretrained", dice_per_case=scratch["dice_per_case"] + 0.019)
    comparison = compare(pd.concat([scratch, worse, hardly]), comparison_settings())
    assert row(comparison, "shuffled", 4)["verdict"] == "loss"
    assert row(comparison, "pretrained", 4)["verdict"] == "no difference shown"
    assert row(comparison, "pretrained", 4)["p_holm"] < 0.05


def test_same_answer_twice_and_in_any_order_of_rows() -> None:
    cases = made_up_cases(np.random.default_rng(3), effects={"scratch": 0.0, "pretrained": 0.02})
    first = compare(cases, comparison_settings())
    pd.testing.assert_frame_equal(first, compare(cases.sample(frac=1, random_state=1), comparison_settings()))


def test_one_seed_only() -> None:
    cases = made_up_cases(np.random.default_rng(4), effects={"scratch": 0.0, "pretrained": 0.1}, n_subsets=1)
    found = row(compare(cases, comparison_settings()), "pretrained", 1)
    assert found["n_runs"] == 1
    assert found["difference_low"] < found["difference"] < found["difference_high"]


def test_a_single_case_has_no_interval_and_no_verdict_of_gain() -> None:
    cases = made_up_cases(np.random.default_rng(5), effects={"scratch": 0.0, "pretrained": 0.2}, n_cases=1)
    found = row(check_table(compare(cases, comparison_settings()), COMPARISON, name="one case"), "pretrained", 1)
    assert np.isfinite(found["difference"])
    assert np.isnan([found["low"], found["difference_low"], found["p_holm"]]).all()
    assert found["verdict"] == "no difference shown"


def test_undefined_cases_are_counted_and_take_no_part() -> None:
    cases = made_up_cases(np.random.default_rng(6), effects={"scratch": 0.0, "pretrained": 0.0})
    without = cases[cases["case_id"] != "case-000"]
    cases.loc[cases["case_id"] == "case-000", "dice_per_case"] = np.nan
    found, wanted = (row(compare(c, comparison_settings()), "pretrained", 4) for c in (cases, without))
    assert found["n_undefined"] == 3 and found["n_cases"] == 30
    assert found["difference"] == pytest.approx(wanted["difference"])
    assert found["p"] == pytest.approx(wanted["p"])


def test_empty_predictions_and_failures_are_counted() -> None:
    cases = made_up_cases(np.random.default_rng(7), effects={"scratch": 0.2, "pretrained": 0.2})
    hit = (cases["init"] == "pretrained") & (cases["n_train"] == 16) & (cases["case_id"] == "case-003")
    cases.loc[hit, ["dice_per_case", "is_empty"]] = [0.0, True]
    found = row(compare(cases, comparison_settings()), "pretrained", 16)
    assert (found["n_empty"], found["n_failures"]) == (3, 3)


@pytest.mark.parametrize("fault", ["missing", "doubled", "no scratch", "other cases"])
def test_an_incomplete_grid_is_refused(fault: str) -> None:
    cases = made_up_cases(np.random.default_rng(8), effects={"scratch": 0.0, "pretrained": 0.0})
    broken = {
        "missing": cases.drop(index=5),
        "doubled": pd.concat([cases, cases.iloc[[7]]]),
        "no scratch": cases[cases["init"] != "scratch"],
        "other cases": cases[(cases["init"] != "pretrained") | (cases["case_id"] != "case-001")],
    }[fault]
    with pytest.raises(TableError, match="wanted"):
        compare(broken, comparison_settings())


def test_equal_shapes_of_unequal_cases_are_refused() -> None:
    cases = made_up_cases(np.random.default_rng(8), effects={"scratch": 0.0, "pretrained": 0.0})
    renamed = (cases["init"] == "pretrained") & (cases["case_id"] == "case-001")
    cases.loc[renamed, "case_id"] = "case-999"
    with pytest.raises(TableError, match="case-999"):
        compare(cases, comparison_settings())


def test_dice_array_axes() -> None:
    cases = made_up_cases(np.random.default_rng(9), effects={"scratch": 0.0}, n_subsets=2, n_inits=3, n_cases=5)
    values = as_array(dice_of(cases.sample(frac=1, random_state=0), "scratch", 4))
    at = cases.query("n_train == 4 and subset_seed == 1 and init_seed == 2 and case_id == 'case-003'")
    assert values.shape == (2, 3, 5)
    assert values[1, 2, 3] == at["dice_per_case"].item()


def test_resampled_means_match_a_loop() -> None:
    values = np.random.default_rng(0).normal(size=(2, 3, 4))
    values[0, 1, 2] = np.nan
    found = resampled_means(values, 50, np.random.default_rng(1))
    rng = np.random.default_rng(1)
    counts = [rng.multinomial(n, np.full(n, 1 / n), size=50) for n in values.shape]
    drawn = [[np.repeat(np.arange(len(c[b])), c[b]) for c in counts] for b in range(50)]
    wanted = [np.nanmean(values[np.ix_(*axes)]) for axes in drawn]
    np.testing.assert_allclose(found, wanted)


def test_many_cases_and_one_run_give_the_t_interval() -> None:
    values = np.random.default_rng(2).normal(0.7, 0.1, (1, 1, 40))
    found = bootstrap_mean(values, comparison_settings(n_bootstrap=20000))
    wanted = stats.t.interval(0.95, 39, loc=values.mean(), scale=stats.sem(values.ravel()))
    np.testing.assert_allclose([found.low, found.high], wanted, atol=0.002)


def test_wilcoxon_edges() -> None:
    assert np.isnan(wilcoxon_p(np.array([0.1])))
    assert np.isnan(wilcoxon_p(np.array([0.1, np.nan])))
    assert wilcoxon_p(np.zeros(5)) == 1.0
    assert wilcoxon_p(np.arange(1.0, 31.0)) < 1e-6


def test_holm_by_hand_and_undefined() -> None:
    np.testing.assert_allclose(holm(np.array([0.04, 0.01, np.nan, 0.03])), [0.06, 0.03, np.nan, 0.06])
    assert np.isnan(holm(np.array([np.nan, np.nan]))).all()
    np.testing.assert_allclose(holm(np.array([0.9, 0.8])), [1.0, 1.0])


def test_flat_metrics_hold_no_undefined_number() -> None:
    cases = made_up_cases(np.random.default_rng(5), effects={"scratch": 0.0, "pretrained": 0.2}, n_cases=1)
    metrics = flat_metrics(compare(cases, comparison_settings()))
    assert set(metrics["difference"]) == {"pretrained"}
    assert "difference_low" not in metrics
    assert set(metrics["dice_per_case_mean"]["scratch"]) == {"n_001", "n_004", "n_016"}


@pytest.mark.parametrize(("n_subsets", "n_inits"), [(3, 1), (5, 1), (3, 2)])
def test_intervals_cover_a_planted_effect(n_subsets: int, n_inits: int) -> None:
    """300 experiments with a true difference of 0.04: 95 % intervals hold it about that often, a little more."""
    rng = np.random.default_rng(100 + n_subsets + n_inits)
    covered = 0
    for _ in range(300):
        seeds = rng.normal(0, 0.012, (n_subsets, 1, 1)) + rng.normal(0, 0.006, (1, n_inits, 1))
        values = 0.04 + seeds + rng.normal(0, 0.03, (1, 1, 30)) + rng.normal(0, 0.05, (n_subsets, n_inits, 30))
        interval = bootstrap_mean(values, comparison_settings())
        covered += interval.low <= 0.04 <= interval.high
    assert 0.93 <= covered / 300 <= 1.0


def test_no_effect_is_seldom_called_a_difference() -> None:
    """360 comparisons without any effect, no margin asked: about 1 in 20 at most may end in a gain or a loss."""
    rng = np.random.default_rng(42)
    called = 0
    for _ in range(120):
        cases = made_up_cases(rng, effects={"scratch": 0.0, "pretrained": 0.0})
        comparison = compare(cases, comparison_settings(margin_dice=1e-9, n_bootstrap=200))
        called += int(comparison["verdict"].isin(["gain", "loss"]).sum())
    assert called / 360 <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 360)


def test_a_planted_effect_is_found() -> None:
    rng = np.random.default_rng(43)
    found = [
        row(compare(made_up_cases(rng, effects={"scratch": 0.0, "pretrained": 0.07}), comparison_settings()),
            "pretrained", 4)["verdict"]
        for _ in range(20)
    ]  # fmt: skip
    assert found.count("gain") >= 18
    assert "loss" not in found
