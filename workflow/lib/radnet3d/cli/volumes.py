"""`radnet3d volumes`: series to volumes on the common grid."""

import logging
from pathlib import Path

import click

from radnet3d import __version__
from radnet3d.atomic import output_directory
from radnet3d.dicom.extract import extract_series, read_extract
from radnet3d.volumes.store import Wanted, store_volumes

logger = logging.getLogger(__name__)


class Shape(click.ParamType[tuple[int, int, int]]):
    """Three whole numbers above 0, joined by commas: z,y,x."""

    name = "z,y,x"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int, int]:
        """Return the three numbers; wrong usage where there are others."""
        if isinstance(value, tuple):
            return value
        words = str(value).split(",")
        if len(words) != 3 or not all(word.strip().isdecimal() and int(word) > 0 for word in words):
            self.fail(f"found {value!r}, wanted three whole numbers above 0, such as 48,48,48", param, ctx)
        return int(words[0]), int(words[1]), int(words[2])


@click.group("volumes")
def commands() -> None:
    """Resample series to a common grid."""


@commands.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("out_dir", type=click.Path(path_type=Path))
@click.option("--shape-zyx", default="48,48,48", show_default=True, type=Shape(), help="voxels of every volume")
@click.option(
    "--correct-tilt/--no-correct-tilt", default=False, show_default=True, help="shear series of a tilted gantry upright"
)
@click.option(
    "--n-per-series-max",
    type=click.IntRange(min=1),
    help="at most this many volumes of a series that holds several (echoes, b-values, phases); by default all",
)
@click.option(
    "--headers",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="what `dicom extract DIR` wrote, so that headers are not read twice",
)
@click.option("--threads", default=1, show_default=True, type=click.IntRange(min=1), help="series worked on at once")
def resample(
    folder: Path,
    out_dir: Path,
    shape_zyx: tuple[int, int, int],
    correct_tilt: bool,
    n_per_series_max: int | None,
    headers: Path | None,
    threads: int,
) -> None:
    """Write OUT_DIR/<SeriesInstanceUID>.npy of every usable series below DIR, volumes.parquet and excluded.csv.

    Slices stay in the acquisition frame: axis 0 runs along the normal of the slices, rows and columns as stored. A
    series that holds several volumes gives <SeriesInstanceUID>_0.npy, _1.npy ...
    """
    shown = ",".join(map(str, shape_zyx))
    logger.info("radnet3d %s volumes resample %s %s --shape-zyx %s", __version__, folder, out_dir, shown)
    with output_directory(out_dir, inputs=[folder, *([headers] if headers else [])]) as partial:
        extract = read_extract(headers) if headers else extract_series(folder, n_processes=threads)
        wanted = Wanted(shape_zyx, correct_tilt, n_per_series_max)
        store_volumes(folder, extract, partial, wanted, n_processes=threads)
