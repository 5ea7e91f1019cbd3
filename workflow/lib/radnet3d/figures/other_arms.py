"""Arms that were run at few training-set sizes: their Dice, and their differences to the arms they are compared with."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from radnet3d.figures.style import FAINT, GREY, Look, new_figure, spread, styled


@styled
def draw(comparison: pd.DataFrame, margin_dice: float, looks: Mapping[str, Look], inits: list[str]) -> Figure:
    """Return two panels a size: Dice per case with its interval, and paired differences with the margin as a band.

    `comparison`: tables.COMPARISON; `inits`: the arms that are shown, first one on top, a line a reference.
    """
    rows = comparison[comparison["init"].isin(inits)]
    rows = rows.sort_values("init", key=lambda column: column.map(inits.index), kind="stable")
    sizes = sorted(rows["n_train"].unique())
    heights = [int((rows["n_train"] == size).sum()) for size in sizes]
    figure, panels = new_figure(
        0.75 + 0.3 * len(sizes) + 0.21 * sum(heights), len(sizes), 2, height_ratios=[n + 0.5 for n in heights],
        sharex="col", width_ratios=[1, 1.15],
    )  # fmt: skip
    for place, size in enumerate(sizes):
        left, right = panels[2 * place : 2 * place + 2]
        of_size = rows[rows["n_train"] == size].reset_index(drop=True)
        draw_levels(left, of_size, looks)
        draw_differences(right, of_size, margin_dice, looks)
        left.set_title(f"n = {size}", fontsize=9)
    panels[-2].set_xlabel("Dice per test case (mean)")
    panels[-1].set_xlabel(f"paired difference of Dice (band: ±{margin_dice:g})")
    return figure


def draw_levels(axes: Axes, rows: pd.DataFrame, looks: Mapping[str, Look]) -> None:
    """Draw the mean Dice of each arm once, beside its name."""
    first = rows[~rows["init"].duplicated()]
    for place, row in zip(first.index, first.to_dict("records"), strict=True):
        draw_mark(axes, place, pd.DataFrame([row]), ("dice_per_case_mean", "low", "high"), looks[row["init"]])
    axes.set_yticks(list(first.index), [looks[init].name for init in first["init"]])
    finish(axes, len(rows))


def draw_differences(axes: Axes, rows: pd.DataFrame, margin_dice: float, looks: Mapping[str, Look]) -> None:
    """Draw each arm's difference to each of its references, whose names stand at the right."""
    axes.axvspan(-margin_dice, margin_dice, color=FAINT, alpha=0.6, linewidth=0)
    axes.axvline(0, color=GREY, linewidth=1)
    paired = rows[rows["reference"] != ""]
    for place, row in zip(paired.index, paired.to_dict("records"), strict=True):
        draw_mark(
            axes, place, pd.DataFrame([row]), ("difference", "difference_low", "difference_high"), looks[row["init"]]
        )
    axes.yaxis.tick_right()
    axes.set_yticks(list(paired.index), [f"− {looks[reference].name}" for reference in paired["reference"]])
    finish(axes, len(rows))


def draw_mark(axes: Axes, place: int, row: pd.DataFrame, columns: tuple[str, str, str], look: Look) -> None:
    """Draw one value with its interval."""
    axes.errorbar(
        row[columns[0]], np.array([place]), xerr=spread(row, *columns), color=look.colour, marker=look.marker,
        linestyle="none", elinewidth=1.4, capsize=2, markersize=6, markeredgecolor="white",
    )  # fmt: skip


def finish(axes: Axes, n_rows: int) -> None:
    """Set what both panels of a size have in common: rows from the top."""
    axes.set_ylim(n_rows - 0.5, -0.5)
    axes.tick_params(axis="y", labelsize=8, length=0)
    axes.grid(axis="y", visible=False)
