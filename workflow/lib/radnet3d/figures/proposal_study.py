"""Ways to find the liver's slices: what they miss and propose too much, and what that does to Dice."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from radnet3d.figures.style import BLUE, DARK, GREY, ORANGE, SKY, Look, new_figure, spread, styled


class Way(NamedTuple):
    """How a way to find slices is named and drawn."""

    name: str
    colour: str
    marker: str


WAYS = {
    "coverage": Way("coverage head,\nas used", BLUE, "s"),
    "coverage_tuned": Way("coverage head,\nchosen setting", SKY, "D"),
    "classifier": Way("slice classifier", ORANGE, "^"),
    "true_range": Way("true range", DARK, "o"),
    "whole_scan": Way("whole scan", GREY, "v"),
}


@styled
def draw(study: pd.DataFrame, scores: pd.DataFrame, looks: Mapping[str, Look]) -> Figure:
    """Return recall against what is proposed too much, and Dice against that under the true range, a panel a size.

    `study`: tables.PROPOSAL_STUDY; `scores`: tables.PROPOSAL_SCORES of all proposers, whose margins on test cases make the lines.
    """
    sizes = sorted(study["n_train"].unique())
    figure, (left, *panels) = new_figure(3.9, 1, 1 + len(sizes), width_ratios=[1.3, *[1] * len(sizes)])
    draw_found(left, study, scores[scores["role"] == "test"])
    for axes, size in zip(panels, sizes, strict=True):
        draw_dice(axes, study[study["n_train"] == size], looks)
        axes.set_title(f"n = {size}", pad=24)
        if axes is not panels[0]:
            axes.sharey(panels[0])
    panels[0].set_ylabel("Dice per case −\nthat under the true range")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=len(WAYS))
    return figure


def draw_found(axes: Axes, study: pd.DataFrame, scores: pd.DataFrame) -> None:
    """Draw mean recall against the millimetres proposed beside the liver; a line follows one proposer's margin."""
    for _, line in scores.groupby(["method", "n_train", "subset_seed"], sort=False):
        line = line.sort_values("margin_mm")
        axes.plot(line["extra_mm"], line["recall"], color=WAYS[line["method"].iloc[0]].colour, linewidth=0.8, alpha=0.6)
    found = study.drop_duplicates(["method", "n_train", "recall", "extra_mm"])
    for method, way in WAYS.items():
        rows = found[found["method"] == method].drop_duplicates(["recall", "extra_mm"])
        if rows.empty:
            continue
        up = spread(rows, "recall", "recall_low", "recall_high")
        along = spread(rows, "extra_mm", "extra_mm_low", "extra_mm_high")
        axes.errorbar(
            rows["extra_mm"], rows["recall"], up, along, linestyle="none", color=way.colour, marker=way.marker, markersize=7,
            markeredgecolor="white", capsize=2, elinewidth=1.2, label=way.name.replace("\n", " "), zorder=3,
        )  # fmt: skip
    axes.set_xlabel("proposed beside the liver (mm, mean)")
    axes.set_ylabel("liver slices proposed (share, mean)")


def draw_dice(axes: Axes, study: pd.DataFrame, looks: Mapping[str, Look]) -> None:
    """Draw the paired difference of Dice to the true range with its interval, a mark an arm."""
    methods = [method for method in WAYS if method in set(study["method"]) and method != "true_range"]
    arms = list(dict.fromkeys(study["init"]))
    axes.axhline(0, color=DARK, linewidth=1)
    for place, init in enumerate(arms):
        look = looks[init]
        rows = study[study["init"] == init].set_index("method")
        shown = rows.loc[methods]
        bars = spread(shown, "difference", "difference_low", "difference_high")
        axes.errorbar(
            np.arange(len(methods)) + 0.2 * (place - (len(arms) - 1) / 2), shown["difference"], bars, linestyle="none",
            color=look.colour, marker=look.marker, markersize=7, markeredgecolor="white", capsize=3, label=look.name,
        )  # fmt: skip
        said = f"{look.name}, true range: {rows.loc['true_range', 'dice_per_case_mean']:.2f}"
        axes.text(0, 1.02 + 0.08 * place, said, transform=axes.transAxes, fontsize=7, color=look.colour)
    names = [WAYS[method].name for method in methods]
    axes.set_xticks(range(len(methods)), names, rotation=60, fontsize=7.5)
    axes.set_xlim(-0.5, len(methods) - 0.5)
    axes.grid(axis="x", visible=False)
