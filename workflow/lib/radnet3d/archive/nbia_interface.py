"""NBIA's REST interface, version 4: what is asked, what comes back, and what each kind of failure means.

What the server does is taken from its own source (github.com/CBIIT/NBIA-TCIA, software/nbia-api, package restAPI.v4):
- Queries answer with a JSON array of objects that lack the keys without a value. "Nothing found" and "the query failed" are
  both status 200 with an empty body; so ask only what cannot be empty, and an empty answer is a failure.
- getImageWithMD5Hash streams a flat zip, 00000001.dcm and so on, with md5hashes.csv (Filename,MD5Hash) last. An error on the
  way closes the zip properly: it then lacks md5hashes.csv and some of the images, and looks whole otherwise.
- A series that is not public is status 400 with a sentence, as is a parameter the server does not know.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from radnet3d import __version__
from radnet3d.archive.transfer import (
    STATUS_REASONS,
    TRANSIENT_STATUSES,
    CountBytes,
    Unavailable,
    Unsettled,
    excerpt,
    persistently,
    retry_after_s,
)
from radnet3d.archive.zips import CHUNK_BYTES
from radnet3d.errors import ArchiveError
from radnet3d.params import Transfer

HASHES = "md5hashes.csv"
"""The last entry of a series' zip: the MD5 of each of the others."""
HASHES_BYTES_A_FILE = 512
"""What one line of that list may take; a longer list is not read to its end."""
QUERY_PATIENCE = 10
"""A query is answered when all of it is found: without a byte it may take this many times as long as a download."""

Found = dict[str, Any]
"""One object of an answer."""


class Contradiction(Unsettled):
    """A zip came whole, but not with what it says it holds: worth a second look, and no third if that finds the same."""


class NbiaInterface:
    """One server that speaks NBIA version 4."""

    def __init__(self, url: str, settings: Transfer) -> None:
        self.url, self.settings = url.rstrip("/"), settings

    def query(self, endpoint: str, **parameters: str) -> list[Found]:
        """Return the objects that `endpoint` finds, at least one. Raises ArchiveError if it gives none in all attempts."""

        def attempt() -> list[Found]:
            timeout_s = QUERY_PATIENCE * self.settings.timeout_s
            with self.response(endpoint, {**parameters, "format": "json"}, timeout_s) as response:
                return found_in(response)

        try:
            return persistently(attempt, self.settings)
        except Unavailable as error:
            asked = ", ".join(f"{name} {value}" for name, value in parameters.items())
            raise ArchiveError(f"{self.url}/{endpoint}{f' ({asked})' if asked else ''}: {error}") from error

    def download(self, series_instance_uid: str, path: Path, *, n_bytes_max: int, count_bytes: CountBytes) -> None:
        """Write what the server sends as the zip of one series to `path`, piece by piece.

        Raises Unavailable or Unsettled if it sends none, or one larger than `n_bytes_max`.
        """
        parameters, n_bytes = {"SeriesInstanceUID": series_instance_uid}, 0
        with (
            self.response("getImageWithMD5Hash", parameters, self.settings.timeout_s) as response,
            path.open("wb") as file,
        ):
            for chunk in response.iter_content(CHUNK_BYTES):
                n_bytes += len(chunk)
                if n_bytes > n_bytes_max:
                    raise Unavailable(
                        "unsafe_archive", f"more than {n_bytes_max} bytes come, the plan has too few for that"
                    )
                file.write(chunk)
                count_bytes(len(chunk))
        with path.open("rb") as file:
            head = file.read(512)
        if not head:
            raise Unsettled("not_an_archive", "an empty answer, wanted a zip archive")
        if not head.startswith(b"PK"):
            raise Unsettled("not_an_archive", f"{kind_of(response)}, wanted a zip archive: {excerpt(head)}")

    @contextmanager
    def response(self, endpoint: str, parameters: dict[str, str], timeout_s: float) -> Iterator[requests.Response]:
        """Yield the answer to one request, its body not yet read. Raises Unsettled or Unavailable for what is no answer."""
        headers = {"User-Agent": f"radnet3d/{__version__}", "Accept-Encoding": "identity"}
        try:
            with requests.get(
                f"{self.url}/{endpoint}", params=parameters, headers=headers, stream=True, timeout=timeout_s
            ) as response:
                check_status(response)
                yield response
        except requests.RequestException as error:
            if isinstance(error, ValueError):
                raise ArchiveError(f"{self.url}: not the address of a server: {error}") from error
            cause = innermost(error)
            timed_out = isinstance(error, requests.Timeout) or isinstance(cause, TimeoutError)
            what = f"no byte came for {timeout_s:g} s" if timed_out else f"the connection failed: {cause}"
            raise Unsettled("connection_failed", what) from error


def innermost(error: BaseException) -> BaseException:
    """Return the error that this one was raised from, through all layers of the network libraries."""
    inner = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return innermost(inner) if inner else error


def check_status(response: requests.Response) -> None:
    """Raise Unsettled for a status after which the same request may succeed, Unavailable for any other than 200."""
    if response.status_code == 200:
        return
    text = excerpt(next(response.iter_content(4096), b""))
    detail = f"HTTP {response.status_code} ({kind_of(response)}): {text}"
    if response.status_code in TRANSIENT_STATUSES:
        raise Unsettled("server_error", detail, retry_after_s(response.headers))
    raise Unavailable(STATUS_REASONS.get(response.status_code, "server_error"), detail)


def found_in(response: requests.Response) -> list[Found]:
    """Return the objects of a JSON answer. Raises Unsettled if it is empty or something else."""
    body = response.content
    if not body.strip():
        raise Unsettled("server_error", "an empty answer, which is what a failed query gives too")
    try:
        found = json.loads(body)
    except ValueError as error:
        raise Unsettled("server_error", f"{kind_of(response)}, wanted JSON: {excerpt(body)}") from error
    # a single object may come without its array (github.com/TCIA/data-retriever, core/app/download.go)
    objects = [found] if isinstance(found, dict) else found
    if not isinstance(objects, list) or not objects or not all(isinstance(item, dict) for item in objects):
        raise Unsettled("server_error", f"JSON without objects: {excerpt(body)}")
    return objects


def kind_of(response: requests.Response) -> str:
    """Return what a response calls its content."""
    return response.headers.get("Content-Type", "no content type").partition(";")[0]


def read_hashes(path: Path, *, n_files_max: int) -> dict[str, str]:
    """Return the MD5 of each file by its name, from a series' md5hashes.csv. Raises Contradiction if it is no such list."""
    with path.open("rb") as file:
        text = file.read(HASHES_BYTES_A_FILE * (n_files_max + 1)).decode("utf-8", errors="replace")
    rows = [line.split(",") for line in text.splitlines() if line]
    if not rows or rows[0] != ["Filename", "MD5Hash"] or any(len(row) != 2 for row in rows):
        raise Contradiction("wrong_hash", f"{HASHES} is no list of Filename,MD5Hash: {text[:60]!r}")
    return {name: digest.strip().lower() for name, digest in rows[1:]}
