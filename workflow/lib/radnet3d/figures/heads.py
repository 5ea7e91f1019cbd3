"""What pretraining learned: each head's score on held-out patients against chance, for the encoders that train it."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from radnet3d.figures.style import GREY, Look, new_figure, styled

SHOWN = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "auc": "AUC", "pearson_r": "correlation, r"}
"""Metrics between 0 and 1, each a panel with the heads that have it; one with a unit is left to the table."""


@styled
def draw(scores: pd.DataFrame, looks: Mapping[str, Look]) -> Figure:
    """Return a panel a metric: the mean of the encoders of one group by head, its bar from the lowest to the highest end.

    `scores`: tables.HEAD_SCORES of every encoder and seed, of heads that it trains, with `group`: a key of `looks`. Chance is
    a tick.
    """
    panels = {
        m: list(dict.fromkeys(scores.loc[scores["metric"] == m, "head"])) for m in SHOWN if m in set(scores["metric"])
    }
    groups = [group for group in looks if group in set(scores["group"])]
    n_rows = [len(heads) for heads in panels.values()]
    height = 0.06 + 0.1 * max(2, len(groups))
    figure, all_axes = new_figure(
        0.9 + 0.62 * len(n_rows) + height * sum(n_rows), len(n_rows), 1, height_ratios=[n + 0.4 for n in n_rows]
    )
    for axes, (metric, heads) in zip(all_axes, panels.items(), strict=True):
        draw_metric(axes, scores[scores["metric"] == metric], heads, {group: looks[group] for group in groups})
        axes.set_title(SHOWN[metric])
    handles = {
        label: handle for axes in all_axes for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4)
    return figure


def draw_metric(axes: Axes, scores: pd.DataFrame, heads: list[str], looks: Mapping[str, Look]) -> None:
    """Draw one metric of all groups into `axes`, first head on top."""
    for place, (group, look) in enumerate(looks.items()):
        rows = scores[scores["group"] == group].groupby("head").agg({"value": "mean", "low": "min", "high": "max"})
        rows = rows.reindex([head for head in heads if head in rows.index])
        if rows.empty:
            continue
        y = np.array([heads.index(head) for head in rows.index]) + 0.8 / len(looks) * (place - (len(looks) - 1) / 2)
        ends = np.abs(rows[["low", "high"]].to_numpy(dtype=float).T - rows["value"].to_numpy(dtype=float))
        axes.errorbar(
            rows["value"], y, xerr=np.nan_to_num(ends), color=look.colour, marker=look.marker, linestyle="none",
            elinewidth=1.4, capsize=2, markersize=5, label=look.name,
        )  # fmt: skip
    chance = scores.groupby("head")["chance"].mean().reindex(heads)
    axes.scatter(chance, range(len(heads)), marker="|", s=220, color=GREY, linewidth=1.6, label="chance", zorder=1)
    axes.set_yticks(range(len(heads)), [head.replace("body_", "") for head in heads])
    axes.set_ylim(len(heads) - 0.4, -0.6)
    axes.set_xlim(min(0.0, float(scores["low"].min())) - 0.02, 1.02)
