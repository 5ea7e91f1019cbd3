"""From a folder of files to one row a series, with where each of its slices lies and what was left out."""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from radnet3d.dicom.geometry import Geometry, in_series_order, series_geometry
from radnet3d.dicom.headers import Excluded, Header, find_names, path_parts, read_named
from radnet3d.dicom.names import unescaped
from radnet3d.dicom.slices import Slice
from radnet3d.tables import EXCLUDED, FILES, SERIES, check_table, read_table, rows_table, write_table

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

    A file that cannot be used becomes a row of `excluded`, and so does a further copy of one that is used; what a
    file holds never stops the scan.
    """
    headers: dict[str, list[Header]] = defaultdict(list)
    excluded: list[Excluded] = []
    for found in read_headers(root, n_processes=n_processes):
        if isinstance(found, Excluded):
            excluded.append(found)
        else:
            headers[str(found.values["SeriesInstanceUID"])].append(found)
    series: list[dict[str, Any]] = []
    files: dict[str, list[Any]] = {column: [] for column in FILES.columns}
    for series_uid in sorted(headers):
        found_headers = sorted(headers.pop(series_uid), key=lambda header: in_series_order(header.slices[0]))
        found_headers, copies = without_copies(found_headers, root)
        slices = [part for header in found_headers for part in header.slices]
        geometry = series_geometry(slices)
        series.append(series_row(found_headers, geometry))
        excluded += copies
        add_slices(files, series_uid, slices, geometry)
    return Extract(
        series=rows_table(series, SERIES),
        files=check_table(pd.DataFrame(files), FILES, name="files"),
        excluded=rows_table(
            [
                dict(zip(EXCLUDED.columns, vars(row).values(), strict=True))
                for row in sorted(excluded, key=lambda row: path_parts(row.path))
            ],
            EXCLUDED,
        ),
    )


def read_headers(root: Path, *, n_processes: int) -> Iterator[Header | Excluded]:
    """Yield what each file below `root` holds, in the order of their paths."""
    names = find_names(root)
    progress = partial(tqdm, total=len(names), desc="headers", unit="file", mininterval=1.0)
    if n_processes == 1 or len(names) <= CHUNK:
        yield from progress(read_named(root, name) for name in names)
    else:
        with ProcessPoolExecutor(n_processes) as pool:
            yield from progress(pool.map(partial(read_named, root), names, chunksize=CHUNK))


def without_copies(headers: list[Header], root: Path) -> tuple[list[Header], list[Excluded]]:
    """Return the headers of one series without further copies of a file, and a row for each of those.

    A copy is a file of the same SOPInstanceUID and the same bytes; files that share the UID alone are all kept, and
    the geometry shows them. Raises OSError where a file that was read before cannot be read any more.
    """
    images = [header.slices[0].sop_instance_uid for header in headers]
    repeated = {image for image, n_files in Counter(images).items() if image and n_files > 1}
    firsts: dict[str, str] = {}
    kept: list[Header] = []
    copies: list[Excluded] = []
    for header, image in zip(headers, images, strict=True):
        path = header.slices[0].path
        first = firsts.setdefault(content_digest(root / unescaped(path)), path) if image in repeated else path
        if first == path:
            kept.append(header)
        else:
            series_uid = str(header.values["SeriesInstanceUID"])
            copies.append(Excluded(path, series_uid, "duplicate_file", f"same bytes as {first}"))
    return kept, copies


def content_digest(path: Path) -> str:
    """Return what tells the bytes of one file from those of another."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "blake2b").hexdigest()


def series_row(headers: list[Header], geometry: Geometry) -> dict[str, Any]:
    """Return the row of one series: each header value as most of its slices have it, and the geometry.

    A scout or a summary page among the images says nothing of them, wherever it is numbered.
    """
    distinct = {id(header.values): header.values for header in headers}  # slices share most of them
    n_slices = dict.fromkeys(distinct, 0)
    for header in headers:
        n_slices[id(header.values)] += len(header.slices)
    values = {
        keyword: most_frequent([found[keyword] for found in distinct.values()], n_slices.values(), absent)
        for keyword, absent in headers[0].values.items()
    }
    derived = {name: getattr(geometry, name) for name in SERIES.columns if hasattr(geometry, name)}
    return {**values, **derived, "n_files": len(headers)}


def most_frequent(values: Sequence[str | float], n_each: Iterable[int], absent: str | float) -> str | float:
    """Return the value that is given most often, the first of equals; `absent` where none is given."""
    given = {value for value in set(values) if _is_given(value)}
    if len(given) > 1:
        counts = dict.fromkeys(values, 0)
        for value, n in zip(values, n_each, strict=True):
            counts[value] += n
        return max((value for value in counts if value in given), key=counts.__getitem__)
    return next(iter(given), absent)


def _is_given(value: str | float) -> bool:
    return value != "" if isinstance(value, str) else math.isfinite(value)


def add_slices(files: dict[str, list[Any]], series_uid: str, slices: list[Slice], geometry: Geometry) -> None:
    """Add one row a slice to the columns of tables.FILES, sorted by volume and by place along the normal."""
    order = np.lexsort((geometry.place, geometry.volume))  # stable: equals stay in the order of the series
    files["path"] += [slices[index].path for index in order]
    files["frame"] += [slices[index].frame for index in order]
    files["SeriesInstanceUID"] += [series_uid] * len(slices)
    files["SOPInstanceUID"] += [slices[index].sop_instance_uid for index in order]
    files["volume"] += geometry.volume[order].tolist()
    files["slice"] += geometry.place[order].tolist()
    files["position_mm"] += geometry.position_mm[order].tolist()
