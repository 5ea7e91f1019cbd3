"""Means of crossed axes: laws, edges, and simulations of what the intervals promise."""

import numpy as np
import pytest
from scipy import stats

from radnet3d.evaluation.intervals import (
    Estimate,
    axis_weights,
    degrees_of_freedom,
    estimate,
    interval,
    resampled_means,
    two_sided_p,
)
from support.study import Components, draw, settings

SEEDS_AND_CASES = Components(0.010, 0.008, 0.020, 0.008, 0.020, 0.010, 0.030)


def test_resampled_means_match_a_loop() -> None:
    values = np.random.default_rng(0).normal(size=(2, 3, 4))
    values[0, 1, 2] = np.nan
    weights = axis_weights(values.shape, settings(n_bootstrap=100))
    drawn = [[np.repeat(np.arange(counts.shape[1]), counts[b].astype(int)) for counts in weights] for b in range(100)]
    assert all(len(places) == n for axes in drawn for places, n in zip(axes, values.shape, strict=True))
    wanted = [np.nanmean(values[np.ix_(*axes)]) for axes in drawn]
    np.testing.assert_allclose(resampled_means(values, weights), wanted)


def test_what_is_shared_is_resampled_together() -> None:
    first, second = (axis_weights((n, 2, 30), settings()) for n in (5, 3))
    assert first[0].shape == (400, 5) and second[0].shape == (400, 3)
    np.testing.assert_array_equal(first[1], second[1])
    np.testing.assert_array_equal(first[2], second[2])
    assert not np.array_equal(first[2], axis_weights((5, 2, 30), settings(seed=6))[2])


def test_many_cases_and_one_run_give_the_t_interval() -> None:
    values = np.random.default_rng(2).normal(0.7, 0.1, (1, 1, 40))
    found = estimate(values, settings(n_bootstrap=20000))
    wanted = stats.t.interval(0.95, 39, loc=values.mean(), scale=stats.sem(values.ravel()))
    np.testing.assert_allclose(interval(found, 0.95), wanted, atol=0.001)
    assert two_sided_p(found) < 1e-9
    shifted = estimate(values - values.mean() + 0.03, settings(n_bootstrap=20000))
    assert two_sided_p(shifted) == pytest.approx(
        stats.ttest_1samp((values - values.mean() + 0.03).ravel(), 0).pvalue, rel=0.1
    )


def test_seeds_that_differ_alone_give_their_own_t_interval() -> None:
    """Two seeds have one degree of freedom, and percentiles could not reach beyond the seeds themselves."""
    values = np.broadcast_to(np.array([0.6, 0.7]).reshape(1, 2, 1), (3, 2, 20)).copy()
    found = estimate(values, settings(n_bootstrap=20000))
    assert found.degrees_of_freedom == pytest.approx(1.0)
    low, high = interval(found, 0.95)
    assert (low, high) == pytest.approx(stats.t.interval(0.95, 1, loc=0.65, scale=0.05), abs=0.02)
    assert interval(found, 0.95, (0.0, 1.0)) == (max(low, 0.0), min(high, 1.0))


def test_edges() -> None:
    same = estimate(np.full((2, 2, 5), 0.03), settings())
    assert same.standard_error == pytest.approx(0.0, abs=1e-12)
    assert interval(same, 0.95) == pytest.approx((0.03, 0.03))
    assert two_sided_p(Estimate(0.0, 0.0, np.inf)) == 1.0
    assert two_sided_p(Estimate(0.1, 0.0, np.inf)) == 0.0
    for values in (np.full((2, 2, 1), 0.5), np.full((2, 2, 4), np.nan)):
        nothing = estimate(values, settings())
        assert np.isnan([*interval(nothing, 0.95), two_sided_p(nothing)]).all()
    assert degrees_of_freedom([np.zeros(3), np.zeros(1)]) == np.inf


def test_the_interval_and_its_p_agree() -> None:
    rng = np.random.default_rng(3)
    n_outside = 0
    for _ in range(100):
        found = estimate(0.012 + draw(rng, (3, 2, 30), SEEDS_AND_CASES), settings(n_bootstrap=100))
        low, high = interval(found, 0.95)
        assert (two_sided_p(found) < 0.05) == (not low <= 0 <= high)
        n_outside += not low <= 0 <= high
    assert 0 < n_outside < 100


@pytest.mark.parametrize(
    ("shape", "of"),
    [
        ((5, 2, 30), SEEDS_AND_CASES),
        ((3, 2, 30), SEEDS_AND_CASES),
        ((1, 2, 30), SEEDS_AND_CASES._replace(subset=0.0)),
        ((3, 1, 30), SEEDS_AND_CASES._replace(init=0.0)),
    ],
)
def test_intervals_cover_a_planted_effect(shape: tuple[int, int, int], of: Components) -> None:
    """300 experiments with a true difference of 0.04: 95 % intervals hold it that often or more; one seed: for that seed."""
    rng = np.random.default_rng(sum(shape))
    n_covered = 0
    for _ in range(300):
        low, high = interval(estimate(0.04 + draw(rng, shape, of), settings(n_bootstrap=200)), 0.95)
        n_covered += low <= 0.04 <= high
    assert n_covered >= stats.binom.ppf(0.01, 300, 0.95)


def test_one_pretraining_says_nothing_of_others() -> None:
    """Where pretrainings differ, an interval from one of them misses what another would give: `fixed` says so."""
    rng = np.random.default_rng(7)
    of = SEEDS_AND_CASES._replace(init=0.03)
    n_covered = {1: 0, 2: 0}
    for _ in range(200):
        for n_inits in n_covered:
            low, high = interval(estimate(draw(rng, (3, n_inits, 30), of), settings(n_bootstrap=200)), 0.95)
            n_covered[n_inits] += low <= 0 <= high
    assert n_covered[1] < 0.7 * 200
    assert n_covered[2] > 0.88 * 200
