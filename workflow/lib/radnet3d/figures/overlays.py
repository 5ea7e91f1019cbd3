"""Predicted livers drawn over the scan: best, median and worst test case, arm beside arm."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from radnet3d.figures.style import Look, new_figure, styled

TRUTH_COLOUR, PREDICTED_COLOUR = "white", "#ff7a2f"  # bright on grey tissue; the column says which arm
BODY_HU = -300  # between lung and fat
PLACES = ("best", "median", "worst")


class Overlay(NamedTuple):
    """One test case of one arm: (z, y, x) arrays, z towards the head, y towards the back, x towards the patient's left."""

    case_id: str
    place: str
    init: str
    dice: float
    volume_hu: NDArray[np.int16]
    truth: NDArray[np.bool_]
    predicted: NDArray[np.bool_]
    spacing_zyx_mm: tuple[float, float, float]


@styled
def draw(overlays: list[Overlay], ct_window_hu: tuple[float, float], looks: Mapping[str, Look]) -> Figure:
    """Return a column an arm and two rows a case: the axial and the coronal slice with most true liver.

    White: the truth. Orange: the prediction. As radiologists look at it: the patient's left is on the right.
    """
    inits = list(dict.fromkeys(overlay.init for overlay in overlays))
    places = list(dict.fromkeys(overlay.place for overlay in overlays))
    figure, all_axes = new_figure(3.5 * len(places) + 0.3, 2 * len(places), len(inits))
    for overlay in overlays:
        column, row = inits.index(overlay.init), 2 * places.index(overlay.place)
        axial, coronal = (all_axes[(row + below) * len(inits) + column] for below in (0, 1))
        draw_case(axial, coronal, overlay, ct_window_hu, looks[overlay.init])
        if column == 0:
            axial.set_ylabel(f"{overlay.place}: case {overlay.case_id}", fontsize=9, weight="bold")
    return figure


def draw_case(axial: Axes, coronal: Axes, overlay: Overlay, ct_window_hu: tuple[float, float], look: Look) -> None:
    """Draw the two slices of one case and arm, cut to the body."""
    z = int(overlay.truth.sum(axis=(1, 2)).argmax())
    y = int(overlay.truth.sum(axis=(0, 2)).argmax())
    dz, dy, dx = overlay.spacing_zyx_mm
    rows, columns = (extent(overlay.volume_hu.max(axis=axes) > BODY_HU) for axes in ((0, 2), (0, 1)))
    slices = (
        (axial, (z, rows, columns), dy / dx, "upper"),
        (coronal, (slice(None), y, columns), dz / dx, "lower"),
    )
    for axes, where, aspect, origin in slices:
        axes.imshow(overlay.volume_hu[where], vmin=ct_window_hu[0], vmax=ct_window_hu[1], aspect=aspect, origin=origin)  # type: ignore[arg-type]
        for mask, colour, width in ((overlay.truth, TRUTH_COLOUR, 1.6), (overlay.predicted, PREDICTED_COLOUR, 1.4)):
            if mask[where].any() and not mask[where].all():
                axes.contour(mask[where], levels=[0.5], colors=[colour], linewidths=width)
        axes.set(xticks=[], yticks=[])
        axes.grid(visible=False)
        for spine in axes.spines.values():
            spine.set_visible(False)
    axial.set_title(f"{look.name}: Dice {overlay.dice:.2f}", color=look.colour, fontsize=9)


def extent(is_body: NDArray[np.bool_]) -> slice:
    """Return the range from the first to the last true value; everything if there is none."""
    places = np.flatnonzero(is_body)
    return slice(int(places[0]), int(places[-1]) + 1) if places.size else slice(None)


def choose(run_cases: pd.DataFrame) -> dict[str, str]:
    """Return place -> case_id: best, median and worst case by mean Dice over the runs that are shown.

    `run_cases`: tables.RUN_CASES of these runs. With few cases places may share one.
    """
    mean = run_cases.groupby("case_id")["dice_per_case"].mean().dropna()
    ranked = list(mean.sort_values(ascending=False, kind="stable").index)
    return {place: ranked[at] for place, at in zip(PLACES, (0, len(ranked) // 2, -1), strict=True)}
