"""What pretraining learned: each head's score on held-out patients against chance, for each encoder."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from radnet3d.figures.style import ENCODERS, GREY, new_figure, styled

SHOWN = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "auc": "AUC", "pearson_r": "correlation, r"}
"""Metrics between 0 and 1, each a panel with the heads that have it; one with a unit is left to the table."""


@styled
def draw(scores: dict[str, pd.DataFrame]) -> Figure:
    """Return a panel a metric: dots with intervals by head and encoder, chance as a tick.

    `scores`: encoder -> tables.HEAD_SCORES.
    """
    every = pd.concat([frame.assign(encoder=encoder) for encoder, frame in scores.items()])
    panels = {
        m: list(dict.fromkeys(every.loc[every["metric"] == m, "head"])) for m in SHOWN if m in set(every["metric"])
    }
    rows = [len(heads) for heads in panels.values()]
    figure, all_axes = new_figure(
        0.9 + 0.62 * len(rows) + 0.3 * sum(rows), len(rows), 1, height_ratios=[n + 0.4 for n in rows]
    )
    for axes, (metric, heads) in zip(all_axes, panels.items(), strict=True):
        draw_metric(axes, every[every["metric"] == metric], heads)
        axes.set_title(SHOWN[metric])
    figure.legend(*all_axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def draw_metric(axes: Axes, scores: pd.DataFrame, heads: list[str]) -> None:
    """Draw one metric of all encoders into `axes`, first head on top."""
    encoders = list(dict.fromkeys(scores["encoder"]))
    for place, encoder in enumerate(encoders):
        look = ENCODERS[encoder]
        rows = scores[scores["encoder"] == encoder].set_index("head").reindex(heads)
        y = np.arange(len(heads)) + 0.24 * (place - (len(encoders) - 1) / 2)
        spread = np.abs(rows[["low", "high"]].to_numpy(dtype=float).T - rows["value"].to_numpy(dtype=float))
        axes.errorbar(
            rows["value"], y, xerr=np.nan_to_num(spread), color=look.colour, marker=look.marker, linestyle="none",
            elinewidth=1.6, capsize=2, label=look.name,
        )  # fmt: skip
    chance = scores.groupby("head")["chance"].mean().reindex(heads)
    axes.scatter(chance, range(len(heads)), marker="|", s=220, color=GREY, linewidth=1.6, label="chance", zorder=1)
    axes.set_yticks(range(len(heads)), [head.replace("body_", "") for head in heads])
    axes.set_ylim(len(heads) - 0.4, -0.6)
    axes.set_xlim(min(0.0, float(scores["low"].min())) - 0.02, 1.02)
