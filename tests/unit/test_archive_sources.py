"""What sources share, and the source `folder`."""

import os
from pathlib import Path

import pandas as pd
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from radnet3d.archive.folder import FolderSource, folder_state
from radnet3d.archive.source import drop_unplanned, safe_name, shard_of
from radnet3d.errors import ArchiveError
from radnet3d.params import Archive, load_params


@pytest.fixture
def archive(repository: Path) -> Archive:
    return load_params(repository / "params.yaml").archive


def with_folder(archive: Archive, folder: Path) -> Archive:
    return archive.model_copy(
        update={"source": "folder", "folder": archive.folder.model_copy(update={"dir": str(folder)})}
    )


def test_shards_are_three_digits_below_their_number() -> None:
    assert {shard_of(f"1.2.{n}", 3) for n in range(50)} == {"000", "001", "002"}


def test_folder_links_series_and_unreadable_files(archive: Archive, tmp_path: Path) -> None:
    source = tmp_path / "in" / "deep"
    source.mkdir(parents=True)
    (source / "a").write_bytes(Path(get_testdata_file("CT_small.dcm")).read_bytes())
    (source / "b.bin").write_bytes(Path(get_testdata_file("MR_small.dcm")).read_bytes())
    (source / "notes.txt").write_text("no DICOM")
    (source / "empty.dcm").write_bytes(b"")
    chosen = FolderSource(with_folder(archive, tmp_path / "in"))
    plan, truth = chosen.plan(tmp_path / "plan")
    assert len(plan) == 3 and truth.empty
    assert plan["n_instances"].sum() == 4
    assert (plan["shard"].astype(int) < archive.n_shards).all()
    chosen.fetch(plan, tmp_path / "plan", tmp_path / "out", 1)
    table = chosen.fetch(plan, tmp_path / "plan", tmp_path / "out", 1)
    assert table["n_files"].sum() == 4 and set(table["reason"]) == {""}
    assert table["n_bytes"].sum() == sum(path.stat().st_size for path in source.iterdir())
    links = [path for path in (tmp_path / "out").rglob("*") if path.is_symlink()]
    assert len(links) == 4 and all(link.is_file() for link in links)


def bare(name: str) -> bytes:
    """Return a DICOM file of pydicom's without its preamble, mark and file meta, as the oldest archives hold it."""
    data = dcmread(get_testdata_file(name))
    start = Path(get_testdata_file(name)).read_bytes()
    return start[128 + 4 + 12 + int(data.file_meta.FileMetaInformationGroupLength) :]


def test_file_without_preamble_belongs_to_its_series(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/whole").write_bytes(Path(get_testdata_file("CT_small.dcm")).read_bytes())
    (tmp_path / "in/bare").write_bytes(bare("CT_small.dcm"))
    plan, _ = FolderSource(with_folder(archive, tmp_path / "in")).plan(tmp_path)
    assert plan[["Modality", "n_instances"]].to_numpy().tolist() == [["CT", 2]]


def test_links_of_files_that_went_or_moved_up_are_replaced(archive: Archive, tmp_path: Path) -> None:
    source, plans = tmp_path / "in", tmp_path / "plan"
    source.mkdir()
    for name in "abc":
        (source / name).write_bytes(Path(get_testdata_file("CT_small.dcm")).read_bytes() + name.encode())
    chosen = FolderSource(with_folder(archive, source))
    chosen.fetch(chosen.plan(plans)[0], plans, tmp_path / "out", 1)
    (source / "a").unlink()
    plan, _ = chosen.plan(plans)
    table = chosen.fetch(plan, plans, tmp_path / "out", 1)
    links = {path.name: path.resolve() for path in (tmp_path / "out").rglob("*") if path.is_symlink()}
    assert links == {"000000_b": source / "b", "000001_c": source / "c"} and table["n_files"].tolist() == [2]
    (source / "b").unlink()
    with pytest.raises(ArchiveError, match="in/b: planned but gone; plan the archive again"):
        chosen.fetch(plan, plans, tmp_path / "out", 1)


def test_state_of_a_folder_follows_its_files(archive: Archive, tmp_path: Path) -> None:
    source, planned = tmp_path / "in/deep", tmp_path / "plan/files.parquet"
    source.mkdir(parents=True)
    (source / "a").write_bytes(b"1")
    states = [folder_state(tmp_path / "in", planned)]
    for change in (
        lambda: (source / "b").write_bytes(b"2"),
        lambda: (source / "b").rename(source / "c"),
        lambda: (source / "c").write_bytes(b"23"),
        lambda: os.utime(source / "c", ns=(1, 1)),
        lambda: (source / "a").unlink(),
    ):
        change()
        states.append(folder_state(tmp_path / "in", planned))
    assert len(set(states)) == 6 and states[-1] == folder_state(tmp_path / "in", planned)
    FolderSource(with_folder(archive, tmp_path / "in")).plan(tmp_path / "plan")
    (tmp_path / "in").rename(tmp_path / "unmounted")
    assert folder_state(tmp_path / "in", planned) == states[-1]  # results need not be made again for that
    assert folder_state(tmp_path / "in", tmp_path / "none.parquet") == ""


@pytest.mark.parametrize("make", [True, False])
def test_a_folder_without_files_is_named(archive: Archive, tmp_path: Path, make: bool) -> None:
    if make:
        (tmp_path / "in").mkdir()
    with pytest.raises(ArchiveError, match=str(tmp_path / "in")):
        FolderSource(with_folder(archive, tmp_path / "in")).plan(tmp_path)


def test_series_of_an_older_plan_are_dropped(tmp_path: Path) -> None:
    for name in ("P_1/1.2.u1.partial", "P_1/1.2.old", "P_2/1.2.old.partial"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "P_1/1.2.link").symlink_to(tmp_path)
    drop_unplanned(tmp_path, pd.DataFrame([{"PatientID": "P/1", "SeriesInstanceUID": "1.2.u1"}]))
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == ["P_1", "P_1/1.2.u1.partial"]


def test_names_become_safe() -> None:
    assert safe_name("../a b/c") == "_a_b_c"
    assert safe_name("") == safe_name("..") == "unknown"
