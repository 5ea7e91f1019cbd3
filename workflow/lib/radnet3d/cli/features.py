"""`radnet3d features`: feature vectors of series from a pretrained encoder."""

import logging
import tempfile
from pathlib import Path

import click

from radnet3d import __version__
from radnet3d.dicom.extract import extract_series
from radnet3d.tables import EXCLUDED, PREDICTIONS, VOLUMES, read_table, write_table
from radnet3d.volumes.store import Wanted, store_volumes

log = logging.getLogger(__name__)


@click.command("features")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("out_path", metavar="OUT.parquet", type=click.Path(path_type=Path))
@click.option(
    "--checkpoint", "checkpoint_path", required=True, type=click.Path(path_type=Path), help="of `pretrain train`"
)
@click.option(
    "--threads",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    help="processes that read, threads that compute",
)
def command(folder: Path, out_path: Path, checkpoint_path: Path, threads: int) -> None:
    """Write one row for each usable series below DIR: its features f000 ... and what the heads say of it.

    Series are resampled and scaled as for pretraining; of one that holds several volumes, the first is described. Those
    that form no volume are named in the log.
    """
    log.info("radnet3d %s features %s", __version__, folder)
    from radnet3d.models.checkpoint import load_checkpoint
    from radnet3d.training.loop import choose_device
    from radnet3d.training.predicting import describe_volumes

    checkpoint = load_checkpoint(checkpoint_path, kinds=["pretrain"])
    extract = extract_series(folder, n_processes=threads)
    out_path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out_path.parent, prefix=".features.") as name:
        stored = Path(name)
        settings = checkpoint.volumes
        wanted = Wanted(settings.shape_zyx, settings.correct_tilt, n_per_series_max=1)
        store_volumes(folder, extract, stored, wanted, n_processes=threads)
        volumes = read_table(stored / "volumes.parquet", VOLUMES)
        excluded = read_table(stored / "excluded.csv", EXCLUDED)
        rows = describe_volumes(volumes, stored, checkpoint, device=choose_device(threads))
    write_table(rows, out_path, PREDICTIONS)
    for row in excluded.itertuples():
        log.info("excluded: %s%s: %s %s", row.path, row.SeriesInstanceUID, row.reason, row.detail)
    log.info("%d series, %d kept, %d rows of exclusion", len(extract.series), len(rows), len(excluded))
