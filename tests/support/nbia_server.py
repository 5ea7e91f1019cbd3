"""A server on loopback that speaks the part of NBIA version 4 that is used, over real DICOM files, and misbehaves when told to.

What it sends is what the server's own source sends (github.com/CBIIT/NBIA-TCIA, software/nbia-api, package restAPI.v4): JSON
without the keys that have no value, an empty body where nothing is found, zips streamed in chunks with md5hashes.csv last.
"""

import hashlib
import io
import json
import socket
import struct
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, repeat
from pathlib import Path
from stat import S_IFLNK
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from pydicom import dcmread

PATH = "/nbia-api/services/v4/"
PARAMETERS = {
    "getCollectionValues": {"format"},
    "getModalityValues": {"Collection", "BodyPartExamined", "format"},
    "getSeries": {"Collection", "PatientID", "StudyInstanceUID", "Modality", "SeriesInstanceUID", "format"},
    "getSeriesSize": {"SeriesInstanceUID", "format"},
    "getImageWithMD5Hash": {"SeriesInstanceUID"},
}
ERROR_PAGE = (
    b"<!doctype html><html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
)
Entries = list[tuple[ZipInfo | str, bytes]]
"""What a zip holds, in order."""


@dataclass
class Series:
    """One series: its row in the answer of getSeries, and the content of its files in their order."""

    row: dict[str, Any]
    contents: list[bytes]


def read_series(folder: Path, collection: str, **values: Any) -> Series:
    """Return the series of the DICOM files of one folder; `values` replace keys of its row, None removes one."""
    paths = sorted(path for path in folder.iterdir() if path.is_file())
    header = dcmread(paths[0], stop_before_pixels=True)
    text = {
        name: str(header.get(keyword, "") or "")
        for name, keyword in {
            "SeriesInstanceUID": "SeriesInstanceUID", "StudyInstanceUID": "StudyInstanceUID", "Modality": "Modality",
            "ProtocolName": "ProtocolName", "SeriesDescription": "SeriesDescription", "PatientID": "PatientID",
            "BodyPartExamined": "BodyPartExamined", "Manufacturer": "Manufacturer", "StudyDesc": "StudyDescription",
            "ManufacturerModelName": "ManufacturerModelName",
        }.items()
    }  # fmt: skip
    contents = [path.read_bytes() for path in paths]
    row = {
        **text, "Collection": collection, "ImageCount": len(paths), "FileSize": sum(map(len, contents)),
        "SeriesNumber": 1, "AnnotationsFlag": False, "Authorized": 1, "TimeStamp": "2014-06-06 00:00:00.0",
        "LicenseName": "Creative Commons Attribution 3.0 Unported License",
        "LicenseURI": "http://creativecommons.org/licenses/by/3.0/",
        "DataDescriptionURI": "https://doi.org/10.7937/K9/TCIA.2015.LO9QL9SX", **values,
    }  # fmt: skip
    return Series({name: value for name, value in row.items() if value not in (None, "")}, contents)


def entries_of(series: Series) -> Entries:
    """Return what the zip of a series holds."""
    images = [(f"{number:08d}.dcm", content) for number, content in enumerate(series.contents, start=1)]
    return with_hashes(images)


def with_hashes(images: Entries) -> Entries:
    """Return these entries with md5hashes.csv as the last."""
    lines = [
        f"{name if isinstance(name, str) else name.filename},{hashlib.md5(content).hexdigest()}\n"
        for name, content in images
    ]
    return [*images, ("md5hashes.csv", "".join(["Filename,MD5Hash\n", *lines]).encode())]


def linked(name: str) -> ZipInfo:
    """Return an entry that is a symbolic link."""
    info = ZipInfo(name)
    info.external_attr = (S_IFLNK | 0o777) << 16
    return info


CONTENTS: dict[str, Callable[[Series], Entries]] = {
    "wrong_md5": lambda series: [
        *entries_of(series)[:-1],
        ("md5hashes.csv", entries_of(series)[-1][1].replace(hashlib.md5(series.contents[0]).hexdigest().encode(), b"0" * 32)),
    ],
    "no_md5_list": lambda series: entries_of(series)[:-2],
    "strange_md5_list": lambda series: [*entries_of(series)[:-1], ("md5hashes.csv", b"<html>\n")],
    "unlisted": lambda series: [("extra.dcm", b"x"), *entries_of(series)],
    "missing_instance": lambda series: [*entries_of(series)[:-2], entries_of(series)[-1]],
    "fewer_instances": lambda series: entries_of(Series(series.row, series.contents[:-1])),
    "duplicate": lambda series: entries_of(Series(series.row, [*series.contents[:-1], series.contents[0]])),
    "no_dicom": lambda series: entries_of(Series(series.row, [*series.contents[:-1], b"no DICOM"])),
    "traversal": lambda series: with_hashes([*entries_of(series)[:-1], ("../../evil.dcm", b"x")]),
    "absolute": lambda series: with_hashes([*entries_of(series)[:-1], ("/evil.dcm", b"x")]),
    "backslash": lambda series: with_hashes([*entries_of(series)[:-1], ("..\\evil.dcm", b"x")]),
    "drive": lambda series: with_hashes([*entries_of(series)[:-1], ("C:evil.dcm", b"x")]),
    "hidden": lambda series: with_hashes([*entries_of(series)[:-1], (".radnet3d", b"x")]),
    "link": lambda series: with_hashes([*entries_of(series)[:-1], (linked("evil.dcm"), b"/etc/passwd")]),
    "same_name": lambda series: with_hashes([*entries_of(series)[:-1], ("00000001.DCM", b"x")]),
    "bomb": lambda series: with_hashes([*entries_of(series)[:-1], ("bomb.dcm", bytes(1 << 26))]),
    "many_entries": lambda series: [(f"{number:08d}.dcm", b"") for number in range(6_000)],
    "few_more_entries": lambda series: [(f"{number:08d}.dcm", b"") for number in range(1_000)],
    "licence_text": lambda series: [*entries_of(series), ("LICENSE", b"the licence of the collection")],
    "empty_zip": lambda series: [],
}  # fmt: skip
"""Zips that are not what they should be, by the name of the fault."""


class Http(ThreadingHTTPServer):
    """Says nothing of clients that hang up."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@dataclass
class NbiaServer:
    """The server. `faults` holds, for a series or an endpoint, how each request to come is answered; "" is well."""

    series: list[Series]
    faults: dict[str, Iterator[str]] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)

    def __enter__(self) -> Self:
        self.lock, self.over = Lock(), Event()
        self.http = Http(("127.0.0.1", 0), handler(self))
        Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()
        self.http.shutdown()
        self.http.server_close()

    @property
    def url(self) -> str:
        host, port = self.http.server_address[:2]
        return f"http://{host!s}:{port}{PATH.rstrip('/')}"

    def fail(self, what: str, *faults: str, then: Iterable[str] = repeat("")) -> None:
        """Answer the next requests for a series or of an endpoint with `faults`, and all later ones with `then`."""
        self.faults[what] = chain(faults, then)

    def next_fault(self, endpoint: str, parameters: dict[str, str]) -> str:
        with self.lock:
            what = parameters.get("SeriesInstanceUID", endpoint)
            self.requests[what] += 1
            return next(self.faults.get(what, repeat("")))

    def answer(self, endpoint: str, asked: dict[str, str]) -> list[dict[str, Any]]:
        rows = [
            one.row for one in self.series
            if all(one.row.get(name) == value for name, value in asked.items() if name != "format")
        ]  # fmt: skip
        if endpoint == "getSeriesSize":
            return [{"TotalSizeInBytes": f"{sum(map(len, one.contents))}.000000", "ObjectCount": len(one.contents)}
                    for one in self.series if one.row in rows]  # fmt: skip
        if endpoint == "getSeries":
            return rows
        column = {"getCollectionValues": "Collection", "getModalityValues": "Modality"}[endpoint]
        return [{column: name} for name in dict.fromkeys(row[column] for row in rows)]


def handler(server: NbiaServer) -> type[BaseHTTPRequestHandler]:
    """Return the class that answers the server's requests."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            address = urlsplit(self.path)
            endpoint, asked = address.path.removeprefix(PATH), dict(parse_qsl(address.query))
            fault = server.next_fault(endpoint, asked)
            if endpoint not in PARAMETERS:
                self.send(404, b"no such resource", "text/plain")
            elif unknown := asked.keys() - PARAMETERS[endpoint]:
                self.send(400, f"Invalid query parameter: '{unknown.pop()}'.".encode(), "text/plain")
            elif fault in ANSWERS:
                ANSWERS[fault](self)
            elif endpoint != "getImageWithMD5Hash":
                found = server.answer(endpoint, asked)
                self.send(200, json.dumps(found).encode() if found else b"", "application/json")
            else:
                self.send_series(asked["SeriesInstanceUID"], fault)

        def send(self, status: int, body: bytes, kind: str, **headers: str) -> None:
            self.send_response(status)
            for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        def send_series(self, name: str, fault: str) -> None:
            series = next((one for one in server.series if one.row.get("SeriesInstanceUID") == name), None)
            if series is None:
                text = f"The user has not been granted the access to image with given SeriesInstanceUID,{name}."
                self.send(400, text.encode(), "application/json")
                return
            entries = CONTENTS.get(fault, entries_of)(series)
            if fault == "other_series":
                entries = entries_of(next(one for one in server.series if one is not series))
            content = zipped(entries)
            if fault == "truncated":
                content = content[: len(content) // 2]
            if fault == "corrupt":
                content = content[:5000] + bytes(200) + content[5200:]
            self.send_response(200)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            sent = content[: len(content) // 2] if fault in ("stall", "dropped") else content
            for start in range(0, len(sent), 1 << 16):
                piece = sent[start : start + (1 << 16)]
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            if fault == "stall":
                server.over.wait()
            if fault in ("stall", "dropped"):
                self.drop()
            else:
                self.wfile.write(b"0\r\n\r\n")

        def drop(self) -> None:
            """Reset the connection, as a proxy that dies does."""
            self.wfile.flush()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True

        def finish(self) -> None:
            if self.connection.fileno() != -1:
                super().finish()

    return Handler


ANSWERS: dict[str, Callable[[Any], None]] = {
    "429": lambda reply: reply.send(429, b"slow down", "text/plain", Retry_After="7"),
    "500": lambda reply: reply.send(500, b"<html><h1>HTTP Status 500</h1><p>Internal Server Error</p></html>", "text/html"),
    "html": lambda reply: reply.send(200, ERROR_PAGE, "text/html"),
    "404": lambda reply: reply.send(404, b"<html><h1>Not Found</h1></html>", "text/html"),
    "403": lambda reply: reply.send(403, b"Login needed.", "text/plain"),
    "418": lambda reply: reply.send(418, b"a teapot", "text/plain"),
    "empty": lambda reply: reply.send(200, b"", "application/octet-stream"),
    "no_answer": lambda reply: reply.drop(),
}  # fmt: skip
"""Answers to any request that are none, by the name of the fault."""


def zipped(entries: Entries) -> bytes:
    """Return a zip as Java streams it: sizes after the content, since they are not known before."""

    class Stream(io.RawIOBase):
        """Cannot be gone back in."""

        def __init__(self) -> None:
            self.pieces: list[bytes] = []

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            self.pieces.append(bytes(data))
            return len(data)

    stream = Stream()
    with ZipFile(stream, "w", ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content, compress_type=ZIP_DEFLATED if content else ZIP_STORED)
    return b"".join(stream.pieces)
