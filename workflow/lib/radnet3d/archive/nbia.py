"""The source `nbia`: series of The Cancer Imaging Archive (TCIA), fetched over its own interface (`nbia_catalogue` chooses them).

No account is needed for what is public (github.com/kirbyju/tcia_utils, MIGRATION.md). The collection NLST has a host of its own.
"""

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
from pydicom import dcmread

from radnet3d.archive.nbia_interface import HASHES, Contradiction, NbiaInterface, read_hashes
from radnet3d.archive.source import files_of
from radnet3d.archive.transfer import CountBytes, Row, Unavailable, fetch_rows, persistently
from radnet3d.archive.zips import unpack
from radnet3d.errors import ArchiveError
from radnet3d.params import Archive

LOG = logging.getLogger(__name__)

ZIP = "series.zip"
"""The download in a series' unfinished folder; gone when it is unpacked."""
# ASSUME: archives of TCIA may hold the text of the licence under this name, which md5hashes.csv does not list
SIDE_FILES = ("LICENSE",)
"""Entries of a zip that are no images; they are not kept."""


class NbiaSource:
    """Series of The Cancer Imaging Archive."""

    def __init__(self, settings: Archive) -> None:
        self.transfer = settings.transfer
        self.interfaces = {
            key: NbiaInterface(url, settings.transfer) for key, url in settings.nbia.model_dump().items()
        }

    def fetch(self, rows: pd.DataFrame, plan_dir: Path, out_dir: Path, threads: int) -> pd.DataFrame:
        """Fetch each series as a whole or not at all; `threads` waits for no network: `n_connections` of them do."""
        for location in rows["location"]:
            if address(location)[0] not in self.interfaces:
                raise ArchiveError(f"{location}: not an address of the source nbia; plan the archive again")
        return fetch_rows(rows, plan_dir, out_dir, self.fetch_one, self.transfer)

    def fetch_one(self, row: Row, folder: Path, count_bytes: CountBytes) -> None:
        """Put the files of one series into `folder`, every one of them checked. Raises Unavailable."""
        seen: set[str] = set()

        def attempt() -> None:
            empty(folder)
            try:
                with taken_back(count_bytes) as count:
                    self.fetch_whole(row, folder, count)
            except Contradiction as found:
                if str(found) in seen:
                    raise Unavailable(found.reason, f"{found.detail} (the same at a second attempt)") from found
                seen.add(str(found))
                raise

        try:
            persistently(attempt, self.transfer)
        except Unavailable:
            empty(folder)
            raise

    def fetch_whole(self, row: Row, folder: Path, count_bytes: CountBytes) -> None:
        """Download, unpack and check one series in an empty folder. Raises Unsettled or Unavailable."""
        key, series = address(row.location)
        path, n_bytes_max = folder / ZIP, largest(row)
        self.interfaces[key].download(series, path, n_bytes_max=n_bytes_max, count_bytes=count_bytes)
        n_files_max = 2 * row.n_instances + 16
        digests = unpack(path, folder, n_files_max=n_files_max, n_bytes_max=n_bytes_max)
        count_bytes(row.n_bytes - path.stat().st_size)
        path.unlink()
        for name in digests.keys() & set(SIDE_FILES):
            del digests[name]
            (folder / name).unlink()
        if HASHES not in digests:
            raise Contradiction(
                "server_error", f"{len(digests)} files came and no {HASHES}: the server failed on the way"
            )
        check_hashes(digests, read_hashes(folder / HASHES, n_files_max=n_files_max))
        (folder / HASHES).unlink()
        check_instances(folder, row)


def address(location: str) -> tuple[str, str]:
    """Return the key of the server and the series that a location of the plan names; the key is "" if it names none."""
    source, _, rest = location.partition(":")
    key, _, series = rest.partition("/")
    return (key if source == "nbia" else ""), series


def empty(folder: Path) -> None:
    """Remove what an earlier attempt left: a zip cannot be taken up where it broke off."""
    for path in files_of(folder):
        path.unlink()


@contextmanager
def taken_back(count_bytes: CountBytes) -> Iterator[CountBytes]:
    """Yield what counts bytes on; if the block fails, they are taken back."""
    counted = 0

    def count(n_bytes: int) -> None:
        nonlocal counted
        counted += n_bytes
        count_bytes(n_bytes)

    try:
        yield count
    except ArchiveError:
        count_bytes(-counted)
        raise


def largest(row: Row) -> int:
    """Return how many bytes a series may have, packed or unpacked, before it is taken for an attack."""
    # ASSUME: FileSize of getSeries is what the files sum up to; a tenth and 1 MiB more are let through
    return row.n_bytes + row.n_bytes // 10 + (1 << 20)


def check_hashes(digests: dict[str, str], listed: dict[str, str]) -> None:
    """Raise Contradiction unless the files of a zip are those of its list, each with its MD5. `digests`: with the list's own."""
    found = {name: digest for name, digest in digests.items() if name != HASHES}
    if missing := sorted(listed.keys() - found.keys()):
        raise Contradiction(
            "wrong_instance_count",
            f"{HASHES} lists {len(listed)} files, {len(missing)} of them did not come: {missing[0]}",
        )
    if unlisted := sorted(found.keys() - listed.keys()):
        raise Contradiction(
            "wrong_hash", f"{HASHES} does not list {len(unlisted)} of {len(found)} files: {unlisted[0]}"
        )
    if wrong := sorted(name for name, digest in found.items() if digest != listed[name]):
        raise Contradiction(
            "wrong_hash",
            f"{len(wrong)} of {len(found)} files have another MD5 than {HASHES} says: "
            f"{wrong[0]} has {found[wrong[0]]}, wanted {listed[wrong[0]]}",
        )


def check_instances(folder: Path, row: Row) -> None:
    """Raise Unavailable unless the files of a folder are the planned number of different instances of the planned series."""
    instances: Counter[str] = Counter()
    others: list[str] = []
    for path in files_of(folder):
        try:
            header = dcmread(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID", "SeriesInstanceUID"])
            series, instance = (str(header.get(name, "")) for name in ("SeriesInstanceUID", "SOPInstanceUID"))
        except Exception as error:  # whatever a broken file makes pydicom raise, it is no instance
            others.append(f"{path.name} is no DICOM ({type(error).__name__})")
            continue
        if series == row.SeriesInstanceUID:
            instances[instance] += 1
        else:
            others.append(f"{path.name} belongs to series {series}")
    name, n_times = max(instances.items(), key=lambda item: item[1], default=("", 0))
    if n_times > 1:
        raise Unavailable(
            "duplicate_instance",
            f"{instances.total()} files are {len(instances)} instances: {name} comes {n_times} times",
        )
    if len(instances) != row.n_instances or others:
        also = f"; not counted, the first of {len(others)}: {others[0]}" if others else ""
        raise Unavailable(
            "wrong_instance_count",
            f"{len(instances)} instances of the series came, wanted {row.n_instances} (the plan's){also}",
        )
