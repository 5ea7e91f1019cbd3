"""The folder a training leaves behind: its record first, all else at the end, nothing half finished."""

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from radnet3d.atomic import check_replaceable, resumable_directory, write_json
from radnet3d.runs import environment
from radnet3d.training.loop import choose_device

log = logging.getLogger(__name__)

STATE = "state.pt"
FINGERPRINT = "inputs.json"
NAMES = (
    "run.json", "environment.json", "checkpoint.pt", "history.csv", "predictions.parquet", "cases.csv", "metrics.json",
    "heads.csv", STATE,
)  # fmt: skip
"""What may lie in the folder of a training: of its record and its rules, so it may be replaced."""
N_BYTES_HASHED_MAX = 64 * 1024 * 1024
PACKAGES = ("torch", "numpy", "pandas")


@contextmanager
def training_directory(run_path: Path, out_dir: Path, *, n_threads: int) -> Iterator[Path]:
    """Yield a folder that becomes `out_dir` when the block ends, with `run_path` as run.json and environment.json.

    What an interrupted training of the same record and inputs left there is kept, so that it goes on; else: removed.
    Raises OutputError if `out_dir` holds anything but files of trainings, or an input of this one.
    """
    started = time.perf_counter()
    inputs = input_paths(run_path)
    check_replaceable(out_dir, inputs=inputs, names=NAMES)
    out_dir, found_inputs = out_dir.resolve(), fingerprint(inputs)
    partial = out_dir.with_name(out_dir.name + ".partial")
    if partial.exists() and not is_of(partial, run_path, found_inputs):
        log.info("%s: left by a run with another record or other inputs, removed", partial)
        shutil.rmtree(partial)
    with resumable_directory(out_dir) as folder:
        is_resumed = (folder / STATE).exists()
        shutil.copy2(run_path, folder / "run.json")  # with its time: it did not change
        write_json(folder / FINGERPRINT, found_inputs)
        yield folder
        for name in (STATE, FINGERPRINT):
            (folder / name).unlink(missing_ok=True)
        device, seconds = str(choose_device(n_threads)), time.perf_counter() - started
        found = environment(
            device=device, n_threads=n_threads, seconds=seconds, is_resumed=is_resumed, packages=PACKAGES
        )
        write_json(folder / "environment.json", found)


def is_of(folder: Path, run_path: Path, inputs: dict[str, Any]) -> bool:
    """Return whether a folder was begun with the record at `run_path` and inputs of this fingerprint."""
    record, known = folder / "run.json", folder / FINGERPRINT
    if not (record.is_file() and known.is_file()):
        return False
    return record.read_bytes() == run_path.read_bytes() and json.loads(known.read_text(encoding="utf-8")) == inputs


def input_paths(run_path: Path) -> list[Path]:
    """Return the paths among the inputs of the record at `run_path`."""
    values = json.loads(run_path.read_text(encoding="utf-8"))["inputs"].values()
    return [Path(path) for value in values for path in (value if isinstance(value, list) else [value]) if path]


def fingerprint(paths: list[Path]) -> dict[str, Any]:
    """Return what tells that inputs changed: digests of files, sizes and times of large ones and of arrays beside."""
    found: dict[str, Any] = {}
    for path in paths:
        is_small = path.is_file() and path.stat().st_size <= N_BYTES_HASHED_MAX
        found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest() if is_small else stamp([path])
        found[str(path.parent / "*.npy")] = stamp(sorted(path.parent.glob("*.npy")))
    return found


def stamp(paths: list[Path]) -> list[int]:
    """Return the number of those that exist, their bytes and the latest time any of them was written."""
    states = [path.stat() for path in paths if path.exists()]
    latest_ns = max((state.st_mtime_ns for state in states), default=0)
    return [len(states), sum(state.st_size for state in states), latest_ns]
