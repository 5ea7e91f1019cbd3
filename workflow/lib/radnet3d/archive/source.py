"""The one interface all sources of DICOM series share."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Protocol
from zlib import crc32

import pandas as pd

from radnet3d.atomic import MARKER
from radnet3d.params import Archive
from radnet3d.tables import FETCHED, rows_table


class Planner(Protocol):
    """What knows which DICOM series a source has. Apart from `Source`, so that how series are chosen is no part of fetching."""

    def plan(self, out_dir: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the plan (tables.PLAN) and the truth (tables.TRUTH, no rows if the source knows none).

        `out_dir` is where the plan will lie; a source that needs more than the table for fetching keeps it there.
        Raises ArchiveError if there is nothing to plan.
        """


class Source(Protocol):
    """A place DICOM series come from."""

    def fetch(self, rows: pd.DataFrame, plan_dir: Path, out_dir: Path, threads: int) -> pd.DataFrame:
        """Put the series of `rows` at `out_dir/<PatientID>/<SeriesInstanceUID>/` and return how it went (tables.FETCHED).

        `plan_dir` is the folder the plan was written to. What an earlier call finished is kept. A series that a server does
        not give is a row with its reason; raises ArchiveError for what concerns all series, or the user's own files.
        """


def shard_of(series_instance_uid: str, n_shards: int) -> str:
    """Return the group a series is worked on in: three digits below `n_shards`."""
    return f"{crc32(series_instance_uid.encode()) % n_shards:03d}"


def series_dir(out_dir: Path, patient_id: str, series_instance_uid: str) -> Path:
    """Return the folder of one series: `out_dir/<PatientID>/<SeriesInstanceUID>`, both as safe file names."""
    return out_dir / safe_name(patient_id) / safe_name(series_instance_uid)


def safe_name(text: str) -> str:
    """Return text as a file name: letters, digits and `._-` only, never empty and never hidden."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", text).lstrip(".") or "unknown"


def files_of(folder: Path) -> list[Path]:
    """Return the files of one series' folder, sorted by name, without what marks the folder."""
    return sorted(path for path in folder.iterdir() if path.name != MARKER)


def fetched_table(
    rows: pd.DataFrame, out_dir: Path, failures: Mapping[str, tuple[str, str]] = MappingProxyType({})
) -> pd.DataFrame:
    """Return what lies below `out_dir` of these series (tables.FETCHED); `failures`: reason and detail by SeriesInstanceUID."""
    found = []
    for name, patient, collection in rows[["SeriesInstanceUID", "PatientID", "collection_id"]].astype(str).to_numpy():
        reason, detail = failures.get(name, ("", ""))
        sizes = [] if reason else [path.stat().st_size for path in files_of(series_dir(out_dir, patient, name))]
        found.append({
            "SeriesInstanceUID": name, "PatientID": patient, "collection_id": collection, "n_files": len(sizes),
            "n_bytes": sum(sizes), "reason": reason, "detail": " ".join(detail.split()),
        })  # fmt: skip
    return rows_table(found, FETCHED)


def drop_unplanned(out_dir: Path, rows: pd.DataFrame) -> None:
    """Remove series below `out_dir` that are not in `rows`: an earlier run with another plan may have left some."""
    names = rows[["PatientID", "SeriesInstanceUID"]].astype(str).itertuples(index=False)
    wanted = {series_dir(out_dir, patient, series) for patient, series in names}
    for folder in [
        path for path in out_dir.glob("*/*") if path.with_name(path.name.removesuffix(".partial")) not in wanted
    ]:
        if folder.is_symlink():
            folder.unlink()
        else:
            shutil.rmtree(folder)
    for folder in [path for path in out_dir.glob("*") if path.is_dir() and not any(path.iterdir())]:
        folder.rmdir()


def choose_planner(settings: Archive) -> Planner:
    """Return what plans the series of the source that `settings.source` names."""
    if settings.source == "folder":
        from radnet3d.archive.folder import FolderSource

        return FolderSource(settings)
    if settings.source == "idc":
        from radnet3d.archive.index import IdcIndex

        return IdcIndex(settings)
    if settings.source == "nbia":
        from radnet3d.archive.nbia_catalogue import NbiaCatalogue

        return NbiaCatalogue(settings)
    from radnet3d.archive.phantom.archive import PhantomSource

    return PhantomSource(settings)


def choose_source(settings: Archive) -> Source:
    """Return the source that `settings.source` names."""
    if settings.source == "folder":
        from radnet3d.archive.folder import FolderSource

        return FolderSource(settings)
    if settings.source == "idc":
        from radnet3d.archive.idc import IdcSource

        return IdcSource(settings)
    if settings.source == "nbia":
        from radnet3d.archive.nbia import NbiaSource

        return NbiaSource(settings)
    from radnet3d.archive.phantom.archive import PhantomSource

    return PhantomSource(settings)
