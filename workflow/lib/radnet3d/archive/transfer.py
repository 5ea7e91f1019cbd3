"""Fetching series over a network: attempts that give up late, what cannot be had as rows, nothing fetched twice.

A source says how one series is fetched (`fetch_one`); everything else is here. Series lie in the plan's store,
`<plan_dir>/store/<PatientID>/<SeriesInstanceUID>/`, each finished as a whole and marked with the address it came from, so that
another plan fetches only what is new; a shard's folder holds links to them.
"""

import logging
import os
import random
import re
import shutil
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from multiprocessing.pool import ThreadPool
from pathlib import Path
from threading import Lock
from typing import Protocol, TypeVar, cast

import pandas as pd
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from tqdm import tqdm

from radnet3d.archive.source import fetched_table, files_of, series_dir
from radnet3d.atomic import MARKER, is_temporary, resumable_directory, write_text
from radnet3d.errors import ArchiveError
from radnet3d.params import Transfer

log = logging.getLogger(__name__)
T = TypeVar("T")

TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP statuses after which the same request may well succeed."""
STATUS_REASONS = {400: "not_permitted", 401: "not_permitted", 403: "not_permitted", 404: "not_found", 410: "not_found"}
"""What other HTTP statuses mean for a series; those not named are the server's errors."""
PASSING = ("server_error", "connection_failed")
"""Reasons that a longer break may cure: their series are tried once more when all others are done."""
CHUNK_BYTES = 1 << 20
"""How much of a file is held in memory at once."""


class Row(Protocol):
    """One row of the plan, as `DataFrame.itertuples` gives it."""

    SeriesInstanceUID: str
    PatientID: str
    collection_id: str
    location: str
    n_instances: int
    n_bytes: int


CountBytes = Callable[[int], None]
"""Called with the bytes that came; with a negative number where some were thrown away."""
FetchOne = Callable[[Row, Path, CountBytes], None]
"""Fill a folder with the files of one series, or raise Unavailable. A file that is there already may be of anyone: it is kept only
if it is known to be right. Nothing but the series' files may be left in the folder."""


class Unavailable(ArchiveError):
    """A series cannot be had, and no further attempt is worth it. `reason`: a word of tables.FETCH_REASONS."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


class Unsettled(ArchiveError):
    """One attempt failed, another may not. `wait_s`: the pause the server asked for, None if it asked for none."""

    def __init__(self, reason: str, detail: str, wait_s: float | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail, self.wait_s = reason, detail, wait_s


def pause(seconds: float) -> None:
    """Wait between two attempts."""
    time.sleep(seconds)


def persistently(attempt: Callable[[], T], settings: Transfer) -> T:
    """Return what `attempt` returns, called again while it raises Unsettled, at most `n_attempts` times.

    The pause before attempt k + 1 is drawn from 0 to 2^(k-1) s, is never shorter than what the server asked for, and never longer
    than `wait_max_s`. Raises Unavailable with the last reason, or what `attempt` raises otherwise.
    Source: exponential backoff with full jitter, AWS Architecture Blog, 2015; Retry-After: RFC 9110 10.2.3.
    """

    def wait_s(state: RetryCallState) -> float:
        failure = state.outcome.exception() if state.outcome else None
        asked_s = failure.wait_s if isinstance(failure, Unsettled) else None
        backoff_s = random.uniform(0, 2 ** (state.attempt_number - 1))
        return min(max(asked_s or 0.0, backoff_s), settings.wait_max_s)

    retrying = Retrying(
        retry=retry_if_exception_type(Unsettled),
        stop=stop_after_attempt(settings.n_attempts),
        wait=wait_s,
        sleep=lambda seconds: pause(seconds),
        reraise=True,
    )
    try:
        return retrying(attempt)
    except Unsettled as last:
        raise Unavailable(last.reason, f"{last.detail} (at the last of {settings.n_attempts} attempts)") from last


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the pause that a response's Retry-After asks for, in seconds or until a date; None if it has none."""
    asked = next((value.strip() for name, value in headers.items() if name.lower() == "retry-after"), "")
    if asked.isdecimal():
        return float(asked)
    try:
        date = parsedate_to_datetime(asked)
    except ValueError:
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())


def excerpt(body: bytes) -> str:
    """Return the first words of a page, without its tags."""
    text = re.sub(r"<[^>]*>", " ", body[:2048].decode("utf-8", errors="replace"))
    words = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return repr(words[:120])


def fetch_rows(
    rows: pd.DataFrame, plan_dir: Path, out_dir: Path, fetch_one: FetchOne, settings: Transfer
) -> pd.DataFrame:
    """Fetch the series of `rows` (tables.PLAN) and return how it went (tables.FETCHED), one row a series in the same order.

    Series go to `plan_dir/store`, and those finished there stay; `out_dir/<PatientID>/<SeriesInstanceUID>` becomes a link to
    each. `n_connections` series are fetched at a time. One that cannot be had is a row with its reason, not an error.
    Raises ArchiveError before anything is fetched if the disk has no room for what is missing, OSError if it cannot be written.
    """
    store = plan_dir / "store"
    wanted = [cast(Row, row) for row in rows.itertuples(index=False)]
    missing = [row for row in wanted if not is_finished(folder_of(store, row), row)]
    check_disk(missing, store)
    failures: dict[str, Unavailable] = {}
    with progress(missing) as count_bytes, ThreadPool(settings.n_connections) as pool:
        # the pool's threads end with the command, so that Ctrl-C need not wait for them

        def fetch_those(waiting: Sequence[Row]) -> None:
            jobs = pool.imap_unordered(lambda row: (row, fetch_series(row, store, fetch_one, count_bytes)), waiting)
            for row, failure in jobs:
                failures.pop(row.SeriesInstanceUID, None)
                if failure:
                    failures[row.SeriesInstanceUID] = failure
                    log.warning("%s (%s): %s", row.location, row.SeriesInstanceUID, failure)

        fetch_those(missing)
        fetch_those([row for row in missing if is_passing(failures.get(row.SeriesInstanceUID))])
    link_series(wanted, store, out_dir, without=failures)
    return fetched_table(rows, out_dir, {name: (error.reason, error.detail) for name, error in failures.items()})


def fetch_series(row: Row, store: Path, fetch_one: FetchOne, count_bytes: CountBytes) -> Unavailable | None:
    """Fetch one series into the store, as a whole or not at all; return why it cannot be had, None if it is there."""
    folder = folder_of(store, row)
    n_counted = 0

    def count(n_bytes: int) -> None:
        nonlocal n_counted
        n_counted += n_bytes
        count_bytes(n_bytes)

    make_unfinished(folder)
    try:
        with resumable_directory(folder) as unfinished:
            prepare(unfinished, row)
            fetch_one(row, unfinished, count)
            n_files = len(files_of(unfinished))
            if n_files != row.n_instances:
                raise Unavailable(
                    "wrong_instance_count", f"{n_files} files came, wanted {row.n_instances} (the plan's)"
                )
            write_text(unfinished / MARKER, finished_mark(unfinished, row))
    except Unavailable as failure:
        count_bytes(-n_counted)
        return failure
    return None


def make_unfinished(folder: Path) -> None:
    """Make a folder that is not known to be finished the start of another attempt, unless there is one already."""
    partial = folder.with_name(folder.name + ".partial")
    if folder.is_dir() and not partial.exists():
        folder.rename(partial)


def prepare(unfinished: Path, row: Row) -> None:
    """Mark a folder with the address its files come from; take away those of another address and half-written ones."""
    marker = unfinished / MARKER
    is_other = marker.is_file() and marker.read_text(encoding="utf-8").split("\n")[0] != row.location
    for path in files_of(unfinished):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif is_other or is_temporary(path):
            path.unlink()
    write_text(marker, row.location)


def is_finished(folder: Path, row: Row) -> bool:
    """Return whether an earlier run put the whole series here, from the address the plan names now, and it is still there.

    That a folder exists says nothing: another program may have left it, somebody may have taken files out of it, or a power
    cut may have emptied files that were still on their way to the disk.
    """
    marker = folder / MARKER
    return (
        marker.is_file()
        and len(files_of(folder)) == row.n_instances
        and marker.read_text(encoding="utf-8") == finished_mark(folder, row)
    )


def finished_mark(folder: Path, row: Row) -> str:
    """Return what the marker of a finished series says: where its files come from, and how many bytes they are."""
    sizes = [path.stat().st_size for path in files_of(folder)]
    return f"{row.location}\n{len(sizes)} files, {sum(sizes)} bytes\n"


def is_passing(failure: Unavailable | None) -> bool:
    """Return whether a series failed for a reason that may be over when all others are done."""
    return failure is not None and failure.reason in PASSING


def folder_of(out_dir: Path, row: Row) -> Path:
    """Return the folder of a row of the plan."""
    return series_dir(out_dir, row.PatientID, row.SeriesInstanceUID)


def check_disk(missing: Sequence[Row], store: Path) -> None:
    """Raise ArchiveError unless the disk has room for what is still to come."""
    store.mkdir(parents=True, exist_ok=True)
    partials = [folder.with_name(folder.name + ".partial") for folder in (folder_of(store, row) for row in missing)]
    there = sum(path.stat().st_size for partial in partials if partial.is_dir() for path in files_of(partial))
    needed = sum(row.n_bytes for row in missing) - there
    free = shutil.disk_usage(store).free
    if needed > free:
        raise ArchiveError(
            f"{store}: {free / 1e9:.3g} GB free, wanted {needed / 1e9:.3g} GB for the {len(missing)} series still to fetch"
        )


@contextmanager
def progress(missing: Sequence[Row]) -> Iterator[CountBytes]:
    """Show bytes, rate and time left of these series; yield what threads call with the bytes that came."""
    lock = Lock()
    seconds = 0.5 if sys.stderr.isatty() else 30.0  # a log file needs fewer lines than a terminal
    total = sum(row.n_bytes for row in missing)
    with tqdm(total=total, desc="fetched", unit="B", unit_scale=True, mininterval=seconds, maxinterval=seconds) as bar:

        def count_bytes(n_bytes: int) -> None:
            with lock:
                bar.update(n_bytes)

        yield count_bytes


def link_series(wanted: Sequence[Row], store: Path, out_dir: Path, *, without: Collection[str]) -> None:
    """Make `out_dir` hold a relative link to each of these series in the store, but not to those named in `without`."""
    for row in wanted:
        folder, link = folder_of(store, row), folder_of(out_dir, row)
        if link.is_dir() and not link.is_symlink():
            shutil.rmtree(link)
        link.unlink(missing_ok=True)
        if row.SeriesInstanceUID not in without:
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(os.path.relpath(folder.resolve(), link.parent.resolve()))


def check_fraction(fetched: pd.DataFrame, settings: Transfer, *, name: str) -> None:
    """Raise ArchiveError if fewer series than the plan's threshold arrived; `name` is where their table lies.

    `fetched`: tables.FETCHED.
    """
    failed = fetched[fetched["reason"] != ""]
    if len(fetched) - len(failed) >= settings.min_fraction_fetched * len(fetched):
        return
    first = failed.iloc[0]
    reasons = ", ".join(f"{n} {reason}" for reason, n in failed["reason"].value_counts().items())
    raise ArchiveError(
        f"{name}: {len(failed)} of {len(fetched)} series could not be fetched ({reasons}), wanted at least "
        f"{settings.min_fraction_fetched:.0%} of them; the first is {first['SeriesInstanceUID']}: {first['detail']}. "
        "What was fetched is kept: another run tries the others again"
    )
