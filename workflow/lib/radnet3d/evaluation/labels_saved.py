"""Labels saved: how many training cases an arm from scratch needs to reach what another arm reaches with n."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import optimize, stats

from radnet3d.errors import TableError
from radnet3d.evaluation.cells import Against, Cells, as_array, cells_of, sizes_of
from radnet3d.evaluation.intervals import (
    Array,
    axis_effect,
    axis_weights,
    degrees_of_freedom,
    mean_over,
    resampled_means,
    widened,
)
from radnet3d.params import Comparison
from radnet3d.tables import LABELS_SAVED, rows_table

STEPS_PER_DOUBLING = 64
"""Sizes at which the curve is compared with an arm, per doubling of n: the ends of intervals are good to 1 %."""


class Curve(NamedTuple):
    """Mean Dice of an arm against log2(n), straight between its sizes."""

    log2_n: Array  # (sizes,)
    cells: list[Array]  # (subset seeds, init seeds, cases) each
    means: Array  # (sizes,), never falling
    resampled: Array  # (resamples, sizes), never falling


def labels_saved(cases: pd.DataFrame, against: Against, settings: Comparison) -> pd.DataFrame:
    """Return one row an arm and training-set size (tables.LABELS_SAVED), of arms that are compared with another.

    `reference`: the arm whose curve is read, `scratch_of`. Raises TableError naming what it lacks of the arm's cases or seeds.
    """
    cells = cells_of(cases, against)
    rows: list[dict[str, Any]] = []
    for init in against:
        reference = scratch_of(init, against)
        if reference != init:
            sizes = sizes_of(cells, init)
            curve = curve_of(cells, reference, cells[init, sizes[0]], settings)
            rows += [
                {"init": init, "n_train": n, "reference": reference}
                | equal_size(as_array(cells[init, n]["dice_per_case"]), curve, settings)
                for n in sizes
            ]
    return rows_table(rows, LABELS_SAVED)


def scratch_of(init: str, against: Against) -> str:
    """Return the arm at the end of the chain of first references: the one compared with none. Raises TableError for a circle."""
    passed = [init]
    while against[passed[-1]]:
        passed.append(against[passed[-1]][0])
        if passed[-1] in passed[:-1]:
            raise TableError(
                f"against: found the circle {' -> '.join(passed)}, wanted an end, an arm compared with none"
            )
    return passed[-1]


def curve_of(cells: Cells, init: str, like: pd.DataFrame, settings: Comparison) -> Curve:
    """Return the curve of `init` over the init seeds and cases of the cell `like`. Raises TableError if a size lacks one."""
    sizes = sizes_of(cells, init)
    arrays = []
    for n in sizes:
        cell = cells[init, n]
        part = cell[np.asarray(cell.index.isin(like.index.unique(level="init_seed"), level="init_seed"))]
        for axis in ("init_seed", "case_id"):
            differing = part.index.unique(level=axis).symmetric_difference(like.index.unique(level=axis))
            if len(differing):
                raise TableError(f"{init} at n_train {n}: wanted {axis} as of the arms it is compared with, "
                                 f"found only in one: {list(differing[:3])}")  # fmt: skip
        arrays.append(as_array(part["dice_per_case"]))
    n_runs = np.array([array.shape[0] * array.shape[1] for array in arrays], dtype=float)
    means = np.array([float(mean_over(array, (0, 1, 2))) for array in arrays])
    resampled = np.stack([resampled_dice(array, settings) for array in arrays], axis=1)
    rising = np.stack([never_falling(row, n_runs) for row in resampled])
    return Curve(np.log2(sizes), arrays, never_falling(means, n_runs), rising)


def resampled_dice(values_sic: Array, settings: Comparison) -> Array:
    """Return (resamples,) means; cells of the same cases and seeds are resampled together."""
    return resampled_means(widened(values_sic), axis_weights(values_sic.shape, settings))


def never_falling(means: Array, n_runs: Array) -> Array:
    """Return the nearest curve that never falls, sizes with more runs counting more; NaN if any mean is.

    More cases can only help a training that is sound; a curve that falls would have no or several n for one Dice.
    """
    if np.isnan(means).any():
        return np.full_like(means, np.nan)
    return np.asarray(optimize.isotonic_regression(means, weights=n_runs).x, dtype=np.float64)


def equal_size(values_sic: Array, curve: Curve, settings: Comparison) -> dict[str, Any]:
    """Return where `curve` reaches the mean of an arm, and the sizes at which the two cannot be told apart.

    The interval holds every size at which the t interval of curve minus arm holds 0 (Fieller 1954, J. R. Statist. Soc. B
    16:175). A curve is not drawn on beyond its sizes: what lies there is given as the last size, and said to be "below"
    or "above" it.
    """
    dice = float(mean_over(values_sic, (0, 1, 2)))
    log2_n = grid(curve.log2_n)
    weights = interpolation(log2_n, curve.log2_n)
    half = half_widths(values_sic, curve, weights, settings)
    differences = weights @ curve.means - dice
    return {
        **named("n_equal", first_place(log2_n, differences)),
        **named("low", first_place(log2_n, differences + half)),
        **named("high", first_place(log2_n, np.minimum.accumulate((differences - half)[::-1])[::-1])),
    }


def grid(log2_n: Array) -> Array:
    """Return the sizes, as log2, at which a curve is read, those it was measured at among them."""
    n_steps = round(float(log2_n[-1] - log2_n[0]) * STEPS_PER_DOUBLING)
    return np.union1d(np.linspace(log2_n[0], log2_n[-1], n_steps + 1), log2_n)


def interpolation(places: Array, knots: Array) -> Array:
    """Return the (places, knots) matrix that interpolates linearly."""
    return np.stack([np.interp(places, knots, unit) for unit in np.eye(len(knots))], axis=1)


def half_widths(values_sic: Array, curve: Curve, weights: Array, settings: Comparison) -> Array:
    """Return half the width of the interval of curve minus arm at each place (rows of `weights`); NaN below two cases."""
    if np.isfinite(mean_over(values_sic, (0, 1))).sum() < 2:
        return np.full(len(weights), np.nan)
    resampled = curve.resampled @ weights.T - resampled_dice(values_sic, settings)[:, None]
    cells, signed = [*curve.cells, values_sic], np.column_stack([weights, np.full(len(weights), -1.0)])
    effects = [signed[:, which] @ effect for which, effect in shared_effects(cells)]
    quantile = stats.t.ppf((1 + settings.confidence) / 2, degrees_of_freedom(effects))
    half: Array = quantile * np.nanstd(resampled, axis=0, ddof=1)
    return half


def shared_effects(cells: list[Array]) -> Iterator[tuple[list[int], Array]]:
    """Yield (which cells, their effects (cells, n)) of each axis that is resampled for these cells together."""
    for axis in range(3):
        for n in sorted({cell.shape[axis] for cell in cells}):
            which = [place for place, cell in enumerate(cells) if cell.shape[axis] == n]
            yield which, np.stack([axis_effect(cells[place], axis).ravel() for place in which])


def first_place(log2_n: Array, differences: Array) -> tuple[float, str]:
    """Return the first size at which `differences` are not below 0, and "below" or "above" where that is beyond the curve."""
    if np.isnan(differences).any():
        return float("nan"), ""
    if differences[0] > 0:
        return float(2 ** log2_n[0]), "below"
    reached = np.flatnonzero(differences >= 0)
    if not len(reached):
        return float(2 ** log2_n[-1]), "above"
    place = int(reached[0])
    if place == 0:
        return float(2 ** log2_n[0]), ""
    return float(2 ** np.interp(0.0, differences[place - 1 : place + 1], log2_n[place - 1 : place + 1])), ""


def named(name: str, found: tuple[float, str]) -> dict[str, Any]:
    """Return a size and whether it lies beyond the curve as columns."""
    return {name: found[0], f"{name}_beyond": found[1]}
