"""Ways to find the liver's slices, summed up: what they find, what it costs, what it does to Dice; with intervals."""

import numpy as np
import pandas as pd
from scipy import stats

from radnet3d.errors import TableError
from radnet3d.evaluation.cells import as_array, values_of
from radnet3d.evaluation.comparison import FAILURE_DICE
from radnet3d.evaluation.intervals import UNBOUNDED, estimate, interval
from radnet3d.params import Comparison
from radnet3d.tables import PROPOSAL_METHODS

REFERENCE = "true_range"
BOUNDS = {"recall": (0.0, 1.0), "extra_mm": (0.0, np.inf), "dice_per_case": (0.0, 1.0)}


def compare_proposals(cases: pd.DataFrame, settings: Comparison) -> pd.DataFrame:
    """Return tables.PROPOSAL_STUDY of tables.PROPOSAL_CASES: a row for each method, size and arm of the segmenters.

    Intervals are over cases, subsets and seeds, but that of `whole`: Wilson's over cases. Raises TableError if a method lacks a run or
    case of the true range.
    """
    rows = []
    for method in [name for name in PROPOSAL_METHODS if name in set(cases["method"])]:
        of_method = cases[cases["method"] == method]
        for n_train, init in sorted(
            {(int(n), str(init)) for n, init in zip(of_method["n_train"], of_method["init"], strict=True)}
        ):
            cell = of_method[(of_method["n_train"] == n_train) & (of_method["init"] == init)]
            row = {"method": method, "n_train": n_train, "init": init, **what_was_found(cell, settings)}
            rows.append({**row, **what_it_does(cases, cell, settings), **what_it_costs(of_method, cell)})
    return pd.DataFrame(rows)


def what_was_found(cell: pd.DataFrame, settings: Comparison) -> dict[str, float]:
    """Return recall and extra slices of one method with one arm and size."""
    whole, n_cases = float((cell["recall"] == 1).mean()), cell["case_id"].nunique()
    # Cases are the unit, and a bootstrap would find no uncertainty where none of a few cases loses a slice.
    wilson = stats.binomtest(round(whole * n_cases), n_cases).proportion_ci(settings.confidence, method="wilson")
    return {
        "n_cases": n_cases, "n_runs": cell["run_id"].nunique(),
        **with_interval(cell, "recall", settings),
        "whole": whole, "whole_low": float(wilson.low), "whole_high": float(wilson.high),
        **with_interval(cell, "extra_mm", settings),
        "n_extra_slices": float(cell["n_extra_slices"].mean()),
        "n_fallbacks": int(cell.drop_duplicates(["subset_seed", "case_id"])["fallback"].sum()),
    }  # fmt: skip


def what_it_does(cases: pd.DataFrame, cell: pd.DataFrame, settings: Comparison) -> dict[str, float]:
    """Return Dice of one method with one arm and size, and its paired difference to the true range."""
    init, n_train = str(cell["init"].iloc[0]), int(cell["n_train"].iloc[0])
    own = values_of(cell, init, n_train)
    reference = values_of(cases[cases["method"] == REFERENCE], init, n_train)
    if not own.index.equals(reference.index):
        differing = list(own.index.symmetric_difference(reference.index)[:3])
        raise TableError(
            f"{cell['method'].iloc[0]}: wanted the runs and cases of {REFERENCE}, found only in one: {differing}"
        )
    difference = estimate(as_array(own - reference), settings)
    difference_low, difference_high = interval(difference, settings.confidence, UNBOUNDED)
    dice = with_interval(cell, "dice_per_case", settings)
    return {
        "dice_per_case_mean": dice["dice_per_case"], "low": dice["dice_per_case_low"], "high": dice["dice_per_case_high"],
        "difference": difference.mean, "difference_low": difference_low, "difference_high": difference_high,
        "n_failures": int((own < FAILURE_DICE).sum()), "n_empty": int(cell["is_empty"].sum()),
        "n_undefined": int(own.isna().sum()),
    }  # fmt: skip


def what_it_costs(of_method: pd.DataFrame, cell: pd.DataFrame) -> dict[str, float]:
    """Return labels and seconds of one method; segmenting was timed for one run, and takes as long for any."""
    per_training_set = cell.drop_duplicates("subset_seed")
    return {
        "n_labels_trained": float(per_training_set["n_labels_trained"].mean()),
        "n_labels": float(per_training_set["n_labels"].mean()),
        "seconds_propose": float(cell["seconds_propose"].median()),
        "seconds_segment": float(of_method["seconds_segment"].median()),
    }


def with_interval(cell: pd.DataFrame, column: str, settings: Comparison) -> dict[str, float]:
    """Return the mean of a column with its interval: `column`, `column`_low, `column`_high."""
    values = as_array(values_of(cell, str(cell["init"].iloc[0]), int(cell["n_train"].iloc[0]), column))
    found = estimate(values, settings)
    low, high = interval(found, settings.confidence, BOUNDS[column])
    return {column: found.mean, f"{column}_low": low, f"{column}_high": high}
