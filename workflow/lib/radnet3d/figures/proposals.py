"""Proposed liver slices against the true ones, case by case."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from radnet3d.figures.style import BLUE, FAINT, GREY, VERMILION, new_figure, styled


@styled
def draw(proposals: pd.DataFrame, true_ranges: pd.DataFrame) -> Figure:
    """Return each case's scan (grey), proposed range (blue) and true liver range (dark), in millimetres from the feet.

    `proposals`: tables.PROPOSALS. `true_ranges`: case_id, true_start_slice, true_stop_slice (half open), slice_spacing_mm.
    Cases are sorted by how much liver the proposal misses, then by its excess.
    """
    rows = proposals.merge(true_ranges, on="case_id", validate="one_to_one")
    rows = rows.sort_values(["recall", "n_extra_slices"], ascending=[True, False], ignore_index=True)
    figure, (axes,) = new_figure(3.8)
    mm, x = rows["slice_spacing_mm"].to_numpy(), np.arange(len(rows))
    axes.bar(x, rows["n_slices"] * mm, width=0.9, color=FAINT, label="scan")
    axes.bar(
        x, (rows["stop_slice"] - rows["start_slice"]) * mm, bottom=rows["start_slice"] * mm, width=0.9, color=BLUE,
        alpha=0.45, label="proposed",
    )  # fmt: skip
    axes.bar(
        x, (rows["true_stop_slice"] - rows["true_start_slice"]) * mm, bottom=rows["true_start_slice"] * mm, width=0.35,
        color="#20262c", label="true liver",
    )  # fmt: skip
    missed = rows["recall"] < 1
    axes.scatter(
        x[missed], rows["n_slices"][missed] * mm[missed], marker="v", color=VERMILION, s=14, label="liver slices missed"
    )
    whole = rows["fallback"]
    axes.scatter(
        x[whole], np.zeros(int(whole.sum())), marker="x", color=GREY, s=14, label="no window passed: whole scan"
    )
    axes.set_xlim(-1, len(rows))
    axes.set_xticks([])
    axes.grid(axis="x", visible=False)
    axes.set_xlabel(f"{len(rows)} cases, most missed first")
    axes.set_ylabel("height above the lowest slice (mm)")
    figure.legend(loc="outside lower center", ncols=5)
    return figure
