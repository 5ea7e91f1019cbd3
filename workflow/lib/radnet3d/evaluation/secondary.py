"""Metrics beside Dice: means and paired differences with intervals, and how often they are undefined. No test, no verdict."""

from typing import Any

import numpy as np
import pandas as pd

from radnet3d.evaluation.cells import Against, Cells, Pairing, as_array, cells_of, differences_of, pairings
from radnet3d.evaluation.intervals import UNBOUNDED, Array, estimate, interval
from radnet3d.params import Comparison

BOUNDS = {"nsd_2mm": (0.0, 1.0), "hd95_mm": (0.0, np.inf), "volume_error_percent": (-100.0, np.inf)}
"""The metrics, and the smallest and largest value each can have."""


def compare_secondary(cases: pd.DataFrame, against: Against, settings: Comparison) -> pd.DataFrame:
    """Return one row an arm, arm it is compared with, training-set size and metric (tables.SECONDARY).

    An undefined value (HD95 of an empty prediction) takes no part and is counted: the mean is over what was found, so
    it flatters an arm that misses more. Raises TableError as `comparison.compare` does.
    """
    cells = cells_of(cases, against)
    rows = [
        {**pairing._asdict(), "metric": metric, **compare_metric(cells, pairing, metric, settings)}
        for pairing in pairings(cells, against)
        for metric in BOUNDS
    ]
    return pd.DataFrame(rows)


def compare_metric(cells: Cells, pairing: Pairing, metric: str, settings: Comparison) -> dict[str, Any]:
    """Return mean and difference of one metric with their intervals, and the counts of undefined values and pairs."""
    values_sic = as_array(cells[pairing.init, pairing.n_train][metric])
    mean, low, high = summary(values_sic, settings, BOUNDS[metric])
    row = {"mean": mean, "low": low, "high": high, "n_undefined": n_undefined(values_sic)}
    difference_sic = differences_of(cells, pairing, metric) if pairing.reference else np.full((1, 1, 1), np.nan)
    difference, difference_low, difference_high = summary(difference_sic, settings, UNBOUNDED)
    return {
        **row,
        "difference": difference,
        "difference_low": difference_low,
        "difference_high": difference_high,
        "n_pairs_undefined": n_undefined(difference_sic) if pairing.reference else 0,
    }


def summary(values_sic: Array, settings: Comparison, bounds: tuple[float, float]) -> tuple[float, float, float]:
    """Return the mean and both ends of its interval."""
    of_mean = estimate(values_sic, settings)
    return of_mean.mean, *interval(of_mean, settings.confidence, bounds)


def n_undefined(values: Array) -> int:
    """Return how many values are NaN."""
    return int(np.isnan(values).sum())
