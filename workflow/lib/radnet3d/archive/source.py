"""The one interface all sources of DICOM series share."""

import re
import shutil
from pathlib import Path
from typing import Protocol
from zlib import crc32

import pandas as pd

from radnet3d.params import Archive


class Source(Protocol):
    """A place DICOM series come from."""

    def plan(self, out_dir: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the plan (tables.PLAN) and the truth (tables.TRUTH, no rows if the source knows none).

        `out_dir` is where the plan will lie; a source that needs more than the table for fetching keeps it there.
        Raises ArchiveError if there is nothing to plan.
        """

    def fetch(self, rows: pd.DataFrame, plan_dir: Path, out_dir: Path, threads: int) -> None:
        """Put the series of `rows` at `out_dir/<PatientID>/<SeriesInstanceUID>/`; what is there already is kept.

        `plan_dir` is the folder the plan was written to. Raises ArchiveError if a series cannot be had.
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


def drop_unplanned(out_dir: Path, rows: pd.DataFrame) -> None:
    """Remove series below `out_dir` that are not in `rows`: an earlier run with another plan may have left some."""
    names = rows[["PatientID", "SeriesInstanceUID"]].astype(str).itertuples(index=False)
    wanted = {series_dir(out_dir, patient, series) for patient, series in names}
    for folder in [
        path for path in out_dir.glob("*/*") if path.with_name(path.name.removesuffix(".partial")) not in wanted
    ]:
        shutil.rmtree(folder)
    for folder in [path for path in out_dir.glob("*") if path.is_dir() and not any(path.iterdir())]:
        folder.rmdir()


def choose_source(settings: Archive) -> Source:
    """Return the source that `settings.source` names."""
    if settings.source == "folder":
        from radnet3d.archive.folder import FolderSource

        return FolderSource(settings)
    if settings.source == "idc":
        from radnet3d.archive.idc import IdcSource

        return IdcSource(settings)
    from radnet3d.archive.phantom.archive import PhantomSource

    return PhantomSource(settings)
