"""Snakemake's lock after a kill: whose is it, and is that process still there?

Snakemake locks the folder it works in and cannot tell a lock in use from one left behind by SIGKILL or a power cut:
it then asks the user to unlock. Here a run notes its process beside the lock, so that the next one can tell.
"""

import json
import shutil
import socket
from pathlib import Path

import psutil

LOCKS = Path(".snakemake/locks")
HOLDER = Path(".snakemake/lock_holder.json")


def claim() -> None:
    """Note that this process holds the lock."""
    process = psutil.Process()
    HOLDER.write_text(json.dumps({"host": socket.gethostname(), "pid": process.pid, "start": process.create_time()}))


def release_if_stale() -> None:
    """Remove the lock if the process that held it ran on this machine and is gone; leave any other alone."""
    if not HOLDER.is_file() or not LOCKS.is_dir() or not any(LOCKS.iterdir()):
        return
    holder = json.loads(HOLDER.read_text())
    if holder["host"] != socket.gethostname() or is_alive(holder["pid"], holder["start"]):
        return
    HOLDER.unlink()
    shutil.rmtree(LOCKS, ignore_errors=True)
    LOCKS.mkdir()


def is_alive(pid: int, start: float) -> bool:
    """Return whether the process that began at `start` (seconds since the epoch) still runs under `pid`."""
    try:
        return abs(psutil.Process(pid).create_time() - start) < 1
    except psutil.NoSuchProcess:
        return False
