"""The sources `folder` and `idc`."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import pandas as pd
import pytest
from moto.server import ThreadedMotoServer
from pydicom.data import get_testdata_file

from radnet3d.archive import idc
from radnet3d.archive.folder import FolderSource
from radnet3d.archive.idc import IdcSource, choose_series, refuse_leaking
from radnet3d.archive.source import drop_unplanned, safe_name, shard_of
from radnet3d.errors import ArchiveError
from radnet3d.params import Archive, load_params
from radnet3d.tables import PLAN, check_table


@pytest.fixture
def archive(repository: Path) -> Archive:
    return load_params(repository / "params.yaml").archive


def with_folder(archive: Archive, folder: Path) -> Archive:
    return archive.model_copy(
        update={"source": "folder", "folder": archive.folder.model_copy(update={"dir": str(folder)})}
    )


def with_idc(archive: Archive, **changes: object) -> Archive:
    return archive.model_copy(update={"source": "idc", "idc": archive.idc.model_copy(update=changes)})


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
    chosen.fetch(plan, tmp_path / "plan", tmp_path / "out", 1)
    links = [path for path in (tmp_path / "out").rglob("*") if path.is_symlink()]
    assert len(links) == 4 and all(link.is_file() for link in links)


@pytest.mark.parametrize("make", [True, False])
def test_a_folder_without_files_is_named(archive: Archive, tmp_path: Path, make: bool) -> None:
    if make:
        (tmp_path / "in").mkdir()
    with pytest.raises(ArchiveError, match=str(tmp_path / "in")):
        FolderSource(with_folder(archive, tmp_path / "in")).plan(tmp_path)


def test_series_of_an_older_plan_are_dropped(tmp_path: Path) -> None:
    for name in ("P_1/1.2.u1.partial", "P_1/1.2.old", "P_2/1.2.old.partial"):
        (tmp_path / name).mkdir(parents=True)
    drop_unplanned(tmp_path, plan_of(("u1", 2)))
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == ["P_1", "P_1/1.2.u1.partial"]


def test_names_become_safe() -> None:
    assert safe_name("../a b/c") == "_a_b_c"
    assert safe_name("") == safe_name("..") == "unknown"


def test_leaking_collections_are_refused() -> None:
    with pytest.raises(ArchiveError, match="LiTS"):
        refuse_leaking(("tcga_lihc", "ct_org"))


def index_rows(n: int) -> pd.DataFrame:
    return pd.DataFrame({
        "collection_id": "c", "PatientID": [f"P{k // 5}" for k in range(n)], "StudyInstanceUID": "1.2",
        "SeriesInstanceUID": [f"1.2.3.{k}" for k in range(n)], "Modality": ["CT", "MR"] * (n // 2), "instanceCount": 2,
        "license_short_name": "CC BY 4.0", "source_DOI": None, "aws_bucket": "b",
        "crdc_series_uuid": [f"u{k}" for k in range(n)], "series_size_MB": 0.1,
    })  # fmt: skip


def test_choice_of_series_is_capped_and_seeded(archive: Archive) -> None:
    settings = with_idc(archive, collections=("c",), n_series_per_patient_max=2, n_series_max=5, seed=1).idc
    chosen = choose_series(index_rows(40), settings)
    assert len(chosen) == 5 and chosen.groupby("PatientID").size().max() <= 2
    pd.testing.assert_frame_equal(chosen, choose_series(index_rows(40).sample(frac=1, random_state=3), settings))
    with pytest.raises(ArchiveError, match="'d' is not in"):
        choose_series(index_rows(4), settings.model_copy(update={"collections": ("c", "d")}))
    with pytest.raises(ArchiveError, match="CC BY 4.0"):
        choose_series(index_rows(4), settings.model_copy(update={"licences": ("CC0",)}))


def test_plan_from_the_real_index(archive: Archive, tmp_path: Path) -> None:
    pytest.importorskip("idc_index_data")
    plan, truth = IdcSource(with_idc(archive, collections=("tcga_lihc",), n_series_max=20)).plan(tmp_path)
    assert len(plan) == 20 and truth.empty
    assert plan["location"].str.match(r"^s3://[a-z0-9-]+/[0-9a-f-]{36}$").all()


@pytest.fixture
def bucket() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y"
    )
    client.create_bucket(Bucket="public-data", ACL="public-read")
    for name in ("u1/1.dcm", "u1/2.dcm", "u10/1.dcm", "u2/1.dcm"):
        client.put_object(Bucket="public-data", Key=name, Body=name.encode() * 1000, ACL="public-read")
    yield url
    server.stop()


def plan_of(*series: tuple[str, int]) -> pd.DataFrame:
    return check_table(pd.DataFrame([{
        "SeriesInstanceUID": f"1.2.{name}", "StudyInstanceUID": "1", "PatientID": "P/1", "collection_id": "c", "Modality": "CT",
        "shard": "000", "location": f"s3://public-data/{name}", "n_instances": n, "n_bytes": 1, "licence": "CC BY 4.0", "source_DOI": "",
    } for name, n in series]), PLAN, name="plan")  # fmt: skip


def test_idc_downloads_whole_series_and_resumes(archive: Archive, bucket: str, tmp_path: Path) -> None:
    source = IdcSource(with_idc(archive, endpoint_url=bucket))
    half = tmp_path / "P_1" / "1.2.u1.partial"
    half.mkdir(parents=True)
    (half / "1.dcm").write_bytes(b"u1/1.dcm" * 1000)
    kept = (half / "1.dcm").stat().st_mtime_ns
    source.fetch(plan_of(("u1", 2), ("u10", 1)), tmp_path, tmp_path, 2)
    done = tmp_path / "P_1" / "1.2.u1"
    assert (done / "2.dcm").read_bytes() == b"u1/2.dcm" * 1000
    assert (done / "1.dcm").stat().st_mtime_ns == kept
    assert not half.exists() and len(list(done.iterdir())) == 2
    source.fetch(plan_of(("u1", 2)), tmp_path, tmp_path, 1)


@pytest.mark.parametrize(("name", "n", "said"), [("u2", 3, "found 1 files, wanted 3"), ("absent", 1, "found 0 files")])
def test_idc_refuses_other_counts(archive: Archive, bucket: str, tmp_path: Path, name: str, n: int, said: str) -> None:
    with pytest.raises(ArchiveError, match=said):
        IdcSource(with_idc(archive, endpoint_url=bucket)).fetch(plan_of((name, n)), tmp_path, tmp_path, 1)
    assert not (tmp_path / "P_1" / f"1.2.{name}").exists()


def test_the_committed_table_is_where_the_source_looks() -> None:
    assert idc.LEAKING.is_file()
