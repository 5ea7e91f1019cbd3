"""`radnet3d archive`: plan and fetch DICOM series and liver cases."""

import logging
from pathlib import Path

import click

from radnet3d import __version__
from radnet3d.archive.source import choose_source, drop_unplanned
from radnet3d.atomic import output_directory
from radnet3d.params import Archive, Liver, parse_section
from radnet3d.tables import PLAN, TRUTH, read_table, write_table

log = logging.getLogger(__name__)
folder = click.Path(path_type=Path, file_okay=False)


@click.group("archive")
def commands() -> None:
    """Plan and fetch DICOM series: digital patients, a folder, the IDC."""


@commands.command()
@click.argument("out_dir", type=folder)
@click.option("--settings", required=True, help="section `archive` of the parameters, as JSON")
def plan(out_dir: Path, settings: str) -> None:
    """Write OUT_DIR/plan.parquet, one row a series, and OUT_DIR/truth.parquet, what is known to be true of it."""
    archive = parse_section(Archive, settings)
    log.info("archive plan %s, radnet3d %s", archive.source, __version__)
    planned, truth = choose_source(archive).plan(out_dir)
    write_table(planned, out_dir / "plan.parquet", PLAN)
    write_table(truth, out_dir / "truth.parquet", TRUTH)
    log.info("planned %d series of %d patients", len(planned), planned["PatientID"].nunique())


@commands.command()
@click.argument("plan", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.argument("out_dir", type=folder)
@click.option("--shard", required=True, help="group of series to fetch, three digits")
@click.option("--settings", required=True, help="section `archive` of the parameters, as JSON")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="processes or connections")
def fetch(plan: Path, out_dir: Path, shard: str, settings: str, threads: int) -> None:
    """Put the series of one shard of PLAN at OUT_DIR/<PatientID>/<SeriesInstanceUID>/.

    What an interrupted run finished lies in OUT_DIR.partial and is kept.
    """
    archive = parse_section(Archive, settings)
    log.info("archive fetch %s shard %s, radnet3d %s", archive.source, shard, __version__)
    if not (shard.isdigit() and len(shard) == 3 and int(shard) < archive.n_shards):
        raise click.BadParameter(f"{shard!r}, wanted three digits below {archive.n_shards}", param_hint="--shard")
    rows = read_table(plan, PLAN)
    rows = rows[rows["shard"] == shard]
    kept = [Path(archive.folder.dir)] if archive.source == "folder" else []
    with output_directory(out_dir, inputs=[plan, *kept]) as unfinished:
        drop_unplanned(unfinished, rows)
        choose_source(archive).fetch(rows, plan.parent, unfinished, threads)
    log.info("fetched %d series, %d files planned", len(rows), int(rows["n_instances"].sum()))


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
