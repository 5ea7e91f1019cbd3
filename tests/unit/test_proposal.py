import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radnet3d.liver.proposal import (
    SliceRange,
    liver_slices,
    overlap,
    propose_slices,
    window_centres_mm,
    window_slices,
)
from radnet3d.params import Proposal

SETTINGS = Proposal(window_mm=100, step_mm=20, threshold=0.5, margin_mm=10)


@given(st.integers(1, 400), st.floats(0.3, 12))
def test_windows_lie_inside_the_scan_and_hold_a_slice(n_slices, spacing_mm):
    centres = window_centres_mm(n_slices, spacing_mm, SETTINGS)
    assert (np.diff(centres) == pytest.approx(20)) if len(centres) > 1 else len(centres) == 1
    assert centres[0] >= 0 and centres[-1] <= n_slices * spacing_mm
    for centre in centres:
        start, stop = window_slices(float(centre), n_slices, spacing_mm, SETTINGS)
        assert 0 <= start < stop <= n_slices


@given(st.integers(1, 200), st.floats(0.5, 8), st.data())
def test_a_proposal_is_a_range_of_the_scan(n_slices, spacing_mm, data):
    n = len(window_centres_mm(n_slices, spacing_mm, SETTINGS))
    probabilities = np.array(data.draw(st.lists(st.floats(0, 1), min_size=n, max_size=n)))
    found = propose_slices(probabilities, n_slices, spacing_mm, SETTINGS)
    assert 0 <= found.start < found.stop <= n_slices
    assert found.fallback == (probabilities < 0.5).all()


def test_no_window_above_the_threshold_takes_the_whole_scan():
    assert propose_slices(np.zeros(10), 200, 1.0, SETTINGS) == SliceRange(0, 200, fallback=True)


def test_the_longest_run_wins_and_gets_its_margins():
    probabilities = np.array([0.9, 0, 0, 0.6, 0.7, 0.9, 0, 0.9, 0.9, 0])
    # centres 10, 30, ... 190 mm; the run is 70 to 110 mm, with 10 mm on both sides
    assert propose_slices(probabilities, 100, 2.0, SETTINGS) == SliceRange(30, 60, fallback=False)


def test_of_equal_runs_the_surer_wins():
    probabilities = np.array([0.6, 0.6, 0, 0.9, 0.9])
    assert propose_slices(probabilities, 100, 1.0, SETTINGS).start == 60


def test_liver_slices_of_nothing_and_something():
    segmentation = np.zeros((5, 2, 2), np.uint8)
    assert liver_slices(segmentation) == (0, 0)
    segmentation[1, 0, 0] = 2  # tumour is liver too
    segmentation[3, 1, 1] = 1
    assert liver_slices(segmentation) == (1, 4)


def test_overlap_counts_missed_and_superfluous_slices():
    assert overlap(SliceRange(2, 8, fallback=False), 4, 10) == (pytest.approx(4 / 6), 2)
    assert overlap(SliceRange(0, 3, fallback=False), 4, 10) == (0, 3)
    recall, n_extra = overlap(SliceRange(0, 3, fallback=False), 0, 0)
    assert np.isnan(recall) and n_extra == 3
