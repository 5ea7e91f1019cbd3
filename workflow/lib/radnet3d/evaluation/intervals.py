"""Means of runs x cases with standard errors from a hierarchical bootstrap, and what follows: intervals, p, degrees of freedom.

Subset seeds, init seeds and cases are crossed: every network of a cell was tested on the same cases. Each axis is
resampled on its own (the pigeonhole bootstrap), on average a little too wide (Owen 2007, Annals of Applied Statistics
1:386; Owen and Eckles 2012, 6:895). No bootstrap of crossed data is exact (McCullagh 2000, Bernoulli 6:285).
"""

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from radnet3d.params import Comparison

Array = NDArray[np.float64]

AXES = ("subset_seed", "init_seed", "case_id")
"""The axes of every array of values here, in their order: (subset seeds, init seeds, cases)."""

UNBOUNDED = (-np.inf, np.inf)


class Estimate(NamedTuple):
    """A mean, its standard error and the error's degrees of freedom; NaN where they cannot be known."""

    mean: float
    standard_error: float
    degrees_of_freedom: float


def estimate(values_sic: Array, settings: Comparison) -> Estimate:
    """Return the mean of a (subset seeds, init seeds, cases) array with its standard error over all three.

    An axis of length one is not resampled: the error then says nothing of other seeds. With fewer than two cases it is
    NaN. NaN values take no part.
    """
    mean = float(mean_over(values_sic, (0, 1, 2)))
    if np.isfinite(mean_over(values_sic, (0, 1))).sum() < 2:
        return Estimate(mean, np.nan, np.nan)
    means = resampled_means(widened(values_sic), axis_weights(values_sic.shape, settings))
    effects = [axis_effect(values_sic, axis).ravel() for axis in range(values_sic.ndim)]
    return Estimate(mean, float(np.nanstd(means, ddof=1)), float(degrees_of_freedom(effects)))


def interval(of: Estimate, confidence: float, bounds: tuple[float, float] = UNBOUNDED) -> tuple[float, float]:
    """Return mean -+ t x standard error, within `bounds`, the smallest and largest value there can be.

    There is none where every value lies at a bound: resampling would find no uncertainty in, say, thirty of thirty.
    Percentiles of resampled means would not do: over two seeds there are three of them, however many resamples.
    Source: Hesterberg 2014, arXiv:1411.5279, 't with bootstrap standard error'.
    """
    if of.standard_error == 0 and of.mean in bounds:
        return float("nan"), float("nan")
    half = stats.t.ppf((1 + confidence) / 2, of.degrees_of_freedom) * of.standard_error
    low, high = np.clip([of.mean - half, of.mean + half], *bounds)
    return float(low), float(high)


def two_sided_p(of: Estimate) -> float:
    """Return the p of a mean of 0, below 1 - confidence where the interval leaves 0 out; 1 if all is 0, NaN without an error."""
    if of.standard_error == 0:
        return float(of.mean == 0)
    return float(2 * stats.t.sf(abs(of.mean) / of.standard_error, of.degrees_of_freedom))


def widened(values_sic: Array) -> Array:
    """Return the values with each axis' effect stretched by sqrt(n / (n - 1)), as a sample of n is narrower than its population."""
    stretched = values_sic.copy()
    for axis, n in enumerate(values_sic.shape):
        if n > 1:
            stretched += (np.sqrt(n / (n - 1)) - 1) * axis_effect(values_sic, axis)
    return stretched


def axis_effect(values_sic: Array, axis: int) -> Array:
    """Return how far the mean at each place of `axis` lies from the mean of all, NaN read as 0, axes kept."""
    others = tuple(other for other in range(values_sic.ndim) if other != axis)
    effect = np.expand_dims(mean_over(values_sic, others), others) - mean_over(values_sic, (0, 1, 2))
    return np.nan_to_num(effect)


def axis_weights(lengths: tuple[int, ...], settings: Comparison) -> tuple[Array, ...]:
    """Return how often each place of each axis is drawn, (resamples, length) an axis.

    The draws depend on the axis, its length and the seed alone, so arms and sizes that share cases or seeds are
    resampled together.
    """
    return tuple(draws(axis, n, settings.n_bootstrap, settings.seed) for axis, n in enumerate(lengths))


@cache
def draws(axis: int, length: int, n_resamples: int, seed: int) -> Array:
    """Return (n_resamples, length) counts of `length` draws with replacement."""
    rng = np.random.default_rng([seed, axis, length])
    return rng.multinomial(length, np.full(length, 1 / length), size=n_resamples).astype(float)


def resampled_means(values_sic: Array, weights: tuple[Array, ...]) -> Array:
    """Return the (resamples,) means under `axis_weights`, NaN where all that was drawn is NaN."""
    defined_sic = np.isfinite(values_sic)
    weighted = "bs,bi,bc,sic->b"
    total = np.einsum(weighted, *weights, np.where(defined_sic, values_sic, 0.0), optimize=True)
    weight = np.einsum(weighted, *weights, defined_sic.astype(float), optimize=True)
    with np.errstate(invalid="ignore"):
        means: Array = np.where(weight > 0, total / weight, np.nan)
    return means


def degrees_of_freedom(effects: Iterable[Array]) -> Array:
    """Return Satterthwaite's degrees of freedom of means over crossed axes; infinite where nothing varies.

    `effects`: of each axis (..., n), how far each of its n places lies from the mean; an axis of length one is left out.
    """
    pairs = [(effect.var(axis=-1, ddof=1) / n, n - 1) for effect in effects if (n := effect.shape[-1]) > 1]
    total = np.asarray(sum(variance for variance, _ in pairs))
    with np.errstate(divide="ignore", invalid="ignore"):
        df = total**2 / np.asarray(sum(variance**2 / n for variance, n in pairs))
    return np.where(total > 0, df, np.inf)


def mean_over(values: Array, axes: tuple[int, ...]) -> Array:
    """Return the mean of what is not NaN over `axes`, NaN where nothing is."""
    defined = np.isfinite(values)
    count = defined.sum(axis=axes)
    with np.errstate(invalid="ignore"):
        mean: Array = np.where(defined, values, 0.0).sum(axis=axes) / np.where(count, count, np.nan)
    return mean
