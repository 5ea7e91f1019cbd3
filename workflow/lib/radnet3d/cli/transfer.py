"""`radnet3d transfer`: collect fine-tuning runs, compare their initialisations."""

import logging
from pathlib import Path

import click

from radnet3d import __version__
from radnet3d.atomic import write_json
from radnet3d.errors import ParamsError
from radnet3d.evaluation.collection import collect_runs
from radnet3d.evaluation.comparison import compare as compare_cases
from radnet3d.evaluation.comparison import flat_metrics
from radnet3d.evaluation.costs import sum_costs
from radnet3d.evaluation.labels_saved import labels_saved
from radnet3d.evaluation.power import power_table
from radnet3d.evaluation.proposals import compare_proposals as compare_ways
from radnet3d.evaluation.secondary import compare_secondary
from radnet3d.evaluation.task_comparison import compare_tasks
from radnet3d.params import LIVER, Comparison, Finetune, Name, Section, Task, parse_section
from radnet3d.runs import FinetuneSections
from radnet3d.tables import (
    CASES,
    COMPARISON,
    COSTS,
    LABELS_SAVED,
    POWER,
    PROPOSAL_CASES,
    PROPOSAL_STUDY,
    RUNS,
    SECONDARY,
    TASK_COMPARISON,
    read_table,
    write_table,
)

log = logging.getLogger(__name__)

PATH = click.Path(path_type=Path)


class Protocol(Section):
    """The sections of params.yaml that say what is compared with what, and how."""

    comparison: Comparison
    finetune: Finetune
    tasks: dict[Name, Task]


@click.group("transfer")
def commands() -> None:
    """Collect fine-tuning runs and compare their initialisations."""


@commands.command()
@click.argument("run_dirs", nargs=-1, required=True, type=PATH)
@click.argument("out_dir", type=PATH)
@click.option("--settings", required=True, help=f"JSON of params sections {', '.join(FinetuneSections.model_fields)}")
def collect(run_dirs: tuple[Path, ...], out_dir: Path, settings: str) -> None:
    """Gather RUN_DIRS (run.json, metrics.json, cases.csv, environment.json each) into OUT_DIR/runs.csv and cases.csv.

    Refused: a run made with other settings or scored on other than test cases, a missing, doubled or unasked cell of the grid arms x n_train x
    subsets x init_seeds, runs that were tested on different cases.
    """
    log.info("radnet3d %s transfer collect", __version__)
    runs, cases = collect_runs(list(run_dirs), parse_section(FinetuneSections, settings))
    write_table(runs, out_dir / "runs.csv", RUNS)
    write_table(cases, out_dir / "cases.csv", CASES)
    for task, of_task in runs.groupby("task", sort=False):
        log.info("%s: %d runs, %d test cases each", task, len(of_task), of_task["n_cases"].iloc[0])


@commands.command()
@click.argument("runs_path", metavar="RUNS", type=PATH)
@click.argument("cases_path", metavar="CASES", type=PATH)
@click.argument("out_dir", type=PATH)
@click.option("--settings", required=True, help="JSON of params sections comparison, finetune, tasks")
def compare(runs_path: Path, cases_path: Path, out_dir: Path, settings: str) -> None:
    """Compare arms at each n_train as finetune.arms says: tables and metrics.json in OUT_DIR.

    comparison.csv (Dice), secondary.csv (the other metrics), labels_saved.csv (cases that the arm from scratch needs
    instead), power.csv (what could have been shown), all of the liver; task_comparison.csv, of classifications. RUNS and CASES are the tables `transfer collect` writes; they must
    hold the same runs.
    """
    log.info("radnet3d %s transfer compare", __version__)
    wanted = parse_section(Protocol, settings)
    runs, cases = read_table(runs_path, RUNS), read_table(cases_path, CASES)
    named = [set(zip(table["task"], table["run_id"], strict=True)) for table in (runs, cases)]
    if named[0] != named[1]:
        differing = sorted(" ".join(run) for run in named[0] ^ named[1])
        raise ParamsError(f"{runs_path} and {cases_path}: wanted the same runs, found only in one: {differing}")
    of_study = (cases[cases["task"] == LIVER], wanted.finetune.against, wanted.comparison)
    comparison = compare_cases(*of_study)
    write_table(comparison, out_dir / "comparison.csv", COMPARISON)
    write_table(compare_secondary(*of_study), out_dir / "secondary.csv", SECONDARY)
    write_table(labels_saved(*of_study), out_dir / "labels_saved.csv", LABELS_SAVED)
    write_table(power_table(*of_study), out_dir / "power.csv", POWER)
    of_tasks = compare_tasks(cases, wanted.finetune, wanted.tasks, wanted.comparison)
    write_table(of_tasks, out_dir / "task_comparison.csv", TASK_COMPARISON)
    write_json(out_dir / "metrics.json", flat_metrics(comparison))
    for fixed, rows in comparison[comparison["fixed"] != ""].groupby("fixed"):
        sizes = sorted(rows["n_train"].unique().tolist())
        log.warning("one %s at n_train %s: intervals and verdicts there hold for that one", fixed, sizes)
    for verdict, number in comparison["verdict"].value_counts().items():
        log.info("%s: %d of %d rows", verdict, number, len(comparison))


@commands.command("compare-proposals")
@click.argument("cases_path", metavar="PROPOSAL_CASES", type=PATH)
@click.argument("out_path", metavar="OUT.csv", type=PATH)
@click.option("--settings", required=True, help="JSON of params section comparison")
def compare_proposals(cases_path: Path, out_path: Path, settings: str) -> None:
    """Sum up ways to find the liver's slices, with intervals. PROPOSAL_CASES: table of `liver study-segmenters`."""
    log.info("radnet3d %s transfer compare-proposals", __version__)
    study = compare_ways(read_table(cases_path, PROPOSAL_CASES), parse_section(Comparison, settings))
    write_table(study, out_path, PROPOSAL_STUDY)
    for row in study.to_dict("records"):
        where = (row["method"], row["init"], row["n_train"])
        log.info("%s, %s at n_train %d:", *where)
        log.info(
            "recall %.3f, %.0f mm too many, Dice per case %.3f",
            row["recall"],
            row["extra_mm"],
            row["dice_per_case_mean"],
        )


@commands.command()
@click.argument("run_dirs", nargs=-1, required=True, type=PATH)
@click.argument("out_path", metavar="OUT.csv", type=PATH)
@click.option(
    "--encoder-dir", "encoder_dirs", multiple=True, type=PATH, help="folder of an encoder, of one seed; repeat"
)
def costs(run_dirs: tuple[Path, ...], out_path: Path, encoder_dirs: tuple[Path, ...]) -> None:
    """Say what one run of each arm cost, and its pretraining: seconds, CPU seconds, samples, operations.

    RUN_DIRS: folders of `finetune train`. Encoders: folders of `pretrain train` and `pretrain control`.
    """
    log.info("radnet3d %s transfer costs", __version__)
    rows = sum_costs(list(run_dirs), list(encoder_dirs))
    write_table(rows, out_path, COSTS)
    log.info("%d arms, %d runs, %d encoders", len(rows), len(run_dirs), len(encoder_dirs))
