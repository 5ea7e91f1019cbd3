"""Which slices hold the liver: windows slide along the body, a classifier scores each, the best run of them wins."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radnet3d.params import Proposal


@dataclass(frozen=True)
class SliceRange:
    """Half-open range of slices; `fallback`: no window passed, so it is the whole scan."""

    start: int
    stop: int
    fallback: bool


def window_centres_mm(n_slices: int, slice_spacing_mm: float, settings: Proposal) -> NDArray[np.float64]:
    """Return the centres of all windows, in mm from the lower edge of the first slice, `step_mm` apart.

    They are spread evenly so that the first and the last lie equally far inside the scan.
    """
    length_mm = n_slices * slice_spacing_mm
    n = max(int(length_mm // settings.step_mm), 1)
    first = (length_mm - (n - 1) * settings.step_mm) / 2
    return np.asarray(first + np.arange(n) * settings.step_mm)


def window_slices(centre_mm: float, n_slices: int, slice_spacing_mm: float, settings: Proposal) -> tuple[int, int]:
    """Return the half-open range of slices within `window_mm` around a centre, cut at the ends of the scan."""
    half = settings.window_mm / 2
    start = round((centre_mm - half) / slice_spacing_mm)
    stop = round((centre_mm + half) / slice_spacing_mm)
    start = min(max(start, 0), n_slices - 1)
    return start, max(min(stop, n_slices), start + 1)


def propose_slices(
    probabilities: NDArray[np.float64], n_slices: int, slice_spacing_mm: float, settings: Proposal
) -> SliceRange:
    """Return the slices proposed from the probability of "liver in this window" of every window.

    The longest run of neighbouring windows above `threshold` wins (equally long: the one with the larger sum). The
    head says whether liver is anywhere in a window, so a window passes before its centre is in the liver, and the
    centres of the run reach about as far beyond the liver as half a window less what the head needs to see of it.
    `margin_mm` is added at both ends. Source: sliding-window proposal of 3D-RADNet (MIDL 2020); ASSUME all numbers.
    """
    passes = probabilities >= settings.threshold
    if not passes.any():
        return SliceRange(0, n_slices, fallback=True)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], passes, [False]]).astype(int)))
    runs = list(zip(edges[::2], edges[1::2], strict=True))
    first, after = max(runs, key=lambda run: (run[1] - run[0], probabilities[run[0] : run[1]].sum()))
    centres_mm = window_centres_mm(n_slices, slice_spacing_mm, settings)
    start = int(np.floor((centres_mm[first] - settings.margin_mm) / slice_spacing_mm))
    stop = int(np.ceil((centres_mm[after - 1] + settings.margin_mm) / slice_spacing_mm))
    start = min(max(start, 0), n_slices - 1)
    return SliceRange(start, max(min(stop, n_slices), start + 1), fallback=False)


def liver_slices(segmentation: NDArray[np.generic]) -> tuple[int, int]:
    """Return the half-open range of slices that hold any liver (label >= 1); (0, 0) if none does."""
    slices = np.flatnonzero((np.asarray(segmentation) >= 1).any(axis=(1, 2)))
    return (int(slices[0]), int(slices[-1]) + 1) if len(slices) else (0, 0)


def overlap(proposed: SliceRange, true_start: int, true_stop: int) -> tuple[float, int]:
    """Return (recall of liver slices, number of slices proposed without need); recall is NaN without a liver."""
    n_true = true_stop - true_start
    n_found = max(min(proposed.stop, true_stop) - max(proposed.start, true_start), 0)
    recall = n_found / n_true if n_true else float("nan")
    return recall, (proposed.stop - proposed.start) - n_found
