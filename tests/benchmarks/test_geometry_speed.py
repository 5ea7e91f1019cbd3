"""What splitting and the correction of tilt cost: `pytest tests/benchmarks/test_geometry_speed.py -m slow -s` prints it."""

import time
from collections.abc import Callable

import numpy as np
import pytest

from radnet3d.dicom.geometry import series_geometry
from radnet3d.dicom.slices import TRAITS, Slice
from radnet3d.volumes.resample import resample, resample_window

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def slices(n_places: int, n_volumes: int) -> list[Slice]:
    place = list(TRAITS).index("TemporalPositionIdentifier")
    found = []
    for volume in range(n_volumes):
        traits = [float("nan") if kind == "number" else "" for kind, _ in TRAITS.values()]
        traits[place] = float(volume)
        for z in range(n_places):
            number = volume * n_places + z
            found.append(Slice(f"{number}", 0, f"{number}", float(number), 512, 512, (0.7, 0.7), (0.0, 0.0, 2.5 * z),
                               AXIAL, tuple(traits)))  # fmt: skip
    return found


def milliseconds(work: Callable[[], object], n_runs: int = 5) -> float:
    """Return the shortest CPU time of several runs: others share the cores."""
    times = []
    for _ in range(n_runs):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return 1000 * min(times)


@pytest.mark.slow
def test_splitting():
    plain, many = slices(300, 1), slices(40, 1000)
    plain_ms, many_ms = milliseconds(lambda: series_geometry(plain)), milliseconds(lambda: series_geometry(many))
    print(f"geometry: {plain_ms:.2f} ms of 300 plain slices, {many_ms:.0f} ms of 40 x 1000 slices split")
    assert series_geometry(many).n_volumes == 1000
    assert many_ms / 40_000 < 10 * plain_ms / 300  # a slice of a split series costs no more than ten others


@pytest.mark.slow
def test_tilt():
    plane = np.random.default_rng(0).normal(size=(512, 512)).astype(np.float32)
    plain_ms = milliseconds(lambda: [resample(plane[None], (1, 48, 48)) for _ in range(40)]) / 40
    starts = np.linspace(0, -60, 40)
    tilted_ms = milliseconds(lambda: [
        resample_window(plane, (48, 48), (y, 0.0), (y + 572, 512.0), outside=0.0) for y in starts
    ]) / 40  # fmt: skip
    print(f"resampling of a slice: {plain_ms:.2f} ms, {tilted_ms:.2f} ms where it is shifted")
    assert tilted_ms < 5 * plain_ms
