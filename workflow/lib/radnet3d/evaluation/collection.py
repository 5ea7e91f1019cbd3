"""Fine-tuning runs gathered into two tables, refused if they do not belong to one experiment."""

import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from radnet3d.errors import StaleResultError, TableError
from radnet3d.evaluation.comparison import FAILURE_DICE
from radnet3d.runs import FinetuneRun, read_run, settings_of
from radnet3d.tables import RUN_CASES, read_table

TASK = "liver"
FACTORS = ("init", "n_train", "subset_seed", "init_seed")
GRID_KEYS = {"init": "inits", "n_train": "n_train", "subset_seed": "subset_seeds", "init_seed": "init_seeds"}
"""Keys of `finetune` that say which runs there are; records hold only the recipe of how one is made."""


def collect_runs(run_dirs: list[Path], asked: dict[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (tables.RUNS, tables.CASES) of finished run folders.

    `asked`: the sections of params.yaml a run records, as they are now (JSON values, `finetune` with its grid).
    Raises StaleResultError naming run, key, found and wanted where a run was made otherwise, or where a cell of the
    grid is missing, there twice, or not asked for; TableError where runs were tested on different cases.
    """
    records = [collect_run(run_dir, asked) for run_dir in run_dirs]
    runs = pd.DataFrame([record for record, _ in records])
    check_grid(runs, asked["finetune"])
    cases = pd.concat([frame for _, frame in records], ignore_index=True)
    check_same_cases(cases)
    rank = {init: place for place, init in enumerate(asked["finetune"]["inits"])}
    runs = runs.sort_values(list(FACTORS), key=lambda s: s.map(rank) if s.name == "init" else s, ignore_index=True)
    order = {run_id: place for place, run_id in enumerate(runs["run_id"])}
    cases = cases.sort_values(["run_id", "case_id"], key=lambda s: s.map(order) if s.name == "run_id" else s)
    return runs, cases.reset_index(drop=True)


def collect_run(run_dir: Path, asked: dict[str, Any]) -> tuple[dict[str, Any], pd.DataFrame]:
    """Return one run as a row of tables.RUNS and its test cases as rows of tables.CASES. Raises StaleResultError."""
    record = read_run(run_dir / "run.json", FinetuneRun)
    metrics = read_json(run_dir / "metrics.json")
    environment = read_json(run_dir / "environment.json")
    check_settings(run_dir, "settings", record.settings.model_dump(mode="json"), settings_of(FinetuneRun, asked))
    check_settings(run_dir, "factors.evaluate_on", record.factors.evaluate_on, "test")
    rate, grid = record.factors.learning_rate, asked["finetune"]["learning_rates"]
    if rate not in grid:
        raise StaleResultError(f"{run_dir}: factors.learning_rate: the run was made with {rate}, wanted one of {grid}")
    frame = read_table(run_dir / "cases.csv", RUN_CASES)
    factors = {"task": TASK, **{name: getattr(record.factors, name) for name in FACTORS}}
    mean = float(frame["dice_per_case"].mean())
    said = metrics["dice_per_case_mean"]  # none where no case is defined
    if not np.isclose(mean, np.nan if said is None else said, atol=1e-4, equal_nan=True):
        raise StaleResultError(f"{run_dir}: metrics.json says dice_per_case_mean {said}, cases.csv gives {mean:.6f}")
    run_id = record.factors.run_id
    row = {
        "run_id": run_id,
        **factors,
        "learning_rate": record.factors.learning_rate,
        "steps": record.settings.finetune.steps,
        "dice_per_case_mean": mean,
        "n_cases": len(frame),
        "n_failures": int((frame["dice_per_case"] < FAILURE_DICE).sum()),
        "n_empty": int(frame["is_empty"].sum()),
        "seconds": float(environment["seconds"]),
    }
    return row, frame.assign(run_id=run_id, **factors)


def check_settings(run_dir: Path, key: str, found: Any, wanted: Any) -> None:
    """Raise StaleResultError at the first value that differs, naming its dotted key."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        for name in sorted(wanted.keys() | found.keys()):
            check_settings(run_dir, f"{key}.{name}", found.get(name), wanted.get(name))
    elif found != wanted:
        raise StaleResultError(f"{run_dir}: {key}: the run was made with {found!r}, asked for is {wanted!r}")


def check_grid(runs: pd.DataFrame, finetune: dict[str, Any]) -> None:
    """Raise StaleResultError naming the cells of the grid that are missing, there twice, or not asked for."""
    wanted: set[tuple[object, ...]] = set(product(*(finetune[GRID_KEYS[name]] for name in FACTORS)))
    found: list[tuple[object, ...]] = list(zip(*(runs[name] for name in FACTORS), strict=True))
    faults = {
        "missing": sorted(wanted - set(found), key=str),
        "there twice": sorted({cell for cell in found if found.count(cell) > 1}, key=str),
        "not asked for": sorted(set(found) - wanted, key=str),
    }
    said = [f"{fault}: {', '.join(cell_name(cell) for cell in those)}" for fault, those in faults.items() if those]
    if said:
        raise StaleResultError(
            f"{len(found)} runs for a grid of {len(wanted)} cells ({'-'.join(FACTORS)}); {'; '.join(said)}"
        )


def cell_name(cell: tuple[object, ...]) -> str:
    """Return how messages write one cell of the grid: its factors in the order of FACTORS, joined by a dash."""
    return "-".join(str(value) for value in cell)


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
