"""Labels against rated real series: our rules beside what others do, on the same rows."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from radnet3d.figures.style import BLUE, GREY, ORANGE, Look, new_figure, styled

LABELLERS = {
    "rules": Look("our rules", BLUE, "s"),
    "regex": Look("regular expressions as published", ORANGE, "^"),
    "body-part-examined": Look("BodyPartExamined alone", GREY, "o"),
}


@styled
def draw(scores: dict[str, pd.DataFrame]) -> Figure:
    """Return the fraction of right answers by head (`unknown` is right where a reader could not tell), with intervals.

    `scores`: tables.LABEL_SCORES by labeller; one that answers nothing of a head has no mark there.
    """
    heads = list(dict.fromkeys(head for frame in scores.values() for head in frame["head"]))
    figure, (axes,) = new_figure(1.1 + 0.42 * len(heads))
    for place, (name, frame) in enumerate(scores.items()):
        look = LABELLERS[name]
        rows = frame[frame["metric"] == "agreement"].set_index("head").reindex(heads)
        answered = frame[frame["metric"] == "coverage"].set_index("head")["n"].reindex(heads).fillna(0) > 0
        rows = rows.where(answered)
        value = rows["value"].to_numpy(dtype=float)
        spread = np.abs(rows[["low", "high"]].to_numpy(dtype=float).T - value)
        y = np.arange(len(heads)) + 0.22 * (place - (len(scores) - 1) / 2)
        axes.errorbar(
            value, y, xerr=spread, color=look.colour, marker=look.marker, linestyle="none", capsize=2, elinewidth=1.6,
            label=look.name,
        )  # fmt: skip
        for x, at in zip(value, y, strict=True):
            if not np.isnan(x):
                axes.annotate(f"{x:.1%}", (1.03, at), fontsize=7.5, color="#20262c", va="center", annotation_clip=False)
    axes.set_yticks(range(len(heads)), heads)
    axes.set_ylim(len(heads) - 0.45, -0.55)
    axes.set_xlim(0, 1.02)
    axes.set_xlabel("fraction of rated series answered as the readers did")
    axes.grid(axis="y", visible=False)
    figure.legend(loc="outside upper left", ncols=len(scores))
    return figure
