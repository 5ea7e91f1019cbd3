"""Fetching apart from any protocol: attempts, waits, rows instead of errors, what is kept and what is not taken for finished."""

import random
import shutil
from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pandas as pd
import pytest

from radnet3d.archive import transfer
from radnet3d.archive.transfer import Unavailable, Unsettled, check_fraction, fetch_rows, persistently, retry_after_s
from radnet3d.atomic import MARKER
from radnet3d.errors import ArchiveError
from radnet3d.params import Transfer
from radnet3d.tables import PLAN, check_table

SETTINGS = Transfer(n_connections=3, n_attempts=4, wait_max_s=50, timeout_s=5, min_fraction_fetched=0.9)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were asked for, none of which is kept."""
    found: list[float] = []
    monkeypatch.setattr(transfer, "pause", found.append)
    return found


def plan_of(*names: str, n_bytes: int = 6, location: str = "s3://bucket") -> pd.DataFrame:
    return check_table(pd.DataFrame([{
        "SeriesInstanceUID": name, "StudyInstanceUID": "1", "PatientID": f"P/{name[0]}", "collection_id": "c",
        "Modality": "CT", "shard": "000", "location": f"{location}/{name}", "n_instances": 2, "n_bytes": n_bytes,
        "licence": "CC BY 4.0", "source_DOI": "",
    } for name in names]), PLAN, name="plan")  # fmt: skip


def two_files(row, folder: Path, count_bytes) -> None:
    for name in ("1.dcm", "2.dcm"):
        (folder / name).write_bytes(b"abc")
        count_bytes(3)


def failing_first(n_failures: int, **arguments):
    """Return a function that raises Unsettled so many times, then returns 7; `calls` counts."""
    calls: list[int] = []

    def attempt() -> int:
        calls.append(1)
        if len(calls) <= n_failures:
            raise Unsettled("server_error", "HTTP 503", **arguments)
        return 7

    return attempt, calls


def test_attempts_go_on_until_one_succeeds(waits: list[float]) -> None:
    attempt, calls = failing_first(3)
    assert persistently(attempt, SETTINGS) == 7
    assert len(calls) == 4
    assert all(0 <= wait <= 2**k for k, wait in enumerate(waits)) and len(waits) == 3


def test_last_failure_says_how_often_it_was_tried(waits: list[float]) -> None:
    attempt, calls = failing_first(9)
    with pytest.raises(Unavailable) as failure:
        persistently(attempt, SETTINGS)
    assert len(calls) == SETTINGS.n_attempts == len(waits) + 1
    assert failure.value.reason == "server_error"
    assert failure.value.detail == "HTTP 503 (at the last of 4 attempts)"


def test_server_is_given_the_time_it_asks_for_within_limits(waits: list[float]) -> None:
    persistently(failing_first(2, wait_s=20.0)[0], SETTINGS)
    assert waits == [20.0, 20.0]
    waits.clear()
    persistently(failing_first(1, wait_s=3600.0)[0], SETTINGS)
    assert waits == [SETTINGS.wait_max_s]


def test_a_server_that_asks_for_no_pause_gets_one(waits: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda low, high: high)
    persistently(failing_first(3, wait_s=0.0)[0], SETTINGS)
    assert waits == [1, 2, 4]


def test_final_failures_and_others_are_not_tried_again(waits: list[float]) -> None:
    for error in (Unavailable("not_found", "gone"), OSError("disk full")):

        def attempt(error: Exception = error) -> None:
            raise error

        with pytest.raises(type(error)):
            persistently(attempt, SETTINGS)
    assert waits == []


def test_retry_after_in_seconds_or_as_a_date() -> None:
    assert retry_after_s({"retry-after": "120"}) == 120
    assert retry_after_s({"Retry-After": " 0 "}) == 0
    assert retry_after_s({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    later = retry_after_s({"Retry-After": format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)})
    assert later is not None and 3000 < later <= 3600
    assert retry_after_s({}) is retry_after_s({"Retry-After": "soon"}) is retry_after_s({"Retry-After": "-1"}) is None


def test_series_are_stored_once_and_linked(tmp_path: Path) -> None:
    rows = plan_of("a1", "a2", "b1")
    table = fetch_rows(rows, tmp_path / "raw", tmp_path / "raw/dicom/000.partial", two_files, SETTINGS)
    assert table["SeriesInstanceUID"].tolist() == ["a1", "a2", "b1"]
    assert table["n_files"].tolist() == [2, 2, 2] and table["n_bytes"].tolist() == [6, 6, 6]
    assert set(table["reason"]) == {""}
    (tmp_path / "raw/dicom/000.partial").rename(tmp_path / "raw/dicom/000")
    tmp_path.joinpath("raw").rename(tmp_path / "moved")  # links are relative
    link = tmp_path / "moved/dicom/000/P_a/a1"
    assert link.is_symlink() and (link / "1.dcm").read_bytes() == b"abc"


def test_a_wider_plan_fetches_what_is_new(tmp_path: Path) -> None:
    fetched: list[str] = []

    def fetch_one(row, folder: Path, count_bytes) -> None:
        fetched.append(row.SeriesInstanceUID)
        two_files(row, folder, count_bytes)

    fetch_rows(plan_of("a1"), tmp_path, tmp_path / "out", fetch_one, SETTINGS)
    shutil.rmtree(tmp_path / "out")  # as Snakemake does before it makes a folder anew
    table = fetch_rows(plan_of("a1", "b1"), tmp_path, tmp_path / "out", fetch_one, SETTINGS)
    assert fetched == ["a1", "b1"] and table["n_files"].sum() == 4
    fetch_rows(plan_of("a1", location="s3://elsewhere"), tmp_path, tmp_path / "out", fetch_one, SETTINGS)
    assert fetched == ["a1", "b1", "a1"]  # another version of the series


def test_one_bad_series_is_a_row_and_leaves_no_folder_behind(tmp_path: Path) -> None:
    def fetch_one(row, folder: Path, count_bytes) -> None:
        two_files(row, folder, count_bytes)
        if row.SeriesInstanceUID == "b1":
            raise Unavailable("not_found", "s3://bucket/b1:\n nothing is listed there")

    table = fetch_rows(plan_of("a1", "b1", "c1"), tmp_path, tmp_path / "out", fetch_one, SETTINGS)
    assert table["reason"].tolist() == ["", "not_found", ""]
    assert table["detail"].tolist() == ["", "s3://bucket/b1: nothing is listed there", ""]
    assert table["n_files"].tolist() == [2, 0, 2]
    assert sorted(path.name for path in tmp_path.glob("out/*/*")) == ["a1", "c1"]


def test_series_with_too_few_files_is_a_row(tmp_path: Path) -> None:
    def fetch_one(row, folder: Path, count_bytes) -> None:
        (folder / "1.dcm").write_bytes(b"abc")

    table = fetch_rows(plan_of("a1"), tmp_path, tmp_path / "out", fetch_one, SETTINGS)
    assert table.loc[0, "reason"] == "wrong_instance_count"
    assert table.loc[0, "detail"] == "1 files came, wanted 2 (the plan's)"


def test_series_that_an_outage_hit_are_tried_once_more_at_the_end(tmp_path: Path) -> None:
    order: list[str] = []

    def fetch_one(row, folder: Path, count_bytes) -> None:
        order.append(row.SeriesInstanceUID)
        if row.SeriesInstanceUID == "a1" and len(order) < 3:
            raise Unavailable("connection_failed", "no route")
        if row.SeriesInstanceUID == "b1":
            raise Unavailable("not_found", "gone")
        two_files(row, folder, count_bytes)

    one = SETTINGS.model_copy(update={"n_connections": 1})
    table = fetch_rows(plan_of("a1", "b1", "c1"), tmp_path, tmp_path / "out", fetch_one, one)
    assert order == ["a1", "b1", "c1", "a1"]
    assert table["reason"].tolist() == ["", "not_found", ""]


def test_a_folder_that_exists_is_not_taken_for_finished(tmp_path: Path) -> None:
    foreign = tmp_path / "store/P_a/a1"
    foreign.mkdir(parents=True)
    for name in ("1.dcm", "2.dcm", ".half.0a1b2c3d.partial.dcm"):
        (foreign / name).write_bytes(b"not what was asked for")
    (foreign / "deep").mkdir()
    (foreign / "deep/1.dcm").write_bytes(b"")
    calls: Counter[str] = Counter()

    def fetch_one(row, folder: Path, count_bytes) -> None:
        calls[row.SeriesInstanceUID] += 1
        assert not (folder / ".half.0a1b2c3d.partial.dcm").exists()
        two_files(row, folder, count_bytes)

    for _ in range(2):
        fetch_rows(plan_of("a1"), tmp_path, tmp_path / "out", fetch_one, SETTINGS)
    assert calls == {"a1": 1}
    assert (foreign / "1.dcm").read_bytes() == b"abc"
    (foreign / "2.dcm").unlink()  # somebody tidied up
    fetch_rows(plan_of("a1"), tmp_path, tmp_path / "out", fetch_one, SETTINGS)
    assert calls == {"a1": 2}
    (foreign / "1.dcm").write_bytes(b"")  # a power cut
    fetch_rows(plan_of("a1"), tmp_path, tmp_path / "out", fetch_one, SETTINGS)
    assert calls == {"a1": 3} and (foreign / "1.dcm").read_bytes() == b"abc"
    assert sorted(path.name for path in foreign.iterdir()) == [MARKER, "1.dcm", "2.dcm"]


def test_disk_without_room_is_named_before_anything_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1_500_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)

    def fetch_one(row, folder: Path, count_bytes) -> None:
        raise AssertionError("nothing is to be fetched")

    with pytest.raises(ArchiveError) as error:
        fetch_rows(plan_of("a1", "b1", n_bytes=10**9), tmp_path, tmp_path / "out", fetch_one, SETTINGS)
    assert str(error.value) == f"{tmp_path}/store: 1.5 GB free, wanted 2 GB for the 2 series still to fetch"


def test_a_full_disk_stops_the_run(tmp_path: Path) -> None:
    def fetch_one(row, folder: Path, count_bytes) -> None:
        raise OSError(28, "No space left on device", str(folder / "1.dcm"))

    with pytest.raises(OSError, match="No space left"):
        fetch_rows(plan_of("a1", "b1"), tmp_path, tmp_path / "out", fetch_one, SETTINGS)


def test_a_shard_without_series_is_no_failure(tmp_path: Path) -> None:
    table = fetch_rows(plan_of("a1").head(0), tmp_path, tmp_path / "out", two_files, SETTINGS)
    check_fraction(table, SETTINGS, name="fetched.csv")
    assert table.empty


def fetched_of(*reasons: str) -> pd.DataFrame:
    return pd.DataFrame([{"SeriesInstanceUID": f"1.{k}", "reason": reason, "detail": reason and f"detail {k}"}
                         for k, reason in enumerate(reasons)])  # fmt: skip


def test_threshold_counts_reasons_and_names_the_first() -> None:
    check_fraction(fetched_of(*[""] * 9, "not_found"), SETTINGS, name="fetched.csv")
    with pytest.raises(ArchiveError) as error:
        check_fraction(fetched_of("", "not_found", "wrong_hash", "not_found"), SETTINGS, name="fetched.csv")
    assert str(error.value) == (
        "fetched.csv: 3 of 4 series could not be fetched (2 not_found, 1 wrong_hash), wanted at least 90% of them; "
        "the first is 1.1: detail 1. What was fetched is kept: another run tries the others again"
    )
