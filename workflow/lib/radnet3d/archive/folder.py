"""The source `folder`: DICOM files the user already has, left where they are and linked to."""

from pathlib import Path

import pandas as pd
from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from tqdm import tqdm

from radnet3d.archive.source import safe_name, series_dir, shard_of
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
        paths = sorted(path for path in self.dir.rglob("*") if path.is_file())
        if not paths:
            raise ArchiveError(f"{self.dir}: found no files, wanted DICOM files (archive.folder.dir)")
        files = pd.DataFrame([read_row(path) for path in tqdm(paths, desc="headers", unit="file")])
        write_table(files, out_dir / "files.parquet", FOLDER_FILES)
        rows = []
        for name, group in files.groupby("SeriesInstanceUID", sort=True):
            first = group.iloc[0]
            rows.append({
                **{tag: first[tag] for tag in TAGS}, "SeriesInstanceUID": name, "collection_id": "",
                "shard": shard_of(str(name), self.n_shards), "location": str(self.dir), "n_instances": len(group),
                "n_bytes": int(group["n_bytes"].sum()), "licence": "", "source_DOI": "",
            })  # fmt: skip
        return check_table(pd.DataFrame(rows), PLAN, name="plan"), empty_table(TRUTH)

    def fetch(self, rows: pd.DataFrame, plan_dir: Path, out_dir: Path, threads: int) -> None:
        """Link the files of `rows` to `out_dir/<PatientID>/<SeriesInstanceUID>/`, numbered in the order of their paths."""
        files = read_table(plan_dir / "files.parquet", FOLDER_FILES)
        for row in rows.itertuples():
            folder = series_dir(out_dir, str(row.PatientID), str(row.SeriesInstanceUID))
            folder.mkdir(parents=True, exist_ok=True)
            for number, path in enumerate(files.loc[files["SeriesInstanceUID"] == row.SeriesInstanceUID, "path"]):
                link = folder / f"{number:06d}_{safe_name(Path(path).name)}"
                if not Path(path).is_file():
                    raise ArchiveError(f"{path}: planned but gone; plan the archive again")
                if not link.is_symlink():
                    link.symlink_to(Path(path).resolve())


def read_row(path: Path) -> dict[str, object]:
    """Return what groups a file: its path, size and four header values; a file without them is `unreadable`."""
    values = dict.fromkeys(TAGS, "")
    try:
        header = dcmread(path, stop_before_pixels=True, specific_tags=list(TAGS))
        values = {tag: str(header.get(tag, "") or "") for tag in TAGS}
    except (InvalidDicomError, OSError, EOFError, ValueError, KeyError, AttributeError, NotImplementedError) as error:
        values["Modality"] = type(error).__name__
    if not values["SeriesInstanceUID"]:
        values |= {"SeriesInstanceUID": UNREADABLE, "PatientID": UNREADABLE}
    return {"path": str(path.absolute()), "n_bytes": path.stat().st_size, **values}
