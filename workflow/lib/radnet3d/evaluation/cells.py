"""What is compared with what: arms and sizes of tables.CASES as arrays, paired by case and seed, or refused."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from radnet3d.errors import TableError
from radnet3d.evaluation.intervals import AXES, Array

Against = Mapping[str, tuple[str, ...]]
"""The arms in their order, and the arms each is compared with; () is compared with none."""


Cells = Mapping[tuple[str, int], pd.DataFrame]
"""Rows of tables.CASES by (init, n_train), indexed by AXES and sorted: each combination once."""


class Pairing(NamedTuple):
    """An arm and the arm it is compared with ("": none) at one training-set size."""

    init: str
    reference: str
    n_train: int


def cells_of(cases: pd.DataFrame, against: Against) -> Cells:
    """Return tables.CASES by (init, n_train), arms as declared and sizes ascending.

    Raises TableError if the arms of `cases` are not those declared, a reference is not one of them, or a combination of
    AXES is missing in a cell or there twice.
    """
    check_arms(set(cases["init"]), against)
    rank = {init: place for place, init in enumerate(against)}
    found = {
        (str(rows["init"].iloc[0]), int(rows["n_train"].iloc[0])): rows
        for _, rows in cases.groupby(["init", "n_train"])
    }
    return {key: indexed(found[key], *key) for key in sorted(found, key=lambda key: (rank[key[0]], key[1]))}


def values_of(cases: pd.DataFrame, init: str, n_train: int, column: str = "dice_per_case") -> "pd.Series[float]":
    """Return one column of one arm and size by AXES, sorted. Raises TableError if a combination is missing or there twice."""
    return indexed(cases[(cases["init"] == init) & (cases["n_train"] == n_train)], init, n_train)[column]


def check_arms(found: set[str], against: Against) -> None:
    """Raise TableError naming an arm that is not both found and declared, or a reference that is not an arm."""
    differing = sorted(found ^ set(against))
    if differing:
        raise TableError(f"cases: found the arms {sorted(found)}, wanted {sorted(against)}: {differing[0]}")
    for init, references in against.items():
        unknown = [reference for reference in references if reference not in against]
        if unknown:
            raise TableError(f"cases: {init} is compared with {unknown[0]!r}, wanted one of the arms {list(against)}")


def indexed(rows: pd.DataFrame, init: str, n_train: int) -> pd.DataFrame:
    """Return the rows of one cell by AXES, sorted. Raises TableError if a combination is missing or there twice."""
    cell = rows.set_index(list(AXES)).sort_index()
    shape, n_doubled = shape_of(cell), int(cell.index.duplicated().sum())
    if cell.empty or n_doubled or len(cell) != np.prod(shape):
        raise TableError(
            f"cases: {init} at n_train {n_train}: found {len(cell)} rows, {n_doubled} of them doubled, wanted each of "
            f"{shape[0]} subset seeds x {shape[1]} init seeds x {shape[2]} cases once"
        )
    return cell


def pairings(cells: Cells, against: Against) -> list[Pairing]:
    """Return each arm with each of its references at each of its sizes: arms and references as declared, sizes ascending."""
    return [
        Pairing(init, reference, n_train)
        for init, references in against.items()
        for reference in references or ("",)
        for n_train in sizes_of(cells, init)
    ]


def sizes_of(cells: Cells, init: str) -> list[int]:
    """Return the training-set sizes of an arm, ascending."""
    return [n_train for arm, n_train in cells if arm == init]


def differences_of(cells: Cells, pairing: Pairing, column: str = "dice_per_case") -> Array:
    """Return arm minus reference as (subset seeds, init seeds, cases), NaN where either is.

    The seeds are the arm's; they may be a part of the reference's. Raises TableError naming a size, seeds or cases that
    only one of the two has.
    """
    init, reference, n_train = pairing
    if (reference, n_train) not in cells:
        raise TableError(f"{init} at n_train {n_train}: found no runs of {reference}, with which it is compared")
    own, other = cells[init, n_train], cells[reference, n_train]
    if not own.index.equals(other.index):
        other = with_seeds_of(other, own)
    if not own.index.equals(other.index):
        differing = list(own.index.symmetric_difference(other.index)[:3])
        raise TableError(
            f"{init} at n_train {n_train}: wanted the cases and some of the seeds of {reference}, "
            f"found only in one: {differing}"
        )
    return as_array(own[column]) - as_array(other[column])


def with_seeds_of(cell: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `cell` whose pair of subset seed and init seed is also in `other`."""
    seeds = other.reset_index()[list(AXES[:2])].drop_duplicates()
    return cell.reset_index().merge(seeds, on=list(AXES[:2])).set_index(list(AXES)).sort_index()


def shape_of(cell: "pd.DataFrame | pd.Series[float]") -> tuple[int, ...]:
    """Return the numbers of subset seeds, init seeds and cases."""
    return tuple(cell.index.get_level_values(name).nunique() for name in AXES)


def as_array(column: "pd.Series[float]") -> Array:
    """Return a column of a cell as (subset seeds, init seeds, cases)."""
    return np.asarray(column, dtype=np.float64).reshape(shape_of(column))
