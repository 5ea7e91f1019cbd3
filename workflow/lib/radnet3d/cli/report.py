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
    """Build the HTML pages; print what a run cost."""


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

    Read where they exist, and said to be missing where not: transfer/{comparison,secondary,labels_saved,power,
    task_comparison,costs,proposals}.csv, finetune/{rates/liver/*.json,split/liver/{split,leakage}.csv,
    runs/liver/*/metrics.json}, liver/proposals.csv, pretrain/{split.csv,*/heads.csv,*/history.csv},
    raw/{summary,attribution,missing}.csv, volumes/*/volumes.parquet, volumes/*/excluded.csv, benchmarks/**.tsv,
    **/environment.json, and figures/NAME.svg or .png of dice, differences, labels_saved, ablation, other_arms, tasks,
    overlays, proposals, proposal_study, heads, curves, label_accuracy, census, contact_sheet.
    """
    log.info("radnet3d %s report build", __version__)
    from radnet3d.reporting.build import build_page

    page = build_page(results_dir, parse_section(Params, settings), note_files)
    write_text(out, page)
    log.info("%s: %.1f MB", out, len(page) / 1e6)


@commands.command()
@click.argument("results_dir", type=PATH)
@click.argument("out", metavar="OUT.html", type=PATH)
@click.option(
    "--gold", "gold_path", type=PATH, required=True, help="the rated series: workflow/resources/gold/held_out.csv"
)
@click.option(
    "--source", "sources", multiple=True, required=True,
    help="where this run's archive comes from (archive.source); phantom is marked synthetic",
)  # fmt: skip
def labels(results_dir: Path, out: Path, gold_path: Path, sources: tuple[str, ...]) -> None:
    """Make the page on labels, OUT.html, from RESULTS_DIR.

    Read where they exist, and said to be missing where not: labels/gold/{rules,regex,body-part-examined}.csv and
    labels/accuracy.csv with their confusions, the tables of labels/census_index and labels/census_archive, and
    figures/NAME.svg or .png of rated, census, witnesses, funnel, label_accuracy.
    """
    log.info("radnet3d %s report labels", __version__)
    from radnet3d.reporting.labels_page import build_label_page

    page = build_label_page(results_dir, gold_path, is_synthetic="phantom" in sources)
    write_text(out, page)
    log.info("%s: %.1f MB", out, len(page) / 1e6)


@commands.command()
@click.argument("results_dir", type=PATH)
def times(results_dir: Path) -> None:
    """Print jobs, seconds and memory of each rule from RESULTS_DIR/benchmarks."""
    click.echo(as_text(summed_times(results_dir)))
