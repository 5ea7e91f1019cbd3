"""Writes that happen as a whole or not at all: a kill or a full disk never leaves half a file behind."""

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that takes its place when the block ends without an error.

    The temporary name keeps the suffix, so that writers which look at it behave as for `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.partial{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def resumable_directory(path: Path) -> Iterator[Path]:
    """Yield `<path>.partial`, which becomes `path` when the block ends without an error and stays otherwise.

    What an interrupted run finished is found there by the next one; files inside are written with `replacing`.
    """
    partial = path.with_name(path.name + ".partial")
    partial.mkdir(parents=True, exist_ok=True)
    yield partial
    if path.exists():
        shutil.rmtree(path)
    partial.replace(path)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, as a whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write `content` to `path` as indented JSON with sorted keys, as a whole or not at all."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n")
