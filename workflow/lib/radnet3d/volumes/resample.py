"""Anti-aliased resampling of a whole volume to a fixed number of voxels, as one small matrix an axis."""

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float32]
Shape2 = tuple[int, int]
Window = tuple[float, float]


def resample(array_zyx: ArrayLike, shape_zyx: tuple[int, int, int]) -> Array:
    """Return `array_zyx` (z, y, x) resampled over its whole extent to `shape_zyx` voxels, as float32.

    Fewer voxels: each is a triangle-weighted mean over twice its own size, so that nothing is aliased. More voxels:
    linear interpolation. The same size: the array itself. Constants and linear ramps come back exactly, edges included.
    Use it for probability maps too; label maps need their probabilities resampled.
    """
    resampled = np.asarray(array_zyx, np.float32)
    if resampled.ndim != 3 or min(resampled.shape) < 1 or min(shape_zyx) < 1:
        raise ValueError(f"resample: found shape {resampled.shape} to {shape_zyx}, wanted three axes, none empty")
    # the axis that shrinks most goes first: what follows then has less to do
    for axis in sorted(range(3), key=lambda axis: shape_zyx[axis] / resampled.shape[axis]):
        resampled = resample_axis(resampled, shape_zyx[axis], axis=axis)
    return resampled


def resample_axis(array: Array, n_out: int, *, axis: int) -> Array:
    """Return `array` resampled along one axis to `n_out` samples."""
    if array.shape[axis] == n_out:
        return array
    weights = resampling_weights(array.shape[axis], n_out)
    return np.ascontiguousarray(np.moveaxis(np.tensordot(weights, array, axes=(1, axis)), 0, axis))


@lru_cache(maxsize=256)
def resampling_weights(n_in: int, n_out: int) -> Array:
    """Return the (n_out, n_in) matrix that resamples one axis over its whole extent; rows sum to 1, read-only."""
    weights = window_weights(n_in, n_out, 0.0, n_in)
    weights.flags.writeable = False
    return weights


def resample_window(plane: Array, shape_yx: Shape2, start_yx: Window, stop_yx: Window, *, outside: float) -> Array:
    """Return the part of a (y, x) plane between `start_yx` and `stop_yx` as `shape_yx` voxels; `outside` beyond it.

    Edges are counted in voxels from the outer face of the first: (0, 0) to `plane.shape` is the whole. The kernel is that
    of `resample`, so a plane is shifted and resampled at once.
    """
    ends = zip(plane.shape, shape_yx, start_yx, stop_yx, strict=True)
    along_y, along_x = (window_weights(n_in, n_out, start, stop) for n_in, n_out, start, stop in ends)
    resampled = np.asarray(along_y @ plane @ along_x.T, np.float32)
    resampled[~along_y.any(axis=1)] = outside
    resampled[:, ~along_x.any(axis=1)] = outside
    return resampled


def window_weights(n_in: int, n_out: int, start: float, stop: float) -> Array:
    """Return the (n_out, n_in) matrix that resamples an axis from `start` to `stop`, edges counted in voxels.

    Samples are means over voxels, so sample i lies at start + (i + 1/2) (stop - start) / n_out - 1/2. Its row sums to 1,
    or to 0 where that is outside the axis. The kernel is a triangle of half-width max(1, (stop - start) / n_out) made to
    reproduce ramps (a local linear fit): a plain triangle is off where it is cut at an edge, or where its centre falls
    between voxels.
    """
    scale = (stop - start) / n_out
    centre = start + (np.arange(n_out) + 0.5) * scale - 0.5
    at = centre.clip(0, n_in - 1)[:, None]
    distance = np.arange(n_in)[None, :] - at
    kernel = np.maximum(0.0, 1.0 - np.abs(distance) / max(1.0, scale))
    kernel /= kernel.sum(axis=1, keepdims=True)
    mean = (kernel * distance).sum(axis=1, keepdims=True)
    variance = (kernel * (distance - mean) ** 2).sum(axis=1, keepdims=True)
    slope = np.divide(-mean, variance, out=np.zeros_like(mean), where=variance > 1e-12)
    weights = (kernel * (1.0 + slope * (distance - mean))).astype(np.float32)
    weights[(centre < -0.5) | (centre > n_in - 0.5)] = 0.0
    return np.asarray(weights)
