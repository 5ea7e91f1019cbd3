"""`radnet3d labels`: label series from headers or catalogue text; evaluate; count."""

import logging
from collections.abc import Sequence
from pathlib import Path

import click
import pandas as pd
import polars as pl

from radnet3d import __version__, tables
from radnet3d.archive.index import leaking_collections
from radnet3d.archive.licences import is_commercial
from radnet3d.dicom.extract import extract_series
from radnet3d.errors import TableError
from radnet3d.labels.baselines import BASELINES, label_by
from radnet3d.labels.census import (
    candidates,
    compare_body_part,
    count_classes,
    count_rules,
    count_witnesses,
    draw_sample,
    examples_of,
    licences_of,
    make_funnel,
    read_texts,
    take_census,
)
from radnet3d.labels.disagreements import count_disagreements
from radnet3d.labels.scoring import confusion, confusion_text, joined, score, scores_text
from radnet3d.labels.series import label_series, read_catalogue, with_plan, write_labels
from radnet3d.labels.targets import make_targets

logger = logging.getLogger(__name__)

PATH = click.Path(path_type=Path)
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
DISAGREEING = ("SeriesInstanceUID", "Modality", "disagreements")


@click.group("labels")
def commands() -> None:
    """Label series, with evidence, from headers or catalogue text."""


@commands.command("from-series")
@click.argument("series_path", metavar="SERIES", type=FILE)
@click.argument("out", type=PATH)
@click.option("--plan", "plan_path", type=FILE, help="plan.parquet of the archive, for each series' collection")
def from_series(series_path: Path, out: Path, plan_path: Path | None) -> None:
    """Label the header rows of SERIES (as `dicom extract` writes them) into OUT (.parquet, .csv or .tsv)."""
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
    """Scan DIR for DICOM files of any name and depth and label their series into OUT (.parquet, .csv or .tsv).

    The files that were left out, and why, go beside it into <OUT>_excluded.csv.
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
    """Label the rows of a catalogue into OUT (.parquet, .csv or .tsv), in their order.

    IN: a csv or parquet table with any of the IDC index's columns, SeriesInstanceUID and Modality among them; or the
    word `idc-index` for the table of the installed package idc-index-data.
    """
    logger.info("radnet3d %s labels from-catalogue %s %s", __version__, source, out)
    write_and_count(read_catalogue(source), out)


@commands.command()
@click.argument("name", type=click.Choice(sorted(BASELINES)))
@click.argument("source", metavar="IN")
@click.argument("out", type=PATH)
@click.option(
    "--of", "wanted_path", type=FILE, help="table whose SeriesInstanceUID are labelled; without it, all of IN"
)
def baseline(name: str, source: str, out: Path, wanted_path: Path | None) -> None:
    """Label the rows of the catalogue IN as others do, into OUT, to be scored beside the rules.

    regex: published regular expressions, inside words and with forced answers; body-part-examined: that tag alone.
    """
    logger.info("radnet3d %s labels baseline %s %s %s", __version__, name, source, out)
    rows = read_catalogue(source)
    if wanted_path is not None:
        rows = rows.filter(pl.col("SeriesInstanceUID").is_in(read_truth(wanted_path)["SeriesInstanceUID"].to_list()))
    labels = label_by(name, rows)
    write_labels(labels, out)
    logger.info("%d series labelled", labels.height)


@commands.command()
@click.argument("labels_path", metavar="LABELS", type=FILE)
@click.argument("out", type=PATH)
def disagreements(labels_path: Path, out: Path) -> None:
    """Count where the witnesses of a head contradict one another in LABELS, by rules, values and modality, into OUT."""
    logger.info("radnet3d %s labels disagreements %s %s", __version__, labels_path, out)
    labels = read_labels(labels_path, columns=DISAGREEING).to_pandas()
    counts = count_disagreements(labels)
    tables.write_table(counts, out, tables.DISAGREEMENTS)
    n_series = int((labels["disagreements"] != "").sum())
    logger.info("%d of %d series have contradicting witnesses, of %d sorts", n_series, len(labels), len(counts))


def read_labels(path: Path, *, columns: Sequence[str] = tuple(tables.LABELS.columns)) -> pl.DataFrame:
    """Return columns of tables.LABELS; the values of a parquet file, of a million rows perhaps, are not checked again.

    Raises TableError if the table cannot be read or lacks one of `columns`.
    """
    if path.suffix != ".parquet":
        return pl.from_pandas(tables.read_table(path, tables.LABELS)).select(columns)
    try:
        return pl.read_parquet(path, columns=list(columns))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise TableError(f"{path}: not readable as the table '{tables.LABELS.name}': {error}") from error


def write_and_count(series: pl.DataFrame, out: Path) -> None:
    """Label `series`, write them to `out` and log how many got an answer."""
    labels = label_series(series)
    write_labels(labels, out)
    answered = ", ".join(f"{head} {(labels[head] != 'unknown').sum()}" for head in tables.HEADS)
    logger.info("%d series labelled; answered: %s", labels.height, answered)


@commands.command()
@click.argument("truth_path", metavar="TRUTH", type=FILE)
@click.argument("labels_path", metavar="LABELS", type=FILE)
@click.argument("out", type=PATH, required=False)
def evaluate(truth_path: Path, labels_path: Path, out: Path | None) -> None:
    """Print how good LABELS are against TRUTH, and what was taken for what.

    TRUTH: a table with SeriesInstanceUID and gold_<head> columns, or <head> columns as an archive's truth.parquet has
    them. An empty cell is not scored; sequence is scored for MR and PET. With OUT.csv, the scores also go there, and
    what was taken for what beside it, into OUT_confusion.csv.
    """
    logger.info("radnet3d %s labels evaluate %s %s %s", __version__, truth_path, labels_path, out or "")
    truth = read_truth(truth_path)
    pairs = joined(truth, tables.read_table(labels_path, tables.LABELS), name=str(truth_path))
    scores = score(pairs)
    click.echo(scores_text(scores))
    click.echo(confusion_text(pairs))
    if out is not None:
        tables.write_table(scores, out, tables.LABEL_SCORES)
        tables.write_table(confusion(pairs), out.with_name(f"{out.stem}_confusion{out.suffix}"), tables.LABEL_CONFUSION)
    logger.info("%d series scored", len(truth))


def read_truth(path: Path) -> pd.DataFrame:
    """Return a table of truth, all text. Raises TableError if it cannot be read or does not name its series."""
    try:
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path, dtype=str)
    except (ValueError, OSError) as error:
        raise TableError(f"{path}: not readable as a table of truth: {error}") from error
    if "SeriesInstanceUID" not in frame.columns:
        raise TableError(f"{path}: found the columns {list(frame.columns)}, wanted also SeriesInstanceUID")
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
@click.argument("sources", metavar="CATALOGUE...", nargs=-1, required=True)
@click.argument("out_dir", type=PATH)
def census(labels_path: Path, sources: tuple[str, ...], out_dir: Path) -> None:
    """Count what LABELS cover and rest on, and what could be pretrained on them, into tables of OUT_DIR.

    CATALOGUE: what the labels were made from: tables of series, one after the other, or the word `idc-index`. Written:
    census.csv (answered and unknown), rule_use.csv and witness_use.csv (what decided), body_part.csv (BodyPartExamined
    against texts), disagreements.csv and disagreement_examples.csv, funnel.csv and classes.csv (what could be pretrained
    on), sample.csv (some series with texts, labels and evidence).
    """
    logger.info("radnet3d %s labels census %s %s %s", __version__, labels_path, " ".join(sources), out_dir)
    labels = read_labels(labels_path)
    catalogue = read_texts(sources, labels)
    licences = {name for name in licences_of(catalogue) if is_commercial(name)}
    series = candidates(labels, catalogue, licences=licences, leaking=leaking_collections())
    contradicted = labels.filter(pl.col("disagreements") != "", pl.col("Modality").is_in(tables.IMAGE_GROUPS))
    disagreements = count_disagreements(contradicted.select(DISAGREEING).to_pandas())
    made = {
        "census": (take_census(labels), tables.CENSUS),
        "rule_use": (count_rules(labels, catalogue), tables.RULE_USE),
        "witness_use": (count_witnesses(labels), tables.WITNESS_USE),
        "body_part": (compare_body_part(labels, catalogue), tables.BODY_PART),
        "disagreements": (disagreements, tables.DISAGREEMENTS),
        "disagreement_examples": (examples_of(disagreements, labels, catalogue), tables.LABEL_SAMPLE),
        "funnel": (make_funnel(series), tables.FUNNEL),
        "classes": (count_classes(series), tables.CLASSES),
        "sample": (draw_sample(labels, catalogue), tables.LABEL_SAMPLE),
    }
    for name, (frame, schema) in made.items():
        tables.write_table(frame, out_dir / f"{name}.csv", schema)
    logger.info("%d series counted, %d of them could be pretrained on", labels.height, series["any_head"].sum())
