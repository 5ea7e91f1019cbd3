"""An S3 server on loopback, laid out like IDC's buckets, that counts what it is asked and misbehaves on command."""

import logging
import multiprocessing
import socket
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Condition, Event, Lock, Thread
from typing import Any
from urllib.request import urlopen

import boto3
from moto.moto_server.threaded_moto_server import ThreadedMotoServer
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import ThreadedWSGIServer
from werkzeug.wrappers import Response

BUCKET = "idc-open-data"
BLOCK_BYTES = 1 << 12
HOST, DISCARD_PORT = "127.0.0.1", 9
NOBODY = f"http://{HOST}:{DISCARD_PORT}"
"""An address at which no server listens."""

Body = Iterable[bytes]
App = Callable[[dict[str, Any], Callable[..., Any]], Body]
Fault = Callable[[App, dict[str, Any], Callable[..., Any]], Body]
"""What one request gets instead of the right answer, which the given application would make."""


class S3Server:
    """Moto's S3 behind a layer that keeps a record and carries out the faults asked for."""

    def __init__(self) -> None:
        self.moto = DomainDispatcherApplication(create_backend_app)
        self.requests: list[str] = []  # "GET u1/1.dcm", "LIST u1/"
        self.faults: dict[str, list[Fault]] = defaultdict(list)
        self.n_bytes_sent = 0
        self.on_bytes: Callable[[int], None] = lambda n_bytes_sent: None
        self.lock = Lock()
        self.server = Listener(HOST, 0, self, QuietHandler)
        self.url = f"http://{self.server.host}:{self.server.server_port}"

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Body:
        request = self.name_of(environ)
        with self.lock:
            self.requests.append(request)
            fault = self.faults[request].pop(0) if self.faults[request] else None
        answer = fault(self.moto, environ, start_response) if fault else self.moto(environ, start_response)
        return self.counted(answer) if environ["REQUEST_METHOD"] == "GET" else answer

    def counted(self, body: Body) -> Iterator[bytes]:
        """Yield a body in small blocks, and tell `on_bytes` how much was sent so far by all answers."""
        for part in body:
            for start in range(0, len(part), BLOCK_BYTES):
                block = part[start : start + BLOCK_BYTES]
                with self.lock:
                    self.n_bytes_sent += len(block)
                    n_bytes_sent = self.n_bytes_sent
                self.on_bytes(n_bytes_sent)
                yield block

    @staticmethod
    def name_of(environ: dict[str, Any]) -> str:
        key = environ["PATH_INFO"].lstrip("/").partition("/")[2]
        if key:
            return f"{environ['REQUEST_METHOD']} {key}"
        prefix = environ["QUERY_STRING"].partition("prefix=")[2].partition("&")[0].replace("%2F", "/")
        return f"LIST {prefix}" if environ["REQUEST_METHOD"] == "GET" else environ["REQUEST_METHOD"]

    def put(self, key: str, body: bytes, *, bucket: str = BUCKET) -> None:
        self.client().put_object(Bucket=bucket, Key=key, Body=body, ACL="public-read")

    def put_in_parts(self, key: str, parts: list[bytes]) -> None:
        client = self.client()
        upload = client.create_multipart_upload(Bucket=BUCKET, Key=key, ACL="public-read")["UploadId"]
        done = [
            {"PartNumber": number, "ETag": client.upload_part(
                Bucket=BUCKET, Key=key, PartNumber=number, UploadId=upload, Body=part)["ETag"]}
            for number, part in enumerate(parts, start=1)
        ]  # fmt: skip
        client.complete_multipart_upload(Bucket=BUCKET, Key=key, UploadId=upload, MultipartUpload={"Parts": done})

    def put_series(self, series_uuid: str, files: Iterable[Path]) -> None:
        for path in files:
            self.put(f"{series_uuid}/{path.stem}.dcm", path.read_bytes())

    def client(self) -> Any:
        return client_of(self.url)

    def settle(self) -> None:
        """Wait until everything that was asked so far has been answered, or cannot be."""
        with (
            suppress(OSError),
            urlopen(f"{self.url}/{BUCKET}?list-type=2&prefix=none"),
        ):  # connections are taken in turn
            pass
        with self.server.changed:
            self.server.changed.wait_for(lambda: self.server.n_open == 0)
        self.requests.remove("LIST none")

    def forget(self) -> None:
        """Begin the record anew."""
        self.requests.clear()
        self.faults.clear()
        self.n_bytes_sent, self.on_bytes = 0, lambda n_bytes_sent: None


def client_of(url: str) -> Any:
    """Return a client that may write to a server."""
    return boto3.client("s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="x",
                        aws_secret_access_key="y")  # fmt: skip


class Listener(ThreadedWSGIServer):
    """Counts the connections that are open."""

    def __init__(self, *arguments: Any) -> None:
        self.n_open, self.changed = 0, Condition()
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self.changed:
            self.n_open += 1
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        with self.changed:
            self.n_open -= 1
            self.changed.notify_all()


class QuietHandler(MotoRequestHandler):
    """Keeps connections open, as S3 does, and writes no log."""

    protocol_version = "HTTP/1.1"

    def log(self, *arguments: Any) -> None:
        pass


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Yield a running server with one empty public bucket."""
    server = S3Server()
    thread = Thread(target=server.server.serve_forever, daemon=True)
    thread.start()
    server.client().create_bucket(Bucket=BUCKET, ACL="public-read")
    server.forget()
    try:
        yield server
    finally:
        server.server.shutdown()
        thread.join()


@contextmanager
def s3_process() -> Iterator[str]:
    """Yield the address of a server in a process of its own, with one empty public bucket."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(there,), daemon=True)
    process.start()
    try:
        yield here.recv()
    finally:
        here.send("stop")
        process.join()


def serve(pipe: Connection) -> None:
    """Run moto's server as it is until something comes through the pipe; its address goes the other way."""
    server = ThreadedMotoServer(HOST, 0, verbose=False)
    server.start()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    url = "http://{}:{}".format(*server.get_host_and_port())
    client_of(url).create_bucket(Bucket=BUCKET, ACL="public-read")
    pipe.send(url)
    pipe.recv()


def status(code: int, body: str = "", content_type: str = "application/xml", **headers: str) -> Fault:
    """Return the fault: another answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda app, environ, start: Response(body, code, named, content_type=content_type)(environ, start)


def cut_short(n_bytes: int) -> Fault:
    """Return the fault: the connection closes after the first bytes of the right body."""

    def answer(app: App, environ: dict[str, Any], start: Callable[..., Any]) -> Body:
        body = b"".join(app(environ, start))
        yield body[:n_bytes]
        raise ConnectionAbortedError

    return answer


def dropped(app: App, environ: dict[str, Any], start: Callable[..., Any]) -> Body:
    """Carry out the fault: the connection closes without a word."""
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError


def stalled(until: Event) -> Fault:
    """Return the fault: half a body, and then nothing for as long as the test likes."""

    def answer(app: App, environ: dict[str, Any], start: Callable[..., Any]) -> Body:
        body = b"".join(app(environ, start))
        yield body[: len(body) // 2]
        until.wait()
        raise ConnectionAbortedError

    return answer


def replaced(old: bytes, new: bytes) -> Fault:
    """Return the fault: the right body with other words of the same length in it."""
    assert len(old) == len(new)

    def answer(app: App, environ: dict[str, Any], start: Callable[..., Any]) -> Body:
        body = b"".join(app(environ, start))
        assert old in body
        return [body.replace(old, new)]

    return answer
