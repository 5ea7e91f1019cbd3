"""Dice, volume error, NSD and HD95 by other means than the library in use: ITK, and faces of voxels with a search tree."""

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Mask = NDArray[np.bool_]
Spacing = tuple[float, float, float]


def to_image(mask: Mask, spacing_zyx_mm: Spacing) -> SimpleITK.Image:
    image = SimpleITK.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing(spacing_zyx_mm[::-1])
    return image


def itk_overlap(predicted: Mask, truth: Mask) -> tuple[float, float]:
    """Return (Dice, volume error in percent)."""
    measures = SimpleITK.LabelOverlapMeasuresImageFilter()
    measures.Execute(to_image(predicted, (1, 1, 1)), to_image(truth, (1, 1, 1)))
    similarity = measures.GetVolumeSimilarity()  # 2 (s - t) / (s + t), of source and target
    return measures.GetDiceCoefficient(), 100 * 2 * similarity / (2 - similarity)


def itk_surfaces(predicted: Mask, truth: Mask, spacing_zyx_mm: Spacing) -> tuple[float, float]:
    """Return (NSD at 2 mm, HD95 in mm) of border voxels, all of one weight: the way of most tools."""
    images = [to_image(np.pad(mask, 1), spacing_zyx_mm) for mask in (predicted, truth)]
    borders = [SimpleITK.GetArrayFromImage(SimpleITK.LabelContour(image)) > 0 for image in images]
    maps = [
        SimpleITK.GetArrayFromImage(
            SimpleITK.SignedMaurerDistanceMap(
                to_image(border, spacing_zyx_mm), squaredDistance=False, useImageSpacing=True
            )
        )
        for border in borders
    ]
    ways = [np.abs(maps[1][borders[0]]), np.abs(maps[0][borders[1]])]
    near = sum(np.count_nonzero(way <= 2.0) for way in ways) / sum(len(way) for way in ways)
    return near, max(float(np.percentile(way, 95)) for way in ways)


def faces_surfaces(predicted: Mask, truth: Mask, spacing_zyx_mm: Spacing) -> tuple[float, float]:
    """Return (NSD at 2 mm, HD95 in mm) of the faces between inside and outside: exact areas, distances of their middles."""
    surfaces = [faces(mask, np.asarray(spacing_zyx_mm)) for mask in (predicted, truth)]
    (left, left_mm2), (right, right_mm2) = surfaces
    to_right, to_left = cKDTree(right).query(left)[0], cKDTree(left).query(right)[0]
    near_mm2 = left_mm2[to_right <= 2.0].sum() + right_mm2[to_left <= 2.0].sum()
    hd95_mm = max(weighted_percentile(to_right, left_mm2), weighted_percentile(to_left, right_mm2))
    return near_mm2 / (left_mm2.sum() + right_mm2.sum()), hd95_mm


def faces(mask: Mask, spacing_mm: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (n, 3) middles in mm and (n,) areas in mm2 of the faces of a mask."""
    padded, places, areas = np.pad(mask, 1).astype(np.int8), [], []
    for axis in range(3):
        index = np.argwhere(np.diff(padded, axis=axis) != 0) + 0.5 * (np.arange(3) == axis)
        places.append(index * spacing_mm)
        areas.append(np.full(len(index), np.delete(spacing_mm, axis).prod()))
    return np.concatenate(places), np.concatenate(areas)


def weighted_percentile(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    order = np.argsort(values)
    share = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][np.searchsorted(share, 0.95)])
