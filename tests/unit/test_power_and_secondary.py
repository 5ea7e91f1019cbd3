"""What the study could have shown, and the metrics beside Dice."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from radnet3d.evaluation.comparison import compare
from radnet3d.evaluation.intervals import estimate
from radnet3d.evaluation.power import power_table, smallest_difference
from radnet3d.evaluation.secondary import compare_secondary
from radnet3d.tables import POWER, SECONDARY, check_table
from support.study import METRICS, settings, study

AGAINST = {"scratch": (), "pretrained": ("scratch", "shuffled"), "shuffled": ("scratch",)}


@pytest.fixture(scope="module")
def cases() -> pd.DataFrame:
    effects = {"scratch": 0.0, "pretrained": 0.04, "shuffled": 0.0}
    return study(np.random.default_rng(0), effects, n_subsets={1: 5, 4: 3})


def test_power_of_each_comparison_at_holms_first_step(cases: pd.DataFrame) -> None:
    table = check_table(power_table(cases, AGAINST, settings()), POWER, name="power")
    assert len(table) == 6
    assert set(table["level"].round(9)) == {0.025} and set(table["power"]) == {0.8}
    assert list(table["n_runs"]) == [10, 6] * 3
    comparison = compare(cases, AGAINST, settings()).query("reference != ''").reset_index()
    half = (comparison["difference_high"] - comparison["difference_low"]) / 2
    np.testing.assert_allclose(stats.t.ppf(0.975, table["degrees_of_freedom"]) * table["standard_error"], half)
    assert (table["smallest_difference"] > half).all()


def test_power_says_nothing_without_an_error() -> None:
    cases = study(np.random.default_rng(1), {"scratch": 0.0, "pretrained": 0.2}, n_subsets={1: 2}, n_cases=1)
    table = check_table(
        power_table(cases, {"scratch": (), "pretrained": ("scratch",)}, settings()), POWER, name="power"
    )
    assert table[["standard_error", "smallest_difference"]].isna().all(axis=None)
    none = power_table(cases[cases["init"] == "scratch"], {"scratch": ()}, settings())
    assert check_table(none, POWER, name="power").empty


@pytest.mark.parametrize("level", [0.05, 0.05 / 6])
def test_over_cases_alone_it_is_that_of_the_t_test(level: float) -> None:
    """One run, 30 cases: the noncentral t distribution says at which shift four in five t tests pass."""
    values = np.random.default_rng(2).normal(0.0, 0.1, (1, 1, 30))
    found = estimate(values, settings())
    shift = smallest_difference(values, found, level, settings(margin_dice=1e-6)) / found.standard_error
    assert stats.nct.sf(stats.t.isf(level / 2, 29), 29, shift) == pytest.approx(0.8, abs=0.015)


def test_seeds_that_differ_cost_more_than_their_standard_error() -> None:
    """Two seeds have one degree of freedom: at the same standard error far more is needed than over cases."""
    rng = np.random.default_rng(3)
    cases = rng.normal(0.0, 0.05, (1, 1, 30))
    seeds = np.broadcast_to(np.array([-0.01, 0.01]).reshape(1, 2, 1), (1, 2, 30)) + 1e-4 * cases
    multiples = [
        smallest_difference(values, found := estimate(values, settings()), 0.05, settings(margin_dice=1e-6))
        / found.standard_error
        for values in (cases, seeds)
    ]
    assert multiples[0] == pytest.approx(2.9, abs=0.1)
    assert multiples[1] > 4 * multiples[0]


def test_a_difference_below_the_margin_is_never_called_a_gain() -> None:
    """However small the error: at a true difference of the margin itself half of the estimates lie below it."""
    values = np.random.default_rng(4).normal(0.0, 0.02, (1, 1, 30))
    found = estimate(values, settings())
    said = smallest_difference(values, found, 0.05, settings(margin_dice=0.05))
    assert said == pytest.approx(0.05 + stats.norm.ppf(0.8) * found.standard_error, rel=0.02)
    nothing = np.zeros((2, 2, 5))
    assert smallest_difference(nothing, estimate(nothing, settings()), 0.05, settings(margin_dice=0.03)) == 0.03


def test_secondary_metrics_follow_what_they_are_made_of(cases: pd.DataFrame) -> None:
    """NSD is made as 0.8 x Dice and HD95 as 50 mm x (1 - Dice): so are their intervals."""
    secondary = check_table(compare_secondary(cases, AGAINST, settings()), SECONDARY, name="secondary")
    comparison = compare(cases, AGAINST, settings())
    assert len(secondary) == len(METRICS) * len(comparison) == 24
    nsd, hd95 = (secondary[secondary["metric"] == metric].reset_index() for metric in ("nsd_2mm", "hd95_mm"))
    np.testing.assert_allclose(nsd["mean"], 0.8 * comparison["dice_per_case_mean"])
    np.testing.assert_allclose(nsd["difference_low"], 0.8 * comparison["difference_low"])
    np.testing.assert_allclose(hd95["difference_high"], -50 * comparison["difference_low"])
    np.testing.assert_allclose(hd95["low"], 50 * (1 - comparison["high"]))
    assert (secondary["n_undefined"] == 0).all() and (secondary["n_pairs_undefined"] == 0).all()


def test_undefined_values_are_counted_and_take_no_part(cases: pd.DataFrame) -> None:
    """Of two empty predictions of the arm and one of its reference, one pair lacks both."""
    hit = (cases["n_train"] == 4) & (cases["subset_seed"] == 0) & (cases["init_seed"] == 0) & (
        ((cases["init"] == "pretrained") & cases["case_id"].isin(["case-001", "case-002"]))
        | ((cases["init"] == "scratch") & (cases["case_id"] == "case-002"))
    )  # fmt: skip
    undefined = cases.assign(hd95_mm=cases["hd95_mm"].mask(hit))
    found = compare_secondary(undefined, AGAINST, settings()).set_index(["init", "reference", "n_train", "metric"])
    row = found.loc[("pretrained", "scratch", 4, "hd95_mm")]
    assert (row["n_undefined"], row["n_pairs_undefined"]) == (2, 2)
    assert found.loc[("shuffled", "scratch", 4, "hd95_mm"), ["n_undefined", "n_pairs_undefined"]].tolist() == [0, 1]
    own = undefined.query("init == 'pretrained' and n_train == 4")["hd95_mm"]
    assert row["mean"] == pytest.approx(own.mean())
    assert np.isfinite([row["difference_low"], row["difference_high"]]).all()
    assert found.loc[("pretrained", "scratch", 4, "nsd_2mm"), "n_undefined"] == 0


def test_an_arm_compared_with_none_has_no_difference(cases: pd.DataFrame) -> None:
    secondary = compare_secondary(cases, AGAINST, settings())
    alone = secondary[secondary["reference"] == ""]
    assert set(alone["init"]) == {"scratch"}
    assert alone[["difference", "difference_low", "difference_high"]].isna().all(axis=None)
    assert (alone["n_pairs_undefined"] == 0).all() and alone["low"].notna().all()


def test_intervals_stay_where_values_can_be() -> None:
    cases = study(np.random.default_rng(3), {"scratch": 0.0}, n_subsets={4: 1}, n_cases=3)
    cases = cases.assign(nsd_2mm=[0.99, 1.0, 0.9] * 2, hd95_mm=[0.1, 0.0, 9.0] * 2)
    found = compare_secondary(cases, {"scratch": ()}, settings()).set_index("metric")
    assert found.loc["nsd_2mm", "high"] == 1.0 and found.loc["hd95_mm", "low"] == 0.0
