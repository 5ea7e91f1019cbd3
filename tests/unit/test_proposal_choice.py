import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radnet3d.liver.choosing import Scan, Setting, choose_setting, score_settings, widened
from radnet3d.liver.proposal import SliceRange

SCAN = Scan("a", 50, 4.0, (20, 30))


def test_a_margin_is_rounded_up_to_slices_and_cut_at_the_scan():
    assert widened(SliceRange(20, 30, fallback=False), 9, SCAN) == SliceRange(17, 33, fallback=False)
    assert widened(SliceRange(20, 30, fallback=False), 8, SCAN) == SliceRange(18, 32, fallback=False)
    assert widened(SliceRange(1, 49, fallback=True), 40, SCAN) == SliceRange(0, 50, fallback=True)


@given(st.integers(0, 40), st.integers(1, 10), st.floats(0, 100), st.floats(0, 100))
def test_a_wider_margin_never_loses_a_slice(start, length, margin, more):
    found = SliceRange(start, start + length, fallback=False)
    narrow, wide = widened(found, margin, SCAN), widened(found, margin + more, SCAN)
    assert 0 <= wide.start <= narrow.start < narrow.stop <= wide.stop <= 50


def test_settings_are_scored_in_cases_and_millimetres():
    scans = [SCAN, Scan("b", 40, 2.0, (10, 20))]
    found = {0.5: [SliceRange(21, 30, fallback=False), SliceRange(8, 20, fallback=False)]}
    bare, wide = score_settings(found, scans, (0.0, 4.0)).to_dict("records")
    assert (bare["n_whole"], bare["n_cases"], bare["recall"], bare["extra_mm"]) == (1, 2, 0.95, 2.0)
    # one slice more at either end of the first, two of the second
    assert (wide["n_whole"], wide["recall"], wide["extra_mm"]) == (2, 1.0, (1 * 4.0 + 6 * 2.0) / 2)


def test_a_scan_without_liver_has_no_recall():
    (row,) = score_settings({0.5: [SliceRange(0, 3, fallback=False)]}, [Scan("c", 9, 1.0, (0, 0))], (0.0,)).to_dict(
        "records"
    )
    assert np.isnan(row["recall"]) and row["extra_mm"] == 3 and row["n_whole"] == 0


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ([(0.5, 0, 9, 10), (0.5, 20, 10, 50), (0.1, 0, 10, 40)], Setting(0.1, 0)),  # lose least, then propose least
        ([(0.5, 0, 9, 10), (0.9, 20, 9, 5)], Setting(0.9, 20)),  # none finds all: the same rule
        ([(0.5, 20, 9, 10), (0.7, 20, 9, 10), (0.1, 0, 9, 10)], Setting(0.1, 0)),  # equal: smallest margin
        ([(0.5, 20, 9, 10), (0.7, 20, 9, 10)], Setting(0.7, 20)),  # then highest threshold
    ],
)
def test_the_choice_loses_least_then_proposes_least(rows, wanted):
    assert choose_setting(pd.DataFrame(rows, columns=["threshold", "margin_mm", "n_whole", "extra_mm"])) == wanted
