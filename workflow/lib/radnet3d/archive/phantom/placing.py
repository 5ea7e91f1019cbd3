"""Where the slices of a series lie: coverage, spacing, matrix and direction, as a technician would set them."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from radnet3d.archive.phantom.canvas import Grid
from radnet3d.archive.phantom.protocols import PROTOCOLS, Series

MAX_VOXELS = 250_000
"""Voxels of one series, about: the archive must be small enough to make on every run."""

# step of slice, row and column index in LPS for a patient on the back; slices run up, back and left
FRAMES = {
    "axial": np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], dtype=float),
    "coronal": np.array([[0, 1, 0], [0, 0, -1], [1, 0, 0]], dtype=float),
    "sagittal": np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], dtype=float),
}


def place(series: Series) -> Series:
    """Return the series with its coverage and grids."""
    rng = series.rng("geometry")
    protocol, d = PROTOCOLS[series.protocol], series.patient.difficulty
    z = (protocol.z_mm[0] + rng.normal(0, 4 + 6 * d), protocol.z_mm[1] + rng.normal(0, 4 + 4 * d))
    if series.protocol == "chest":
        z = (z[0] - rng.choice([0, 30, 55]), z[1])
    series = replace(series, z_mm=(round(float(z[0]), 1), round(float(z[1]), 1)))
    if series.plane == "multi":
        grids = tuple(
            grid_of(replace(series, plane=plane), rng, n_slices=int(n))
            for plane, n in zip(FRAMES, rng.integers(3, 6, 3), strict=True)
        )
        return replace(series, grids=grids, spacing_mm=float("nan"))
    if series.kind == "localizer":
        return replace(series, grids=(grid_of(series, rng, n_slices=1),), spacing_mm=float("nan"))
    if series.derived == "screen":
        grid = grid_of(replace(series, plane="axial", spacing_mm=20.0), rng, n_slices=1)
        return replace(series, grids=(grid,), spacing_mm=float("nan"))
    if series.gantry_tilt_deg == 0 and series.modality == "MR" and rng.random() < 0.45:
        largest = 14.0 if series.protocol in ("brain", "head_neck", "neck", "pelvis") else 5.0
        series = replace(series, oblique_deg=round(float(np.clip(rng.normal(0, 0.5), -1, 1) * largest), 2))
    series = replace(series, spacing_mm=choose_spacing(series, rng))
    grid = grid_of(series, rng)
    return replace(series, grids=(grid,))


def slice_range(series: Series) -> tuple[float, float]:
    """Return the reference range of the slices' centres along the slice axis."""
    protocol = PROTOCOLS[series.protocol]
    return {"axial": series.z_mm, "coronal": protocol.y_mm, "sagittal": protocol.x_mm}[series.plane]


def choose_spacing(series: Series, rng: np.random.Generator) -> float:
    """Return a distance between slices that is usual for the scan and keeps its number of slices in bounds."""
    low, high = slice_range(series)
    length = (high - low) * series.patient.scale_xyz[{"axial": 2, "coronal": 1, "sagittal": 0}[series.plane]]
    if series.modality == "PT":
        usual = [3.27, 4.25, 5.0, 6.75, 8.0]
    elif series.derived == "mip":
        usual = [10.0, 15.0]
    elif series.modality == "CT":
        usual = [1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 3.75, 5.0, 7.0, 8.0]
    elif series.technique.is_3d:
        usual = [1.0, 1.5, 2.0, 2.5, 3.0, 4.0]
    else:
        usual = [3.0, 3.3, 4.0, 4.4, 5.0, 5.5, 6.0, 6.6, 7.2, 8.0]
    most = 26 if series.phases else 125 if series.protocol == "wholebody" else 84
    allowed = [spacing for spacing in usual if 10 <= length / spacing <= most] or [round(length / most + 0.5)]
    weights = np.linspace(1.0, 1.6, len(allowed))
    return float(rng.choice(allowed, p=weights / weights.sum()))


def grid_of(series: Series, rng: np.random.Generator, n_slices: int | None = None) -> Grid:
    """Return the grid of one plane: matrix, pixel size, place and direction, all as a technician would set them."""
    protocol, patient, pose = PROTOCOLS[series.protocol], series.patient, series.pose
    scale = np.array(patient.scale_xyz)
    axis = {"axial": 2, "coronal": 1, "sagittal": 0}[series.plane]
    low, high = slice_range(series)
    length = (high - low) * scale[axis]
    n = n_slices if n_slices is not None else int(length / series.spacing_mm) + 1
    step = series.spacing_mm if n_slices is None else length / n * (1.0 if n == 1 else 0.6)
    height = (series.z_mm[1] - series.z_mm[0]) * scale[2]
    fat = (patient.fat_mm - 18) * 1.8 if protocol.width_mm > 300 else 0
    width = (protocol.width_mm + fat) * scale[0] * rng.uniform(1.0, 1.1 + 0.2 * patient.difficulty)
    field_mm = width if series.plane == "axial" else max(width, height)
    n_pixels = int(np.clip(np.sqrt(MAX_VOXELS / n / max(1, len(series.phases))) // 8 * 8, 64, 104))
    n_pixels = min(n_pixels, int(rng.choice([72, 80, 88, 96, 104])))
    pixel_mm = round(field_mm / n_pixels, 4)
    columns = n_pixels
    if series.plane != "axial" and series.modality == "MR" and rng.random() < 0.5 and width < 0.75 * field_mm:
        columns = int(np.ceil(width / pixel_mm / 8) * 8)
    centre_reference = np.array([np.mean(protocol.x_mm), protocol.centre_y_mm, np.mean(series.z_mm)])
    centre_reference[axis] = (low + high) / 2
    if series.plane == "axial":
        centre_reference[0] = 0
    centre = pose.to_lps(centre_reference)
    if series.plane != "axial" and series.modality == "CT":
        centre[2] += rng.normal(0, 3)
    steps = frame_of(series, np.array([step, pixel_mm, pixel_mm]))
    shape = (n, n_pixels, columns)
    origin = centre - (np.array(shape) - 1) / 2 @ steps
    return Grid(shape, origin.round(4), steps)


def frame_of(series: Series, sizes_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the (3, 3) steps of slice, row and column: turned for prone patients, oblique scans, a tilted gantry."""
    frame = FRAMES[series.plane].copy()
    if series.pose.is_prone:  # the image is shown as the patient lies: face down
        turn = np.diag([-1.0, -1.0, 1.0])
        frame[1:] = frame[1:] @ turn
        if series.plane != "axial":
            frame[0] = frame[0] @ turn
    angle = np.deg2rad(series.oblique_deg + series.gantry_tilt_deg)
    c, s = np.cos(angle), np.sin(angle)
    about = (
        np.array([[1, 0, 0], [0, c, s], [0, -s, c]])
        if series.plane != "sagittal"
        else np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    )
    turned = frame @ about
    if series.gantry_tilt_deg:  # the table still moves along the scanner's axis: slices are sheared
        turned[0] = frame[0]
    return np.asarray(turned * sizes_mm[:, None])
