"""`radnet3d pretrain`: split the patients, train the encoder on header labels, train the positive control."""

import logging
from pathlib import Path

import click
import pandas as pd

from radnet3d import __version__
from radnet3d.atomic import write_json
from radnet3d.params import Comparison, Pretrain, parse_section
from radnet3d.runs import ControlRun, PretrainRun, read_run
from radnet3d.splits import split_patients
from radnet3d.tables import HEAD_SCORES, HISTORY, PATIENT_SPLIT, PREDICTIONS, TARGETS, VOLUMES, read_table, write_table
from radnet3d.volumes.choice import one_a_series

log = logging.getLogger(__name__)

PATH = click.Path(path_type=Path)


@click.group("pretrain")
def commands() -> None:
    """Train the 3D ResNet on header labels."""


@commands.command()
@click.argument("targets", type=PATH)
@click.argument("volumes", nargs=-1, required=True, type=PATH)
@click.argument("out_path", metavar="OUT.csv", type=PATH)
@click.option("--settings", required=True, help="JSON of params section pretrain")
def split(targets: Path, volumes: tuple[Path, ...], out_path: Path, settings: str) -> None:
    """Split the patients who have both a row in TARGETS and one in VOLUMES... (tables of `volumes resample`)."""
    log.info("radnet3d %s pretrain split", __version__)
    stored = one_a_series(pd.concat([read_table(path, VOLUMES) for path in volumes]))
    both = read_table(targets, TARGETS).merge(stored[["SeriesInstanceUID"]], on="SeriesInstanceUID")
    rows = split_patients(both["PatientID"], parse_section(Pretrain, settings))
    write_table(rows, out_path, PATIENT_SPLIT)
    log.info("%d series, patients: %s", len(both), rows["split"].value_counts().to_dict())


@commands.command()
@click.argument("run_path", metavar="RUN.json", type=PATH)
@click.argument("out_dir", type=PATH)
def train(run_path: Path, out_dir: Path) -> None:
    """Pretrain as RUN.json says (see `radnet3d runs write`); a killed run goes on when called again.

    OUT_DIR gets checkpoint.pt, history.csv, predictions.parquet, metrics.json, environment.json and run.json.
    """
    log.info("radnet3d %s pretrain train %s", __version__, run_path)
    from radnet3d.models.checkpoint import save_checkpoint
    from radnet3d.training.output import STATE, training_directory
    from radnet3d.training.pretraining import pretrain

    run = read_run(run_path, PretrainRun)
    with training_directory(run_path, out_dir, n_threads=run.settings.pretrain.n_threads) as folder:
        done = pretrain(run, state_path=folder / STATE)
        write_table(done.history, folder / "history.csv", HISTORY)
        write_table(done.predictions, folder / "predictions.parquet", PREDICTIONS)
        write_json(folder / "metrics.json", done.metrics)
        save_checkpoint(done.checkpoint, folder / "checkpoint.pt")
    log.info("%d test series of %d patients", len(done.predictions), done.predictions["PatientID"].nunique())


@commands.command()
@click.argument("predictions_path", metavar="PREDICTIONS", type=PATH)
@click.argument("out_path", metavar="OUT.csv", type=PATH)
@click.option("--settings", required=True, help="JSON of params section comparison: resamples, seed, confidence")
def score(predictions_path: Path, out_path: Path, settings: str) -> None:
    """Score each head on the patients never trained on. PREDICTIONS: predictions.parquet of `pretrain train`."""
    log.info("radnet3d %s pretrain score %s", __version__, predictions_path)
    from radnet3d.training.scoring import score_heads

    predictions = read_table(predictions_path, PREDICTIONS)
    scores = score_heads(predictions, parse_section(Comparison, settings))
    write_table(scores, out_path, HEAD_SCORES)
    for row in scores.itertuples():
        log.info("%s %s %.3f (chance %.3f), %d series", row.head, row.metric, row.value, row.chance, row.n_series)
    log.info("%d series of %d patients scored", len(predictions), predictions["PatientID"].nunique())


@commands.command()
@click.argument("run_path", metavar="RUN.json", type=PATH)
@click.argument("out_dir", type=PATH)
def control(run_path: Path, out_dir: Path) -> None:
    """Train a liver segmenter on the `control` cases of the split: its encoder is the positive control.

    OUT_DIR gets checkpoint.pt, history.csv, metrics.json, environment.json and run.json.
    """
    log.info("radnet3d %s pretrain control %s", __version__, run_path)
    from radnet3d.models.checkpoint import save_checkpoint
    from radnet3d.training.control import train_control
    from radnet3d.training.output import STATE, training_directory

    run = read_run(run_path, ControlRun)
    with training_directory(run_path, out_dir, n_threads=run.settings.finetune.n_threads) as folder:
        checkpoint, history, metrics = train_control(run, state_path=folder / STATE)
        write_table(history, folder / "history.csv", HISTORY)
        write_json(folder / "metrics.json", metrics)
        save_checkpoint(checkpoint, folder / "checkpoint.pt")
    log.info("trained on %d patients", len(checkpoint.patients))
