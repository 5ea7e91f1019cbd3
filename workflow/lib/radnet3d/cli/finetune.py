"""`radnet3d finetune`: split the liver cases, fine-tune from each initialisation, choose learning rates."""

import json
import logging
from pathlib import Path
from typing import Any

import click

from radnet3d import __version__
from radnet3d.atomic import write_json
from radnet3d.errors import ParamsError
from radnet3d.params import Liver, parse_section
from radnet3d.runs import FinetuneRun, read_run
from radnet3d.splits import nested_subsets, split_liver_cases
from radnet3d.tables import HISTORY, LIVER_CASES, LIVER_SPLIT, RUN_CASES, SUBSETS, read_table, write_table

log = logging.getLogger(__name__)

PATH = click.Path(path_type=Path)


@click.group("finetune")
def commands() -> None:
    """Fine-tune the liver segmenter from each initialisation."""


@commands.command()
@click.argument("cases", metavar="CASES.parquet", type=PATH)
@click.argument("out_dir", type=PATH)
@click.option("--settings", required=True, help="JSON of params section liver")
@click.option("--subset-seeds", required=True, help="seeds of the training sets, joined by commas")
def split(cases: Path, out_dir: Path, settings: str, subset_seeds: str) -> None:
    """Deal the patients of CASES to test, validation, control and train; draw nested training sets.

    OUT_DIR gets split.csv and subsets.csv: the first n ranks of a seed are its training set of size n.
    """
    log.info("radnet3d %s finetune split", __version__)
    if not all(seed.isdecimal() for seed in subset_seeds.split(",")):
        raise ParamsError(f"--subset-seeds: found {subset_seeds!r}, wanted numbers joined by commas, such as 0,1,2")
    rows = split_liver_cases(read_table(cases, LIVER_CASES), parse_section(Liver, settings).split)
    subsets = nested_subsets(rows, [int(seed) for seed in subset_seeds.split(",")])
    write_table(rows, out_dir / "split.csv", LIVER_SPLIT)
    write_table(subsets, out_dir / "subsets.csv", SUBSETS)
    log.info("%d cases: %s", len(rows), rows["role"].value_counts().to_dict())


@commands.command()
@click.argument("run_path", metavar="RUN.json", type=PATH)
@click.argument("out_dir", type=PATH)
def train(run_path: Path, out_dir: Path) -> None:
    """Fine-tune and evaluate as RUN.json says (see `radnet3d runs write`).

    OUT_DIR gets checkpoint.pt, history.csv, cases.csv, metrics.json, environment.json and run.json.
    """
    log.info("radnet3d %s finetune train %s", __version__, run_path)
    from radnet3d.models.checkpoint import save_checkpoint
    from radnet3d.training.finetuning import finetune
    from radnet3d.training.output import training_directory

    run = read_run(run_path, FinetuneRun)
    with training_directory(run_path, out_dir, n_threads=run.settings.finetune.n_threads) as folder:
        done = finetune(run)
        write_table(done.history, folder / "history.csv", HISTORY)
        write_table(done.cases, folder / "cases.csv", RUN_CASES)
        save_checkpoint(done.checkpoint, folder / "checkpoint.pt")
        write_json(folder / "metrics.json", done.metrics)
    log.info("transfer: %s", done.transfer or "none, from scratch")
    log.info("%d cases, %d of them empty, Dice per case %s", *(done.metrics[key] for key in SHOWN))


SHOWN = ("n_cases", "n_empty", "dice_per_case_mean")


@commands.command("choose-rate")
@click.argument("metrics", nargs=-1, required=True, type=PATH)
@click.argument("out_path", metavar="OUT.json", type=PATH)
def choose_rate(metrics: tuple[Path, ...], out_path: Path) -> None:
    """Choose the learning rate with the highest Dice per case among METRICS... of one initialisation.

    The runs must differ in nothing but their rate, and have been scored on validation cases.
    """
    log.info("radnet3d %s finetune choose-rate", __version__)
    runs = [(path, read_metrics(path)) for path in metrics]
    first_path, first = runs[0]
    for path, run in runs:
        if run["evaluate_on"] != "validation":
            raise ParamsError(f"{path}: scored on {run['evaluate_on']} cases, wanted validation")
        for factor in ("init", "n_train", "subset_seed", "init_seed"):
            if run[factor] != first[factor]:
                raise ParamsError(f"{path}: {factor} is {run[factor]!r}, wanted {first[factor]!r} as in {first_path}")
    validation = {run["learning_rate"]: run["dice_per_case_mean"] or 0.0 for _, run in runs}
    if len(validation) != len(runs):
        raise ParamsError(f"{len(runs)} runs at {len(validation)} learning rates, wanted each rate once")
    best = max(sorted(validation), key=lambda rate: validation[rate])  # of equal ones, the lowest
    write_json(out_path, {
        "init": first["init"], "learning_rate": best,
        "validation": {f"{rate:g}": dice for rate, dice in validation.items()},
    })  # fmt: skip
    log.info("%s: learning rate %g of %s", first["init"], best, validation)


def read_metrics(path: Path) -> dict[str, Any]:
    """Return the metrics.json of a fine-tuning. Raises ParamsError naming the file."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        content["learning_rate"], content["evaluate_on"], content["dice_per_case_mean"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ParamsError(f"{path}: {error!r}, wanted metrics.json of `radnet3d finetune train`") from error
    return content
