"""What is chosen on validation cases: each arm's learning rate, and for all arms together what is done to their masks."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from radnet3d.errors import ParamsError

ALIKE = ("task", "metric", "init", "n_train", "subset_seed", "init_seed")
"""What runs at several rates of one arm share."""


def choose_rate(metrics: Sequence[Path], arms: Sequence[Path]) -> dict[str, Any]:
    """Return the best of the rates that one arm's runs had, and whether only the largest component of a mask is kept.

    `metrics`: metrics.json of one arm's runs; `arms`: of the arms that have a say, the same for every arm. The rate has the highest mean of the task's metric;
    of equal ones the lowest. The largest component is kept alone if Dice is higher so, in the mean over these arms, each at its
    best rate: first weights are to be the only difference between arms. Raises ParamsError naming a file that holds something
    else, was not scored on validation cases, or differs from the first in more than its rate.
    """
    runs = [(path, read_metrics(path)) for path in metrics]
    first_path, first = runs[0]
    for path, run in runs:
        for factor in ALIKE:
            if run[factor] != first[factor]:
                raise ParamsError(f"{path}: {factor} is {run[factor]!r}, wanted {first[factor]!r} as in {first_path}")
    validation = {f"{run['learning_rate']:g}": mean_of(run) for _, run in runs}
    if len(validation) != len(runs):
        raise ParamsError(f"{len(runs)} runs at {len(validation)} learning rates, wanted each rate once")
    gain = gain_of_largest([read_metrics(path) for path in arms])
    return {
        "task": first["task"],
        "init": first["init"],
        "learning_rate": best_of([run for _, run in runs])["learning_rate"],
        "validation": validation,
        "largest_component": gain > 0,
        "largest_component_gain": gain,
    }


def gain_of_largest(runs: Sequence[dict[str, Any]]) -> float:
    """Return by how much Dice is higher if only the largest component is kept: the mean over arms, each at its best rate."""
    best = [best_of([run for run in runs if run["init"] == init]) for init in sorted({run["init"] for run in runs})]
    return sum((run.get("dice_largest_component_mean") or 0.0) - mean_of(run) for run in best) / len(best)


def best_of(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the run with the highest mean of the task's metric; of equal ones that with the lowest rate."""
    return max(sorted(runs, key=lambda run: float(run["learning_rate"])), key=mean_of)


def mean_of(run: dict[str, Any]) -> float:
    """Return the mean of the task's metric; 0 where no case is defined."""
    return float(run[f"{run['metric']}_mean"] or 0.0)


def read_metrics(path: Path) -> dict[str, Any]:
    """Return the metrics.json of a fine-tuning that was scored on validation cases. Raises ParamsError naming the file."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        scored_on = content["evaluate_on"]
        content["learning_rate"], content[f"{content['metric']}_mean"], [content[factor] for factor in ALIKE]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ParamsError(f"{path}: {error!r}, wanted metrics.json of `radnet3d finetune train`") from error
    if scored_on != "validation":
        raise ParamsError(f"{path}: scored on {scored_on} cases, wanted validation")
    return content
