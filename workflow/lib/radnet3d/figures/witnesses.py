"""What labels rest on: which text or header value decided each head."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from radnet3d.figures.style import BLUE, FAINT, GREEN, GREY, ORANGE, PURPLE, SKY, new_figure, styled

SORTS = {
    "text of the series": (BLUE, ("SeriesDescription",)),
    "protocol": (SKY, ("ProtocolName",)),
    "text of the study": (
        GREEN, ("StudyDescription", "RequestedProcedureDescription", "PerformedProcedureStepDescription"),
    ),
    "BodyPartExamined": (ORANGE, ("BodyPartExamined", "AnatomicRegionSequence")),
    "its collection": (PURPLE, ("species", "tumor_locations", "collection_id")),
    "other header values": (GREY, ()),
    "nothing: unknown": (FAINT, ("",)),
}  # fmt: skip
"""Sorts of evidence: colour and the witnesses of tables.WITNESS_USE; what is named nowhere is a header value."""

LIGHT = ("BodyPartExamined", "protocol", "nothing: unknown", "its collection")
"""Sorts whose colour wants dark letters."""


def sort_of(witness: str) -> str:
    """Return the sort of evidence that a witness is."""
    return next((name for name, (_, witnesses) in SORTS.items() if witness in witnesses), "other header values")


@styled
def draw(use: pd.DataFrame) -> Figure:
    """Return one bar a head: of which part of the images each sort of evidence decided. `use`: tables.WITNESS_USE."""
    rows = use[use["Modality"] == "all"]
    heads = list(dict.fromkeys(rows["head"]))
    shares = rows.assign(sort=rows["witness"].map(sort_of)).pivot_table(
        index="head", columns="sort", values="n_series", aggfunc="sum", fill_value=0
    )
    shares = shares.div(shares.sum(axis=1), axis=0).reindex(heads)
    figure, (axes,) = new_figure(1.1 + 0.36 * len(heads))
    left = np.zeros(len(heads))
    for name, (colour, _) in SORTS.items():
        if name not in shares:
            continue
        share = shares[name].to_numpy(dtype=float)
        axes.barh(range(len(heads)), share, left=left, height=0.66, color=colour, label=name)
        for place, value in enumerate(share):
            if value >= 0.055:
                letters = "#20262c" if name in LIGHT else "white"
                axes.annotate(
                    f"{value:.0%}",
                    (left[place] + value / 2, place),
                    ha="center",
                    va="center",
                    fontsize=8,
                    color=letters,
                )
        left += share
    axes.set_yticks(range(len(heads)), heads)
    axes.set_ylim(len(heads) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.set_xlabel("fraction of CT, MR and PET series")
    axes.grid(visible=False)
    figure.legend(loc="outside upper left", ncols=4)
    return figure
