"""The source `folder`: DICOM files the user already has, left where they are and linked to."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from pydicom import dcmread
from tqdm import tqdm

from radnet3d.archive.source import fetched_table, files_of, safe_name, series_dir, shard_of
from radnet3d.dicom.headers import find_files, starts_with_data_set
from radnet3d.dicom.names import escaped, unescaped
from radnet3d.errors import ArchiveError
from radnet3d.params import Archive
from radnet3d.tables import FOLDER_FILES, PLAN, TRUTH, check_table, empty_table, read_table, write_table

TAGS = ("SeriesInstanceUID", "StudyInstanceUID", "PatientID", "Modality")
UNREADABLE = "unreadable"
"""Stands for the series of files that are no DICOM or name none: they are linked too, so that they get listed as excluded."""


class FolderSource:
    """Files of any name and depth below one folder, grouped by their SeriesInstanceUID."""

    def __init__(self, settings: Archive) -> None:
        self.dir, self.n_shards = Path(settings.folder.dir), settings.n_shards

    def plan(self, out_dir: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return one row a series; the list of files goes to `out_dir/files.parquet`."""
        if not self.dir.is_dir():
            raise ArchiveError(f"{self.dir}: no such folder, wanted DICOM files (archive.folder.dir)")
        paths = regular_files(self.dir)
        if not paths:
            raise ArchiveError(f"{self.dir}: found no files, wanted DICOM files (archive.folder.dir)")
        files = pd.DataFrame([read_row(path) for path in tqdm(paths, desc="headers", unit="file")])
        write_table(files, out_dir / "files.parquet", FOLDER_FILES)
        rows = []
        for name, group in files.groupby("SeriesInstanceUID", sort=True):
            first = group.iloc[0]
            rows.append({
                **{tag: first[tag] for tag in TAGS}, "SeriesInstanceUID": name, "collection_id": "",
                "shard": shard_of(str(name), self.n_shards), "location": escaped(str(self.dir)), "n_instances": len(group),
                "n_bytes": int(group["n_bytes"].sum()), "licence": "", "source_DOI": "",
            })  # fmt: skip
        return check_table(pd.DataFrame(rows), PLAN, name="plan"), empty_table(TRUTH)

    def fetch(self, rows: pd.DataFrame, plan_dir: Path, out_dir: Path, threads: int) -> pd.DataFrame:
        """Link the files of `rows` to `out_dir/<PatientID>/<SeriesInstanceUID>/`, numbered in the order of their paths."""
        files = read_table(plan_dir / "files.parquet", FOLDER_FILES)
        of_series = files.groupby("SeriesInstanceUID")["path"]
        paths = {name: [Path(unescaped(path)) for path in group] for name, group in of_series}
        for name, patient in rows[["SeriesInstanceUID", "PatientID"]].astype(str).to_numpy():
            link_files(paths.get(name, []), series_dir(out_dir, patient, name))
        return fetched_table(rows, out_dir)


def link_files(paths: Iterable[Path], folder: Path) -> None:
    """Make `folder` hold a link to each of these files and nothing else. Raises ArchiveError for a file that is gone."""
    wanted = {f"{number:06d}_{safe_name(path.name)}": path for number, path in enumerate(paths)}
    folder.mkdir(parents=True, exist_ok=True)
    for link in files_of(folder):
        if link.name not in wanted or link.resolve() != wanted[link.name].resolve():
            link.unlink()
    for name, path in wanted.items():
        if not path.is_file():
            raise ArchiveError(f"{path}: planned but gone; plan the archive again")
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(path.resolve())


def regular_files(folder: Path) -> list[Path]:
    """Return the files below `folder`, links followed, sorted by path."""
    return [path for path in find_files(folder) if path.is_file()]


def read_row(path: Path) -> dict[str, object]:
    """Return what groups a file: its path, size, time and four header values; a file without them is `unreadable`.

    Whatever a broken file makes pydicom raise costs that file, not the plan: `dicom extract` lists it with its reason.
    """
    values = dict.fromkeys(TAGS, "")
    try:
        with path.open("rb") as stream:  # a file without preamble is DICOM too, as the extraction of headers takes it
            is_bare = starts_with_data_set(stream)
            header = dcmread(stream, stop_before_pixels=True, specific_tags=list(TAGS), force=is_bare)
        values = {tag: str(header.get(tag, "") or "") for tag in TAGS}
    except Exception as error:  # see above
        values["Modality"] = type(error).__name__
    if not values["SeriesInstanceUID"]:
        values |= {"SeriesInstanceUID": UNREADABLE, "PatientID": UNREADABLE}
    status = path.stat()
    return {
        "path": escaped(str(path.absolute())),
        "n_bytes": status.st_size,
        "modified_ns": status.st_mtime_ns,
        **values,
    }


def folder_state(folder: Path, planned: Path) -> str:
    """Return a digest of the paths, sizes and times of the files below `folder`: it changes when one comes, goes or changes.

    Where the folder is not there, a disk that is not mounted say, the state is the one that was planned: of the files that
    the table `planned` (tables.FOLDER_FILES) names, and "" if there is no such table either.
    """
    found: Iterable[tuple[str, int, int]] = ()
    if folder.is_dir():
        found = [
            (escaped(str(path.absolute())), path.stat().st_size, path.stat().st_mtime_ns)
            for path in regular_files(folder)
        ]
    elif planned.is_file():
        columns = read_table(planned, FOLDER_FILES)[["path", "n_bytes", "modified_ns"]]
        found = [(str(path), int(size), int(time)) for path, size, time in columns.itertuples(index=False)]
    digest = hashlib.sha256("".join(f"{path}\0{size}\0{time}\n" for path, size, time in found).encode())
    return digest.hexdigest() if found else ""
