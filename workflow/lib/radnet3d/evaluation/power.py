"""What the study could have shown: the smallest difference that these cases and seeds find often enough."""

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from radnet3d.evaluation.cells import Against, cells_of, differences_of, pairings
from radnet3d.evaluation.intervals import Array, Estimate, axis_effect, estimate, mean_over
from radnet3d.params import Comparison
from radnet3d.tables import POWER, rows_table

N_STUDIES = 10_000
"""Studies drawn to find the smallest difference: its Monte Carlo error is about 1 %."""


def power_table(cases: pd.DataFrame, against: Against, settings: Comparison) -> pd.DataFrame:
    """Return one row an arm, arm it is compared with, and training-set size (tables.POWER); arms compared with none have none.

    The level is that of Holm's first step, 1 - confidence over the number of sizes, which the clearest difference has to
    pass. Raises TableError as `comparison.compare` does.
    """
    cells = cells_of(cases, against)
    compared = [pairing for pairing in pairings(cells, against) if pairing.reference]
    differences = [differences_of(cells, pairing) for pairing in compared]
    n_tests = Counter(pairing[:2] for pairing, values in zip(compared, differences, strict=True) if has_error(values))
    rows = [
        {**pairing._asdict(), **power_of(values, (1 - settings.confidence) / max(n_tests[pairing[:2]], 1), settings)}
        for pairing, values in zip(compared, differences, strict=True)
    ]
    return rows_table(rows, POWER)


def has_error(difference_sic: Array) -> bool:
    """Return whether there are the two cases that a standard error needs."""
    return bool(np.isfinite(mean_over(difference_sic, (0, 1))).sum() >= 2)


def power_of(difference_sic: Array, level: float, settings: Comparison) -> dict[str, Any]:
    """Return a row of tables.POWER, without its key."""
    n_subsets, n_inits, n_cases = difference_sic.shape
    of_mean = estimate(difference_sic, settings)
    return {
        "n_cases": n_cases,
        "n_runs": n_subsets * n_inits,
        "standard_error": of_mean.standard_error,
        "degrees_of_freedom": of_mean.degrees_of_freedom,
        "level": level,
        "power": settings.power,
        "smallest_difference": smallest_difference(difference_sic, of_mean, level, settings),
    }


def smallest_difference(difference_sic: Array, of_mean: Estimate, level: float, settings: Comparison) -> float:
    """Return the true difference that a study like this one calls a gain with the power asked for.

    It does where `two_sided_p` is below `level` and the estimate at least the margin; Wilcoxon's test, which has to agree, is
    left out. Studies are drawn with the variances found here: of each axis one with its own degrees of freedom, so that they, and
    with them the degrees of freedom of the mean, differ from study to study as they do when there are two or three seeds.
    NaN without a standard error.
    """
    if not has_error(difference_sic):
        return float("nan")
    if of_mean.standard_error == 0:
        return settings.margin_dice
    rng = np.random.default_rng(settings.seed)
    effects = [axis_effect(difference_sic, axis).ravel() for axis in range(difference_sic.ndim)]
    freedoms = np.array([len(effect) - 1 for effect in effects if len(effect) > 1])
    variances = np.array([effect.var(ddof=1) / len(effect) for effect in effects if len(effect) > 1])
    drawn = variances * rng.chisquare(freedoms, (N_STUDIES, len(freedoms))) / freedoms
    total = drawn.sum(axis=1)
    errors = of_mean.standard_error * np.sqrt(total / variances.sum())
    significant = stats.t.isf(level / 2, total**2 / (drawn**2 / freedoms).sum(axis=1)) * errors
    needed = np.maximum(significant, settings.margin_dice)
    return float(np.quantile(needed - rng.normal(0, of_mean.standard_error, N_STUDIES), settings.power))
