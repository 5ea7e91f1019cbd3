"""Coverage of catalogue labels by collection, as a heat map."""

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from radnet3d.figures.style import new_figure, styled

N_COLLECTIONS = 30


@styled
def draw(census: pd.DataFrame) -> Figure:
    """Return fraction answered by collection (the 30 with most series, largest on top) and head. `census`: tables.CENSUS."""
    rows = census.groupby(["collection_id", "head"], sort=False)[["n_series", "n_answered"]].sum().reset_index()
    heads = list(dict.fromkeys(rows["head"]))
    sizes = rows.groupby("collection_id")["n_series"].max().sort_values(ascending=False).head(N_COLLECTIONS)
    answered = rows.assign(fraction=rows["n_answered"] / rows["n_series"]).pivot(
        index="collection_id", columns="head", values="fraction"
    )
    answered = answered.loc[list(sizes.index), heads]
    answered.index = pd.Index([f"{name} ({n:,})" for name, n in sizes.items()])
    figure, (axes,) = new_figure(0.9 + 0.21 * len(answered))
    sns.heatmap(
        answered, ax=axes, cmap="cividis", vmin=0, vmax=1, annot=True, fmt=".0%", annot_kws={"size": 7}, linewidths=0.4,
        cbar_kws={"label": "fraction of series answered", "shrink": 0.6, "aspect": 30},
    )  # fmt: skip
    axes.set(xlabel="", ylabel="")
    axes.tick_params(length=0, labelsize=8)
    axes.tick_params(axis="x", labeltop=True, labelbottom=False)
    return figure
