"""Tables whose cells may show a share as a bar and a note in small letters."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import pandas as pd

from radnet3d.reporting.display import NOTHING

NBSP = "\u00a0"

Row = dict[str, Any]


class Cell(NamedTuple):
    """One cell: its text, the share of a whole that its bar shows, a note below in small letters."""

    text: str
    share: float | None = None
    note: str = ""


class Grid(NamedTuple):
    """A table ready to print."""

    titles: list[str]
    is_number: list[bool]
    rows: list[list[Cell]]


def grid(
    texts: Iterable[str], numbers: Iterable[str], rows: Iterable[list[Cell]], *, after: Iterable[str] = ()
) -> Grid:
    """Return a grid with columns of text, then of numbers, then of text again (`after`), by their titles."""
    titles = [
        *((name, False) for name in texts),
        *((name, True) for name in numbers),
        *((name, False) for name in after),
    ]
    return Grid([name for name, _ in titles], [is_number for _, is_number in titles], list(rows))


def records(frame: pd.DataFrame) -> list[Row]:
    """Return the rows of a table, column -> value."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def sums(rows: Iterable[Row], *key: str, of: str = "n_series") -> Counter[tuple[str, ...]]:
    """Return the sum of a column for each combination of the columns of `key`; 0 for those that do not occur."""
    counts: Counter[tuple[str, ...]] = Counter()
    for row in rows:
        counts[tuple(row[name] for name in key)] += row[of]
    return counts


def count(n: float) -> str:
    """Return a whole number with thousands apart."""
    return f"{n:,.0f}".replace(",", "\u202f")


def per_cent(share: float, digits: int = 1) -> str:
    """Return a fraction as per cent; what is more than nothing is not written as 0."""
    least = 10.0 ** -(digits + 2)
    return f"< {100 * least:g}{NBSP}%" if 0 < share < least else f"{100 * share:.{digits}f}{NBSP}%"


def counted(n: float) -> Cell:
    """Return a number, a dash for none."""
    return Cell(count(n) if n else NOTHING)


def share_of(n: float, of: float, digits: int = 1) -> Cell:
    """Return n / of as per cent with a bar; a dash if there is nothing to take a share of."""
    return Cell(per_cent(n / of, digits), n / of) if of else Cell(NOTHING)


def share_with_count(n: float, of: float, digits: int = 1) -> Cell:
    """Return n / of with a bar and n below it."""
    return share_of(n, of, digits)._replace(note=count(n) if of else "")
