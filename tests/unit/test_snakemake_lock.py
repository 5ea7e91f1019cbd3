"""Snakemake's lock is removed if the run that held it is gone, and only then."""

import json
import socket
from pathlib import Path

import psutil
import pytest

import snakemake_lock


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / ".snakemake/locks/0.output.lock"
    path.parent.mkdir(parents=True)
    path.write_text("results/raw/plan.parquet\n")
    return path


def held_by(host: str, pid: int, start: float) -> None:
    snakemake_lock.HOLDER.write_text(json.dumps({"host": host, "pid": pid, "start": start}))


def test_lock_of_a_living_run_stays(lock: Path) -> None:
    snakemake_lock.claim()
    snakemake_lock.release_if_stale()
    assert lock.exists()


def test_lock_of_a_dead_run_goes(lock: Path) -> None:
    held_by(socket.gethostname(), 2**22 + 1, 0.0)
    snakemake_lock.release_if_stale()
    assert not lock.exists()
    assert lock.parent.is_dir()


def test_lock_goes_if_its_process_number_is_another_process_now(lock: Path) -> None:
    me = psutil.Process()
    held_by(socket.gethostname(), me.pid, me.create_time() - 1000)
    snakemake_lock.release_if_stale()
    assert not lock.exists()


def test_lock_of_another_machine_or_of_nobody_known_stays(lock: Path) -> None:
    snakemake_lock.release_if_stale()
    assert lock.exists()
    held_by("another-machine", 2**22 + 1, 0.0)
    snakemake_lock.release_if_stale()
    assert lock.exists()
