"""Resampling: laws that hold exactly, and noise against plain linear interpolation."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from radnet3d.volumes.resample import resample, resampling_weights

SIZES = st.integers(1, 70)


@settings(max_examples=200, deadline=None)
@given(n_in=SIZES, n_out=SIZES)
def test_weights_are_means_that_keep_constants_and_ramps(n_in, n_out):
    weights = resampling_weights(n_in, n_out).astype(float)
    centres = ((np.arange(n_out) + 0.5) * n_in / n_out - 0.5).clip(0, n_in - 1)
    assert weights.min() >= -1e-6  # a probability stays one
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(weights @ np.arange(n_in), centres, atol=1e-3)


def test_same_shape_is_the_array_itself():
    array = np.random.default_rng(0).normal(size=(5, 6, 7)).astype(np.float32)
    assert np.array_equal(resample(array, (5, 6, 7)), array)


@pytest.mark.parametrize("shape", [(3, 5, 4), (12, 17, 9), (30, 40, 50), (1, 1, 1)])
def test_constants_are_kept(shape):
    np.testing.assert_allclose(resample(np.full((12, 16, 10), -1000.0), shape), -1000, rtol=1e-5)


@pytest.mark.parametrize("shape", [(6, 8, 5), (5, 7, 3), (24, 20, 33)])
def test_ramps_lie_where_they_lay(shape):
    source = np.stack(np.meshgrid(*[np.arange(n) for n in (12, 16, 10)], indexing="ij")).astype(float)
    ramp = 100 * source[0] - 20 * source[1] + 3 * source[2]
    centres = [((np.arange(n) + 0.5) * m / n - 0.5).clip(0, m - 1) for n, m in zip(shape, ramp.shape, strict=True)]
    z, y, x = np.meshgrid(*centres, indexing="ij")
    np.testing.assert_allclose(resample(ramp, shape), 100 * z - 20 * y + 3 * x, atol=0.01)


def test_axes_are_not_mixed_up():
    array = np.zeros((4, 8, 16), np.float32)
    array[3, 0, 8:] = 1
    small = resample(array, (4, 4, 4))
    assert small[3, 0, 3] > 0.5
    assert small[3, 0, 0] == small[0, 0, 3] == small[3, 3, 3] == 0


def test_noise_is_averaged_where_plain_linear_interpolation_aliases_it():
    noise = np.random.default_rng(1).normal(0, 25, (60, 128, 128)).astype(np.float32)
    image = sitk.GetImageFromArray(noise)
    grid = sitk.Image(32, 32, 32, sitk.sitkFloat32)
    grid.SetSpacing([n / 32 for n in image.GetSize()])
    grid.SetOrigin([(n / 32 - 1) / 2 for n in image.GetSize()])
    linear = sitk.GetArrayFromImage(sitk.Resample(image, grid, sitk.Transform(), sitk.sitkLinear))
    assert resample(noise, (32, 32, 32)).std() < linear.std() / 2


def test_there_and_back_keeps_a_smooth_map():
    z, y, x = np.meshgrid(*[np.linspace(0, np.pi, 48)] * 3, indexing="ij")
    smooth = np.sin(z) * np.sin(y) * np.sin(x)
    back = resample(resample(smooth, (24, 24, 24)), (48, 48, 48))
    assert np.abs(back - smooth).max() < 0.05


def test_shapes_that_cannot_be():
    with pytest.raises(ValueError, match="three axes"):
        resample(np.zeros((4, 4)), (2, 2, 2))
    with pytest.raises(ValueError, match="none empty"):
        resample(np.zeros((4, 0, 4)), (2, 2, 2))
