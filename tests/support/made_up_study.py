"""The tables of `transfer`, for any grid of arms and tasks, from made-up runs: TEST DATA, no measurement is behind them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from radnet3d.evaluation.comparison import compare
from radnet3d.evaluation.labels_saved import labels_saved
from radnet3d.evaluation.power import power_table
from radnet3d.evaluation.secondary import compare_secondary
from radnet3d.evaluation.task_comparison import compare_tasks
from radnet3d.leakage import CHECKS
from radnet3d.params import LIVER, Arm, Comparison, Finetune, Params, finetune_of
from radnet3d.tables import (
    CASES,
    COMPARISON,
    COSTS,
    LABELS_SAVED,
    LEAKAGE,
    POWER,
    RUNS,
    SECONDARY,
    TASK_COMPARISON,
    write_table,
)

ENCODER_EFFECTS = {
    None: 0.0,
    "dicom": 0.05,
    "shuffled": -0.01,
    "control": 0.12,
    "without_body": 0.01,
    "only_body": 0.04,
}
PART_EFFECTS = {"all": 0.0, "decoder": -0.2, "probe": -0.45}


def effect_of(arm: Arm, n_train: int) -> float:
    """What an arm adds to Dice: less at large sizes."""
    fades = 1 / (1 + np.log2(n_train) / 2)
    of_encoder = ENCODER_EFFECTS.get(arm.encoder, 0.03) * float(fades)
    return of_encoder + PART_EFFECTS[arm.trains] + 0.02 * (arm.steps_times > 1)


def liver_cases(rng: np.random.Generator, finetune: Finetune, n_cases: int = 30) -> pd.DataFrame:
    """Rows of tables.CASES of liver segmentation: Dice rises with n; cases, training sets and runs differ."""
    ease, frames = rng.normal(0, 0.08, n_cases), []
    sets = {(n, k): rng.normal(0, 0.02) for n, subsets in finetune.n_train.items() for k in range(subsets)}
    for cell in finetune.cells():
        mean = 0.6 + 0.05 * np.log2(cell.n_train) + effect_of(finetune.arms[cell.init], cell.n_train)
        mean += sets[cell.n_train, cell.subset_seed] + rng.normal(0, 0.006)
        dice = np.clip(mean + ease + rng.normal(0, 0.03, n_cases), 0, 1)
        is_empty = dice < 0.05
        dice[is_empty] = 0.0
        frames.append(pd.DataFrame({
            "run_id": run_id(cell), "case_id": [f"case-{number:03d}" for number in range(n_cases)], "dice_per_case": dice,
            "nsd_2mm": 0.8 * dice, "hd95_mm": np.where(is_empty, np.nan, 60 * (1 - dice)),
            "volume_error_percent": np.where(is_empty, -100.0, 60 * (dice - 0.9)), "predicted_ml": 1500 * dice,
            "true_ml": 1500.0, "is_empty": is_empty, "dice_largest_component": dice, "label": "", "predicted": "",
            "correct": np.nan, "task": LIVER, **cell._asdict(),
        }))  # fmt: skip
    return pd.concat(frames, ignore_index=True)


def task_cases(rng: np.random.Generator, params: Params, task: str) -> pd.DataFrame:
    """Rows of tables.CASES of one classification."""
    grid, classes = finetune_of(params.finetune, params.tasks, task), params.tasks[task].classes
    frames, n_cases = [], params.tasks[task].n_test
    for cell in grid.cells():
        share = np.clip(
            0.35 + 0.09 * np.log2(cell.n_train) + 2 * effect_of(grid.arms[cell.init], cell.n_train), 0.05, 0.97
        )
        label = [classes[number % len(classes)] for number in range(n_cases)]
        right = rng.random(n_cases) < share
        frames.append(pd.DataFrame({
            "run_id": run_id(cell), "case_id": [f"1.2.{number}" for number in range(n_cases)], "label": label,
            "predicted": np.where(right, label, classes[0]), "correct": right.astype(float), "is_empty": False,
            **dict.fromkeys(("dice_per_case", "nsd_2mm", "hd95_mm", "volume_error_percent", "predicted_ml", "true_ml",
                             "dice_largest_component"), np.nan), "task": task, **cell._asdict(),
        }))  # fmt: skip
    return pd.concat(frames, ignore_index=True)


def run_id(cell: Any) -> str:
    """The name of a run within its task."""
    return f"init-{cell.init}_ntrain-{cell.n_train:03d}_subset-{cell.subset_seed}_seed-{cell.init_seed}"


def runs_of(cases: pd.DataFrame, finetune: Finetune) -> pd.DataFrame:
    """Rows of tables.RUNS of these cases."""
    runs = cases.groupby(["task", "run_id"], sort=False).agg(
        init=("init", "first"), n_train=("n_train", "first"), subset_seed=("subset_seed", "first"),
        init_seed=("init_seed", "first"), dice_per_case_mean=("dice_per_case", "mean"), correct_mean=("correct", "mean"),
        n_cases=("case_id", "size"), n_failures=("dice_per_case", lambda dice: int((dice < 0.5).sum())),
        n_empty=("is_empty", "sum"),
    ).reset_index()  # fmt: skip
    metric = np.where(runs["task"] == LIVER, "dice_per_case", "correct")
    steps = [finetune.steps * finetune.arms[init].steps_times for init in runs["init"]]
    return runs.assign(
        learning_rate=finetune.learning_rates[0], steps=steps, seconds=14.2, metric=metric, largest_component=False,
        balanced_accuracy=runs["correct_mean"],
    )  # fmt: skip


def write_study(folder: Path, rng: np.random.Generator, params: Params, settings: Comparison) -> pd.DataFrame:
    """Write all tables of `transfer collect`, `compare` and `costs`; return tables.CASES."""
    of_liver = liver_cases(rng, params.finetune)
    cases = pd.concat([of_liver, *(task_cases(rng, params, task) for task in params.tasks)], ignore_index=True)
    write_table(runs_of(cases, params.finetune), folder / "runs.csv", RUNS)
    write_table(cases, folder / "cases.csv", CASES)
    against = params.finetune.against
    write_table(compare(of_liver, against, settings), folder / "comparison.csv", COMPARISON)
    write_table(compare_secondary(of_liver, against, settings), folder / "secondary.csv", SECONDARY)
    write_table(labels_saved(of_liver, against, settings), folder / "labels_saved.csv", LABELS_SAVED)
    write_table(power_table(of_liver, against, settings), folder / "power.csv", POWER)
    of_tasks = compare_tasks(cases, params.finetune, params.tasks, settings)
    write_table(of_tasks, folder / "task_comparison.csv", TASK_COMPARISON)
    write_table(made_up_costs(params), folder / "costs.csv", COSTS)
    return cases


def made_up_costs(params: Params) -> pd.DataFrame:
    """Rows of tables.COSTS: every encoder costs the same, and so does a step."""
    rows = []
    for task in (LIVER, *params.tasks):
        grid = finetune_of(params.finetune, params.tasks, task)
        for init, arm in grid.arms.items():
            before = np.array([150.0, 300.0, 11200.0, 180.0]) * (arm.encoder is not None)
            after = np.array([12.0, 20.0, 320.0, 9.0]) * arm.steps_times
            row: dict[str, Any] = {"task": task, "init": init, "encoder": arm.encoder or ""}
            for part, values in (("pretraining", before), ("finetuning", after), ("total", before + after)):
                for name, value in zip(("seconds", "cpu_seconds", "n_samples", "tflops"), values, strict=True):
                    row[f"{part}_{name}"] = value
            n_runs = sum(cell.init == init for cell in grid.cells())
            rows.append({**row, "n_encoders": 2 * (arm.encoder is not None), "n_runs": n_runs, "n_resumed": 0})
    return pd.DataFrame(rows)


def write_leakage(path: Path) -> None:
    """A gate that ran and found nothing; studies are not known of the liver cases."""
    sides = ("pretrain train", "pretrain validation", "pretrain test", "control", "train", "validation", "test")
    sizes = dict(zip(sides, (105, 15, 30, 40, 32, 20, 30), strict=True))
    rows = [
        {
            "check": check, "left": left, "right": right, "n_left": sizes[left],
            "n_right": 0 if check == "StudyInstanceUID" and place > 2 else sizes[right], "n_shared": 0, "examples": "",
        }
        for check in CHECKS
        for first, left in enumerate(sides)
        for place, right in enumerate(sides)
        if first < place
    ]  # fmt: skip
    rows += [
        {
            "check": "nested",
            "left": f"subset {seed}",
            "right": "train",
            "n_left": 32,
            "n_right": 32,
            "n_shared": 0,
            "examples": "",
        }
        for seed in range(3)
    ]
    write_table(pd.DataFrame(rows), path, LEAKAGE)


def larger(params: Params) -> Params:
    """Return these parameters with both classifications, arms of the head ablation, longer ones and a frozen one."""
    grid = {
        "labels": "truth", "seed": 3, "n_test": 30, "n_validation": 10, "arms": ["scratch", "pretrained", "shuffled"],
        "n_train": {4: 3, 16: 3}, "init_seeds": [0], "tune": {"n_train": 4, "subset_seed": 0, "init_seed": 0},
        "steps": 40, "margin": 0.05,
    }  # fmt: skip
    changed = params.model_dump(mode="json")
    changed["tasks"] = {
        "body_region": {**grid, "classes": ["head", "chest", "abdomen"]},
        "phase": {**grid, "classes": ["native", "arterial", "portal"]},
    }
    changed["pretrain"]["fraction_tasks"] = 0.2
    changed["pretrain"]["encoders"] |= {
        "only_body": {"labels": "own", "heads": ["body"]},
        "without_body": {"labels": "own", "heads": ["sequence", "view", "contrast", "spacing"]},
    }
    changed["finetune"]["arms"] |= {
        "longer": {"steps_times": 3, "n_train": [4]},
        "pretrained_longer": {"encoder": "dicom", "steps_times": 3, "against": ["longer"], "n_train": [4]},
        "frozen": {"encoder": "dicom", "trains": "decoder", "against": ["scratch"], "n_train": [4]},
        "alone": {"encoder": "only_body", "against": ["scratch"], "n_train": [4]},
        "left_out": {"encoder": "without_body", "against": ["pretrained"], "n_train": [4]},
    }
    return Params.model_validate(changed)
