"""The source `nbia` against a server of its own that misbehaves: what is fetched, what is refused, and what the user reads."""

import json
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Any
from zipfile import ZIP_BZIP2, ZipFile

import numpy as np
import pandas as pd
import pytest

from radnet3d.archive import transfer
from radnet3d.archive.nbia import NbiaSource
from radnet3d.archive.nbia_catalogue import NbiaCatalogue
from radnet3d.archive.source import series_dir
from radnet3d.archive.transfer import Unavailable, Unsettled
from radnet3d.archive.zips import unpack
from radnet3d.errors import ArchiveError
from radnet3d.params import Archive, load_params
from radnet3d.tables import FETCHED, PLAN, check_table
from support.dicom_series import write_series
from support.nbia_server import NbiaServer, Series, read_series

BAD, GOOD = "1.2.3.1", "1.2.3.2"
"""Series of which one is answered badly; the other must arrive all the same."""


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> list[Series]:
    """Two CT series of three slices, of two patients."""
    folder = tmp_path_factory.mktemp("served")
    noise = np.random.default_rng(0).integers(-1000, 1000, (3, 64, 64), np.int16)
    found = []
    for name, patient in ((BAD, "p1"), (GOOD, "p2")):
        write_series(folder / name, [0.0, 2.0, 4.0], noise, SeriesInstanceUID=name, PatientID=patient)
        found.append(read_series(folder / name, "Lung Test"))
    return found


@pytest.fixture
def server(series: list[Series]) -> Iterator[NbiaServer]:
    with NbiaServer([Series(dict(one.row), one.contents) for one in series]) as running:
        yield running


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, none of which is waited for."""
    waited: list[float] = []
    monkeypatch.setattr(transfer, "pause", waited.append)
    return waited


@pytest.fixture
def tiny(repository: Path) -> dict[str, Any]:
    return load_params(repository / "tests" / "params.tiny.yaml").archive.model_dump(mode="json")


def archive(tiny: dict[str, Any], url: str, *, nlst_url: str = "", timeout_s: float = 20.0, **choice: Any) -> Archive:
    everything = {"collections": ["Lung Test"], "modalities": ["CT", "MR"], "labels": {}, "n_series_max": None}
    return Archive.model_validate(
        tiny
        | {"source": "nbia", "nbia": {"url": url, "nlst_url": nlst_url or url}, "choice": tiny["choice"] | everything | choice}
        | {"transfer": tiny["transfer"] | {"n_attempts": 3, "wait_max_s": 60, "timeout_s": timeout_s}}
    )  # fmt: skip


def plan_and_fetch(settings: Archive, folder: Path) -> pd.DataFrame:
    """Return tables.FETCHED by SeriesInstanceUID, of a plan that lies in `folder`."""
    plan, _ = NbiaCatalogue(settings).plan(folder)
    fetched = NbiaSource(settings).fetch(plan, folder, folder / "raw", 1)
    return check_table(fetched, FETCHED, name="fetched").set_index("SeriesInstanceUID")


def test_what_is_planned_and_fetched(server: NbiaServer, tiny: dict[str, Any], tmp_path: Path) -> None:
    settings = archive(tiny, server.url)
    plan, truth = NbiaCatalogue(settings).plan(tmp_path)
    assert truth.empty
    assert plan["SeriesInstanceUID"].tolist() == [BAD, GOOD]
    one = check_table(plan, PLAN, name="plan").iloc[0]
    assert (one.PatientID, one.StudyInstanceUID, one.collection_id, one.Modality) == ("p1", "1.2.3", "lung_test", "CT")
    assert (one.licence, one.source_DOI) == ("CC BY 3.0", "10.7937/k9/tcia.2015.lo9ql9sx")
    assert (one.n_instances, one.n_bytes) == (3, sum(map(len, server.series[0].contents)))
    assert one.location == f"nbia:url/{BAD}"
    fetched = plan_and_fetch(settings, tmp_path)
    assert fetched["reason"].tolist() == ["", ""] and fetched["n_bytes"].tolist() == plan["n_bytes"].tolist()
    folder = series_dir(tmp_path / "raw", "p1", BAD)
    contents = [(folder / f"0000000{number}.dcm").read_bytes() for number in (1, 2, 3)]
    assert contents == server.series[0].contents
    assert len(list(folder.iterdir())) == 4  # and the marker; neither the zip nor its list


HASH = "another MD5 than md5hashes.csv says: 00000001.dcm has "
FINAL = {
    "404": ("not_found", "HTTP 404 (text/html): 'Not Found'", 1),
    "403": ("not_permitted", "HTTP 403 (text/plain): 'Login needed.'", 1),
    "418": ("server_error", "HTTP 418 (text/plain): 'a teapot'", 2),
    "500": ("server_error", "HTTP 500 (text/html): 'HTTP Status 500 Internal Server Error' (at the last of 3", 6),
    "html": ("not_an_archive", "text/html, wanted a zip archive: '502 Bad Gateway 502 Bad Gateway' (at the last of 3", 3),
    "empty": ("not_an_archive", "an empty answer, wanted a zip archive (at the last of 3 attempts)", 3),
    "truncated": ("not_an_archive", "a damaged zip archive of", 3),
    "corrupt": ("not_an_archive", "a damaged zip archive of", 3),
    "dropped": ("connection_failed", "the connection failed: [Errno ", 6),
    "no_answer": ("connection_failed", "the connection failed: [Errno ", 6),
    "wrong_md5": ("wrong_hash", "1 of 3 files have " + HASH, 2),
    "strange_md5_list": ("wrong_hash", "md5hashes.csv is no list of Filename,MD5Hash: '<html>\\n'", 2),
    "unlisted": ("wrong_hash", "md5hashes.csv does not list 1 of 4 files: extra.dcm (the same at a second attempt)", 2),
    "no_md5_list": ("server_error", "2 files came and no md5hashes.csv: the server failed on the way (the same", 4),
    "empty_zip": ("server_error", "0 files came and no md5hashes.csv: the server failed on the way (the same", 4),
    "missing_instance": ("wrong_instance_count", "lists 3 files, 1 of them did not come: 00000003.dcm (the same", 2),
    "fewer_instances": ("wrong_instance_count", "2 instances of the series came, wanted 3 (the plan's)", 1),
    "no_dicom": ("wrong_instance_count", "wanted 3 (the plan's); not counted, the first of 1: 00000003.dcm is no DICOM (Inv", 1),
    "other_series": ("wrong_instance_count", f"0 instances of the series came, wanted 3 (the plan's); not counted, the first of 3: 00000001.dcm belongs to series {GOOD}", 1),
    "duplicate": ("duplicate_instance", "3 files are 2 instances: ", 1),
    "traversal": ("unsafe_archive", "entry '../../evil.dcm' is not a plain file name, so it could lead anywhere", 1),
    "absolute": ("unsafe_archive", "entry '/evil.dcm' is not a plain file name", 1),
    "backslash": ("unsafe_archive", "entry '..\\\\evil.dcm' is not a plain file name", 1),
    "drive": ("unsafe_archive", "entry 'C:evil.dcm' is not a plain file name", 1),
    "hidden": ("unsafe_archive", "entry '.radnet3d' is not a plain file name", 1),
    "link": ("unsafe_archive", "entry 'evil.dcm' is a symbolic link, wanted a file", 1),
    "same_name": ("unsafe_archive", "entry '00000001.DCM' comes twice", 1),
    "bomb": ("unsafe_archive", "bytes left for it", 1),
    "few_more_entries": ("unsafe_archive", "the zip holds 1000 entries, at most 22 were expected", 1),
    "many_entries": ("unsafe_archive", "the zip's directory takes ", 1),
}  # fmt: skip
"""What the row of a series says, and how many requests it takes, if the server answers so for ever."""


@pytest.mark.parametrize("fault", FINAL)
def test_what_cannot_be_had_is_a_row(
    server: NbiaServer, tiny: dict[str, Any], tmp_path: Path, pauses: list[float], fault: str
) -> None:
    reason, detail, n_requests = FINAL[fault]
    work = tmp_path / "a" / "b" / "work"
    work.mkdir(parents=True)
    server.fail(BAD, then=repeat(fault))
    fetched = plan_and_fetch(archive(tiny, server.url), work)
    assert fetched.loc[BAD, "reason"] == reason and detail in fetched.loc[BAD, "detail"]
    assert server.requests[BAD] == n_requests
    assert fetched.loc[GOOD, "reason"] == "" and fetched.loc[GOOD, "n_files"] == 3
    assert not series_dir(work / "raw", "p1", BAD).exists()
    kept = {path.name for path in tmp_path.rglob("*") if path.is_file() and GOOD not in str(path)}
    assert kept <= {".radnet3d"}  # nothing of it, here or above, but the mark of an unfinished folder


@pytest.mark.parametrize(
    "fault", ["429", "500", "html", "empty", "truncated", "dropped", "no_answer", "wrong_md5", "no_md5_list"]
)
def test_what_passes_is_fetched_at_the_next_attempt(
    server: NbiaServer, tiny: dict[str, Any], tmp_path: Path, pauses: list[float], fault: str
) -> None:
    server.fail(BAD, fault)
    fetched = plan_and_fetch(archive(tiny, server.url), tmp_path)
    assert fetched["reason"].tolist() == ["", ""] and fetched["n_files"].tolist() == [3, 3]
    assert server.requests[BAD] == 2 and len(pauses) == 1
    assert (pauses[0] >= 7) == (fault == "429")  # what Retry-After asks for
    contents = [path.read_bytes() for path in sorted(series_dir(tmp_path / "raw", "p1", BAD).glob("*.dcm"))]
    assert contents == server.series[0].contents


def test_a_stalled_connection_is_left(
    server: NbiaServer, tiny: dict[str, Any], tmp_path: Path, pauses: list[float]
) -> None:
    server.fail(BAD, "stall")
    fetched = plan_and_fetch(archive(tiny, server.url, timeout_s=0.3), tmp_path / "once")
    assert fetched["reason"].tolist() == ["", ""] and server.requests[BAD] == 2
    server.fail(BAD, then=repeat("stall"))
    fetched = plan_and_fetch(archive(tiny, server.url, timeout_s=0.1), tmp_path / "ever")
    assert fetched.loc[BAD, "reason"] == "connection_failed"
    assert "no byte came for 0.1 s (at the last of 3 attempts)" in fetched.loc[BAD, "detail"]


def test_no_server_at_all(tiny: dict[str, Any], tmp_path: Path, pauses: list[float]) -> None:
    with NbiaServer([]) as server:
        gone = server.url
    with pytest.raises(ArchiveError, match=r"/getCollectionValues: connection_failed: the connection failed"):
        NbiaCatalogue(archive(tiny, gone)).plan(tmp_path)
    with pytest.raises(ArchiveError, match="nbia.example: not the address of a server"):
        NbiaCatalogue(archive(tiny, "nbia.example")).plan(tmp_path)
    assert len(pauses) == 2  # between three attempts; an address that is none is not tried again


def test_the_rest_arrives_with_another_run(
    server: NbiaServer, tiny: dict[str, Any], tmp_path: Path, pauses: list[float]
) -> None:
    settings = archive(tiny, server.url)
    server.fail(BAD, then=repeat("500"))
    plan_and_fetch(settings, tmp_path)
    server.fail(BAD)
    server.requests.clear()
    fetched = plan_and_fetch(settings, tmp_path)
    assert fetched["reason"].tolist() == ["", ""]
    assert (server.requests[BAD], server.requests[GOOD]) == (1, 0)  # nothing twice


def test_what_a_killed_run_left_is_not_mixed_in(server: NbiaServer, tiny: dict[str, Any], tmp_path: Path) -> None:
    left = series_dir(tmp_path / "store", "p1", BAD + ".partial")
    left.mkdir(parents=True)
    (left / ".radnet3d").write_text(f"nbia:url/{BAD}")
    for name in ("00000001.dcm", "00000099.dcm", "series.zip", "md5hashes.csv"):
        (left / name).write_bytes(b"PK and half of it")
    assert plan_and_fetch(archive(tiny, server.url), tmp_path)["reason"].tolist() == ["", ""]
    contents = [path.read_bytes() for path in sorted(series_dir(tmp_path / "raw", "p1", BAD).glob("*.dcm"))]
    assert contents == server.series[0].contents


def test_the_text_of_a_licence_is_no_instance(server: NbiaServer, tiny: dict[str, Any], tmp_path: Path) -> None:
    server.fail(BAD, "licence_text")
    assert plan_and_fetch(archive(tiny, server.url), tmp_path).loc[BAD, "n_files"] == 3


def test_a_plan_of_another_source(server: NbiaServer, tiny: dict[str, Any], tmp_path: Path) -> None:
    plan, _ = NbiaCatalogue(archive(tiny, server.url)).plan(tmp_path)
    plan.loc[1, "location"] = "s3://idc-open-data/1234"
    with pytest.raises(ArchiveError, match="s3://idc-open-data/1234: not an address of the source nbia"):
        NbiaSource(archive(tiny, server.url)).fetch(plan, tmp_path, tmp_path / "raw", 1)
    assert server.requests[GOOD] == 0


def test_bytes_are_counted_once(server: NbiaServer, tiny: dict[str, Any], tmp_path: Path, pauses: list[float]) -> None:
    source = NbiaSource(archive(tiny, server.url))
    row = next(NbiaCatalogue(archive(tiny, server.url)).plan(tmp_path)[0].itertuples(index=False))
    for faults in (["truncated", "wrong_md5"], [""], ["404"]):
        server.fail(BAD, *faults)
        counted: list[int] = []
        try:
            source.fetch_one(row, tmp_path, counted.append)
        except Unavailable:
            assert faults == ["404"] and sum(counted) == 0
        else:
            assert sum(counted) == row.n_bytes


@pytest.mark.parametrize("fault", ["500", "html", "empty", "no_answer"])
@pytest.mark.parametrize("endpoint", ["getCollectionValues", "getModalityValues", "getSeries"])
def test_a_plan_loses_nothing_to_a_failed_query(
    server: NbiaServer, tiny: dict[str, Any], tmp_path: Path, pauses: list[float], endpoint: str, fault: str
) -> None:
    server.fail(endpoint, fault, fault)
    assert len(NbiaCatalogue(archive(tiny, server.url)).plan(tmp_path)[0]) == 2
    server.fail(endpoint, then=repeat(fault))
    with pytest.raises(
        ArchiveError, match=rf"/{endpoint}.*: (server_error|connection_failed): .*the last of 3 attempts"
    ):
        NbiaCatalogue(archive(tiny, server.url)).plan(tmp_path)


def test_what_the_user_reads_of_a_failed_query(
    server: NbiaServer, tiny: dict[str, Any], tmp_path: Path, pauses: list[float]
) -> None:
    source = NbiaCatalogue(archive(tiny, server.url))
    server.fail("getSeries", then=repeat("empty"))
    with pytest.raises(ArchiveError) as empty:
        source.plan(tmp_path)
    assert str(empty.value) == (
        f"{server.url}/getSeries (Collection Lung Test, Modality CT): server_error: an empty answer, which is what a failed "
        "query gives too (at the last of 3 attempts)"
    )
    server.fail("getSeries", then=repeat("html"))
    with pytest.raises(ArchiveError, match="text/html, wanted JSON: '502 Bad Gateway 502 Bad Gateway'"):
        source.plan(tmp_path)


def test_sizes_that_getseries_lacks_are_asked_for(
    server: NbiaServer, tiny: dict[str, Any], tmp_path: Path, pauses: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    del server.series[0].row["FileSize"]
    plan, _ = NbiaCatalogue(archive(tiny, server.url)).plan(tmp_path)
    assert plan["n_bytes"].tolist() == [sum(map(len, one.contents)) for one in server.series]
    assert server.requests[BAD] == 1
    server.fail(BAD, then=repeat("empty"))
    plan, _ = NbiaCatalogue(archive(tiny, server.url)).plan(tmp_path)
    assert plan["SeriesInstanceUID"].tolist() == [GOOD]
    assert "1 series without size or identifiers left out" in caplog.text


@pytest.mark.parametrize(
    ("name", "short", "is_kept"),
    [
        ("Creative Commons Attribution 4.0 International License", "CC BY 4.0", True),
        ("Creative Commons Attribution-NonCommercial 3.0 Unported License", "CC BY-NC 3.0", False),
        ("Creative Commons Attribution-NonCommercial 4.0 International License", "CC BY-NC 4.0", False),
        ("NIH Controlled Data Access Policy", "NIH Controlled Data Access Policy", False),
        ("", "", False),  # leaves the address of the licence, which is not known wording
    ],
)
def test_licences_decide(
    server: NbiaServer, tiny: dict[str, Any], tmp_path: Path, name: str, short: str, is_kept: bool
) -> None:
    server.series[0].row["LicenseName"] = name
    plan, _ = NbiaCatalogue(archive(tiny, server.url)).plan(tmp_path)
    assert plan["SeriesInstanceUID"].tolist() == ([BAD, GOOD] if is_kept else [GOOD])
    if "NonCommercial" in name:
        plan, _ = NbiaCatalogue(archive(tiny, server.url, allow_non_commercial=True)).plan(tmp_path)
    if is_kept or "NonCommercial" in name:
        assert plan.loc[0, "licence"] == short


def test_collections_as_the_server_names_them(server: NbiaServer, tiny: dict[str, Any], tmp_path: Path) -> None:
    for name in ("Lung Test", "lung_test", "LUNG-TEST"):
        plan, _ = NbiaCatalogue(archive(tiny, server.url, collections=[name])).plan(tmp_path)
        assert plan["collection_id"].tolist() == ["lung_test", "lung_test"]
    with pytest.raises(ArchiveError, match="'Lung-Tset'.*nearest: lung_test"):
        NbiaCatalogue(archive(tiny, server.url, collections=["Lung-Tset"])).plan(tmp_path)
    with pytest.raises(ArchiveError, match=r"\['Lung Test'\] have no series of modality \['PT'\]"):
        NbiaCatalogue(archive(tiny, server.url, modalities=["PT"])).plan(tmp_path)


def test_a_leaking_collection_is_refused_under_its_tcia_name(
    server: NbiaServer, tiny: dict[str, Any], tmp_path: Path
) -> None:
    server.series[0].row["Collection"] = "CT-ORG"
    with pytest.raises(ArchiveError, match="'CT-ORG' is refused: its first 131 CT volumes are LiTS"):
        NbiaCatalogue(archive(tiny, server.url, collections=["Lung Test", "CT-ORG"])).plan(tmp_path)


def test_nlst_is_asked_of_its_own_host(server: NbiaServer, tiny: dict[str, Any], tmp_path: Path) -> None:
    screening = Series(server.series[0].row | {"Collection": "NLST"}, server.series[0].contents)
    with NbiaServer([screening]) as nlst:
        del server.series[0]
        settings = archive(tiny, server.url, nlst_url=nlst.url + "/", collections=["Lung Test", "NLST"])
        fetched = plan_and_fetch(settings, tmp_path)
        assert fetched["reason"].tolist() == ["", ""]
        assert fetched["collection_id"].to_dict() == {BAD: "nlst", GOOD: "lung_test"}
        assert (nlst.requests[BAD], server.requests[BAD], nlst.requests[GOOD]) == (1, 0, 0)


def test_an_object_without_its_array(
    server: NbiaServer, tiny: dict[str, Any], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(
        "support.nbia_server.json.dumps", lambda found: json_dumps(found[0] if len(found) == 1 else found)
    )
    json_dumps = json.JSONEncoder().encode
    assert len(NbiaCatalogue(archive(tiny, server.url)).plan(tmp_path)[0]) == 2


def test_a_bomb_is_stopped_while_it_unpacks(tmp_path: Path) -> None:
    bomb, folder = tmp_path / "bomb.zip", tmp_path / "out"
    folder.mkdir()
    with ZipFile(bomb, "w", compression=8) as archive:
        archive.writestr("first.dcm", b"x" * 1000)
        archive.writestr("bomb.dcm", bytes(1 << 26))
    with pytest.raises(Unavailable, match="unsafe_archive: entry 'bomb.dcm' unpacks to more than the 999000 bytes"):
        unpack(bomb, folder, n_files_max=5, n_bytes_max=1_000_000)
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 1_000_000


def test_a_directory_that_lies_about_sizes(tmp_path: Path) -> None:
    path = tmp_path / "lies.zip"
    with ZipFile(path, "w", compression=8) as archive:
        archive.writestr("a.dcm", bytes(100_000))
    content = path.read_bytes()
    assert content.count((100_000).to_bytes(4, "little")) == 2  # beside the entry and in the directory
    path.write_bytes(content.replace((100_000).to_bytes(4, "little"), (100).to_bytes(4, "little")))
    with pytest.raises(Unsettled, match="not_an_archive: a damaged zip archive of .* Bad CRC-32 for file 'a.dcm'"):
        unpack(path, tmp_path, n_files_max=5, n_bytes_max=1_000_000)


def test_ways_of_packing_that_nbia_does_not_use(tmp_path: Path) -> None:
    path = tmp_path / "strange.zip"
    with ZipFile(path, "w", compression=ZIP_BZIP2) as archive:
        archive.writestr("a.dcm", bytes(100))
    with pytest.raises(Unavailable, match="unsafe_archive: entry 'a.dcm' is packed by method 12, wanted 0 or 8"):
        unpack(path, tmp_path, n_files_max=5, n_bytes_max=1000)
    with ZipFile(path, "w") as archive:
        archive.writestr("a.dcm", bytes(100))
    content = bytearray(path.read_bytes())
    for start in (6, content.index(b"PK\x01\x02") + 8):
        content[start] |= 1  # encrypted
    path.write_bytes(content)
    with pytest.raises(Unsettled, match="not_an_archive: .*encrypted"):
        unpack(path, tmp_path, n_files_max=5, n_bytes_max=1000)


def test_a_name_that_ends_before_its_end(tmp_path: Path) -> None:
    path = tmp_path / "nul.zip"
    with ZipFile(path, "w") as archive:
        archive.writestr("a.dcm!/../../evil", b"x")
    path.write_bytes(path.read_bytes().replace(b"a.dcm!", b"a.dcm\0"))
    with pytest.raises(Unavailable, match="unsafe_archive: entry 'a.dcm.x00/../../evil' is not a plain file name"):
        unpack(path, tmp_path, n_files_max=5, n_bytes_max=1000)
