"""`radnet3d labels`: label series from headers or catalogue text; evaluate; count."""

import logging
from pathlib import Path

import click
import pandas as pd
import polars as pl

from radnet3d import __version__, tables
from radnet3d.dicom.extract import extract_series
from radnet3d.errors import TableError
from radnet3d.labels.census import take_census
from radnet3d.labels.scoring import confusion, joined, score
from radnet3d.labels.series import label_series, read_catalogue, with_plan, write_labels
from radnet3d.labels.targets import make_targets

logger = logging.getLogger(__name__)

PATH = click.Path(path_type=Path)
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group("labels")
def commands() -> None:
    """Label series, with evidence, from headers or catalogue text."""


@commands.command("from-series")
@click.argument("series_path", metavar="SERIES", type=FILE)
@click.argument("out", type=PATH)
@click.option("--plan", "plan_path", type=FILE, help="plan.parquet of the archive, for each series' collection")
def from_series(series_path: Path, out: Path, plan_path: Path | None) -> None:
    """Label the header rows of SERIES (as `dicom extract` writes them) into OUT.parquet."""
    logger.info("radnet3d %s labels from-series %s %s", __version__, series_path, out)
    series = pl.from_pandas(tables.read_table(series_path, tables.SERIES))
    if plan_path is not None:
        series = with_plan(series, pl.from_pandas(tables.read_table(plan_path, tables.PLAN)))
    write_and_count(series, out)


@commands.command("from-dicom")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("out", type=PATH)
@click.option("--threads", default=1, show_default=True, type=click.IntRange(min=1), help="processes reading headers")
def from_dicom(folder: Path, out: Path, threads: int) -> None:
    """Scan DIR for DICOM files of any name and depth and label their series into OUT.parquet.

    The files that were left out, and why, go beside it into OUT_excluded.csv.
    """
    logger.info("radnet3d %s labels from-dicom %s %s", __version__, folder, out)
    found = extract_series(folder, n_processes=threads)
    logger.info("%d series read, %d files excluded", len(found.series), len(found.excluded))
    write_and_count(pl.from_pandas(found.series), out)
    tables.write_table(found.excluded, out.with_name(f"{out.stem}_excluded.csv"), tables.EXCLUDED)


@commands.command("from-catalogue")
@click.argument("source", metavar="IN")
@click.argument("out", type=PATH)
def from_catalogue(source: str, out: Path) -> None:
    """Label the rows of a catalogue into OUT.parquet, in their order.

    IN: a csv or parquet table with any of the IDC index's columns, SeriesInstanceUID and Modality among them; or the
    word `idc-index` for the table of the installed package idc-index-data.
    """
    logger.info("radnet3d %s labels from-catalogue %s %s", __version__, source, out)
    write_and_count(read_catalogue(source), out)


def write_and_count(series: pl.DataFrame, out: Path) -> None:
    """Label `series`, write them to `out` and log how many got an answer."""
    labels = label_series(series)
    write_labels(labels, out)
    answered = ", ".join(f"{head} {(labels[head] != 'unknown').sum()}" for head in tables.HEADS)
    logger.info("%d series labelled; answered: %s", labels.height, answered)


@commands.command()
@click.argument("truth_path", metavar="TRUTH", type=FILE)
@click.argument("labels_path", metavar="LABELS", type=FILE)
@click.argument("out", type=PATH)
def evaluate(truth_path: Path, labels_path: Path, out: Path) -> None:
    """Score LABELS against TRUTH into OUT.csv; what was taken for what goes beside it, into OUT_confusion.csv.

    TRUTH: a table with SeriesInstanceUID and gold_<head> columns, or <head> columns as an archive's truth.parquet has
    them. An empty cell is not scored; sequence is scored for MR and PET.
    """
    logger.info("radnet3d %s labels evaluate %s %s %s", __version__, truth_path, labels_path, out)
    truth = read_truth(truth_path)
    pairs = joined(truth, tables.read_table(labels_path, tables.LABELS), name=str(truth_path))
    scores = score(pairs)
    tables.write_table(scores, out, tables.LABEL_SCORES)
    tables.write_table(confusion(pairs), out.with_name(f"{out.stem}_confusion{out.suffix}"), tables.LABEL_CONFUSION)
    for row in scores.itertuples():
        logger.info("%-9s %-15s %.3f [%.3f, %.3f] (%d of %d)", row.head, row.metric, row.value, row.low, row.high,
                    row.n, row.n_of)  # fmt: skip
    logger.info("%d series scored", len(truth))


def read_truth(path: Path) -> pd.DataFrame:
    """Return a table of truth, all text. Raises TableError if it cannot be read."""
    try:
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, dtype=str)
    except (ValueError, pd.errors.ParserError) as error:
        raise TableError(f"{path}: not readable as a table of truth: {error}") from error
    return frame


@commands.command()
@click.argument("labels_paths", metavar="LABELS...", nargs=-1, required=True, type=FILE)
@click.argument("out", type=PATH)
def join(labels_paths: tuple[Path, ...], out: Path) -> None:
    """Put the label tables LABELS one after the other into OUT.parquet; a series may be in one of them only."""
    logger.info("radnet3d %s labels join %d tables %s", __version__, len(labels_paths), out)
    labels = pd.concat([tables.read_table(path, tables.LABELS) for path in labels_paths], ignore_index=True)
    tables.write_table(labels, out, tables.LABELS)
    logger.info("%d series", len(labels))


@commands.command()
@click.argument("labels_paths", metavar="LABELS...", nargs=-1, required=True, type=FILE)
@click.argument("out", type=PATH)
def targets(labels_paths: tuple[Path, ...], out: Path) -> None:
    """Derive the paper's heads from LABELS into OUT.parquet; only volumes of human subjects are kept."""
    logger.info("radnet3d %s labels targets %d tables %s", __version__, len(labels_paths), out)
    labels = pd.concat([tables.read_table(path, tables.LABELS) for path in labels_paths], ignore_index=True)
    made = make_targets(labels)
    tables.write_table(made, out, tables.TARGETS)
    logger.info("%d series read, %d volumes of human subjects kept", len(labels), len(made))


@commands.command()
@click.argument("labels_path", metavar="LABELS", type=FILE)
@click.argument("out", type=PATH)
def census(labels_path: Path, out: Path) -> None:
    """Count the series of LABELS that each head answered or left unknown, by modality and collection, into OUT.csv."""
    logger.info("radnet3d %s labels census %s %s", __version__, labels_path, out)
    columns = ["Modality", "collection_id", *tables.HEADS]
    counts = take_census(pd.read_parquet(labels_path, columns=columns))
    tables.write_table(counts, out, tables.CENSUS)
    logger.info("%d series in %d groups", counts["n_series"].sum() // len(tables.HEADS), len(counts))
