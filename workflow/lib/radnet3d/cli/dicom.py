"""`radnet3d dicom`: read headers."""

import logging
from pathlib import Path

import click

from radnet3d import __version__
from radnet3d.atomic import output_directory
from radnet3d.dicom.extract import extract_series

logger = logging.getLogger(__name__)


@click.group("dicom")
def commands() -> None:
    """Read headers: one row a series, with its geometry."""


@commands.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("out_dir", type=click.Path(path_type=Path))
@click.option("--threads", default=1, show_default=True, type=click.IntRange(min=1), help="processes reading headers")
def extract(folder: Path, out_dir: Path, threads: int) -> None:
    """Write OUT_DIR/series.parquet, files.parquet and excluded.csv of every DICOM file below DIR."""
    logger.info("radnet3d %s dicom extract %s %s --threads %d", __version__, folder, out_dir, threads)
    with output_directory(out_dir, inputs=[folder]) as partial:
        found = extract_series(folder, n_processes=threads)
        found.write(partial)
    n_regular = int((found.series["geometry"] == "regular").sum())
    logger.info("%d series (%d regular), %d slices, %d files excluded",
                len(found.series), n_regular, len(found.files), len(found.excluded))  # fmt: skip
