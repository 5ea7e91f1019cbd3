"""Numbers and tables as a page shows them: text that is ready to print, and images that need no second file."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

Format = Callable[[Any], str]
MEDIA_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}
NOTHING = "–"


class Column(NamedTuple):
    """One column: the table's name of it, its title, how a value is written, whether it is a number."""

    name: str
    title: str
    write: Format = str
    is_number: bool = False


class Display(NamedTuple):
    """A table ready to print."""

    titles: list[str]
    is_number: list[bool]
    rows: list[list[str]]


def display(frame: pd.DataFrame, columns: list[Column]) -> Display:
    """Return `frame` as text; a missing value is a dash."""
    rows = [
        [NOTHING if pd.isna(row[c.name]) or row[c.name] == "" else c.write(row[c.name]) for c in columns]
        for row in frame.to_dict("records")
    ]
    return Display([c.title for c in columns], [c.is_number for c in columns], rows)


def ditto(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return a text column with a ditto mark where the value above is repeated."""
    return column.mask(column.eq(column.shift()), "″")


def number(name: str, title: str, digits: int = 0, unit: str = "") -> Column:
    """Return a column of numbers with so many decimals and thousands apart."""
    return Column(name, title, lambda value: f"{value:,.{digits}f}{unit}".replace(",", "\u202f"), is_number=True)


def percent(name: str, title: str, digits: int = 1) -> Column:
    """Return a column of fractions as per cent."""
    return Column(name, title, lambda value: f"{value:.{digits}%}".replace("%", " %"), is_number=True)


def significant(name: str, title: str) -> Column:
    """Return a column of numbers of any size with three significant digits."""
    return Column(
        name,
        title,
        lambda value: f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}".replace(",", "\u202f"),
        is_number=True,
    )


def duration(name: str, title: str) -> Column:
    """Return a column of seconds, written in the unit that reads best."""
    return Column(name, title, write_duration, is_number=True)


def write_duration(seconds: float) -> str:
    """Return a time in seconds, minutes or hours."""
    for unit, length in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def p_value(name: str, title: str) -> Column:
    """Return a column of p values; small ones are bounded."""
    return Column(name, title, lambda value: "< 0.001" if value < 0.001 else f"{value:.3f}", is_number=True)


def data_uri(folder: Path, name: str) -> str | None:
    """Return the figure `name` (.svg, else .png) of a folder as a data URI, None if there is none."""
    for suffix, media_type in MEDIA_TYPES.items():
        path = folder / f"{name}{suffix}"
        if path.is_file():
            return f"data:{media_type};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
    return None
