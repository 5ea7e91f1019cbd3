"""Labels saved: how many cases the arm from scratch needs to reach what another arm reaches with n."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from radnet3d.figures.style import GREY, Look, new_figure, styled

N_COLUMNS = 4
ARROWS = {"above": "^", "below": "v"}


@styled
def draw(saved: pd.DataFrame, sizes: list[int], looks: Mapping[str, Look], main: list[str]) -> Figure:
    """Return n against the n that the reference needs, both on log scales, a panel an arm; on the diagonal nothing is saved.

    `saved`: tables.LABELS_SAVED; `sizes`: those of the reference's curve. Shown are the arms of `main` and others with more
    than one size, whose reference was run at every size. An arrow: not reached at the last size, or reached before the first.
    """
    n_sizes = saved.groupby("init")["n_train"].nunique()
    is_shown = (saved["init"].isin(main) | (saved["init"].map(n_sizes) > 1)) & saved["reference"].isin(main)
    arms = [init for init in looks if init in set(saved.loc[is_shown, "init"])]
    n_columns = min(N_COLUMNS, max(1, len(arms)))
    n_rows = max(1, -(-len(arms) // n_columns))
    figure, panels = new_figure(2.7 * n_rows + 0.2, n_rows, n_columns, sharex=True, sharey=True)
    for axes, init in zip(panels, arms, strict=False):
        draw_arm(axes, saved[saved["init"] == init].sort_values("n_train"), sizes, looks[init])
    for axes in panels[len(arms) :]:
        axes.remove()
    for axes in panels[max(0, len(arms) - n_columns) : len(arms)]:
        axes.set_xlabel("this arm’s cases, n")
        axes.tick_params(labelbottom=True)
    figure.supylabel("cases that the arm from scratch needs", fontsize=9)
    return figure


def draw_arm(axes: Axes, rows: pd.DataFrame, sizes: list[int], look: Look) -> None:
    """Draw one arm: above the diagonal it saves cases, below it costs some."""
    ends = np.array([sizes[0], sizes[-1]], dtype=float)
    axes.plot(ends, ends, color=GREY, linewidth=1, linestyle=(0, (4, 2)))
    for row in rows.to_dict("records"):
        n, equal, low, high = (float(row[name]) for name in ("n_train", "n_equal", "low", "high"))
        axes.plot([n, n], [low, high], color=look.colour, linewidth=1.4)
        for end, beyond in ((low, row["low_beyond"]), (high, row["high_beyond"])):
            if not np.isnan(end):
                axes.plot([n], [end], color=look.colour, linestyle="none", marker=ARROWS.get(beyond, "_"), markersize=6)
        hollow = bool(row["n_equal_beyond"])
        axes.plot(
            [n], [equal], marker=look.marker, markersize=8, linestyle="none", markeredgewidth=1.2,
            markerfacecolor="white" if hollow else look.colour, markeredgecolor=look.colour if hollow else "white",
            zorder=3,
        )  # fmt: skip
    axes.set(xscale="log", yscale="log")
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.set_yticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.set_xlim(sizes[0] / 1.3, sizes[-1] * 1.3)
    axes.set_ylim(sizes[0] / 1.4, sizes[-1] * 1.4)
    axes.set_title(look.name, color=look.colour, fontsize=9)
