"""Reading series from public S3 buckets: no account, every file compared with the hash that the bucket lists.

Two requests of the S3 interface are enough, ListObjectsV2 and GetObject; a third, HeadObject of a part, finds the size of the
parts of what was uploaded in several. Source: Amazon S3 API Reference.
"""

import hashlib
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass
from xml.etree import ElementTree

import urllib3
from urllib3.exceptions import HTTPError, ReadTimeoutError

from radnet3d import __version__
from radnet3d.archive.source import files_of
from radnet3d.archive.transfer import (
    CHUNK_BYTES,
    STATUS_REASONS,
    TRANSIENT_STATUSES,
    CountBytes,
    Row,
    Unavailable,
    Unsettled,
    excerpt,
    persistently,
    retry_after_s,
)
from radnet3d.atomic import replacing
from radnet3d.errors import ArchiveError
from radnet3d.params import Transfer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class S3Object:
    """One file as a bucket lists it."""

    bucket: str
    key: str
    n_bytes: int
    etag: str  # MD5; of an upload in n parts the MD5 of their MD5s, and `-n`

    @property
    def name(self) -> str:
        """Return the last part of its key."""
        return self.key.rpartition("/")[2]

    @property
    def n_parts(self) -> int:
        """Return in how many parts it was uploaded; 0 if in one piece."""
        return int(self.etag.rpartition("-")[2]) if "-" in self.etag else 0

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


class S3:
    """One S3 server, read with at most `n_connections` connections. A context: its threads and connections end with it."""

    def __init__(self, endpoint_url: str, settings: Transfer) -> None:
        self.endpoint_url, self.settings = endpoint_url.rstrip("/"), settings
        self.connections = open_connections(self.endpoint_url, settings)
        self.pool = ThreadPool(settings.n_connections)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.pool.terminate()
        self.connections.clear()

    def fetch_series(self, row: Row, folder: Path, count_bytes: CountBytes) -> None:
        """Fill `folder` with the files below the row's location. A file that is there is kept if its MD5 is the listed one.

        Raises Unavailable if there are none, their number is not the planned one, or one of them cannot be had.
        """
        bucket, _, prefix = row.location.removeprefix("s3://").partition("/")
        objects = persistently(lambda: self.list_objects(bucket, f"{prefix}/"), self.settings)
        if not objects:
            raise Unavailable("not_found", f"{row.location}: nothing is listed there")
        if len(objects) != row.n_instances:
            raise Unavailable(
                "wrong_instance_count",
                f"{row.location} lists {len(objects)} files, wanted {row.n_instances} (the plan's)",
            )
        names = {found.name for found in objects}
        for path in files_of(folder):
            if path.name not in names:
                path.unlink()
        failures: list[Unavailable] = []

        def fetch_file(found: S3Object) -> None:
            try:
                if not failures:
                    self.fetch_object(found, folder / found.name, count_bytes)
            except Unavailable as failure:
                failures.append(failure)

        self.pool.map(fetch_file, objects, chunksize=1)
        if failures:
            raise failures[0]

    def fetch_object(self, found: S3Object, path: Path, count_bytes: CountBytes) -> None:
        """Write one object to `path` as a whole, unless it is there. Raises Unavailable."""
        part_bytes = persistently(lambda: self.part_size(found), self.settings) if found.n_parts else None
        if is_there(found, path, part_bytes):
            count_bytes(found.n_bytes)
        else:
            persistently(lambda: self.download(found, path, part_bytes, count_bytes), self.settings)

    def list_objects(self, bucket: str, prefix: str) -> list[S3Object]:
        """Return the objects whose key is `prefix` and a name. Raises Unsettled or Unavailable."""
        objects: list[S3Object] = []
        token = ""
        while True:
            query = {"list-type": "2", "prefix": prefix, "delimiter": "/"}
            with self.response("GET", bucket, "", query | ({"continuation-token": token} if token else {})) as response:
                page = parse_listing(response)
            objects += [listed_object(bucket, entry) for entry in page.iterfind("{*}Contents")]
            token = page.findtext("{*}NextContinuationToken", "")
            if not token:
                return [found for found in objects if found.name]  # without the empty object that stands for a folder

    def part_size(self, found: S3Object) -> int | None:
        """Return the bytes of each part but the last of an upload in parts; None if the server does not say."""
        with self.response("HEAD", found.bucket, found.key, {"partNumber": "1"}) as response:
            is_told = response.headers.get("x-amz-mp-parts-count") == str(found.n_parts)
            return int(response.headers["Content-Length"]) if is_told else None

    def download(self, found: S3Object, path: Path, part_bytes: int | None, count_bytes: CountBytes) -> None:
        """Write one object to `path`, hashed while it comes. Raises Unsettled if what comes is not what is listed."""
        n_bytes = 0
        hashing = Etag(part_bytes)
        with replacing(path, survives_power_cut=False) as temporary:
            try:
                with (
                    self.response("GET", found.bucket, found.key) as response,
                    temporary.open("wb", buffering=0) as file,
                ):
                    for chunk in response.stream(CHUNK_BYTES, decode_content=False):
                        hashing.update(chunk)
                        file.write(chunk)
                        n_bytes += len(chunk)
                        count_bytes(len(chunk))
                check_content(found, n_bytes, hashing, response)
            except Unsettled:
                count_bytes(-n_bytes)
                raise

    @contextmanager
    def response(
        self, method: str, bucket: str, key: str, query: Mapping[str, str] | None = None
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """Yield the answer to one request, its body not yet read. Raises Unsettled or Unavailable for what is no answer."""
        url = f"{self.endpoint_url}/{bucket}/{quote(key)}" + (f"?{urlencode(query)}" if query else "")
        try:
            response = self.connections.request(
                method, url, preload_content=False, redirect=False, retries=False, decode_content=False
            )
            try:
                check_status(response, f"s3://{bucket}/{key}" if key else f"the list of s3://{bucket}")
                yield response
            finally:
                response.close()  # what was not read to its end
                response.release_conn()
        except ReadTimeoutError as error:
            raise Unsettled("connection_failed", f"{url}: no byte came for {self.settings.timeout_s:g} s") from error
        except HTTPError as error:
            raise Unsettled("connection_failed", f"{url}: the connection failed: {words_of(error)}") from error


class Etag:
    """What S3 makes of a file's bytes: their MD5, or of an upload in parts the MD5 of the parts' MD5s and their number.

    `part_bytes`: of each part but the last; None: one piece. Source: Amazon S3 User Guide, Checking object integrity.
    """

    def __init__(self, part_bytes: int | None) -> None:
        self.part_bytes, self.n_bytes, self.digests = part_bytes, 0, b""
        self.md5 = hashlib.md5(usedforsecurity=False)

    def update(self, chunk: bytes) -> None:
        """Take the next bytes."""
        while self.part_bytes and self.n_bytes + len(chunk) > self.part_bytes:
            rest = self.part_bytes - self.n_bytes
            self.md5.update(chunk[:rest])
            self.digests += self.md5.digest()
            self.md5, self.n_bytes, chunk = hashlib.md5(usedforsecurity=False), 0, chunk[rest:]
        self.md5.update(chunk)
        self.n_bytes += len(chunk)

    def __str__(self) -> str:
        if not self.part_bytes:
            return self.md5.hexdigest()
        digests = self.digests + self.md5.digest()
        return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(digests) // 16}"


def open_connections(url: str, settings: Transfer) -> urllib3.PoolManager:
    """Return connections that are kept open, through the proxy that the environment names if it names one.

    Raises ArchiveError if `url` is no address.
    """
    address = urlsplit(url)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise ArchiveError(f"archive.idc.endpoint_url: found {url!r}, wanted the address of a server: https://...")
    proxy = None if proxy_bypass(address.hostname) else getproxies().get(address.scheme)
    make = partial(urllib3.ProxyManager, proxy) if proxy else urllib3.PoolManager
    return make(
        maxsize=settings.n_connections,
        block=True,
        timeout=urllib3.Timeout(connect=settings.timeout_s, read=settings.timeout_s),
        headers={"User-Agent": f"radnet3d/{__version__}"},
    )


def words_of(error: HTTPError) -> str:
    """Return what the system said of a failed connection, without what the library puts around it."""
    inner = [part for part in (error.__cause__, *error.args) if isinstance(part, Exception)]
    return str(inner[0] if inner else error)


def check_status(response: urllib3.BaseHTTPResponse, what: str) -> None:
    """Raise Unsettled for a status after which the same request may succeed, Unavailable for any other than 200 and 206."""
    if response.status in (200, 206):
        return
    detail = f"{what}: HTTP {response.status} ({kind_of(response)}): {excerpt(response.read(4096))}"
    if response.status in TRANSIENT_STATUSES:
        raise Unsettled("server_error", detail, retry_after_s(response.headers))
    raise Unavailable(STATUS_REASONS.get(response.status, "server_error"), detail)


def parse_listing(response: urllib3.BaseHTTPResponse) -> ElementTree.Element:
    """Return the root of a ListBucketResult. Raises Unsettled if the answer is something else."""
    body = response.read()
    try:
        page = ElementTree.fromstring(body)
    except ElementTree.ParseError:
        page = None
    if page is None or page.tag.rpartition("}")[2] != "ListBucketResult":
        raise Unsettled("server_error", f"{kind_of(response)}, wanted a list of files in XML: {excerpt(body)}")
    return page


def listed_object(bucket: str, entry: ElementTree.Element) -> S3Object:
    """Return one entry of a listing. Raises Unavailable if its name cannot be the name of a file here."""
    found = S3Object(
        bucket=bucket,
        key=entry.findtext("{*}Key", ""),
        n_bytes=int(entry.findtext("{*}Size", "-1")),
        etag=entry.findtext("{*}ETag", "").strip('"').lower(),
    )
    if found.name.startswith(".") or not found.name.isprintable() or "\\" in found.name:
        raise Unavailable("unsafe_archive", f"{found}: no name for a file here")
    return found


def is_there(found: S3Object, path: Path, part_bytes: int | None) -> bool:
    """Return whether `path` is the object as listed; without a hash to compare it is not."""
    if not path.is_file() or path.stat().st_size != found.n_bytes:
        return False
    hashing = Etag(part_bytes)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            hashing.update(chunk)
    return str(hashing) == found.etag


def check_content(found: S3Object, n_bytes: int, hashing: Etag, response: urllib3.BaseHTTPResponse) -> None:
    """Raise Unsettled if what came differs from what is listed; of an upload in unknown parts only the size can be compared."""
    came = f"{found}: {n_bytes} bytes of {kind_of(response)} came"
    if n_bytes != found.n_bytes:
        raise Unsettled("wrong_size", f"{came}, {found.n_bytes} are listed")
    if found.n_parts and hashing.part_bytes is None:
        log.warning(
            "%s: uploaded in %d parts of unknown size: only its size is known to be right", found, found.n_parts
        )
    elif str(hashing) != found.etag:
        raise Unsettled("wrong_hash", f"{came} with ETag {hashing}, {found.etag} is listed")


def kind_of(response: urllib3.BaseHTTPResponse) -> str:
    """Return what a response calls its content."""
    return str(response.headers.get("Content-Type", "no content type")).partition(";")[0]
