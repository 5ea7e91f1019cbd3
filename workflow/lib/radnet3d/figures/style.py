"""One visual language for all figures: sizes, colours that colour-blind readers tell apart, files without dates.

Colours are those of Okabe and Ito (2008, 'Color universal design'); an arm keeps its colour and marker everywhere.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from radnet3d.atomic import replacing

P = ParamSpec("P")

PAGE_WIDTH_IN = 8.6
"""Drawn at the width of the report's column, so that 9 pt text is read as 9 pt."""

GREY, BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE = (
    "#5c6670", "#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7",
)  # fmt: skip
FAINT = "#d9dee3"


class Look(NamedTuple):
    """How an arm is named and drawn."""

    name: str
    colour: str
    marker: str


DARK = "#20262c"
KEPT = {"scratch": (GREY, "o"), "pretrained": (BLUE, "s"), "shuffled": (ORANGE, "^"), "control": (GREEN, "D")}
"""The arms that look alike in every study."""
KEPT_ENCODERS = {"dicom": KEPT["pretrained"], "shuffled": KEPT["shuffled"], "control": KEPT["control"]}
OTHER_COLOURS = (VERMILION, SKY, PURPLE, DARK)
OTHER_MARKERS = ("v", "P", "X", "<", ">", "h", "d")
"""Of all other arms: told apart by both together, so the first 28 are."""


def looks(names: Mapping[str, str], kept: Mapping[str, tuple[str, str]] = KEPT) -> dict[str, Look]:
    """Return how each arm is named and drawn. `names`: arm -> short name, in the order in which arms are listed."""
    others = [name for name in names if name not in kept]
    drawn = {
        name: (OTHER_COLOURS[place % len(OTHER_COLOURS)], OTHER_MARKERS[place % len(OTHER_MARKERS)])
        for place, name in enumerate(others)
    }
    return {key: Look(name, *(kept[key] if key in kept else drawn[key])) for key, name in names.items()}


RC = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # ships with matplotlib: the same letters on every machine
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "axes.labelcolor": "#20262c",
    "axes.edgecolor": "#8a949e",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e7ebee",
    "grid.linewidth": 0.8,
    "xtick.color": "#4a545e",
    "ytick.color": "#4a545e",
    "legend.frameon": False,
    "legend.fontsize": 9.0,
    "lines.linewidth": 1.8,
    "lines.markersize": 6.0,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "image.cmap": "gray",
    "svg.hashsalt": "radnet3d",
    "svg.fonttype": "path",
    "savefig.dpi": 150,
}


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Return `draw` so that it works in this style whatever the process has set."""

    @wraps(draw)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with mpl.rc_context(RC):  # type: ignore[arg-type]
            return draw(*args, **kwargs)

    return wrapped


def new_figure(height_in: float, n_rows: int = 1, n_columns: int = 1, **options: Any) -> tuple[Figure, list[Axes]]:
    """Return a figure of page width and its axes, row by row."""
    figure = Figure(figsize=(PAGE_WIDTH_IN, height_in), layout="constrained")
    return figure, list(figure.subplots(n_rows, n_columns, squeeze=False, **options).ravel())


def spread(rows: pd.DataFrame, value: str, low: str, high: str) -> NDArray[np.float64]:
    """Return the (2, rows) lengths of the bars of an interval around a value; 0 where there is no interval."""
    values, ends = rows[value].to_numpy(dtype=float), rows[[low, high]].to_numpy(dtype=float)
    lengths: NDArray[np.float64] = np.nan_to_num(np.abs(ends.T - values))
    return lengths


def mark_synthetic(figure: Figure) -> Figure:
    """Return the figure with a note that its patients are digital: it stays with the picture when that is copied."""
    with mpl.rc_context(RC):  # type: ignore[arg-type]
        figure.set_layout_engine("constrained", rect=(0, 0, 1, 1 - 0.22 / figure.get_figheight()))
        figure.text(
            0.998, 0.995, "SYNTHETIC PATIENTS", ha="right", va="top", fontsize=7.5, weight="bold", color=VERMILION
        )
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write the figure to `path` (.svg or .png): the same bytes for the same data, no date, no program version."""
    metadata = {"Date": None, "Creator": None} if path.suffix == ".svg" else {"Software": None}
    with mpl.rc_context(RC), replacing(path) as temporary:  # type: ignore[arg-type]
        settle(figure)
        figure.savefig(temporary, metadata=metadata)


def settle(figure: Figure) -> None:
    """Lay the figure out and round the places of its axes: the layout's solver differs in the last digits from time to time."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        axes.set_position(np.round(axes.get_position(original=True).bounds, 5).tolist())
