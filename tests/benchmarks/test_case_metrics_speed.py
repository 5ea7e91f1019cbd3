"""Time per case of the metrics beside their peers: `pytest tests/benchmarks/test_case_metrics_speed.py -m slow -s`."""

import subprocess
import sys
import time

import numpy as np
import pytest
from scipy import ndimage

from radnet3d.training.case_metrics import case_metrics, largest_component, surface_metrics
from support.metric_peers import faces_surfaces, itk_surfaces


def organ(shape, spacing, *, off_mm, seed=0):
    """Return a prediction that is `off_mm` off here and there, and the truth: an ellipsoid of a liver's extent."""
    radii = [80 / step for step in spacing]
    grid = np.meshgrid(*(np.arange(size) - size / 2 for size in shape), indexing="ij", sparse=True)
    truth = sum((axis / radius) ** 2 for axis, radius in zip(grid, radii, strict=True)) <= 1
    truth = np.ascontiguousarray(np.broadcast_to(truth, shape))
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=[size // 4 for size in shape]), 2)
    noise = np.kron(noise / noise.std(), np.ones((4, 4, 4)))
    noise = np.pad(noise, [(0, size - have) for size, have in zip(shape, noise.shape, strict=True)])
    signed = 80 - 80 * np.sqrt(sum((axis / radius) ** 2 for axis, radius in zip(grid, radii, strict=True)))
    return signed + off_mm * noise > 0, truth


def seconds(function, *values, repeats):
    """Return the least CPU seconds of a call: others share the cores."""
    found = []
    for _ in range(repeats):
        started = time.process_time()
        function(*values)
        found.append(time.process_time() - started)
    return min(found)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "spacing", "repeats"), [((60, 96, 96), (8.0, 4.2, 4.2), 5), ((500, 512, 512), (1.0, 0.75, 0.75), 1)]
)
def test_time_per_case(shape, spacing, repeats):
    predicted, truth = organ(shape, spacing, off_mm=4)
    ours = case_metrics(predicted, truth, spacing)
    values = {"all metrics": seconds(case_metrics, predicted, truth, spacing, repeats=repeats)}
    values["largest component"] = seconds(largest_component, predicted, repeats=repeats)
    peers = (itk_surfaces, faces_surfaces) if shape[1] < 100 else ()  # of a scan they take minutes
    for way in (surface_metrics, *peers):
        values[way.__name__] = seconds(way, predicted, truth, spacing, repeats=repeats)
        nsd, hd95_mm = way(predicted, truth, spacing)
        print(f"{shape} {way.__name__}: NSD {nsd:.3f}, HD95 {hd95_mm:.2f} mm, {1000 * values[way.__name__]:.0f} ms")
        assert hd95_mm == pytest.approx(ours["hd95_mm"], abs=max(spacing))
    print(f"{shape}: " + ", ".join(f"{name} {1000 * value:.0f} ms" for name, value in values.items()))
    assert values["all metrics"] < (0.06 if shape[1] < 100 else 60)


@pytest.mark.slow
@pytest.mark.parametrize("module", ["surface_distance", "SimpleITK", "monai.metrics"])
def test_time_to_import(module):
    said = (
        f"import time, torch, scipy.ndimage; t = time.process_time(); import {module}; print(time.process_time() - t)"
    )
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=False)
    print(f"{module}: {done.stdout.strip() or 'not installed'} CPU s beside torch")
    assert done.returncode == 0 or "No module named" in done.stderr
