"""Metrics of a case against what geometry says, against other implementations, and where one mask is empty."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from radnet3d.training.case_metrics import case_metrics, dice, largest_component, surface_metrics
from support.metric_peers import faces_surfaces, itk_overlap, itk_surfaces

SPACINGS = [(1.0, 1.0, 1.0), (2.5, 0.8, 0.8), (0.7, 1.4, 1.0)]


def sphere(radius_mm, spacing, *, centre_mm=(0.0, 0.0, 0.0), half_mm=40.0):
    axes = [np.arange(-half_mm, half_mm + step, step) - middle for step, middle in zip(spacing, centre_mm, strict=True)]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    return z**2 + y**2 + x**2 <= radius_mm**2


def box(shape, *sides):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(*side) for side in sides)] = True
    return mask


def blob(seed, spacing, shape=(24, 40, 36)):
    """Return a rough organ, and a prediction of it that is wrong by some mm here and there."""
    generator = np.random.default_rng(seed)
    truth = ndimage.gaussian_filter(generator.normal(size=shape), 5)
    truth = largest_component(truth > np.quantile(truth, 0.8))
    noise = ndimage.gaussian_filter(generator.normal(size=shape), 3)
    signed = ndimage.distance_transform_edt(truth, spacing) - ndimage.distance_transform_edt(~truth, spacing)
    return signed + 3 * noise / noise.std() > 0, truth


@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_larger_sphere_is_off_by_the_difference_of_radii(spacing):
    truth = sphere(25, spacing)
    larger = case_metrics(sphere(31, spacing), truth, spacing)
    assert larger["hd95_mm"] == pytest.approx(6, abs=max(spacing) / 2)
    assert larger["nsd_2mm"] == 0
    assert larger["volume_error_percent"] == pytest.approx(100 * ((31 / 25) ** 3 - 1), rel=0.01)
    assert larger["dice_per_case"] == pytest.approx(2 * 25**3 / (25**3 + 31**3), rel=0.01)
    assert larger["true_ml"] == pytest.approx(4 / 3 * np.pi * 2.5**3, rel=0.01)
    nearly = case_metrics(sphere(25.4, spacing), truth, spacing)
    assert nearly["nsd_2mm"] > 0.85 and nearly["hd95_mm"] <= max(spacing)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_shifted_sphere_has_the_surface_within_tolerance_that_geometry_says(spacing):
    shift_mm = 10 * spacing[0]  # whole voxels, so that both spheres have the same voxels
    predicted, truth = (sphere(25, spacing, centre_mm=(place, 0, 0)) for place in (shift_mm / 2, -shift_mm / 2))
    nsd, hd95_mm = surface_metrics(predicted, truth, spacing)
    # by height over the equator a sphere's area is even, and from height h the other surface is | |p + shift| - r | away
    heights = np.linspace(-25, 25, 100_001)
    away = np.abs(np.sqrt(25**2 + 2 * heights * shift_mm + shift_mm**2) - 25)
    assert hd95_mm == pytest.approx(np.quantile(away, 0.95), abs=max(spacing) / 2)
    # distances come in the steps of the grid, so the tolerance is as exact as a voxel
    assert (away <= 2 - max(spacing)).mean() < nsd < (away <= 2 + max(spacing)).mean()


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (8.0, 4.0, 4.0), (1.0, 3.0, 5.0)])
def test_surface_is_weighted_by_its_area_in_mm2(spacing, axis):
    n = 30
    truth = box((n + 6,) * 3, *[(2, n + 2)] * 3)
    nsd, hd95_mm = surface_metrics(np.roll(truth, 3, axis), truth, spacing)
    assert hd95_mm == pytest.approx(
        3 * spacing[axis]
    )  # of the faces that moved, in every direction more than 5 % of the area
    sides = np.asarray(spacing) * n
    all_faces = 2 * sum(np.delete(sides, each).prod() for each in range(3))
    caps = 2 * np.delete(sides, axis).prod()
    # beyond 2 mm: the cap outside, the cap inside but for its rim, and of the other sides what sticks out by more
    reach = 2 // np.asarray(spacing)  # voxels within tolerance
    inside = np.delete(1 - 2 * reach / n, axis).prod()
    beyond = caps * (1 + inside) / 2 + (all_faces - caps) * (3 - reach[axis]) / n
    assert nsd == pytest.approx(1 - beyond / all_faces, abs=0.03)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_other_implementations(seed, spacing):
    predicted, truth = blob(seed, spacing)
    metrics = case_metrics(predicted, truth, spacing)
    assert (metrics["dice_per_case"], metrics["volume_error_percent"]) == pytest.approx(itk_overlap(predicted, truth))
    for peer in (faces_surfaces, itk_surfaces):
        nsd, hd95_mm = peer(predicted, truth, spacing)
        assert metrics["hd95_mm"] == pytest.approx(hd95_mm, abs=max(spacing)), peer.__name__
        assert metrics["nsd_2mm"] == pytest.approx(nsd, abs=0.1), peer.__name__


def test_the_volume_ends_where_the_liver_is_cut_off():
    spacing = (3.0, 1.0, 2.0)
    truth, predicted = box((8, 9, 10), (0, 8), (0, 5), (2, 10)), box((8, 9, 10), (0, 6), (1, 6), (3, 10))
    inside = case_metrics(np.pad(predicted, 4), np.pad(truth, 4), spacing)
    assert case_metrics(predicted, truth, spacing) == inside
    assert case_metrics(truth, truth, spacing)["hd95_mm"] == 0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.permutations(range(3)))
def test_neither_the_side_nor_the_order_of_axes_matters(seed, axes):
    generator = np.random.default_rng(seed)
    predicted, truth = generator.random((2, 6, 7, 5)) > 0.6
    spacing = (2.0, 1.0, 1.5)
    nsd, hd95_mm = surface_metrics(predicted, truth, spacing)
    turned = tuple(spacing[axis] for axis in axes)
    assert surface_metrics(truth.transpose(axes), predicted.transpose(axes), turned) == pytest.approx((nsd, hd95_mm))
    assert 0 <= nsd <= 1 and hd95_mm >= 0


def test_what_is_undefined_is_nan_and_an_empty_prediction_is_wrong():
    liver, nothing, spacing = box((6, 6, 6), (1, 3), (1, 3), (1, 4)), np.zeros((6, 6, 6), bool), (5.0, 1.0, 1.0)
    missed = case_metrics(nothing, liver, spacing)
    assert (missed["dice_per_case"], missed["nsd_2mm"], missed["volume_error_percent"]) == (0, 0, -100)
    assert np.isnan(missed["hd95_mm"]) and missed["is_empty"] and missed["true_ml"] == pytest.approx(0.06)
    invented = case_metrics(liver, nothing, spacing)
    assert (invented["dice_per_case"], invented["nsd_2mm"]) == (0, 0)
    assert np.isnan([invented["hd95_mm"], invented["volume_error_percent"]]).all() and not invented["is_empty"]
    neither = case_metrics(nothing, nothing, spacing)
    metrics = ("dice_per_case", "nsd_2mm", "hd95_mm", "volume_error_percent")
    assert np.isnan([neither[name] for name in metrics]).all() and neither["is_empty"]


def test_the_largest_component_is_kept():
    large, small = box((9, 9, 9), (0, 4), (0, 4), (0, 4)), box((9, 9, 9), (6, 8), (6, 8), (6, 8))
    assert (largest_component(large | small) == large).all()
    touching = box((9, 9, 9), (4, 6), (4, 6), (4, 6))  # at one corner of `large`, and of `small`
    assert (largest_component(large | touching | small) == (large | touching | small)).all()
    first, second = box((5, 2, 2), (0, 1), (0, 2), (0, 2)), box((5, 2, 2), (4, 5), (0, 2), (0, 2))
    assert (largest_component(first | second) == first).all()
    assert not largest_component(np.zeros((3, 3, 3), bool)).any()
    assert dice(largest_component(large | small), large) == 1
