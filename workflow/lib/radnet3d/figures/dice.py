"""The main figure: Dice per case against training-set size, one line an initialisation."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from radnet3d.figures.style import ARMS, new_figure, styled


@styled
def draw(comparison: pd.DataFrame, runs: pd.DataFrame) -> Figure:
    """Return mean Dice per case with its interval for each arm and size; small dots are single runs.

    `comparison`: tables.COMPARISON; `runs`: tables.RUNS.
    """
    figure, (axes,) = new_figure(4.3)
    arms = list(dict.fromkeys(comparison["init"]))
    for place, init in enumerate(arms):
        look, rows = ARMS[init], comparison[comparison["init"] == init].sort_values("n_train")
        aside = 2 ** (0.08 * (place - (len(arms) - 1) / 2))
        n_train = rows["n_train"].to_numpy() * aside
        spread = np.abs(rows[["low", "high"]].to_numpy().T - rows["dice_per_case_mean"].to_numpy())
        axes.errorbar(
            n_train, rows["dice_per_case_mean"], spread, color=look.colour, marker=look.marker, capsize=3, elinewidth=1.4,
            markeredgecolor="white", markersize=8, label=look.name, zorder=3,
        )  # fmt: skip
        single = runs[runs["init"] == init]
        axes.scatter(
            single["n_train"] * aside,
            single["dice_per_case_mean"],
            s=14,
            color=look.colour,
            alpha=0.55,
            zorder=2,
            linewidth=0,
        )
    sizes = sorted(comparison["n_train"].unique())
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.set_xlabel("liver cases in the training set, n (log scale)")
    axes.set_ylabel("Dice per test case (mean)")
    axes.legend(loc="lower right", title="encoder starts from", alignment="left", title_fontsize=9)
    return figure
