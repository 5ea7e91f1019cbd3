"""Writes that happen as a whole or not at all: a kill or a full disk never leaves half a file behind."""

import json
import os
import secrets
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from radnet3d.errors import OutputError

MARKER = ".radnet3d"
"""The file in a folder that this package finished, and may replace: empty, or saying what of. No data."""

SNAKEMAKE_NOTE = ".snakemake_timestamp"
"""What Snakemake leaves in a folder it made; no data, so not worth a row among the excluded."""


@contextmanager
def replacing(path: Path, *, survives_power_cut: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path` that takes its place when the block ends without an error.

    The temporary name keeps the suffix, so that writers which look at it behave as for `path`. Waiting for the disk can be
    left out where many files come quickly and a lost one is noticed and made again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.partial{path.suffix}")
    try:
        yield temporary
        if survives_power_cut:
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def is_temporary(path: Path) -> bool:
    """Return whether a file has a name that `replacing` gives: a kill left it, it is nobody's."""
    return path.name.startswith(".") and path.stem.endswith(".partial")


@contextmanager
def resumable_directory(path: Path) -> Iterator[Path]:
    """Yield `<path>.partial`, which becomes `path` when the block ends without an error and stays otherwise.

    What an interrupted run finished is found there by the next one; files inside are written with `replacing`.
    Whatever `path` held before is gone: a folder that a user names goes through `output_directory`.
    """
    partial = path.with_name(path.name + ".partial")
    partial.mkdir(parents=True, exist_ok=True)
    yield partial
    if path.exists():
        shutil.rmtree(path)
    partial.replace(path)


@contextmanager
def output_directory(path: Path, *, inputs: Sequence[Path] = ()) -> Iterator[Path]:
    """Yield `<path>.partial` as `resumable_directory` does, for a `path` that a user named: only its own is replaced.

    Raises OutputError, before anything is written, if one of `inputs` lies in `path`, or if `path` holds files that no
    earlier call put there; again at the end, for what came into it meanwhile.
    """
    check_replaceable(path, inputs=inputs)
    with resumable_directory(path.resolve()) as partial:
        yield partial
        check_replaceable(path, inputs=inputs)
        (partial / MARKER).touch()


def check_replaceable(path: Path, *, inputs: Sequence[Path] = (), names: Collection[str] = ()) -> None:
    """Raise OutputError unless `path` is absent, empty, or of this package: it holds the marker, or `names` only."""
    for held in inputs:
        if holds(path, held):
            raise OutputError(f"{path}: holds the input {held}, wanted a folder of its own")
    if not path.exists():
        return
    if not path.is_dir():
        raise OutputError(f"{path}: a file, wanted a new folder")
    found = {entry.name for entry in path.iterdir()}
    if MARKER not in found and found - {SNAKEMAKE_NOTE, *names}:
        raise OutputError(f"{path}: not empty and not made by radnet3d, wanted a new folder")


def holds(folder: Path, path: Path) -> bool:
    """Return whether `path` is `folder` or lies below it, as it is named or where its links lead."""
    return any(place.is_relative_to(folder.resolve()) for place in (path.parent.resolve() / path.name, path.resolve()))


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, as a whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write `content` to `path` as indented JSON with sorted keys, as a whole or not at all."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n")
