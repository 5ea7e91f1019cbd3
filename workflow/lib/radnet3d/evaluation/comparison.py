"""Initialisations compared at equal training-set size: intervals over cases and seeds, paired tests, a verdict by rule.

The patient is the unit. An arm and the arm it is compared with saw the same test cases, the same training subsets and
the same seeds, so a difference is taken within (case, subset_seed, init_seed) before anything is averaged.
"""

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from radnet3d.evaluation.cells import Against, Cells, Pairing, as_array, cells_of, differences_of, pairings
from radnet3d.evaluation.intervals import AXES, Array, estimate, interval, mean_over, two_sided_p
from radnet3d.params import Comparison

FAILURE_DICE = 0.5
"""A case below this is a failure (SCIENCE: failures are counted, not averaged away)."""

DICE_BOUNDS = (0.0, 1.0)

NO_DIFFERENCE = dict.fromkeys(("difference", "difference_low", "difference_high", "p_cases", "p_seeds", "p"), np.nan)


def compare(cases: pd.DataFrame, against: Against, settings: Comparison) -> pd.DataFrame:
    """Return one row an arm, arm it is compared with, and training-set size (tables.COMPARISON) from tables.CASES.

    Raises TableError naming the cell if an arm, a run or a case is missing, doubled, or has no counterpart.
    """
    cells = cells_of(cases, against)
    comparison = pd.DataFrame([compare_cell(cells, pairing, settings) for pairing in pairings(cells, against)])
    within = comparison.groupby(["init", "reference"], sort=False)["p"]
    comparison["p_holm"] = within.transform(lambda p: holm(p.to_numpy()))
    comparison["verdict"] = [verdict(row, settings) for row in comparison.to_dict("records")]
    return comparison


def compare_cell(cells: Cells, pairing: Pairing, settings: Comparison) -> dict[str, Any]:
    """Return a row of tables.COMPARISON, without what depends on the other sizes."""
    cell = cells[pairing.init, pairing.n_train]
    difference = paired_difference(differences_of(cells, pairing), settings) if pairing.reference else NO_DIFFERENCE
    return {
        **pairing._asdict(),
        **level(as_array(cell["dice_per_case"]), settings),
        "n_empty": int(cell["is_empty"].sum()),
        **difference,
    }


def level(values_sic: Array, settings: Comparison) -> dict[str, Any]:
    """Return mean Dice with its interval and the counts that belong beside it."""
    n_subsets, n_inits, n_cases = values_sic.shape
    of_mean = estimate(values_sic, settings)
    low, high = interval(of_mean, settings.confidence, DICE_BOUNDS)
    return {
        "n_cases": n_cases,
        "n_runs": n_subsets * n_inits,
        "n_subsets": n_subsets,
        "n_inits": n_inits,
        "fixed": ", ".join(axis for axis, n in zip(AXES[:2], (n_subsets, n_inits), strict=True) if n == 1),
        "dice_per_case_mean": of_mean.mean,
        "low": low,
        "high": high,
        "n_failures": int((values_sic < FAILURE_DICE).sum()),
        "n_undefined": int(np.isnan(values_sic).sum()),
    }


def paired_difference(difference_sic: Array, settings: Comparison) -> dict[str, float]:
    """Return the mean paired difference with its interval, and the p of both tests and of the two together.

    `p_cases` asks whether cases differ for the networks that were trained, `p_seeds` whether they would for others too;
    a difference has to pass both, so `p` is the larger one.
    """
    of_mean = estimate(difference_sic, settings)
    low, high = interval(of_mean, settings.confidence)
    p_cases, p_seeds = wilcoxon_p(mean_over(difference_sic, (0, 1))), two_sided_p(of_mean)
    return {
        "difference": of_mean.mean,
        "difference_low": low,
        "difference_high": high,
        "p_cases": p_cases,
        "p_seeds": p_seeds,
        "p": float(np.maximum(p_cases, p_seeds)),
    }


def wilcoxon_p(differences: Array) -> float:
    """Return the two-sided Wilcoxon signed-rank p of one difference a case: 1 if all are 0, NaN below two cases."""
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


def verdict(row: dict[Any, Any], settings: Comparison) -> str:
    """Return the word of one row: a gain needs Holm's p of both tests and an estimate of at least the margin.

    Without any effect, fewer than 1 - confidence of all comparisons of two arms end in a gain or a loss at any size; with
    two init seeds that takes the margin (workflow/decisions/0013-statistics.md has the simulations).
    """
    if not row["reference"]:
        return "reference"
    if row["p_holm"] < 1 - settings.confidence and abs(row["difference"]) >= settings.margin_dice:
        return "gain" if row["difference"] > 0 else "loss"
    return "no difference shown"


def flat_metrics(comparison: pd.DataFrame) -> dict[str, dict[str, dict[str, float]]]:
    """Return the numbers of a comparison as metric -> init -> n_NNN, for `dvc metrics`; NaN is left out.

    Differences are to the first arm that an arm is compared with.
    """
    names = ("dice_per_case_mean", "difference", "difference_low", "difference_high", "p_holm", "n_failures", "n_empty")
    first = comparison.drop_duplicates(["init", "n_train"])
    metrics: dict[str, dict[str, dict[str, float]]] = {}
    for name in names:
        for row in first.dropna(subset=[name]).to_dict("records"):
            metrics.setdefault(name, {}).setdefault(row["init"], {})[f"n_{row['n_train']:03d}"] = round(row[name], 6)
    return metrics
