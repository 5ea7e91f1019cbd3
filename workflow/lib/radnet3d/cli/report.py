"""`radnet3d report`: the HTML page for readers, and what a run cost."""

import logging
from pathlib import Path

import click

from radnet3d import __version__
from radnet3d.atomic import write_text
from radnet3d.params import Params, parse_section
from radnet3d.reporting.times import as_text
from radnet3d.reporting.times import times as summed_times

log = logging.getLogger(__name__)

PATH = click.Path(path_type=Path)


@click.group("report")
def commands() -> None:
    """Build the HTML page; print what a run cost."""


@commands.command()
@click.argument("results_dir", type=PATH)
@click.argument("out", metavar="OUT.html", type=PATH)
@click.option("--settings", required=True, help="JSON of the whole of params.yaml")
@click.option(
    "--notes", "note_files", multiple=True, type=PATH,
    help="file besides the package whose PAPER and ASSUME comments are listed, such as params.yaml; may be repeated",
)  # fmt: skip
def build(results_dir: Path, out: Path, settings: str, note_files: tuple[Path, ...]) -> None:
    """Make one self-contained page, OUT.html, from RESULTS_DIR.

    Read where they exist, and said to be missing where not: transfer/{comparison,against_shuffled}.csv,
    finetune/{rates/*.json,split/split.csv,runs/*/metrics.json}, liver/proposals.csv, pretrain/{split.csv,*/heads.csv},
    labels/{labels.parquet,accuracy.csv}, raw/truth.parquet, volumes/*/volumes.parquet,
    {series,volumes}/*/excluded.csv, benchmarks/**.tsv, **/environment.json, and figures/NAME.svg or .png of dice,
    differences, overlays, proposals, heads, curves, label_accuracy, census, coverage, contact_sheet.
    """
    log.info("radnet3d %s report build", __version__)
    from radnet3d.reporting.build import build_page

    page = build_page(results_dir, parse_section(Params, settings), note_files)
    write_text(out, page)
    log.info("%s: %.1f MB", out, len(page) / 1e6)


@commands.command()
@click.argument("results_dir", type=PATH)
def times(results_dir: Path) -> None:
    """Print jobs, seconds and memory of each rule from RESULTS_DIR/benchmarks."""
    click.echo(as_text(summed_times(results_dir)))
