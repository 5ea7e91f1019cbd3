"""What labels from catalogue text cover: answered, unknown and not applicable by head and modality."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from radnet3d.figures.style import BLUE, FAINT, GREY, new_figure, styled

MODALITIES = ("CT", "MR", "PT")


@styled
def draw(census: pd.DataFrame) -> Figure:
    """Return a panel an image modality that is labelled (largest first): fraction of series answered by head.

    `census`: tables.CENSUS. Where a head does not apply to a modality (the kernel of an MR) there is no bar.
    """
    rows = census.groupby(["Modality", "head"], sort=False)[["n_series", "n_answered", "n_na"]].sum().reset_index()
    rows = rows[rows["Modality"].isin(MODALITIES)]
    largest = rows.groupby("Modality")["n_series"].max().sort_values(ascending=False)
    heads = list(dict.fromkeys(rows["head"]))
    figure, panels = new_figure(0.9 + 0.36 * len(heads), 1, len(largest), sharey=True)
    y = np.arange(len(heads))
    for axes, (modality, n_series) in zip(panels, largest.items(), strict=True):
        counts = rows[rows["Modality"] == modality].set_index("head").reindex(heads)
        asked = counts["n_series"] - counts["n_na"]
        answered = (counts["n_answered"] / asked.where(asked > 0)).to_numpy(dtype=float)
        axes.barh(y, np.where(np.isnan(answered), 0, 1), height=0.62, color=FAINT)
        axes.barh(y, np.nan_to_num(answered), height=0.62, color=BLUE)
        for place, value in enumerate(answered):
            inside = value > 0.8
            axes.annotate(
                "does not apply" if np.isnan(value) else f"{value:.0%}", (np.nan_to_num(value), place),
                xytext=(-4 if inside else 4, 0), textcoords="offset points", va="center", ha="right" if inside else "left",
                fontsize=8, color="white" if inside else GREY if np.isnan(value) else "#20262c",
            )  # fmt: skip
        axes.set_title(f"{modality}, {n_series:,} series")
        axes.set_xlim(0, 1)
        axes.grid(visible=False)
        axes.set_xlabel("answered (grey: unknown)")
    panels[0].set_yticks(y, heads)
    panels[0].set_ylim(len(heads) - 0.5, -0.5)
    return figure
