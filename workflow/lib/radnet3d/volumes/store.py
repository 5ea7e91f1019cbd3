"""A folder of volumes on the common grid: one int16 .npy a series, read by memory map, and a table beside them."""

import logging
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from radnet3d.atomic import replacing
from radnet3d.dicom.extract import Extract
from radnet3d.errors import PixelError
from radnet3d.tables import EXCLUDED, VOLUMES, rows_table, write_table
from radnet3d.volumes.pixels import read_planes
from radnet3d.volumes.resample import resample, resample_axis

logger = logging.getLogger(__name__)

MODALITIES = ("CT", "MR", "PT")
ROBUST_MAX = 1000
ROBUST_PERCENTILES = (0.5, 99.5)
Shape = tuple[int, int, int]


def store_volumes(root: Path, extract: Extract, out_dir: Path, *, shape_zyx: Shape, n_processes: int) -> None:
    """Write `<SeriesInstanceUID>.npy` of each usable series into `out_dir`, with volumes.parquet and excluded.csv.

    Volumes that are there already, in this shape, are kept: a killed run goes on where it was.
    """
    usable, excluded = split_usable(extract.series)
    files = dict(list(extract.files.groupby("SeriesInstanceUID")))
    jobs = [(row, files[row["SeriesInstanceUID"]]) for row in usable]
    store = partial(store_one, root, out_dir, shape_zyx)
    progress = partial(tqdm, total=len(jobs), desc="volumes", unit="series", mininterval=1.0)
    if n_processes == 1:
        found = list(progress(map(store, jobs)))
    else:
        with ProcessPoolExecutor(n_processes) as pool:
            found = list(progress(pool.map(store, jobs)))
    volumes = [row for row in found if "reason" not in row]
    excluded += [row for row in found if "reason" in row]
    for path in {*out_dir.glob("*.npy"), *out_dir.glob(".*")} - {out_dir / row["path"] for row in volumes}:
        path.unlink()  # left by a run that was killed, or that had other series
    write_table(rows_table(volumes, VOLUMES), out_dir / "volumes.parquet", VOLUMES)
    write_table(pd.concat([extract.excluded, rows_table(excluded, EXCLUDED)]), out_dir / "excluded.csv", EXCLUDED)
    logger.info("%d series: %d volumes, %d excluded; %d files excluded",
                len(extract.series), len(volumes), len(excluded), len(extract.excluded))  # fmt: skip


def split_usable(series: pd.DataFrame) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the rows of tables.SERIES that can become a volume, and a row of tables.EXCLUDED for each other one."""
    usable, excluded = [], []
    for row in series.to_dict("records"):
        if row["Modality"] not in MODALITIES:
            excluded.append(exclusion(row, "unsupported_modality", f"Modality is {row['Modality']!r}"))
        elif row["geometry"] != "regular":
            excluded.append(exclusion(row, row["geometry"], describe_geometry(row)))
        else:
            usable.append({str(name): value for name, value in row.items()})
    return usable, excluded


def describe_geometry(row: dict[Any, Any]) -> str:
    """Return in words what is known of where the slices of a series lie."""
    words = [f"{row['n_slices']} slices in {row['n_files']} files"]
    if row["n_volumes"] > 1:
        words.append(f"{row['n_volumes']} volumes")
    if row["slice_spacing_mm"] > 0:
        words.append(f"median gap {row['slice_spacing_mm']:.3f} mm")
        words.append(f"{row['position_max_mm'] - row['position_min_mm']:.3f} mm from first to last")
    if row["geometry"] == "gantry_tilt":
        words.append(f"tilt {row['gantry_tilt_deg']:.1f} degrees")
    return ", ".join(words)


def exclusion(row: dict[Any, Any], reason: str, detail: str) -> dict[str, Any]:
    """Return the row of tables.EXCLUDED of a whole series."""
    return {"path": "", "SeriesInstanceUID": row["SeriesInstanceUID"], "reason": reason, "detail": detail}


def store_one(root: Path, out_dir: Path, shape_zyx: Shape, job: tuple[dict[str, Any], pd.DataFrame]) -> dict[str, Any]:
    """Write one volume and return its row of tables.VOLUMES, or of tables.EXCLUDED where its pixels are of no use."""
    row, files = job
    path = out_dir / f"{row['SeriesInstanceUID']}.npy"
    if not is_stored(path, shape_zyx, [root / source for source in set(files["path"])]):
        try:
            volume = resample_planes(root, files, shape_zyx)
        except PixelError as error:
            return exclusion(row, "undecodable_pixels", str(error).removeprefix(f"{root}/"))
        with replacing(path) as temporary:
            np.save(temporary, to_int16(volume, row["Modality"]))
    original_shape = (row["n_slices"], row["n_rows"], row["n_columns"])
    original_mm = (row["slice_spacing_mm"], row["pixel_spacing_row_mm"], row["pixel_spacing_column_mm"])
    # both grids cover the same extent, so this is the true spacing, not a nominal one
    spacing_mm = [mm * n / n_out for mm, n, n_out in zip(original_mm, original_shape, shape_zyx, strict=True)]
    return {
        "SeriesInstanceUID": row["SeriesInstanceUID"],
        "PatientID": row["PatientID"],
        "Modality": row["Modality"],
        "path": path.name,
        "intensity": "hu" if row["Modality"] == "CT" else "robust_0_1000",
        "original_shape_zyx": ",".join(map(str, original_shape)),
        "original_spacing_zyx_mm": ",".join(f"{mm:.6g}" for mm in original_mm),
        "spacing_zyx_mm": ",".join(f"{mm:.6g}" for mm in spacing_mm),
    }


def is_stored(path: Path, shape_zyx: Shape, sources: list[Path]) -> bool:
    """Return whether `path` holds a finished volume of this shape, made after its `sources` were."""
    if not path.is_file() or any(source.stat().st_mtime > path.stat().st_mtime for source in sources):
        return False
    volume = np.load(path, mmap_mode="r")
    return bool(volume.shape == tuple(shape_zyx) and volume.dtype == np.int16)


def resample_planes(root: Path, files: pd.DataFrame, shape_zyx: Shape) -> NDArray[np.float32]:
    """Return a volume on the common grid, `shape_zyx`; slices shrink as they are read, so that no series fills memory."""
    planes = [resample(plane[None], (1, *shape_zyx[1:]))[0] for plane in read_planes(root, files)]
    return resample_axis(np.stack(planes), shape_zyx[0], axis=0)


def to_int16(volume: NDArray[np.float32], modality: str) -> NDArray[np.int16]:
    """Return intensities as they are stored: CT in HU; others scaled so that 0.5 to 99.5 percent span 0 to 1000.

    MR has no unit, PET units differ between sites. A few bright voxels must not set the scale, as they do in min-max.
    """
    if modality != "CT":
        low, high = np.percentile(volume, ROBUST_PERCENTILES)
        volume = ((volume - low) * (ROBUST_MAX / max(high - low, 1e-6))).clip(0, ROBUST_MAX)
    limits = np.iinfo(np.int16)
    return np.rint(volume).clip(limits.min, limits.max).astype(np.int16)
