"""`radnet3d archive fetch` from a server on loopback: what it writes, what it says, and a kill at any point."""

import hashlib
import json
import logging
import multiprocessing
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from radnet3d.archive import transfer
from radnet3d.cli import main, radnet3d
from radnet3d.errors import ArchiveError
from radnet3d.params import load_params
from radnet3d.tables import FETCHED, PLAN, read_table, write_table
from support.s3_server import BUCKET, S3Server, s3_server, stalled, status

N_SERIES, N_FILES, N_CONNECTIONS = 4, 5, 3
PRELOADED = [
    "pytest",
    "radnet3d.cli.archive",
    "radnet3d.archive.idc",
    "pandera.backends.pandas.builtin_checks",
    "pyarrow.parquet",
]


@pytest.fixture(scope="module")
def running() -> Iterator[S3Server]:
    with s3_server() as server:
        for series in range(N_SERIES):
            for number in range(N_FILES):
                server.put(f"u{series}/{number}.dcm", random.Random(10 * series + number).randbytes(24_000))
        yield server


@pytest.fixture
def server(running: S3Server) -> S3Server:
    running.forget()
    return running


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "pause", lambda seconds: None)


def write_plan(folder: Path, rows: list[dict[str, object]]) -> Path:
    fixed = {"StudyInstanceUID": "1", "collection_id": "c", "Modality": "CT", "licence": "CC BY 4.0", "source_DOI": ""}
    write_table(pd.DataFrame([fixed | row for row in rows]), folder / "plan.parquet", PLAN)
    return folder / "plan.parquet"


def small_plan(folder: Path) -> Path:
    return write_plan(folder, [{
        "SeriesInstanceUID": f"1.2.{k}", "PatientID": f"P{k // 2}", "shard": f"00{k % 2}",
        "location": f"s3://{BUCKET}/u{k}", "n_instances": N_FILES, "n_bytes": N_FILES * 24_000,
    } for k in range(N_SERIES)])  # fmt: skip


def settings_json(repository: Path, url: str) -> str:
    archive = load_params(repository / "params.yaml").archive.model_dump(mode="json")
    archive["source"], archive["idc"]["endpoint_url"] = "idc", url
    archive["transfer"] |= {
        "n_connections": N_CONNECTIONS,
        "n_attempts": 2,
        "timeout_s": 20,
        "min_fraction_fetched": 0.7,
    }
    return json.dumps(archive)


def arguments(repository: Path, folder: Path, url: str, *options: str) -> list[str]:
    paths = [str(folder / name) for name in ("plan.parquet", "out", "fetched.csv")]
    return ["archive", "fetch", *paths, "--settings", settings_json(repository, url), *options]


def fetch(repository: Path, folder: Path, server: S3Server, *options: str) -> Result:
    return CliRunner().invoke(radnet3d, arguments(repository, folder, server.url, *options))


def test_real_series_arrive_as_they_are(repository: Path, server: S3Server, real_data: Path, tmp_path: Path) -> None:
    source = sorted((real_data / "real/dicom2nifti_failing/gantrytilting").rglob("*.dcm"))
    assert source
    server.put_series("real", source)
    write_plan(tmp_path, [{
        "SeriesInstanceUID": "1.2.3", "PatientID": "Mr. X/ä", "shard": "000", "location": f"s3://{BUCKET}/real",
        "n_instances": len(source), "n_bytes": sum(path.stat().st_size for path in source),
    }])  # fmt: skip
    done = fetch(repository, tmp_path, server)
    assert done.exit_code == 0, done.output
    arrived = sorted(path for path in (tmp_path / "out/Mr._X__/1.2.3").iterdir() if path.name != ".radnet3d")
    assert [path.read_bytes() for path in arrived] == [path.read_bytes() for path in source]


def test_one_shard_or_the_whole_plan(
    repository: Path, server: S3Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    small_plan(tmp_path)
    with caplog.at_level(logging.INFO):
        assert fetch(repository, tmp_path, server, "--shard", "001").exit_code == 0
    assert "fetched 2 of 2 series, 10 files, 0.00 GB; 0 could not be had" in caplog.text
    assert read_table(tmp_path / "fetched.csv", FETCHED)["SeriesInstanceUID"].tolist() == ["1.2.1", "1.2.3"]
    server.forget()
    assert fetch(repository, tmp_path, server).exit_code == 0
    assert sorted({request.split()[1].split("/")[0] for request in server.requests}) == ["u0", "u2"]
    table = read_table(tmp_path / "fetched.csv", FETCHED)
    assert table["n_bytes"].tolist() == [N_FILES * 24_000] * N_SERIES and set(table["reason"]) == {""}


def test_a_series_that_cannot_be_had_is_said_and_the_others_come(
    repository: Path, server: S3Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    small_plan(tmp_path)
    server.faults["LIST u1/"] = [status(403, "<Error><Code>AccessDenied</Code></Error>")]
    with caplog.at_level(logging.INFO):
        assert fetch(repository, tmp_path, server).exit_code == 0
    assert f"s3://{BUCKET}/u1 (1.2.1): not_permitted: the list of s3://{BUCKET}: HTTP 403" in caplog.text
    assert "fetched 3 of 4 series, 15 files, 0.00 GB; 1 could not be had" in caplog.text
    table = read_table(tmp_path / "fetched.csv", FETCHED)
    assert table["reason"].tolist() == ["", "not_permitted", "", ""]
    assert table.loc[1, "n_files"] == 0 and "AccessDenied" in table.loc[1, "detail"]


def test_too_few_series_are_an_error_and_the_next_run_fetches_the_rest_only(
    repository: Path, server: S3Server, tmp_path: Path
) -> None:
    small_plan(tmp_path)
    for name in ("u1", "u3"):
        server.faults[f"GET {name}/4.dcm"] = [status(500, "<h1>Oops</h1>", "text/html")] * 4
    refused = fetch(repository, tmp_path, server)
    assert refused.exit_code == 1 and isinstance(refused.exception, ArchiveError)
    assert str(refused.exception) == (
        f"{tmp_path}/fetched.csv: 2 of 4 series could not be fetched (2 server_error), wanted at least 70% of them; the first "
        f"is 1.2.1: s3://{BUCKET}/u1/4.dcm: HTTP 500 (text/html): 'Oops' (at the last of 2 attempts). What was fetched is "
        "kept: another run tries the others again"
    )
    assert read_table(tmp_path / "fetched.csv", FETCHED)["reason"].tolist() == ["", "server_error"] * 2
    assert not (tmp_path / "out").exists()
    server.forget()
    assert fetch(repository, tmp_path, server).exit_code == 0
    asked = [request for request in server.requests if request.startswith("GET")]
    assert {"GET u1/4.dcm", "GET u3/4.dcm"} <= set(asked) and len(asked) < 2 * N_FILES
    assert not {request.split("/")[0] for request in asked} & {"GET u0", "GET u2"}
    assert read_table(tmp_path / "fetched.csv", FETCHED)["n_files"].tolist() == [N_FILES] * N_SERIES


def tree(folder: Path) -> dict[str, str]:
    """Return every file below `folder` with its hash, every link with its target."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_file():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


@pytest.fixture(scope="module")
def forks(repository: Path) -> Iterator[multiprocessing.context.ForkServerContext]:
    """Return a way to start processes that have everything imported already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(repository / "workflow/lib"))
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        yield context


def run_to_end(forks: multiprocessing.context.ForkServerContext, command: list[str]) -> None:
    process = forks.Process(target=main, args=(command,))
    process.start()
    process.join()
    assert process.exitcode == 0


def run_and_stop(
    forks: multiprocessing.context.ForkServerContext, command: list[str], server: S3Server, n_bytes: int, by: int
) -> int | None:
    """Run a command in a process of its own, send that a signal when the server has sent so many bytes, return its exit code."""
    process = forks.Process(target=main, args=(command,))
    is_started, is_stopped = Event(), Event()

    def stop(n_bytes_sent: int) -> None:
        if n_bytes_sent >= n_bytes and not is_stopped.is_set():
            is_started.wait()
            is_stopped.set()
            os.kill(process.pid, by)

    server.on_bytes = stop
    process.start()
    is_started.set()
    process.join()
    server.on_bytes = lambda n_bytes_sent: None
    server.settle()
    return process.exitcode


def stored(folder: Path) -> set[str]:
    """Return the requests that a folder's store has the answers of: files, and listings of finished series."""
    found = set()
    for path in folder.glob("store/*/*/[0-9]*.dcm"):
        series = f"u{path.parent.name.split('.')[2]}"
        found |= {f"GET {series}/{path.name}"} | ({f"LIST {series}/"} if path.parent.suffix != ".partial" else set())
    return found


def test_killed_twenty_times_the_run_ends_as_an_undisturbed_one(
    repository: Path, server: S3Server, tmp_path: Path, forks: multiprocessing.context.ForkServerContext
) -> None:
    small_plan(tmp_path / "whole")
    run_to_end(forks, arguments(repository, tmp_path / "whole", server.url))
    server.settle()
    undisturbed, n_bytes = tree(tmp_path / "whole"), server.n_bytes_sent
    assert len(undisturbed) == 3 + N_SERIES * (
        N_FILES + 2
    )  # two tables, marks of the folder and of series, files, links
    draw = random.Random(20261122)
    for folder in (tmp_path / str(number) for number in range(5)):
        small_plan(folder)
        command = arguments(repository, folder, server.url)
        server.forget()
        for point in sorted(draw.sample(range(n_bytes), 4)):
            before = stored(folder)
            assert run_and_stop(forks, command, server, point, signal.SIGKILL) == -signal.SIGKILL
            lost = {request for request in server.requests if request.startswith("GET")} - stored(folder)
            assert len(lost) <= N_CONNECTIONS  # the files in flight
            check_requests(server, before)
        before = stored(folder)
        run_to_end(forks, command)
        server.settle()
        check_requests(server, before)
        assert tree(folder) == undisturbed


def check_requests(server: S3Server, before: set[str]) -> None:
    """Assert that a run asked nothing twice, and nothing that runs before it had brought; forget its requests."""
    assert len(server.requests) == len(set(server.requests))
    assert not set(server.requests) & before
    server.requests.clear()


def test_interrupted_by_the_user_it_ends_at_once_and_goes_on_later(
    repository: Path, server: S3Server, tmp_path: Path, forks: multiprocessing.context.ForkServerContext
) -> None:
    small_plan(tmp_path)
    until = Event()
    server.faults["GET u0/2.dcm"] = [stalled(until)]  # of which the command would wait for 20 s to hear
    command = arguments(repository, tmp_path, server.url)
    process = forks.Process(target=main, args=(command,))
    try:
        is_started = Event()

        def interrupt(n_bytes_sent: int) -> None:
            if n_bytes_sent >= 200_000 and not is_started.is_set():
                is_started.set()
                os.kill(process.pid, signal.SIGINT)

        server.on_bytes = interrupt
        process.start()
        process.join(timeout=15)
        assert process.exitcode == 1
    finally:
        until.set()
        server.on_bytes = lambda n_bytes_sent: None
    server.settle()
    run_to_end(forks, command)
    assert read_table(tmp_path / "fetched.csv", FETCHED)["n_files"].tolist() == [N_FILES] * N_SERIES
