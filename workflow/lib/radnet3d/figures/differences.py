"""Paired differences of arms with several sizes, with their intervals and the margin named beforehand."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from radnet3d.figures.style import FAINT, GREY, Look, new_figure, spread, styled

N_COLUMNS = 4


@styled
def draw(comparison: pd.DataFrame, margin_dice: float, looks: Mapping[str, Look], main: list[str]) -> Figure:
    """Return one panel an arm and reference: difference of Dice per case against size; the band is +- `margin_dice`.

    `comparison`: tables.COMPARISON. Shown are the arms of `main`, and others with more than one size.
    """
    compared = comparison[comparison["reference"] != ""].groupby(["init", "reference"], sort=False)
    pairs = {(str(init), str(reference)): rows for (init, reference), rows in compared if init in main or len(rows) > 1}
    places = list(looks)
    shown = sorted(pairs, key=lambda pair: (places.index(pair[0]), places.index(pair[1])))
    n_columns = min(N_COLUMNS, max(1, len(shown)))
    n_rows = max(1, -(-len(shown) // n_columns))
    figure, panels = new_figure(2.9 * n_rows + 0.2, n_rows, n_columns, sharey=True)
    sizes = sorted(comparison["n_train"].unique())
    for axes, pair in zip(panels, shown, strict=False):
        draw_pair(axes, pairs[pair], margin_dice, looks[pair[0]], sizes)
        axes.set_title(f"{looks[pair[0]].name}\n− {looks[pair[1]].name}", color=looks[pair[0]].colour, fontsize=9)
    for axes in panels[len(shown) :]:
        axes.remove()
    for axes in panels[max(0, len(shown) - n_columns) : len(shown)]:
        axes.set_xlabel("training cases, n")
        axes.tick_params(labelbottom=True)
    figure.supylabel(f"paired difference of Dice\n(band: ±{margin_dice:g})", fontsize=9)
    return figure


def draw_pair(axes: Axes, rows: pd.DataFrame, margin_dice: float, look: Look, sizes: list[int]) -> None:
    """Draw the differences of one arm to one other."""
    axes.axhspan(-margin_dice, margin_dice, color=FAINT, alpha=0.6, linewidth=0)
    axes.axhline(0, color=GREY, linewidth=1)
    axes.errorbar(
        [sizes.index(n) for n in rows["n_train"]], rows["difference"],
        spread(rows, "difference", "difference_low", "difference_high"), color=look.colour, marker=look.marker,
        linestyle="none", capsize=3, elinewidth=1.8, markeredgecolor="white", markersize=8,
    )  # fmt: skip
    axes.set_xticks(range(len(sizes)), [str(size) for size in sizes])
    axes.set_xlim(-0.5, len(sizes) - 0.5)
    axes.grid(axis="x", visible=False)
