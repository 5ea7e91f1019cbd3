"""Fine-tuning runs gathered into two tables, refused if they do not belong to one experiment."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from radnet3d.errors import StaleResultError, TableError
from radnet3d.evaluation.comparison import FAILURE_DICE
from radnet3d.params import LIVER, Cell, Finetune
from radnet3d.runs import ARM_FACTORS, FinetuneRun, FinetuneSections, read_run
from radnet3d.tables import CASES, CLASSIFIED, RUN_CASES, check_table, read_table

FACTORS = Cell._fields
ABSENT: dict[str, Any] = {"is_empty": False, "label": "", "predicted": ""}
"""What columns hold that a task does not have; the others are numbers, and NaN."""


def collect_runs(run_dirs: list[Path], asked: FinetuneSections) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (tables.RUNS, tables.CASES) of finished run folders of all tasks, liver segmentation first.

    `asked`: the sections of params.yaml as they are now. Raises StaleResultError naming run, key, found and wanted where a
    run was made otherwise, or by another choice than others of its arm or task, or where a cell of its task's grid is missing,
    there twice, or not asked for; TableError where runs of one task were tested on different cases.
    """
    records = [collect_run(run_dir, asked) for run_dir in run_dirs]
    parts = []
    for task, grid in asked.grids.items():
        of_task = [(row, frame) for row, frame in records if row["task"] == task]
        parts.append(order_task(of_task, grid, task))
    runs = pd.concat([runs for runs, _ in parts], ignore_index=True)
    cases = pd.concat([filled(cases) for _, cases in parts], ignore_index=True)
    return runs, check_table(cases, CASES, name="cases of all runs")


def order_task(
    records: list[tuple[dict[str, Any], pd.DataFrame]], grid: Finetune, task: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the runs of one task and their cases, arm by arm, sizes and seeds ascending. Raises as `collect_runs`."""
    runs = pd.DataFrame([row for row, _ in records], columns=None if records else FACTORS)
    check_grid(runs, grid, task)
    check_choices(runs)
    cases = pd.concat([frame for _, frame in records], ignore_index=True)
    check_same_cases(cases)
    rank = {init: place for place, init in enumerate(grid.arms)}
    runs = runs.sort_values(list(FACTORS), key=lambda s: s.map(rank) if s.name == "init" else s, ignore_index=True)
    order = {run_id: place for place, run_id in enumerate(runs["run_id"])}
    cases = cases.sort_values(["run_id", "case_id"], key=lambda s: s.map(order) if s.name == "run_id" else s)
    return runs, cases.reset_index(drop=True)


def collect_run(run_dir: Path, asked: FinetuneSections) -> tuple[dict[str, Any], pd.DataFrame]:
    """Return one run as a row of tables.RUNS and its test cases as rows of its task. Raises StaleResultError."""
    record = read_run(run_dir / "run.json", FinetuneRun)
    metrics = read_json(run_dir / "metrics.json")
    environment = read_json(run_dir / "environment.json")
    check_record(run_dir, record, asked)
    metric = str(metrics["metric"])
    frame = read_table(run_dir / "cases.csv", RUN_CASES if record.factors.task == LIVER else CLASSIFIED)
    factors = {name: getattr(record.factors, name) for name in ("task", *FACTORS)}
    mean = float(frame[metric].mean())
    said = metrics[f"{metric}_mean"]  # none where no case is defined
    if not np.isclose(mean, np.nan if said is None else said, atol=1e-4, equal_nan=True):
        raise StaleResultError(f"{run_dir}: metrics.json says {metric}_mean {said}, cases.csv gives {mean:.6f}")
    run_id = record.factors.run_id
    row = {
        "run_id": run_id,
        **factors,
        "learning_rate": record.factors.learning_rate,
        "steps": record.settings.finetune.steps * record.factors.steps_times,
        "largest_component": record.factors.largest_component,
        "metric": metric,
        **dict.fromkeys(("dice_per_case_mean", "correct_mean"), np.nan),
        f"{metric}_mean": mean,
        "balanced_accuracy": metrics.get("balanced_accuracy", np.nan),
        "n_cases": len(frame),
        "n_failures": int((frame[metric] < FAILURE_DICE).sum()),  # of a classification: wrong answers
        "n_empty": int(frame.get("is_empty", pd.Series(dtype=bool)).sum()),
        "seconds": float(environment["seconds"]),
    }
    return row, frame.assign(run_id=run_id, **factors)


def check_record(run_dir: Path, record: FinetuneRun, asked: FinetuneSections) -> None:
    """Raise StaleResultError naming what a run was made with otherwise than is asked for."""
    factors = record.factors
    grid = asked.grids.get(factors.task)
    if grid is None:
        raise StaleResultError(
            f"{run_dir}: factors.task: the run was made for {factors.task!r}, wanted {list(asked.grids)}"
        )
    check_settings(run_dir, "factors.evaluate_on", factors.evaluate_on, "test")
    arm = grid.arms.get(factors.init)
    if arm is None:
        return  # the check of the grid says so
    found = factors.model_dump(include=set(ARM_FACTORS))
    check_settings(run_dir, "factors", found, arm.model_dump(include=set(ARM_FACTORS)))
    settings = record.settings.model_dump(mode="json")
    check_settings(run_dir, "settings", settings, asked.settings(factors.task, factors.init))
    if factors.learning_rate not in grid.learning_rates:
        raise StaleResultError(
            f"{run_dir}: factors.learning_rate: the run was made with {factors.learning_rate}, "
            f"wanted one of {list(grid.learning_rates)}"
        )


def filled(cases: pd.DataFrame) -> pd.DataFrame:
    """Return the cases of one task with the columns of all tasks."""
    return cases.assign(**{name: ABSENT.get(name, np.nan) for name in CASES.columns if name not in cases})


def check_settings(run_dir: Path, key: str, found: Any, wanted: Any) -> None:
    """Raise StaleResultError at the first value that differs, naming its dotted key."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for name in sorted(wanted.keys() | found.keys()):
            check_settings(run_dir, f"{key}.{name}", found.get(name), wanted.get(name))
    elif found != wanted:
        raise StaleResultError(f"{run_dir}: {key}: the run was made with {found!r}, asked for is {wanted!r}")


def check_grid(runs: pd.DataFrame, finetune: Finetune, task: str) -> None:
    """Raise StaleResultError naming the cells of the grid that are missing, there twice, or not asked for."""
    wanted: set[tuple[object, ...]] = set(finetune.cells())
    found: list[tuple[object, ...]] = list(zip(*(runs[name] for name in FACTORS), strict=True))
    faults = {
        "missing": sorted(wanted - set(found), key=str),
        "there twice": sorted({cell for cell in found if found.count(cell) > 1}, key=str),
        "not asked for": sorted(set(found) - wanted, key=str),
    }
    said = [f"{fault}: {', '.join(cell_name(cell) for cell in those)}" for fault, those in faults.items() if those]
    if said:
        raise StaleResultError(
            f"{task}: {len(found)} runs for a grid of {len(wanted)} cells ({'-'.join(FACTORS)}); {'; '.join(said)}"
        )


def cell_name(cell: tuple[object, ...]) -> str:
    """Return how messages write one cell of the grid: its factors in the order of FACTORS, joined by a dash."""
    return "-".join(str(value) for value in cell)


def check_choices(runs: pd.DataFrame) -> None:
    """Raise StaleResultError where runs of one arm differ in rate, or runs of one task in what is done to predictions.

    Rates are chosen arm by arm; that only the largest component is kept, for all arms together: they differ in first weights.
    """
    for factor, alike in (("learning_rate", "init"), ("largest_component", "task")):
        for _, same in runs.groupby(alike, sort=False):
            first = same.iloc[0]
            for _, run in same[same[factor] != first[factor]].iterrows():
                raise StaleResultError(
                    f"{run['run_id']}: factors.{factor}: the run was made with {run[factor]}, "
                    f"wanted {first[factor]} as in {first['run_id']}"
                )


def check_same_cases(cases: pd.DataFrame) -> None:
    """Raise TableError naming the first run that was tested on other cases than the first one."""
    tested = {str(run_id): set(frame["case_id"]) for run_id, frame in cases.groupby("run_id", sort=False)}
    first_id, first = next(iter(tested.items()))
    for run_id, these in tested.items():
        if these != first:
            raise TableError(
                f"{run_id}: test cases differ from those of {first_id}: "
                f"lacks {sorted(first - these)}, has besides {sorted(these - first)}"
            )


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file. Raises TableError naming the file if it is absent or something else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise TableError(f"{path}: no such file; the run is not finished") from error
    except json.JSONDecodeError as error:
        raise TableError(f"{path}: not JSON: {error}") from error
    if not isinstance(content, dict):
        raise TableError(f"{path}: found {type(content).__name__}, wanted an object")
    return content
