"""A run killed at any moment is finished by the next one, without a hand, with the same results."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.tiny_run import environment, make_folder, snakemake

pytestmark = pytest.mark.slow

MOMENTS_S = sorted(random.Random(20261122).uniform(5, 45) for _ in range(2))


def test_killed_run_is_finished_by_the_next(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "project")
    command = [str(Path(sys.executable).parent / "snakemake"), "--cores", "2", "--no-hooks", "transfer"]
    for moment_s in MOMENTS_S:
        running = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(),
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(moment_s)
        os.killpg(running.pid, signal.SIGKILL)
        assert running.wait() != 1, "the run failed before it was killed"
    snakemake(folder, "--no-hooks", "transfer")
    assert (folder / "results/transfer/metrics.json").is_file()
    assert "Nothing to be done" in snakemake(folder, "transfer")


def test_lock_of_a_running_run_is_respected(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "project")
    (folder / ".snakemake/locks").mkdir(parents=True)
    (folder / ".snakemake/locks/0.output.lock").write_text("results/raw/plan.parquet\n")
    holder = folder / ".snakemake/lock_holder.json"
    import json
    import socket

    import psutil

    alive = psutil.Process()
    holder.write_text(json.dumps({"host": socket.gethostname(), "pid": alive.pid, "start": alive.create_time()}))
    check = "import sys; sys.path.insert(0, 'workflow/lib'); import snakemake_lock; snakemake_lock.release_if_stale()"
    for start, kept in ((alive.create_time(), True), (alive.create_time() - 1000, False)):
        holder.write_text(json.dumps({"host": socket.gethostname(), "pid": alive.pid, "start": start}))
        subprocess.run([sys.executable, "-c", check], cwd=folder, check=True)
        assert any((folder / ".snakemake/locks").iterdir()) is kept
