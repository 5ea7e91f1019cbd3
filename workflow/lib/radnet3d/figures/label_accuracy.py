"""How good labels are where the truth is known: right when answered, answered at all, silent where they must be."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from radnet3d.figures.style import BLUE, GREEN, VERMILION, new_figure, styled

RATES = {
    "precision": ("right, of those answered", BLUE),
    "coverage": ("answered, of those knowable", GREEN),
    "over_answering": ("answered although unknowable", VERMILION),
}


@styled
def draw(scores: pd.DataFrame) -> Figure:
    """Return a panel a rate with one dot a head, its interval and its counts. `scores`: tables.LABEL_SCORES."""
    heads = list(dict.fromkeys(scores["head"]))
    figure, panels = new_figure(0.9 + 0.42 * len(heads), 1, len(RATES), sharey=True)
    y = np.arange(len(heads))
    for axes, (rate, (title, colour)) in zip(panels, RATES.items(), strict=True):
        rows = scores[scores["metric"] == rate].set_index("head").reindex(heads)
        value = rows["value"].to_numpy(dtype=float)
        spread = np.abs(rows[["low", "high"]].to_numpy(dtype=float).T - value)
        axes.barh(y, value, height=0.5, color=colour, alpha=0.25)
        axes.errorbar(value, y, xerr=spread, color=colour, marker="o", linestyle="none", capsize=2, elinewidth=1.6)
        for place, (n, n_of) in enumerate(zip(rows["n"].fillna(0), rows["n_of"].fillna(0), strict=True)):
            said = f"{n:.0f} of {n_of:.0f}" if n_of else "none to judge"
            axes.annotate(said, (0.02, place - 0.36), fontsize=7.5, color="#4a545e", va="center")
        axes.set_title(title, fontsize=9)
        axes.set_xlim(0, 1.02)
        axes.set_xlabel("fraction (lower is better)" if rate == "over_answering" else "fraction of series")
        axes.grid(axis="y", visible=False)
    panels[0].set_yticks(y, heads)
    panels[0].set_ylim(len(heads) - 0.4, -0.6)
    return figure
