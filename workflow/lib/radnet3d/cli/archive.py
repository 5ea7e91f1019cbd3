"""`radnet3d archive`: plan and fetch DICOM series and liver cases."""

import logging
import shutil
from pathlib import Path

import click
import pandas as pd

from radnet3d import __version__
from radnet3d.archive.attribution import attribute, attribution_text, missing_series, read_citations
from radnet3d.archive.source import choose_planner, choose_source, drop_unplanned
from radnet3d.archive.summary import summarise_plan, summary_text
from radnet3d.archive.transfer import check_fraction
from radnet3d.atomic import output_directory, write_text
from radnet3d.params import Archive, Liver, parse_section
from radnet3d.tables import ATTRIBUTION, FETCHED, PLAN, PLAN_SUMMARY, TRUTH, read_table, write_table

log = logging.getLogger(__name__)
folder = click.Path(path_type=Path, file_okay=False)


@click.group("archive")
def commands() -> None:
    """Plan and fetch DICOM series: digital patients, a folder, the IDC, TCIA."""


@commands.command("plan")
@click.argument("out_dir", type=folder)
@click.option("--settings", required=True, help="section `archive` of the parameters, as JSON")
def plan_series(out_dir: Path, settings: str) -> None:
    """Choose series and say what they are, before any is fetched: print a summary, and write three tables.

    OUT_DIR/plan.parquet has one row a series, truth.parquet what is known to be true of it, summary.csv what was printed.
    The section of a parameter file comes from `radnet3d params section archive`.
    """
    archive = parse_section(Archive, settings)
    log.info("archive plan %s, radnet3d %s", archive.source, __version__)
    planned, truth = choose_planner(archive).plan(out_dir)
    write_table(planned, out_dir / "plan.parquet", PLAN)
    write_table(truth, out_dir / "truth.parquet", TRUTH)
    summary = summarise_plan(planned, archive.choice if archive.source in ("idc", "nbia") else None)
    write_table(summary, out_dir / "summary.csv", PLAN_SUMMARY)
    click.echo(summary_text(summary, shutil.disk_usage(out_dir).free), nl=False)
    log.info("planned %d series of %d patients", len(planned), planned["PatientID"].nunique())


@commands.command()
@click.argument("plan", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.argument("out_dir", type=folder)
@click.argument("fetched", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--shard", help="group of series to fetch, three digits; without it all")
@click.option("--settings", required=True, help="section `archive` of the parameters, as JSON")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="processes; not connections")
def fetch(plan: Path, out_dir: Path, fetched: Path, shard: str | None, settings: str, threads: int) -> None:
    """Put the series of PLAN at OUT_DIR/<PatientID>/<SeriesInstanceUID>/ and write FETCHED, one row a series: how it went.

    Series from a network lie in the folder `store` beside PLAN, and OUT_DIR holds links to them. What an interrupted run
    finished is kept there; of other sources it lies in OUT_DIR.partial.
    """
    archive = parse_section(Archive, settings)
    log.info("archive fetch %s shard %s, radnet3d %s", archive.source, shard or "all", __version__)
    rows = read_table(plan, PLAN)
    if shard is not None:
        if not (shard.isdigit() and len(shard) == 3 and int(shard) < archive.n_shards):
            raise click.BadParameter(f"{shard!r}, wanted three digits below {archive.n_shards}", param_hint="--shard")
        rows = rows[rows["shard"] == shard]
    kept = [Path(archive.folder.dir)] if archive.source == "folder" else []
    with output_directory(out_dir, inputs=[plan, *kept]) as unfinished:
        drop_unplanned(unfinished, rows)
        table = choose_source(archive).fetch(rows, plan.parent, unfinished, threads)
        write_table(table, fetched, FETCHED)
        check_fraction(table, archive.transfer, name=str(fetched))
    n_failed = int((table["reason"] != "").sum())
    log.info(
        "fetched %d of %d series, %d files, %.2f GB; %d could not be had",
        len(table) - n_failed, len(table), table["n_files"].sum(), table["n_bytes"].sum() / 1e9, n_failed,
    )  # fmt: skip


@commands.command()
@click.argument("plan", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.argument("out_dir", type=folder)
@click.argument("fetched", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--source", required=True, type=click.Choice(["phantom", "folder", "idc", "nbia"]), help="archive.source")
def attribution(plan: Path, out_dir: Path, fetched: tuple[Path, ...], source: str) -> None:
    """Say whose images were used, from PLAN and the tables FETCHED that `archive fetch` wrote.

    OUT_DIR/attribution.csv has each collection with DOI and licence, attribution.md the same to paste into a paper,
    missing.csv the series that could not be had.
    """
    log.info("archive attribution %s, radnet3d %s", plan, __version__)
    planned = read_table(plan, PLAN)
    found = pd.concat([read_table(path, FETCHED) for path in fetched], ignore_index=True)
    used, missing = attribute(planned, found, citations_of(source)), missing_series(found)
    write_table(used, out_dir / "attribution.csv", ATTRIBUTION)
    write_table(missing, out_dir / "missing.csv", FETCHED)
    index = str(planned["index"].iloc[0]) if "index" in planned else ""
    write_text(out_dir / "attribution.md", attribution_text(used, missing, source, index))
    n_left = len(planned) - len(found)
    log.info("%d series used, %d could not be had, %d not tried", used["n_series"].sum(), len(missing), n_left)


def citations_of(source: str) -> dict[str, str]:
    """Return how each data set of a source is cited, by DOI; nothing where no table says it."""
    if source != "idc":
        return {}
    from radnet3d.labels.series import idc_index_path

    return read_citations(idc_index_path().with_name("collections_index.parquet"))


@commands.command("fetch-liver")
@click.argument("out_dir", type=folder)
@click.option("--settings", required=True, help="section `liver` of the parameters, as JSON")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="processes")
def fetch_liver(out_dir: Path, settings: str, threads: int) -> None:
    """Put liver cases at OUT_DIR as volume-N.nii and segmentation-N.nii (0, 1 liver, 2 lesion)."""
    liver = parse_section(Liver, settings)
    log.info("archive fetch-liver %s, radnet3d %s", liver.source, __version__)
    if liver.source == "lits":
        from radnet3d.archive.lits import link_cases

        n_cases = link_cases(Path(liver.lits.dir), out_dir)
    else:
        from radnet3d.archive.phantom.liver_cases import make_cases

        make_cases(liver.phantom, out_dir, threads)
        n_cases = liver.phantom.n_cases
    log.info("%d liver cases", n_cases)
