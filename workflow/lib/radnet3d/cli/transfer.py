"""`radnet3d transfer`: collect fine-tuning runs, compare their initialisations."""

import logging
from pathlib import Path

import click

from radnet3d import __version__
from radnet3d.atomic import write_json
from radnet3d.errors import ParamsError
from radnet3d.evaluation.collection import collect_runs
from radnet3d.evaluation.comparison import compare as compare_cases
from radnet3d.evaluation.comparison import compare_with_shuffled, flat_metrics
from radnet3d.params import Comparison, Finetune, Input, Network, Proposal, Section, Volumes, parse_section
from radnet3d.tables import CASES, COMPARISON, RUNS, read_table, write_table

log = logging.getLogger(__name__)

PATH = click.Path(path_type=Path)


class Asked(Section):
    """The sections of params.yaml that decide what a fine-tuning run is."""

    finetune: Finetune
    network: Network
    input: Input
    volumes: Volumes
    proposal: Proposal


@click.group("transfer")
def commands() -> None:
    """Collect fine-tuning runs and compare their initialisations."""


@commands.command()
@click.argument("run_dirs", nargs=-1, required=True, type=PATH)
@click.argument("out_dir", type=PATH)
@click.option("--settings", required=True, help="JSON of params sections finetune, network, input, volumes, proposal")
def collect(run_dirs: tuple[Path, ...], out_dir: Path, settings: str) -> None:
    """Gather RUN_DIRS (run.json, metrics.json, cases.csv, environment.json each) into OUT_DIR/runs.csv and cases.csv.

    Refused: a run made with other settings or scored on other than test cases, a missing, doubled or unasked cell of the grid inits x n_train x
    subset_seeds x init_seeds, runs that were tested on different cases.
    """
    log.info("radnet3d %s transfer collect", __version__)
    asked = parse_section(Asked, settings).model_dump(mode="json")
    runs, cases = collect_runs(list(run_dirs), asked)
    write_table(runs, out_dir / "runs.csv", RUNS)
    write_table(cases, out_dir / "cases.csv", CASES)
    log.info("%d runs, %d test cases each, %d rows", len(runs), runs["n_cases"].iloc[0], len(cases))


@commands.command()
@click.argument("runs_path", metavar="RUNS", type=PATH)
@click.argument("cases_path", metavar="CASES", type=PATH)
@click.argument("out_dir", type=PATH)
@click.option("--settings", required=True, help="JSON of params section comparison")
def compare(runs_path: Path, cases_path: Path, out_dir: Path, settings: str) -> None:
    """Compare initialisations at each n_train: OUT_DIR/comparison.csv, against_shuffled.csv and metrics.json.

    comparison.csv: each init with scratch; against_shuffled.csv: header labels with shuffled ones (no rows without
    both arms). RUNS and CASES are the tables `transfer collect` writes; they must hold the same runs.
    """
    log.info("radnet3d %s transfer compare", __version__)
    wanted = parse_section(Comparison, settings)
    runs, cases = read_table(runs_path, RUNS), read_table(cases_path, CASES)
    if set(runs["run_id"]) != set(cases["run_id"]):
        differing = sorted(set(runs["run_id"]) ^ set(cases["run_id"]))
        raise ParamsError(f"{runs_path} and {cases_path}: wanted the same runs, found only in one: {differing}")
    comparison = compare_cases(cases, wanted)
    write_table(comparison, out_dir / "comparison.csv", COMPARISON)
    write_table(compare_with_shuffled(cases, wanted), out_dir / "against_shuffled.csv", COMPARISON)
    write_json(out_dir / "metrics.json", flat_metrics(comparison))
    for verdict, number in comparison["verdict"].value_counts().items():
        log.info("%s: %d of %d comparisons", verdict, number, len(comparison))
