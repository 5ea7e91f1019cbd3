"""A whole patient on a canvas, in the order in which parts may cover each other."""

import numpy as np

from radnet3d.archive.phantom.abdomen import paint_abdomen
from radnet3d.archive.phantom.body import paint_arms, paint_body, paint_skeleton
from radnet3d.archive.phantom.canvas import Canvas, Grid, Pose
from radnet3d.archive.phantom.chest import paint_breasts, paint_lungs, paint_mediastinum
from radnet3d.archive.phantom.head import paint_head, paint_head_outline
from radnet3d.archive.phantom.patients import Patient
from radnet3d.archive.phantom.tissues import Label

TABLE_HALF_WIDTH_MM = 220


def paint_patient(grid: Grid, pose: Pose, patient: Patient, *, with_table: bool) -> Canvas:
    """Return the patient's tissues on `grid`; `with_table` puts them on a scanner table."""
    canvas = Canvas(grid, pose, patient.deformation)
    torso = paint_body(canvas, patient)
    paint_head_outline(canvas, patient)
    paint_breasts(canvas, patient)
    paint_skeleton(canvas, torso, patient)
    paint_lungs(canvas, torso, patient)
    paint_mediastinum(canvas, patient)
    paint_abdomen(canvas, torso, patient)
    paint_arms(canvas, patient)
    paint_head(canvas, patient)
    if with_table:
        paint_table(canvas, patient)
    return canvas


def paint_table(canvas: Canvas, patient: Patient) -> None:
    """Paint a curved table top that the body lies on; it belongs to the scanner, so nothing deforms it."""
    grid = canvas.grid
    index = [np.arange(n, dtype=np.float32) for n in grid.shape]
    across, down = (
        grid.origin_lps_mm[axis]
        + (index[0] * grid.steps_lps_mm[0, axis])[:, None, None]
        + (index[1] * grid.steps_lps_mm[1, axis])[:, None]
        + index[2] * grid.steps_lps_mm[2, axis]
        for axis in (0, 1)
    )
    across = across - canvas.pose.origin_lps_mm[0]
    under = 100 + patient.fat_mm * 1.2
    level = canvas.pose.origin_lps_mm[1] + (-under if canvas.pose.is_prone else under) * patient.scale_xyz[1]
    upwards = -1 if canvas.pose.is_prone else 1
    depth = (down - level) * upwards + 0.00045 * across**2
    table = (np.abs(depth - 14) < 7) & (np.abs(across) < TABLE_HALF_WIDTH_MM) & (canvas.labels == Label.AIR)
    canvas.labels[table] = Label.TABLE
