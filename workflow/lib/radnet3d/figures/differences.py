"""Paired differences to scratch, with their intervals and the margin named beforehand."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from radnet3d.figures.style import ARMS, FAINT, GREY, new_figure, styled


@styled
def draw(comparison: pd.DataFrame, margin_dice: float) -> Figure:
    """Return one panel an arm: difference of Dice per case to scratch against size; the band is +- `margin_dice`."""
    arms = [init for init in dict.fromkeys(comparison["init"]) if init != "scratch"]
    figure, panels = new_figure(3.2, 1, len(arms), sharey=True)
    sizes = sorted(comparison["n_train"].unique())
    for axes, init in zip(panels, arms, strict=True):
        look, rows = ARMS[init], comparison[comparison["init"] == init].sort_values("n_train")
        places = np.array([sizes.index(n) for n in rows["n_train"]])
        difference = rows["difference"].to_numpy()
        spread = np.abs(rows[["difference_low", "difference_high"]].to_numpy().T - difference)
        axes.axhspan(-margin_dice, margin_dice, color=FAINT, alpha=0.6, linewidth=0)
        axes.axhline(0, color=GREY, linewidth=1)
        axes.errorbar(
            places, difference, spread, color=look.colour, marker=look.marker, linestyle="none", capsize=4, elinewidth=2,
            markeredgecolor="white", markersize=9,
        )  # fmt: skip
        axes.set_title(look.name, color=look.colour)
        axes.set_xticks(range(len(sizes)), [str(size) for size in sizes])
        axes.set_xlim(-0.5, len(sizes) - 0.5)
        axes.set_xlabel("training cases, n")
        axes.grid(axis="x", visible=False)
    panels[0].set_ylabel(f"difference of Dice per case to scratch\n(paired; band: margin of ±{margin_dice:g})")
    return figure
