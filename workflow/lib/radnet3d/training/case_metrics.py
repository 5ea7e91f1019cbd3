"""What a predicted liver is worth: overlap, surface and volume of one case, on its own grid, in mm.

Surfaces are those of Nikolov et al. 2018 (https://arxiv.org/abs/1809.04430), by DeepMind's `surface_distance`: every corner
at which eight voxels meet that are not all alike is a surface element, weighted with the area in mm2 that marching
cubes gives it; what lies beyond the volume is not liver. Which metrics, and what an undefined one is, as Metrics Reloaded
recommends (Maier-Hein, Reinke et al., Nature Methods 2024, https://doi.org/10.1038/s41592-023-02151-z).
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from surface_distance import compute_robust_hausdorff, compute_surface_dice_at_tolerance, compute_surface_distances

Mask = NDArray[np.bool_]  # (z, y, x)
SpacingZyxMm = tuple[float, float, float]

NSD_TOLERANCE_MM = 2.0
HD_PERCENT = 95.0
UNDEFINED = float("nan")
CORNERS_TOO = np.ones((3, 3, 3))  # ASSUME: voxels that share only an edge or a corner are of one component


def case_metrics(predicted: Mask, truth: Mask, spacing_zyx_mm: SpacingZyxMm) -> dict[str, float | bool]:
    """Return the metrics of tables.RUN_CASES of one case; both masks on its own grid.

    An empty prediction of a liver has Dice and NSD 0, volume error -100 % and no HD95. A prediction where there is no liver has
    Dice and NSD 0 as well, and neither HD95 nor volume error. Where there is neither, nothing is defined. Undefined is NaN:
    to be counted, never averaged.
    """
    voxel_ml = float(np.prod(spacing_zyx_mm)) / 1000
    n_predicted, n_true = np.count_nonzero(predicted), np.count_nonzero(truth)
    nsd, hd95_mm = surface_metrics(predicted, truth, spacing_zyx_mm)
    return {
        "dice_per_case": dice(predicted, truth),
        "nsd_2mm": nsd,
        "hd95_mm": hd95_mm,
        "volume_error_percent": 100 * (n_predicted - n_true) / n_true if n_true else UNDEFINED,
        "predicted_ml": n_predicted * voxel_ml,
        "true_ml": n_true * voxel_ml,
        "is_empty": n_predicted == 0,
    }


def dice(predicted: Mask, truth: Mask) -> float:
    """Return twice the common volume over the sum of both; 0 if one is empty, NaN if both are."""
    n_both, n_sum = np.count_nonzero(predicted & truth), np.count_nonzero(predicted) + np.count_nonzero(truth)
    return 2 * n_both / n_sum if n_sum else UNDEFINED


def surface_metrics(predicted: Mask, truth: Mask, spacing_zyx_mm: SpacingZyxMm) -> tuple[float, float]:
    """Return (NSD at 2 mm, HD95 in mm); (0, NaN) if one mask is empty, (NaN, NaN) if both are.

    NSD: area of both surfaces that is within 2 mm of the other, as a fraction of the area of both. HD95: the larger of
    two distances, from truth to prediction and back, that 95 % of the area of a surface do not exceed. Distances are between corners of
    voxels, so they come in the steps of the grid: where voxels are larger than 2 mm, NSD asks for the same corner.
    """
    has_surfaces = bool(predicted.any()), bool(truth.any())
    if not all(has_surfaces):
        return (0.0 if any(has_surfaces) else UNDEFINED), UNDEFINED
    distances = compute_surface_distances(truth, predicted, spacing_zyx_mm)
    nsd = compute_surface_dice_at_tolerance(distances, NSD_TOLERANCE_MM)
    return float(nsd), float(compute_robust_hausdorff(distances, HD_PERCENT))


def largest_component(mask: Mask) -> Mask:
    """Return the largest connected part of a mask, which may be empty; of parts of one size the first in memory."""
    parts, n_parts = ndimage.label(mask, CORNERS_TOO)
    if n_parts < 2:
        return mask
    sizes = np.bincount(parts.ravel())
    return np.asarray(parts == sizes[1:].argmax() + 1)
