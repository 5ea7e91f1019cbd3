"""Contact sheet of pretraining volumes: the central slice of each, with what its header said."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from radnet3d.figures.style import new_figure, styled

N_COLUMNS = 8


@styled
def draw(slices: list[NDArray[np.int16]], labels: pd.DataFrame, ct_window_hu: tuple[float, float]) -> Figure:
    """Return a grid of slices (rows, columns as stored), each above its labels.

    `slices`: one central slice a row of `labels`, which has Modality, sequence, plane, contrast, regions, intensity.
    """
    n_rows = -(-len(slices) // N_COLUMNS)
    figure, all_axes = new_figure(1.5 * n_rows, n_rows, N_COLUMNS)
    for axes in all_axes:
        axes.axis("off")
    for axes, image, label in zip(all_axes, slices, labels.to_dict("records"), strict=False):
        low, high = ct_window_hu if label["intensity"] == "hu" else (0.0, 1000.0)
        axes.imshow(image, vmin=low, vmax=high, aspect="auto")
        axes.set_title(caption(label), fontsize=6, weight="normal", pad=2)
    return figure


def caption(label: dict[object, object]) -> str:
    """Return three lines for one volume: what it is, how it lies, what it shows."""
    contrast = {"yes": " +contrast", "no": " native", "unknown": " contrast ?", "na": ""}[str(label["contrast"])]
    return f"{label['sequence']}{contrast}\n{label['plane']}\n{str(label['regions']).replace(';', ' ')}"


def choose(labels: pd.DataFrame, n: int) -> pd.DataFrame:
    """Return `n` rows spread over the kinds of series there are: one of each (sequence, plane, regions) before a second."""
    ordered = labels.sort_values("SeriesInstanceUID")
    kind = ["sequence", "plane", "regions"]
    turn = ordered.groupby(kind).cumcount()
    return (
        ordered.assign(turn=turn).sort_values(["turn", *kind], kind="stable").head(n).sort_values(["sequence", "plane"])
    )
