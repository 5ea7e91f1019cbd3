"""From a folder of files to one row a series, with where each of its slices lies and what was left out."""

import math
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from radnet3d.dicom.geometry import Geometry, in_series_order, series_geometry
from radnet3d.dicom.headers import Excluded, Header, find_files, read_header
from radnet3d.dicom.slices import Slice
from radnet3d.tables import EXCLUDED, FILES, SERIES, read_table, rows_table, write_table

CHUNK = 64  # files a worker takes at a time


@dataclass(frozen=True)
class Extract:
    """The tables of one scanned folder."""

    series: pd.DataFrame  # tables.SERIES, sorted by SeriesInstanceUID
    files: pd.DataFrame  # tables.FILES, sorted by series, volume and slice
    excluded: pd.DataFrame  # tables.EXCLUDED, sorted by path

    def write(self, folder: Path) -> None:
        """Write series.parquet, files.parquet and excluded.csv into `folder`."""
        write_table(self.series, folder / "series.parquet", SERIES)
        write_table(self.files, folder / "files.parquet", FILES)
        write_table(self.excluded, folder / "excluded.csv", EXCLUDED)


def read_extract(folder: Path) -> Extract:
    """Return what `Extract.write` wrote into `folder`. Raises TableError."""
    return Extract(
        series=read_table(folder / "series.parquet", SERIES),
        files=read_table(folder / "files.parquet", FILES),
        excluded=read_table(folder / "excluded.csv", EXCLUDED),
    )


def extract_series(root: Path, *, n_processes: int) -> Extract:
    """Return one row for each series below `root`, whatever its files are called and wherever they lie.

    A file that cannot be used becomes a row of `excluded`; what a file holds never stops the scan.
    """
    headers: dict[str, list[Header]] = defaultdict(list)
    excluded: list[Excluded] = []
    for found in read_headers(root, n_processes=n_processes):
        if isinstance(found, Excluded):
            excluded.append(found)
        else:
            headers[str(found.values["SeriesInstanceUID"])].append(found)
    series: list[dict[str, Any]] = []
    files: list[dict[str, Any]] = []
    for series_uid in sorted(headers):
        found_headers = sorted(headers[series_uid], key=lambda header: in_series_order(header.slices[0]))
        slices = [part for header in found_headers for part in header.slices]
        geometry = series_geometry(slices)
        series.append(series_row(found_headers, geometry))
        files += files_rows(series_uid, slices, geometry)
    return Extract(
        series=rows_table(series, SERIES),
        files=rows_table(files, FILES),
        excluded=rows_table(
            [dict(zip(EXCLUDED.columns, vars(row).values(), strict=True)) for row in excluded], EXCLUDED
        ),
    )


def read_headers(root: Path, *, n_processes: int) -> Iterator[Header | Excluded]:
    """Yield what each file below `root` holds, in the order of their paths."""
    paths = find_files(root)
    progress = partial(tqdm, total=len(paths), desc="headers", unit="file", mininterval=1.0)
    if n_processes == 1 or len(paths) <= CHUNK:
        yield from progress(read_header(root, path) for path in paths)
    else:
        with ProcessPoolExecutor(n_processes) as pool:
            yield from progress(pool.map(partial(read_header, root), paths, chunksize=CHUNK))


def series_row(headers: list[Header], geometry: Geometry) -> dict[str, Any]:
    """Return the row of one series: of each header value the first that is not empty, and the geometry."""
    values = {
        keyword: next((header.values[keyword] for header in headers if _is_given(header.values[keyword])), default)
        for keyword, default in headers[0].values.items()
    }
    derived = {name: getattr(geometry, name) for name in SERIES.columns if hasattr(geometry, name)}
    return {**values, **derived, "n_files": len(headers)}


def _is_given(value: str | float) -> bool:
    return value != "" if isinstance(value, str) else math.isfinite(value)


def files_rows(series_uid: str, slices: list[Slice], geometry: Geometry) -> list[dict[str, Any]]:
    """Return one row a slice, sorted by volume and by place along the normal."""
    rows = [
        {
            "path": part.path,
            "frame": part.frame,
            "SeriesInstanceUID": series_uid,
            "SOPInstanceUID": part.sop_instance_uid,
            "volume": int(volume),
            "slice": int(place),
            "position_mm": float(position_mm),
        }
        for part, volume, place, position_mm in zip(
            slices, geometry.volume, geometry.place, geometry.position_mm, strict=True
        )
    ]
    return sorted(rows, key=lambda row: (row["volume"], row["slice"]))
