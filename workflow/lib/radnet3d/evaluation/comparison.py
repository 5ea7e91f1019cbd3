"""Initialisations compared at equal training-set size: intervals over cases and seeds, paired tests, a verdict by rule.

The patient is the unit. Every arm saw the same test cases, the same training subsets and the same seeds, so a
difference is taken within (case, subset_seed, init_seed) before anything is averaged.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from radnet3d.errors import TableError
from radnet3d.params import Comparison
from radnet3d.tables import COMPARISON, empty_table

Array = NDArray[np.float64]

REFERENCE = "scratch"
LABELLED, SHUFFLED = "pretrained", "shuffled"
"""Same compute, same series; only the labels of the second belong to other series."""

FAILURE_DICE = 0.5
"""A case below this is a failure (SCIENCE: failures are counted, not averaged away)."""


class Interval(NamedTuple):
    """A mean and the interval around it; NaN where it cannot be known."""

    mean: float
    low: float
    high: float


def compare(cases: pd.DataFrame, settings: Comparison, *, reference: str = REFERENCE) -> pd.DataFrame:
    """Return one row an init and training-set size (tables.COMPARISON) from one row a run and case (tables.CASES).

    Differences are to the arm `reference`. Raises TableError naming the cell if that arm, or any run or case of
    another, is missing or doubled.
    """
    rows = []
    for init, n_train in cells(cases, reference):
        reference_cell, cell = dice_of(cases, reference, n_train), dice_of(cases, init, n_train)
        n_empty = int(cases.loc[(cases["init"] == init) & (cases["n_train"] == n_train), "is_empty"].sum())
        rows.append({"init": init, "n_train": n_train, **level(as_array(cell), settings), "n_empty": n_empty})
        if init == reference:
            continue
        if not cell.index.equals(reference_cell.index):
            differing = list(cell.index.symmetric_difference(reference_cell.index)[:3])
            raise TableError(
                f"{init} at n_train {n_train}: wanted the seeds and cases of {reference}, found only in one: {differing}"
            )
        rows[-1].update(paired_difference(as_array(cell - reference_cell), settings))
    comparison = pd.DataFrame(rows)
    comparison["p_holm"] = comparison.groupby("init", sort=False)["p"].transform(lambda p: holm(p.to_numpy()))
    comparison["verdict"] = [verdict(row, settings, reference) for row in comparison.to_dict("records")]
    return comparison


def compare_with_shuffled(cases: pd.DataFrame, settings: Comparison) -> pd.DataFrame:
    """Return tables.COMPARISON of pretraining on header labels against the same on shuffled ones; no rows without both.

    The difference that belongs to the labels: it leaves out what any pretraining does to first weights.
    """
    both = cases[cases["init"].isin([LABELLED, SHUFFLED])]
    if both["init"].nunique() < 2:
        return empty_table(COMPARISON)
    return compare(both, settings, reference=SHUFFLED)


def cells(cases: pd.DataFrame, reference: str) -> list[tuple[str, int]]:
    """Return each (init, n_train) once: the reference first, other arms as they come, sizes ascending."""
    arms = sorted(dict.fromkeys(cases["init"]), key=lambda init: init != reference)
    if reference not in arms:
        raise TableError(f"cases: found the arms {arms}, wanted '{reference}', with which the others are compared")
    return [(init, int(n)) for init in arms for n in sorted(cases.loc[cases["init"] == init, "n_train"].unique())]


def dice_of(cases: pd.DataFrame, init: str, n_train: int) -> "pd.Series[float]":
    """Return Dice per case of one cell, indexed and sorted by (subset_seed, init_seed, case_id).

    Raises TableError if a combination of the three is missing or there twice.
    """
    key = ["subset_seed", "init_seed", "case_id"]
    cell = cases[(cases["init"] == init) & (cases["n_train"] == n_train)].set_index(key)["dice_per_case"].sort_index()
    shape = tuple(cell.index.get_level_values(name).nunique() for name in key)
    n_doubled = int(cell.index.duplicated().sum())
    if cell.empty or n_doubled or len(cell) != np.prod(shape):
        raise TableError(
            f"cases: {init} at n_train {n_train}: found {len(cell)} rows, {n_doubled} of them doubled, wanted each of "
            f"{shape[0]} subset seeds x {shape[1]} init seeds x {shape[2]} cases once"
        )
    return cell


def as_array(cell: "pd.Series[float]") -> Array:
    """Return the values of `dice_of` as (subset seeds, init seeds, cases)."""
    shape = [cell.index.get_level_values(level).nunique() for level in range(3)]
    return np.asarray(cell, dtype=np.float64).reshape(shape)


def level(values_sic: Array, settings: Comparison) -> dict[str, float]:
    """Return mean Dice with its interval and the counts that belong beside it."""
    interval = bootstrap_mean(values_sic, settings)
    return {
        "n_cases": values_sic.shape[2],
        "n_runs": values_sic.shape[0] * values_sic.shape[1],
        "dice_per_case_mean": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "n_failures": int((values_sic < FAILURE_DICE).sum()),
        "n_undefined": int(np.isnan(values_sic).sum()),
        "difference": np.nan,
        "difference_low": np.nan,
        "difference_high": np.nan,
        "p": np.nan,
    }


def paired_difference(difference_sic: Array, settings: Comparison) -> dict[str, float]:
    """Return the mean paired difference with its interval, and the Wilcoxon p of the per-case means."""
    interval = bootstrap_mean(difference_sic, settings)
    return {
        "difference": interval.mean,
        "difference_low": interval.low,
        "difference_high": interval.high,
        "p": wilcoxon_p(mean_over(difference_sic, (0, 1))),
    }


def bootstrap_mean(values_sic: Array, settings: Comparison) -> Interval:
    """Return the mean of a (subset seeds, init seeds, cases) array and its bootstrap interval.

    Subset seeds, init seeds and cases are crossed, so each axis is resampled on its own: the pigeonhole bootstrap, on
    average a little too wide (Owen 2007, Annals of Applied Statistics 1:386; Owen and Eckles 2012, 6:895). A few seeds
    make percentiles too narrow; they are widened as by Hesterberg 2014 (arXiv:1411.5279, 'expanded percentile') with
    Satterthwaite's degrees of freedom. No bootstrap of crossed data is exact (McCullagh 2000, Bernoulli 6:285).
    An axis of length one is not resampled: the interval then says nothing of other seeds. With fewer than two cases
    low and high are NaN. NaN values take no part.
    """
    mean = float(mean_over(values_sic, (0, 1, 2)))
    if np.isfinite(mean_over(values_sic, (0, 1))).sum() < 2:
        return Interval(mean, np.nan, np.nan)
    effects = [axis_effect(values_sic, axis) for axis in range(values_sic.ndim)]
    lengths = values_sic.shape
    widened_sic = values_sic + sum(
        (np.sqrt(n / (n - 1)) - 1) * effect for n, effect in zip(lengths, effects, strict=True) if n > 1
    )
    means = resampled_means(widened_sic, settings.n_bootstrap, np.random.default_rng(settings.seed))
    tail = stats.norm.cdf(stats.t.ppf((1 - settings.confidence) / 2, degrees_of_freedom(effects, lengths)))
    low, high = np.nanquantile(means, [tail, 1 - tail])
    return Interval(mean, float(low), float(high))


def axis_effect(values_sic: Array, axis: int) -> Array:
    """Return how far the mean at each place of `axis` lies from the mean of all, NaN read as 0, axes kept."""
    others = tuple(other for other in range(values_sic.ndim) if other != axis)
    effect = np.expand_dims(mean_over(values_sic, others), others) - mean_over(values_sic, (0, 1, 2))
    return np.nan_to_num(effect)


def resampled_means(values_sic: Array, n_resamples: int, rng: np.random.Generator) -> Array:
    """Return (n_resamples,) means, each over axes drawn with replacement and independently; NaN if all drawn are NaN."""
    subsets, inits, cases = (
        rng.multinomial(n, np.full(n, 1 / n), size=n_resamples).astype(float) for n in values_sic.shape
    )
    defined_sic = np.isfinite(values_sic)
    weighted = "bs,bi,bc,sic->b"
    total = np.einsum(weighted, subsets, inits, cases, np.where(defined_sic, values_sic, 0.0), optimize=True)
    weight = np.einsum(weighted, subsets, inits, cases, defined_sic.astype(float), optimize=True)
    with np.errstate(invalid="ignore"):
        means: Array = np.where(weight > 0, total / weight, np.nan)
    return means


def degrees_of_freedom(effects: list[Array], lengths: tuple[int, ...]) -> float:
    """Return Satterthwaite's degrees of freedom of a mean over crossed axes; infinite where nothing varies."""
    pairs = [(float(e.var(ddof=1)) / n, n - 1) for e, n in zip(effects, lengths, strict=True) if n > 1]
    total = sum(variance for variance, _ in pairs)
    return total**2 / sum(v**2 / df for v, df in pairs) if total > 0 else np.inf


def wilcoxon_p(differences: Array) -> float:
    """Return the two-sided Wilcoxon signed-rank p of one difference a case: 1 if all are 0, NaN below two cases.

    It asks whether cases differ for the networks that were trained; other seeds are the interval's business.
    """
    defined = differences[np.isfinite(differences)]
    if len(defined) < 2:
        return float("nan")
    if not defined.any():
        return 1.0
    return float(stats.wilcoxon(defined, zero_method="pratt").pvalue)


def holm(p: Array) -> Array:
    """Return Holm's adjusted p values; NaN stays NaN and does not count. Source: Holm 1979, Scand. J. Statist. 6:65."""
    adjusted = np.full(len(p), np.nan)
    order = [index for index in np.argsort(p) if np.isfinite(p[index])]
    stepped = [(len(order) - rank) * p[index] for rank, index in enumerate(order)]
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1.0) if order else []
    return adjusted


def verdict(row: dict[Any, Any], settings: Comparison, reference: str) -> str:
    """Return the word of one row: a gain needs an interval above 0, Holm's p, and an estimate of at least the margin.

    All three: Wilcoxon's p alone does not know of seeds and calls far more than 1 in 20 null differences real.
    """
    if row["init"] == reference:
        return "reference"
    if row["p_holm"] < 1 - settings.confidence and abs(row["difference"]) >= settings.margin_dice:
        if row["difference_low"] > 0:
            return "gain"
        if row["difference_high"] < 0:
            return "loss"
    return "no difference shown"


def flat_metrics(comparison: pd.DataFrame) -> dict[str, dict[str, dict[str, float]]]:
    """Return the numbers of a comparison as metric -> init -> n_NNN, for `dvc metrics`; NaN is left out."""
    names = ("dice_per_case_mean", "difference", "difference_low", "difference_high", "p_holm", "n_failures", "n_empty")
    metrics: dict[str, dict[str, dict[str, float]]] = {}
    for name in names:
        for row in comparison.dropna(subset=[name]).to_dict("records"):
            metrics.setdefault(name, {}).setdefault(row["init"], {})[f"n_{row['n_train']:03d}"] = round(row[name], 6)
    return metrics


def mean_over(values: Array, axes: tuple[int, ...]) -> Array:
    """Return the mean of what is not NaN over `axes`, NaN where nothing is."""
    defined = np.isfinite(values)
    count = defined.sum(axis=axes)
    with np.errstate(invalid="ignore"):
        mean: Array = np.where(defined, values, 0.0).sum(axis=axes) / np.where(count, count, np.nan)
    return mean
