"""Which head carries the transfer: each head left out of pretraining, and each head alone."""

from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from radnet3d.figures.style import DARK, FAINT, Look, new_figure, spread, styled


class Kind(NamedTuple):
    """One half of the ablation: its title, what its arms are compared with, and the arm that a line stands for."""

    title: str
    reference: str
    other: str


KINDS = {
    "without": Kind("one head left out", "pretrained", "scratch"),
    "alone": Kind("one head alone", "scratch", "pretrained"),
}


@styled
def draw(
    comparison: pd.DataFrame, heads: Mapping[str, tuple[str, str]], margin_dice: float, looks: Mapping[str, Look]
) -> Figure:
    """Return two panels a size: each head left out against all heads, each head alone against scratch; largest first.

    `comparison`: tables.COMPARISON; `heads`: arm -> (without or alone, head).
    """
    rows = comparison[comparison["init"].isin(list(heads))].assign(
        kind=lambda frame: [heads[init][0] for init in frame["init"]],
        head=lambda frame: [heads[init][1] for init in frame["init"]],
    )
    rows = rows[rows["reference"] == rows["kind"].map({name: kind.reference for name, kind in KINDS.items()})]
    sizes = sorted(rows["n_train"].unique())
    n_heads = max(1, int(rows.groupby(["n_train", "kind"]).size().max())) if len(rows) else 1
    figure, panels = new_figure((1.1 + 0.28 * n_heads) * max(1, len(sizes)), max(1, len(sizes)), 2, sharex=True)
    for place, size in enumerate(sizes):
        for axes, (name, kind) in zip(panels[2 * place :], KINDS.items(), strict=False):
            own = rows[(rows["n_train"] == size) & (rows["kind"] == name)].sort_values("difference", ascending=False)
            draw_half(axes, own, kind, comparison[comparison["n_train"] == size], margin_dice, looks)
            axes.set_title(f"{kind.title}, n = {size}")
    for axes, kind in zip(panels[-2:], KINDS.values(), strict=True):
        axes.set_xlabel(f"difference of Dice per case to {looks[kind.reference].name}")
    return figure


def draw_half(
    axes: Axes, rows: pd.DataFrame, kind: Kind, every: pd.DataFrame, margin_dice: float, looks: Mapping[str, Look]
) -> None:
    """Draw the differences of one half at one size, and the arm at the other end of the scale as a line."""
    axes.axvspan(-margin_dice, margin_dice, color=FAINT, alpha=0.6, linewidth=0)
    axes.axvline(0, color=looks[kind.reference].colour, linewidth=1.4, label=looks[kind.reference].name)
    if (line := other_arm(rows, kind, every)) is not None:
        look = looks[kind.other]
        axes.axvline(line, color=look.colour, linewidth=1.4, linestyle=(0, (4, 2)), label=look.name)
    axes.errorbar(
        rows["difference"], range(len(rows)), xerr=spread(rows, "difference", "difference_low", "difference_high"),
        color=DARK, marker="o", linestyle="none", elinewidth=1.6, capsize=3, markeredgecolor="white", markersize=7,
    )  # fmt: skip
    axes.set_yticks(range(len(rows)), list(rows["head"]))
    axes.set_ylim(max(len(rows), 1) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.3 if len(rows) < 4 else -0.22), ncols=3, fontsize=7.5)


def other_arm(rows: pd.DataFrame, kind: Kind, every: pd.DataFrame) -> float | None:
    """Return what the other arm differs by from the reference on the seeds of the arms drawn; None where none has both.

    An arm's differences to the two were paired on its own seeds, so the other minus the reference is one minus the other.
    """
    to_other = every[every["reference"] == kind.other].set_index("init")["difference"]
    for init, difference in zip(rows["init"], rows["difference"], strict=True):
        if init in to_other.index:
            return float(difference - to_other[init])
    return None
