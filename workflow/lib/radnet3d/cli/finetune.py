"""`radnet3d finetune`: split the cases of each task, look for leaks, fine-tune from each initialisation, choose rates."""

import logging
import os
from pathlib import Path

import click
import pandas as pd

from radnet3d import __version__
from radnet3d.atomic import write_json
from radnet3d.errors import ParamsError
from radnet3d.leakage import Drawn, check_leakage
from radnet3d.leakage import audit as audit_sides
from radnet3d.params import Liver, LiverSplit, TaskCases, parse_section
from radnet3d.runs import FinetuneRun, read_run
from radnet3d.splits import decide_split, nested_subsets, split_liver_cases, split_table
from radnet3d.tables import (
    HISTORY,
    LEAKAGE,
    LIVER_CASES,
    LIVER_SPLIT,
    PATIENT_SPLIT,
    SPLIT_CASES,
    SPLIT_TABLE,
    SUBSETS,
    TASK_CASES,
    TASK_LABELS,
    TRUTH,
    VOLUMES,
    read_table,
    write_table,
)
from radnet3d.training.rates import choose_rate as choose
from radnet3d.vocabulary import TASK_CLASSES

log = logging.getLogger(__name__)

PATH = click.Path(path_type=Path)


@click.group("finetune")
def commands() -> None:
    """Split the cases of each task, look for leaks, fine-tune from each initialisation."""


@commands.command()
@click.argument("cases", metavar="CASES.parquet", type=PATH)
@click.argument("out_dir", type=PATH)
@click.option("--settings", required=True, help="JSON of params section liver")
@click.option("--n-subsets", required=True, type=click.IntRange(min=1), help="draws of the training sets")
def split(cases: Path, out_dir: Path, settings: str, n_subsets: int) -> None:
    """Give the patients of CASES to test, validation, control and train, and order the training cases.

    The table that liver.split names decides; without one, a draw. OUT_DIR gets split.csv and subsets.csv: the first n ranks
    of a subset seed are its training set of size n.
    """
    log.info("radnet3d %s finetune split", __version__)
    wanted = parse_section(Liver, settings).split
    table = read_table(Path(wanted.table), SPLIT_TABLE) if wanted.table else None
    rows, subsets = decide_split(read_table(cases, LIVER_CASES), wanted, n_subsets, table)
    write_table(rows, out_dir / "split.csv", LIVER_SPLIT)
    write_table(subsets, out_dir / "subsets.csv", SUBSETS)
    log.info("%d cases: %s, as %s", len(rows), rows["role"].value_counts().to_dict(), wanted.table or "drawn")


@commands.command("draw-split")
@click.argument("cases", metavar="CASES", type=PATH)
@click.argument("out_path", metavar="OUT.csv", type=PATH)
@click.option("--seed", required=True, type=click.IntRange(min=0), help="seed of the roles")
@click.option("--n-test", required=True, type=click.IntRange(min=1), help="cases never used for any choice")
@click.option("--n-validation", required=True, type=click.IntRange(min=1), help="cases on which choices are made")
@click.option("--n-control", required=True, type=click.IntRange(min=1), help="cases of the positive control")
@click.option(
    "--n-subsets", default=5, show_default=True, type=click.IntRange(min=1), help="draws of the training sets"
)
def draw_split(
    cases: Path, out_path: Path, seed: int, n_test: int, n_validation: int, n_control: int, n_subsets: int
) -> None:
    """Draw a table that decides roles and training sets, for liver.split.table: to be looked at, committed and kept.

    CASES: cases.parquet of `liver import`, or a csv with case_id and PatientID. Its column `group`, if there is one, says
    which cases are alike: each role gets its share of every group.
    """
    log.info("radnet3d %s finetune draw-split", __version__)
    wanted = LiverSplit(seed=seed, n_test=n_test, n_validation=n_validation, n_control=n_control, table=None)
    rows = split_liver_cases(read_table(cases, SPLIT_CASES), wanted)
    write_table(split_table(rows, nested_subsets(rows, n_subsets)), out_path, SPLIT_TABLE)
    log.info("%d cases: %s", len(rows), rows["role"].value_counts().to_dict())


@commands.command()
@click.argument("volumes", metavar="VOLUMES.parquet...", nargs=-1, required=True, type=PATH)
@click.argument("out_path", metavar="OUT.csv", type=PATH)
@click.option("--patients", required=True, type=PATH, help="sides of pretraining, of `pretrain split`")
@click.option("--cases", required=True, type=PATH, help="cases.parquet of `liver import`")
@click.option("--split", "split_path", required=True, type=PATH, help="split.csv of `finetune split`")
@click.option("--subsets", "subsets_path", required=True, type=PATH, help="subsets.csv of `finetune split`")
@click.option("--task-dir", "task_dirs", multiple=True, type=PATH, help="folder of `finetune draw-cases`; repeatable")
def audit(
    volumes: tuple[Path, ...],
    out_path: Path,
    patients: Path,
    cases: Path,
    split_path: Path,
    subsets_path: Path,
    task_dirs: tuple[Path, ...],
) -> None:
    """Look for what must not be shared: patients, UIDs and slices of any two sides of the study. Exit 1 if anything is.

    VOLUMES...: tables of `volumes resample`. OUT.csv gets every check, those that found nothing too.
    """
    log.info("radnet3d %s finetune audit", __version__)
    roles = read_table(split_path, LIVER_SPLIT)[["case_id", "role"]]
    tasks = {
        folder.name: Drawn(read_table(folder / "split.csv", LIVER_SPLIT), read_table(folder / "subsets.csv", SUBSETS))
        for folder in task_dirs
    }
    rows = audit_sides(
        read_table(patients, PATIENT_SPLIT),
        pd.concat([read_table(path, VOLUMES) for path in volumes], ignore_index=True),
        read_table(cases, LIVER_CASES).merge(roles, on="case_id"),
        read_table(subsets_path, SUBSETS),
        tasks,
    )
    write_table(rows, out_path, LEAKAGE)
    check_leakage(rows)
    unknown = ", ".join(dict.fromkeys(rows.loc[(rows[["n_left", "n_right"]] == 0).any(axis=1), "check"])) or "none"
    log.info("%d checks, nothing shared; not known on one side at least: %s", len(rows), unknown)


@commands.command("draw-cases")
@click.argument("volumes", metavar="VOLUMES.parquet...", nargs=-1, required=True, type=PATH)
@click.argument("out_dir", type=PATH)
@click.option("--task", required=True, type=click.Choice(list(TASK_CLASSES)), help="the classification they are for")
@click.option("--patients", required=True, type=PATH, help="sides of pretraining, of `pretrain split`")
@click.option("--truth", type=PATH, help="truth of digital patients, of `archive plan`")
@click.option("--labels", type=PATH, help="instead of it: a csv with SeriesInstanceUID and label")
@click.option("--settings", required=True, help="JSON of what params.tasks says of its cases")
def draw_cases(
    volumes: tuple[Path, ...],
    out_dir: Path,
    task: str,
    patients: Path,
    truth: Path | None,
    labels: Path | None,
    settings: str,
) -> None:
    """Draw the cases of a classification from patients whom no pretraining saw: one series each, their roles, nested sets.

    VOLUMES...: tables of `volumes resample`. OUT_DIR gets cases.csv, split.csv and subsets.csv.
    """
    log.info("radnet3d %s finetune draw-cases %s", __version__, task)
    from radnet3d.training.series import read_volumes
    from radnet3d.training.tasks.drawing import draw_cases as draw
    from radnet3d.training.tasks.drawing import labels_of_truth
    from radnet3d.training.tasks.registry import CLASSIFICATIONS

    if truth and not labels:
        known = labels_of_truth(CLASSIFICATIONS[task], read_table(truth, TRUTH))
    elif labels and not truth:
        known = read_table(labels, TASK_LABELS)
    else:
        raise ParamsError("found both or none of --truth and --labels, wanted one of them")
    stored = pd.concat([read_volumes(path) for path in volumes], ignore_index=True)
    wanted = parse_section(TaskCases, settings)
    cases, split, subsets = draw(stored, read_table(patients, PATIENT_SPLIT), known, wanted)
    write_table(
        cases.assign(path=[os.path.relpath(path, out_dir) for path in cases["path"]]), out_dir / "cases.csv", TASK_CASES
    )
    write_table(split, out_dir / "split.csv", LIVER_SPLIT)
    write_table(subsets, out_dir / "subsets.csv", SUBSETS)
    for role, rows in cases.assign(role=split["role"]).groupby("role"):
        log.info("%s: %d patients, %s", role, len(rows), rows["label"].value_counts().to_dict())


@commands.command()
@click.argument("run_path", metavar="RUN.json", type=PATH)
@click.argument("out_dir", type=PATH)
def train(run_path: Path, out_dir: Path) -> None:
    """Fine-tune for its task and evaluate as RUN.json says (see `radnet3d runs write`).

    OUT_DIR gets checkpoint.pt, history.csv, cases.csv, metrics.json, environment.json and run.json.
    """
    log.info("radnet3d %s finetune train %s", __version__, run_path)
    from radnet3d.models.checkpoint import save_checkpoint
    from radnet3d.training.finetuning import finetune
    from radnet3d.training.output import training_directory
    from radnet3d.training.tasks.registry import TASKS

    run = read_run(run_path, FinetuneRun)
    if run.factors.task not in TASKS:
        raise ParamsError(f"{run_path}: found the task {run.factors.task!r}, wanted one of {list(TASKS)}")
    with training_directory(run_path, out_dir, n_threads=run.settings.finetune.n_threads) as folder:
        task = TASKS[run.factors.task](run)
        done = finetune(run, task)
        write_table(done.history, folder / "history.csv", HISTORY)
        write_table(done.cases, folder / "cases.csv", task.schema)
        save_checkpoint(done.checkpoint, folder / "checkpoint.pt")
        write_json(folder / "metrics.json", done.metrics)
    log.info("transfer: %s", done.transfer or "none, from scratch")
    log.info("%d cases, %s %s", len(done.cases), task.metric, done.metrics[f"{task.metric}_mean"])


@commands.command("choose-rate")
@click.argument("metrics", nargs=-1, required=True, type=PATH)
@click.argument("out_path", metavar="OUT.json", type=PATH)
@click.option(
    "--arms", multiple=True, type=PATH, help="metrics of an arm that has a say for all, at every rate; repeatable"
)
def choose_rate(metrics: tuple[Path, ...], out_path: Path, arms: tuple[Path, ...]) -> None:
    """Choose the learning rate with the highest mean of the task's metric among METRICS... of one arm.

    Of liver segmentation, only the largest component of a prediction is kept from now on if that is better in the mean over
    the arms of `--arms`, each at its best rate: give the same for every arm, as first weights are to be their only difference.
    The runs must differ in nothing but their rate, and have been scored on validation cases.
    """
    log.info("radnet3d %s finetune choose-rate", __version__)
    chosen = choose(metrics, arms or metrics)
    write_json(out_path, chosen)
    log.info("%s, %s: learning rate %g of %s", *(chosen[k] for k in ("task", "init", "learning_rate", "validation")))
    kept = "kept alone" if chosen["largest_component"] else "not singled out"
    log.info("largest component: %s (%+.4f in the mean over arms)", kept, chosen["largest_component_gain"])
