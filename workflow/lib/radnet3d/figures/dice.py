"""The main figure: Dice per case against training-set size, one line an arm."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from radnet3d.figures.style import Look, new_figure, spread, styled


@styled
def draw(comparison: pd.DataFrame, runs: pd.DataFrame, looks: Mapping[str, Look]) -> Figure:
    """Return mean Dice per case with its interval for each arm of `looks` and size; small dots are single runs.

    `comparison`: tables.COMPARISON; `runs`: tables.RUNS of the liver.
    """
    figure, (axes,) = new_figure(4.3)
    draw_arms(axes, comparison, runs, looks, "dice_per_case_mean")
    axes.set_xlabel("liver cases in the training set, n (log scale)")
    axes.set_ylabel("Dice per test case (mean)")
    axes.legend(loc="lower right", title="encoder starts from", alignment="left", title_fontsize=9)
    return figure


def draw_arms(
    axes: Axes, comparison: pd.DataFrame, runs: pd.DataFrame, looks: Mapping[str, Look], value: str, run_value: str = ""
) -> None:
    """Draw a line with intervals an arm, its sizes moved a little aside, over dots of single runs.

    `value`: a column of `comparison` with its interval in low and high, which is the same in every row of an arm and size;
    `run_value`: the column of `runs` it is the mean of, where called otherwise.
    """
    levels = comparison.drop_duplicates(["init", "n_train"]).sort_values("n_train")
    shown = [init for init in looks if init in set(levels["init"])]
    for place, init in enumerate(shown):
        look, rows, single = looks[init], levels[levels["init"] == init], runs[runs["init"] == init]
        aside = 2 ** (0.08 * (place - (len(shown) - 1) / 2))
        axes.errorbar(
            rows["n_train"] * aside, rows[value], spread(rows, value, "low", "high"), color=look.colour, marker=look.marker,
            capsize=3, elinewidth=1.4, markeredgecolor="white", markersize=8, label=look.name, zorder=3,
        )  # fmt: skip
        axes.scatter(
            single["n_train"] * aside,
            single[run_value or value],
            s=12,
            color=look.colour,
            alpha=0.45,
            zorder=2,
            linewidth=0,
        )
    sizes = sorted(levels.loc[levels["init"].isin(shown), "n_train"].unique())
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
