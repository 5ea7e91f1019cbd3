"""The folder a training leaves behind: its record first, all else at the end, nothing half finished."""

import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from radnet3d.atomic import resumable_directory, write_json
from radnet3d.runs import environment
from radnet3d.training.loop import choose_device

log = logging.getLogger(__name__)

STATE = "state.pt"
PACKAGES = ("torch", "numpy", "pandas")


@contextmanager
def training_directory(run_path: Path, out_dir: Path, *, n_threads: int) -> Iterator[Path]:
    """Yield a folder that becomes `out_dir` when the block ends, with `run_path` as run.json and environment.json.

    What an interrupted training of the same record left there is kept, so that it goes on; of another record: removed.
    """
    started = time.perf_counter()
    partial = out_dir.with_name(out_dir.name + ".partial")
    if partial.exists() and not is_of(partial, run_path):
        log.info("%s: left by a run with another record, removed", partial)
        shutil.rmtree(partial)
    with resumable_directory(out_dir) as folder:
        shutil.copy2(run_path, folder / "run.json")  # with its time: it did not change
        yield folder
        (folder / STATE).unlink(missing_ok=True)
        device, seconds = str(choose_device(n_threads)), time.perf_counter() - started
        found = environment(device=device, n_threads=n_threads, seconds=seconds, packages=PACKAGES)
        write_json(folder / "environment.json", found)


def is_of(folder: Path, run_path: Path) -> bool:
    """Return whether a folder was begun with the record at `run_path`."""
    record = folder / "run.json"
    return record.is_file() and record.read_bytes() == run_path.read_bytes()
