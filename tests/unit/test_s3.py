"""The S3 client against a server on loopback that misbehaves: what is tried again, what becomes a row, what the row says."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from threading import Condition, Event

import pandas as pd
import pytest

from radnet3d.archive import transfer
from radnet3d.archive.s3 import S3
from radnet3d.archive.transfer import fetch_rows
from radnet3d.errors import ArchiveError
from radnet3d.params import Transfer
from radnet3d.tables import PLAN, check_table
from support.s3_server import BUCKET, NOBODY, S3Server, cut_short, dropped, replaced, s3_server, stalled, status

SETTINGS = Transfer(n_connections=3, n_attempts=3, wait_max_s=60, timeout_s=0.5, min_fraction_fetched=0.9)
NAMES = ("1.dcm", "2.dcm", "3.dcm")


@pytest.fixture(scope="module")
def running() -> Iterator[S3Server]:
    with s3_server() as server:
        for series in ("u1", "u10", "u2"):
            for name in NAMES:
                server.put(f"{series}/{name}", content(series, name))
        yield server


@pytest.fixture
def server(running: S3Server) -> S3Server:
    running.forget()
    return running


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr(transfer, "pause", found.append)
    return found


def content(series: str, name: str) -> bytes:
    return f"{series}/{name}".encode() * 2000


def plan_of(*series: str, n_instances: int = 3) -> pd.DataFrame:
    return check_table(pd.DataFrame([{
        "SeriesInstanceUID": f"1.2.{name}", "StudyInstanceUID": "1", "PatientID": "P", "collection_id": "c", "Modality": "CT",
        "shard": "000", "location": f"s3://{BUCKET}/{name}", "n_instances": n_instances, "n_bytes": 42000,
        "licence": "CC BY 4.0", "source_DOI": "",
    } for name in series]), PLAN, name="plan")  # fmt: skip


def fetch(server: S3Server, folder: Path, *series: str, settings: Transfer = SETTINGS, **plan) -> pd.DataFrame:
    with S3(server.url, settings) as client:
        return fetch_rows(plan_of(*series, **plan), folder, folder / "out", client.fetch_series, settings)


def assert_whole(folder: Path, series: str = "u1") -> None:
    found = {path.name: path.read_bytes() for path in (folder / "out/P" / f"1.2.{series}").iterdir()}
    mark = found.pop(".radnet3d").decode()
    assert found == {name: content(series, name) for name in NAMES}
    assert mark == f"s3://{BUCKET}/{series}\n3 files, {sum(map(len, found.values()))} bytes\n"


def test_series_come_whole_and_no_other_series_with_them(server: S3Server, tmp_path: Path, waits: list[float]) -> None:
    table = fetch(server, tmp_path, "u1", "u2")
    assert table["n_files"].tolist() == [3, 3] and table["n_bytes"].tolist() == [3 * 2000 * 8] * 2
    assert_whole(tmp_path, "u1")
    assert_whole(tmp_path, "u2")
    assert len(server.requests) == len(set(server.requests)) == 8 and waits == []
    assert not list(tmp_path.rglob("*partial*"))


def test_long_listings_are_read_to_their_end(server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "2")
    assert fetch(server, tmp_path, "u1")["reason"].tolist() == [""]
    assert server.requests.count("LIST u1/") == 2
    assert_whole(tmp_path)


def test_busy_server_is_given_time(server: S3Server, tmp_path: Path, waits: list[float]) -> None:
    server.faults["LIST u1/"] = [status(503, "<Error><Code>SlowDown</Code></Error>", Retry_After="30")]
    server.faults["GET u1/2.dcm"] = [
        status(429, "too many", Retry_After="20"),
        status(429, "too many", Retry_After="999"),
    ]
    assert fetch(server, tmp_path, "u1")["reason"].tolist() == [""]
    assert waits == [30, 20, 60]
    assert_whole(tmp_path)


PAGE = "<html><head><title>Sorry</title></head><body><p>We are down &amp; out</p></body></html>"
DOWN = "HTTP 500 (text/html): 'Sorry We are down &amp; out' (at the last of 3 attempts)"


@pytest.mark.parametrize(
    ("request_", "faults", "reason", "detail"),
    [
        ("LIST u1/", [status(500, PAGE, "text/html")] * 3, "server_error", f"the list of s3://{BUCKET}: {DOWN}"),
        ("GET u1/2.dcm", [status(500, PAGE, "text/html")] * 3, "server_error", f"s3://{BUCKET}/u1/2.dcm: {DOWN}"),
        (  # a page that nobody reads to its end keeps no connection
            "GET u1/2.dcm", [status(500, PAGE + " " * 2**22, "text/html")] * 3, "server_error",
            f"s3://{BUCKET}/u1/2.dcm: {DOWN}",
        ),
        (
            "LIST u1/", [status(200, PAGE, "text/html")] * 3, "server_error",
            "text/html, wanted a list of files in XML: 'Sorry We are down &amp; out' (at the last of 3 attempts)",
        ),
        (
            "GET u1/2.dcm", [status(200, PAGE, "text/html")] * 3, "wrong_size",
            f"s3://{BUCKET}/u1/2.dcm: {len(PAGE)} bytes of text/html came, 16000 are listed (at the last of 3 attempts)",
        ),
        (
            "GET u1/2.dcm", [replaced(b"u1/2.dcmu1", b"u1/2.dcmxx")] * 3, "wrong_hash",
            f"s3://{BUCKET}/u1/2.dcm: 16000 bytes of binary/octet-stream came with ETag ",
        ),
        (
            "GET u1/2.dcm", [cut_short(5000)] * 3, "connection_failed",
            "/u1/2.dcm: the connection failed: IncompleteRead(5000 bytes read, 11000 more expected)",
        ),
        ("GET u1/2.dcm", [dropped] * 3, "connection_failed", "/u1/2.dcm: the connection failed: Remote end closed connection without response"),
        (
            "GET u1/2.dcm", [status(404, "<Error><Code>NoSuchKey</Code></Error>")], "not_found",
            f"s3://{BUCKET}/u1/2.dcm: HTTP 404 (application/xml): 'NoSuchKey'",
        ),
        (
            "LIST u1/", [status(403, "<Error><Code>AccessDenied</Code></Error>")], "not_permitted",
            f"the list of s3://{BUCKET}: HTTP 403 (application/xml): 'AccessDenied'",
        ),
        ("LIST u1/", [replaced(b"u1/2.dcm", b"u1/..dcm")], "unsafe_archive", f"s3://{BUCKET}/u1/..dcm: no name for a file"),
    ],
)  # fmt: skip
def test_fault_that_stays_is_a_row(
    server: S3Server, tmp_path: Path, request_: str, faults: list, reason: str, detail: str
) -> None:
    # what may pass is tried once more after all other series: twice the attempts
    server.faults[request_] = [*faults] * (2 if reason in transfer.PASSING else 1)
    table = fetch(server, tmp_path, "u1", "u2")
    assert table["reason"].tolist() == [reason, ""]
    assert detail in table.loc[0, "detail"]
    assert not server.faults[request_] and not (tmp_path / "out/P/1.2.u1").exists()
    assert_whole(tmp_path, "u2")
    assert_files_are_right(tmp_path / "store/P/1.2.u1.partial")
    assert fetch(server, tmp_path, "u1", "u2")["reason"].tolist() == ["", ""]  # and the next run finishes it
    assert_whole(tmp_path, "u1")


def assert_files_are_right(partial: Path) -> None:
    """Assert that no error page and no half file is among what was kept."""
    kept = [path for path in partial.iterdir() if path.suffix == ".dcm"]
    assert all(path.read_bytes() == content("u1", path.name) for path in kept)


@pytest.mark.parametrize(
    "fault",
    [status(500, PAGE, "text/html"), status(200, PAGE, "text/html"), cut_short(0), cut_short(9000), dropped,
     replaced(b"u1/2.dcmu1", b"u1/2.dcmxx"), status(503)],
)  # fmt: skip
def test_fault_that_passes_leaves_no_trace(server: S3Server, tmp_path: Path, waits: list[float], fault) -> None:
    server.faults["GET u1/2.dcm"] = [fault, fault]
    assert fetch(server, tmp_path, "u1").loc[0, ["reason", "detail"]].tolist() == ["", ""]
    assert server.requests.count("GET u1/2.dcm") == 3 and len(waits) == 2
    assert_whole(tmp_path)


def test_server_that_falls_silent_is_left(server: S3Server, tmp_path: Path) -> None:
    silent = SETTINGS.model_copy(update={"timeout_s": 0.1, "n_attempts": 1})
    until = Event()
    server.faults["GET u1/2.dcm"] = [stalled(until)] * 2
    try:
        table = fetch(server, tmp_path, "u1", settings=silent)
    finally:
        until.set()
    assert table.loc[0, "reason"] == "connection_failed"
    assert "/u1/2.dcm: no byte came for 0.1 s (at the last of 1 attempts)" in table.loc[0, "detail"]


@pytest.mark.parametrize(
    ("series", "n", "reason", "detail"),
    [
        ("u2", 4, "wrong_instance_count", f"s3://{BUCKET}/u2 lists 3 files, wanted 4 (the plan's)"),
        ("u2", 2, "wrong_instance_count", f"s3://{BUCKET}/u2 lists 3 files, wanted 2 (the plan's)"),
        ("absent", 3, "not_found", f"s3://{BUCKET}/absent: nothing is listed there"),
    ],
)
def test_series_that_is_not_as_planned(
    server: S3Server, tmp_path: Path, series: str, n: int, reason: str, detail: str
) -> None:
    table = fetch(server, tmp_path, series, n_instances=n)
    assert table.loc[0, ["reason", "detail"]].tolist() == [reason, detail]
    assert not [request for request in server.requests if request.startswith("GET")]


def test_absent_bucket_is_a_row(server: S3Server, tmp_path: Path) -> None:
    rows = plan_of("u1").assign(location="s3://no-such-bucket/u1")
    with S3(server.url, SETTINGS) as client:
        table = fetch_rows(rows, tmp_path, tmp_path / "out", client.fetch_series, SETTINGS)
    assert table.loc[0, "reason"] == "not_found"
    assert "NoSuchBucket" in table.loc[0, "detail"]


def test_files_that_are_there_are_kept_if_their_hash_is_right(server: S3Server, tmp_path: Path) -> None:
    half = tmp_path / "store/P/1.2.u1.partial"
    half.mkdir(parents=True)
    (half / "1.dcm").write_bytes(content("u1", "1.dcm"))
    (half / "2.dcm").write_bytes(content("u1", "1.dcm"))  # the right size
    (half / "3.dcm").write_bytes(content("u1", "3.dcm")[:-1])
    (half / "4.dcm").write_bytes(b"of another version")
    fetch(server, tmp_path, "u1")
    assert sorted(server.requests) == ["GET u1/2.dcm", "GET u1/3.dcm", "LIST u1/"]
    assert_whole(tmp_path)


PARTS = [b"a" * 5 * 2**20, b"b" * 5 * 2**20, b"c" * 99]


def test_upload_in_parts_is_hashed_in_parts(server: S3Server, tmp_path: Path) -> None:
    server.put_in_parts("parts/1.dcm", PARTS)
    server.forget()
    patient = {"settings": SETTINGS.model_copy(update={"timeout_s": 10}), "n_instances": 1}
    table = fetch(server, tmp_path, "parts", **patient)
    assert table.loc[0, ["reason", "n_bytes"]].tolist() == ["", sum(map(len, PARTS))]
    assert server.requests == ["LIST parts/", "HEAD parts/1.dcm", "GET parts/1.dcm"]
    finished = tmp_path / "store/P/1.2.parts"
    assert hashlib.md5((finished / "1.dcm").read_bytes()).digest() == hashlib.md5(b"".join(PARTS)).digest()
    (finished / ".radnet3d").unlink()  # not known to be finished: looked at again, and kept
    server.forget()
    fetch(server, tmp_path, "parts", **patient)
    assert server.requests == ["LIST parts/", "HEAD parts/1.dcm"]
    server.faults["GET parts/1.dcm"] = [replaced(b"abb", b"aab")] * 3
    table = fetch(server, tmp_path / "other", "parts", **patient)
    assert table.loc[0, "reason"] == "wrong_hash"


def test_upload_in_parts_of_unknown_size_is_compared_in_size_only(
    server: S3Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.put_in_parts("unknown/1.dcm", PARTS)
    server.forget()
    server.faults["HEAD unknown/1.dcm"] = [status(200)]
    patient = {"settings": SETTINGS.model_copy(update={"timeout_s": 10}), "n_instances": 1}
    assert fetch(server, tmp_path, "unknown", **patient).loc[0, "reason"] == ""
    assert f"s3://{BUCKET}/unknown/1.dcm: uploaded in 3 parts of unknown size: only its size" in caplog.text


def test_no_more_connections_than_asked_for(server: S3Server, tmp_path: Path) -> None:
    more_came, n_open, most = Condition(), 0, 0
    inner = server.moto

    def hold(environ, start):
        nonlocal n_open, most
        with more_came:
            n_open += 1
            most = max(most, n_open)
            more_came.notify_all()
            more_came.wait_for(lambda: n_open > SETTINGS.n_connections, timeout=0.1)
        try:
            return inner(environ, start)
        finally:
            with more_came:
                n_open -= 1

    server.moto = hold
    try:
        fetch(server, tmp_path, "u1", "u10", "u2")
    finally:
        server.moto = inner
    assert len(server.requests) == 12
    assert most == SETTINGS.n_connections


def test_nobody_listening_is_said(tmp_path: Path) -> None:
    with S3(NOBODY, SETTINGS) as client:
        table = fetch_rows(plan_of("u1"), tmp_path, tmp_path / "out", client.fetch_series, SETTINGS)
    assert table.loc[0, "reason"] == "connection_failed"
    assert "Connection refused (at the last of 3 attempts)" in table.loc[0, "detail"]


def test_address_that_is_none_is_named() -> None:
    with pytest.raises(ArchiveError, match="archive.idc.endpoint_url: found 's3.example', wanted the address"):
        S3("s3.example", SETTINGS)
