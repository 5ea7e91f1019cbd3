"""A grid in patient millimetres on which anatomy is painted.

Anatomy is described once, in the millimetres of a reference adult: x to the left, y to the back, z to the head, z = 0 at
the pubic symphysis. A patient is that anatomy scaled, tilted and smoothly deformed, and each series looks at it through
its own grid; the same point of the same patient is therefore the same tissue in any series.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from radnet3d.archive.phantom.tissues import Label, is_any

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Box = tuple[slice, slice, slice]

LATTICE_MM = 14.0
"""Spacing of the lattice on which the deformation is evaluated before it is interpolated to the grid."""
TILE = 32
"""Edge of the periodic noise tile from which textures are taken, in cells."""


@dataclass(frozen=True)
class Grid:
    """Sampling positions: index (i, j, k) lies at `origin_lps_mm + (i, j, k) @ steps_lps_mm`."""

    shape: tuple[int, int, int]  # slices, rows, columns
    origin_lps_mm: NDArray[np.float64]  # (3,), centre of the first voxel
    steps_lps_mm: NDArray[np.float64]  # (3, 3): rows are the steps of slice, row and column index

    def finer(self, n_per_slice: int) -> "Grid":
        """Return the grid with `n_per_slice` planes spread evenly over the thickness of each slice."""
        steps = self.steps_lps_mm.copy()
        steps[0] /= n_per_slice
        origin = self.origin_lps_mm - steps[0] * (n_per_slice - 1) / 2
        return Grid((self.shape[0] * n_per_slice, *self.shape[1:]), origin, steps)


@dataclass(frozen=True)
class Pose:
    """How a patient's anatomy lies in the patient coordinate system of one study."""

    matrix: NDArray[np.float64]  # (3, 3) from LPS to reference millimetres: tilt, then size
    origin_lps_mm: NDArray[np.float64]  # (3,) where the reference origin lies
    is_prone: bool
    arms: str  # "up" or "down"

    def to_reference(self, points_lps_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return undeformed reference millimetres of (..., 3) points."""
        return (points_lps_mm - self.origin_lps_mm) @ self.matrix.T

    def to_lps(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return LPS millimetres of (..., 3) undeformed reference points."""
        return points @ np.linalg.inv(self.matrix).T + self.origin_lps_mm


@dataclass(frozen=True)
class Deformation:
    """A smooth displacement field of one patient: periodic noise at two scales, reference millimetres."""

    tile: Floats  # (TILE, TILE, TILE) smooth periodic noise of unit variance
    scales_mm: tuple[float, float]  # of one cell of the tile
    amplitudes_mm: tuple[float, float]

    def noise(self, points: tuple[NDArray[Any], ...], cell_mm: float, shift: float) -> Floats:
        """Return the tile's value at reference points, one cell being `cell_mm`; `shift` picks another part of it."""
        coordinates = np.stack([(axis / cell_mm + shift * (1.7 + n)).ravel() for n, axis in enumerate(points)])
        values: Floats = ndimage.map_coordinates(self.tile, coordinates, order=1, mode="grid-wrap", output=np.float32)
        return values.reshape(points[0].shape)

    def displacement(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (..., 3) displacements in mm of (..., 3) reference points."""
        axes = (points[..., 0], points[..., 1], points[..., 2])
        moved = np.zeros(points.shape)
        for cell_mm, amplitude_mm in zip(self.scales_mm, self.amplitudes_mm, strict=True):
            for axis in range(3):
                moved[..., axis] += amplitude_mm * self.noise(axes, cell_mm, 3.1 + 5.3 * axis)
        return moved * stiffness(points[..., 2])[..., None]

    def displacement_near(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return about the displacement at (n, 3) reference points, from the nearest cells: fast, good to some mm."""
        moved = np.zeros(points.shape)
        for cell_mm, amplitude_mm in zip(self.scales_mm, self.amplitudes_mm, strict=True):
            cells = np.rint(points / cell_mm).astype(int)
            for axis in range(3):
                shift = 3.1 + 5.3 * axis
                i, j, k = (cells + np.rint(shift * (1.7 + np.arange(3))).astype(int)).T % TILE
                moved[:, axis] += amplitude_mm * self.tile[i, j, k]
        return moved * stiffness(points[:, 2])[:, None]


def stiffness(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of the deformation at height z: heads differ less than bellies."""
    return np.asarray(np.interp(z, [570, 680], [1.0, 0.4]))


def noise_tile(rng: np.random.Generator) -> Floats:
    """Return smooth periodic noise, (TILE, TILE, TILE), mean 0, variance 1, correlated over about two cells."""
    tile = ndimage.gaussian_filter(rng.standard_normal((TILE, TILE, TILE), dtype=np.float32), 1.0, mode="wrap")
    tile -= tile.mean()
    return np.asarray(tile / tile.std(), dtype=np.float32)


def rotation(degrees: ArrayLike) -> NDArray[np.float64]:
    """Return the (3, 3) matrix that turns column vectors about x, then y, then z."""
    a, b, c = np.deg2rad(np.asarray(degrees, dtype=float))
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    turned: NDArray[np.float64] = z @ y @ x
    return turned


def hat_weights(n_fine: int, n_coarse: int) -> Floats:
    """Return (n_fine, n_coarse) weights of linear interpolation between points spread over the same range."""
    at = np.linspace(0, n_coarse - 1, n_fine)[:, None]
    return np.asarray(np.clip(1 - np.abs(at - np.arange(n_coarse)), 0, 1), dtype=np.float32)


class Canvas:
    """Labels on one grid of one patient; painting functions take reference millimetres."""

    def __init__(self, grid: Grid, pose: Pose, deformation: Deformation) -> None:
        self.grid, self.pose, self.deformation = grid, pose, deformation
        self.labels: NDArray[np.uint8] = np.zeros(grid.shape, dtype=np.uint8)
        self.x, self.y, self.z = self._coordinates()
        self._index_per_mm = np.linalg.inv(pose.matrix @ grid.steps_lps_mm.T)
        self._origin = pose.to_reference(grid.origin_lps_mm)
        self.z_range = (float(self.z.min()), float(self.z.max()))

    def _coordinates(self) -> tuple[Floats, Floats, Floats]:
        """Return deformed reference coordinates of every grid point, interpolated from a coarse lattice."""
        grid = self.grid
        lengths_mm = np.linalg.norm(grid.steps_lps_mm, axis=1) * (np.array(grid.shape) - 1)
        n_coarse = [max(2, int(np.ceil(length / LATTICE_MM)) + 1) for length in lengths_mm]
        index = np.stack(
            np.meshgrid(*[np.linspace(0, n - 1, m) for n, m in zip(grid.shape, n_coarse, strict=True)], indexing="ij"),
            axis=-1,
        )
        points = self.pose.to_reference(grid.origin_lps_mm + index @ grid.steps_lps_mm)
        lattice = np.moveaxis(points + self.deformation.displacement(points), -1, 0).astype(np.float32)
        slices, rows, columns = (hat_weights(n, m) for n, m in zip(grid.shape, n_coarse, strict=True))
        fine = rows @ (lattice @ columns.T)
        fine = np.matmul(slices, fine.reshape(3, n_coarse[0], -1)).reshape(3, *grid.shape)
        return fine[0], fine[1], fine[2]

    def covers(self, low: float, high: float) -> bool:
        """Return whether any grid point has reference z between `low` and `high`."""
        return self.z_range[0] <= high and self.z_range[1] >= low

    def box(self, low: ArrayLike, high: ArrayLike) -> Box | None:
        """Return index slices that hold the reference box from `low` to `high`, or None if it is off the grid."""
        return self.boxes(np.array([low], dtype=float), np.array([high], dtype=float))[0]

    def boxes(self, low: NDArray[np.float64], high: NDArray[np.float64]) -> list[Box | None]:
        """Return `box` of each of n reference boxes given by (n, 3) corners."""
        centre = (low + high) / 2
        undeformed = centre - self.deformation.displacement_near(centre)
        middle = (undeformed - self._origin) @ self._index_per_mm.T
        half = ((high - low) / 2 * 1.08 + 6.0) @ np.abs(self._index_per_mm).T
        starts = np.maximum(np.floor(middle - half).astype(int), 0)
        stops = np.minimum(np.ceil(middle + half).astype(int) + 1, self.grid.shape)
        return [
            None if any(a >= b for a, b in zip(start, stop, strict=True))
            else (slice(start[0], stop[0]), slice(start[1], stop[1]), slice(start[2], stop[2]))
            for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)
        ]  # fmt: skip

    def at(self, box: Box) -> tuple[Floats, Floats, Floats]:
        """Return x, y, z of the points in `box`."""
        return self.x[box], self.y[box], self.z[box]

    def paint(self, box: Box, inside: Mask, label: Label, over: Mask | None = None) -> None:
        """Set `label` where `inside`; `over` is a lookup table of the labels that may be replaced."""
        region = self.labels[box]
        region[inside if over is None else inside & over[region]] = label

    def ellipsoid_radius(
        self, centre: ArrayLike, radii: ArrayLike, degrees: ArrayLike = (0, 0, 0), wobble: float = 0.0
    ) -> tuple[Box, Floats] | None:
        """Return the box around an ellipsoid and the normalised radius in it (1 on the surface).

        `degrees` turn it about x, y, z; `wobble` is the relative depth of smooth bumps on its surface.
        """
        centre_, radii_ = np.asarray(centre, dtype=np.float32), np.asarray(radii, dtype=np.float32)
        turn = rotation(degrees)
        half = np.sqrt((turn**2) @ (radii_.astype(float) ** 2)) * (1 + 1.8 * wobble)
        box = self.box(centre_ - half, centre_ + half)
        if box is None:
            return None
        x, y, z = (axis - c for axis, c in zip(self.at(box), centre_, strict=True))
        scaled = (turn.T / radii_[:, None]).astype(np.float32)
        squared = np.zeros(x.shape, dtype=np.float32)
        for row in scaled:
            part = row[0] * x
            part += row[1] * y
            part += row[2] * z
            part *= part
            squared += part
        radius = np.sqrt(squared)
        if wobble:
            shift = float(np.abs(centre_).sum()) * 0.137
            radius += wobble * self.deformation.noise(self.at(box), float(radii_.mean()) * 0.55, shift)
        return box, radius

    def ellipsoid(
        self,
        label: Label,
        centre: ArrayLike,
        radii: ArrayLike,
        degrees: ArrayLike = (0, 0, 0),
        *,
        over: Mask | None = None,
        wobble: float = 0.0,
    ) -> None:
        """Paint one ellipsoid."""
        found = self.ellipsoid_radius(centre, radii, degrees, wobble)
        if found is not None:
            self.paint(found[0], found[1] < 1, label, over)

    def tube(
        self, label: Label, points: ArrayLike, radii: ArrayLike, *, over: Mask | None = None, inset: float = 0.0
    ) -> None:
        """Paint a chain of round cones through (n, 3) `points` with n `radii`, each smaller by `inset`."""
        points_, radii_ = np.asarray(points, dtype=float), np.asarray(radii, dtype=float) - inset
        if points_[:, 2].min() - 60 > self.z_range[1] or points_[:, 2].max() + 60 < self.z_range[0]:
            return
        starts, stops = points_[:-1], points_[1:]
        widest = np.maximum(radii_[:-1], radii_[1:])[:, None]
        boxes = self.boxes(np.minimum(starts, stops) - widest, np.maximum(starts, stops) + widest)
        for n, box in enumerate(boxes):
            if box is not None and widest[n] > 0:
                self._cone(box, label, points_[n : n + 2], radii_[n : n + 2], over)

    def _cone(
        self, box: Box, label: Label, ends: NDArray[np.float64], radii: NDArray[np.float64], over: Mask | None
    ) -> None:
        """Paint one round cone inside its box."""
        along = (ends[1] - ends[0]).astype(np.float32)
        per_length = along / np.float32(max(float(along @ along), 1e-6))
        x, y, z = (axis[box] - np.float32(c) for axis, c in zip((self.x, self.y, self.z), ends[0], strict=True))
        t = x * per_length[0]
        t += y * per_length[1]
        t += z * per_length[2]
        np.clip(t, 0, 1, out=t)
        x -= t * along[0]
        y -= t * along[1]
        z -= t * along[2]
        x *= x
        y *= y
        z *= z
        x += y
        x += z
        t *= np.float32(radii[1] - radii[0])
        t += np.float32(radii[0])
        t *= t
        self.paint(box, x < t, label, over)


def smooth_path(points: ArrayLike, n: int) -> NDArray[np.float64]:
    """Return `n` points along the curve through (m, 3) `points`, evenly spread in the curve's parameter."""
    points_ = np.asarray(points, dtype=float)
    at = np.linspace(0, len(points_) - 1, n)
    dense = np.stack([np.interp(at, np.arange(len(points_)), points_[:, axis]) for axis in range(points_.shape[1])], 1)
    smoothed: NDArray[np.float64] = ndimage.gaussian_filter1d(dense, 0.35 * n / len(points_), axis=0, mode="nearest")
    return smoothed


ANY_FAT = is_any((Label.VISCERAL_FAT,))
"""The abdominal cavity before organs are painted into it."""
