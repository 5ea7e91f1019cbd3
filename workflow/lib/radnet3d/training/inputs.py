"""Stored intensities to network input, and the augmentation every training shares."""

import numpy as np
from numpy.typing import NDArray

from radnet3d.params import Input

ROBUST_RANGE = (0.0, 1000.0)
"""Range of volumes stored as "robust_0_1000" (MR, PET)."""

# ASSUME: the paper does not say whether it augmented.
MAX_SCALE = 0.1  # of the field of view, per axis
MAX_SHIFT = 0.08  # of the field of view, per axis
MAX_GAIN = 0.1
MAX_OFFSET = 0.05  # of the input range


def input_range(intensity: str, settings: Input) -> tuple[float, float]:
    """Return the stored values that become 0 and 1. `intensity`: "hu" or "robust_0_1000", as in tables.VOLUMES."""
    return settings.ct_window_hu if intensity == "hu" else ROBUST_RANGE


def scale(volume: NDArray[np.generic], lower: float, upper: float) -> NDArray[np.float32]:
    """Return `volume` with lower..upper mapped to 0..1 and everything beyond clipped.

    A fixed range, not the volume's own minimum and maximum: one metal voxel would otherwise decide what fat looks like.
    """
    scaled = (np.asarray(volume, dtype=np.float32) - np.float32(lower)) * np.float32(1 / (upper - lower))
    return np.clip(scaled, 0, 1, out=scaled)


def jittered_axes(shape: tuple[int, ...], generator: np.random.Generator) -> tuple[tuple[NDArray[np.intp], float], ...]:
    """Return per axis a voxel index array, shifted and scaled at random and repeated at its borders, and its scale.

    Nothing is flipped: left and right, head and foot, front and back differ, and what the labels say depends on it.
    """
    axes = []
    for n in shape:
        factor = 1 + generator.uniform(-MAX_SCALE, MAX_SCALE)
        shift = generator.uniform(-MAX_SHIFT, MAX_SHIFT) * n
        places = (np.arange(n) - (n - 1) / 2) * factor + (n - 1) / 2 + shift
        axes.append((np.clip(np.rint(places), 0, n - 1).astype(np.intp), factor))
    return tuple(axes)


def jittered_grid(shape: tuple[int, ...], generator: np.random.Generator) -> tuple[NDArray[np.intp], ...]:
    """Return the index arrays of `jittered_axes`: the same grid moves a segmentation with its volume."""
    return tuple(places for places, _ in jittered_axes(shape, generator))


def moved(volume: NDArray[np.float32], grid: tuple[NDArray[np.intp], ...]) -> NDArray[np.float32]:
    """Return `volume` at the voxels of `grid`; an axis at a time, four times as fast as all at once."""
    for axis, places in enumerate(grid):
        volume = volume.take(places, axis)
    return volume


def jittered_intensity(
    volume: NDArray[np.float32], generator: np.random.Generator, *, times: float = 1.0
) -> NDArray[np.float32]:
    """Return `volume` (network input) with a random gain and offset, `times` as large as is usual."""
    gain = np.float32(1 + times * generator.uniform(-MAX_GAIN, MAX_GAIN))
    offset = np.float32(times * generator.uniform(-MAX_OFFSET, MAX_OFFSET))
    return volume * gain + offset
