"""The comparison of arms in the classifications: the statistics of liver segmentation, over the fraction answered rightly."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from radnet3d.evaluation.comparison import compare
from radnet3d.params import Comparison, Finetune, Task, finetune_of
from radnet3d.tables import TASK_COMPARISON, rows_table

METRIC = "correct"


def compare_tasks(
    cases: pd.DataFrame, finetune: Finetune, tasks: Mapping[str, Task], settings: Comparison
) -> pd.DataFrame:
    """Return tables.TASK_COMPARISON of the classifications in tables.CASES, each with its own margin; no rows without any.

    Raises TableError as `compare` does.
    """
    rows: list[dict[str, Any]] = []
    for name, task in tasks.items():
        of_task = cases[cases["task"] == name]
        against = finetune_of(finetune, tasks, name).against
        margin = settings.model_copy(update={"margin_dice": task.margin})
        comparison = compare(of_task.assign(dice_per_case=of_task[METRIC]), against, margin)
        balanced = balanced_accuracy(of_task)
        for row in comparison.rename(columns={"dice_per_case_mean": "mean"}).to_dict("records"):
            cell = balanced[row["init"], row["n_train"]]
            rows.append(
                {
                    **{str(key): value for key, value in row.items()},
                    "task": name,
                    "metric": METRIC,
                    "balanced_accuracy": cell,
                }
            )
    return rows_table(rows, TASK_COMPARISON)[list(TASK_COMPARISON.columns)]


def balanced_accuracy(cases: pd.DataFrame) -> "pd.Series[float]":
    """Return the balanced accuracy of each (init, n_train): recall, the mean over classes, then over runs."""
    recall = cases.groupby(["init", "n_train", "run_id", "label"])[METRIC].mean()
    return recall.groupby(["init", "n_train", "run_id"]).mean().groupby(["init", "n_train"]).mean()
