import numpy as np
import pytest

from radnet3d.tables import PAPER_BODY
from radnet3d.training.bands import (
    ABDOMEN_AND_PELVIS,
    CHEST,
    TRUNK,
    WHOLE,
    Along,
    bands_of,
    bits_along,
    bits_of_part,
    can_be_cut,
    draw_part,
)


def bits(present: str, absent: str = "Brain Head") -> np.ndarray:
    values = {**dict.fromkeys(present.split(), 1.0), **dict.fromkeys(absent.split(), 0.0)}
    return np.array([values.get(organ, np.nan) for organ in PAPER_BODY], np.float32)


ABDOMEN = bits("Liver Kidney Intestine Pelvis")
CHEST_TO_PELVIS = bits("Lung Breast Liver Kidney Intestine Pelvis")


def answers(found: np.ndarray) -> dict[str, float]:
    return {organ: value for organ, value in zip(PAPER_BODY, found, strict=True) if not np.isnan(value)}


def test_bands_are_known_for_series_of_the_trunk_in_any_plane():
    assert bands_of(ABDOMEN, "AX", "S,P,L") == Along(0, ABDOMEN_AND_PELVIS)
    assert bands_of(CHEST_TO_PELVIS, "AX", "S,P,L") == Along(0, TRUNK)
    assert bands_of(CHEST_TO_PELVIS, "COR", "P,S,L") == Along(1, TRUNK)
    assert bands_of(bits("Lung"), "SAG", "L,P,S") == Along(2, CHEST)
    assert bands_of(bits("Liver Kidney"), "AX", "S,P,L") is None and bands_of(ABDOMEN, "", "S,P,L") is None
    assert bands_of(bits("Lung Liver Kidney Intestine Pelvis", absent=""), "AX", "S,P,L") is None, (
        "the head may be in it"
    )


def test_a_plane_that_contradicts_its_axes_has_no_bands():
    assert bands_of(ABDOMEN, "COR", "S,P,L") is None and bands_of(ABDOMEN, "AX", "P,S,L") is None
    assert bands_of(ABDOMEN, "AX", "L,P,A") is None and bands_of(ABDOMEN, "AX", "") is None


def test_bands_are_turned_where_an_axis_goes_to_the_feet():
    down = bands_of(ABDOMEN, "AX", "I,P,R").bands
    assert down["Liver"] == (0.0, pytest.approx(0.45)) and down["Pelvis"] == (pytest.approx(0.58), 1.0)
    head_half = bits_of_part(ABDOMEN, down, (0.0, 0.35))  # the first slices are the upper ones
    assert answers(head_half)["Liver"] == 1 and answers(head_half)["Pelvis"] == 0


def test_only_slices_that_follow_the_body_are_cut():
    assert can_be_cut(Along(0, TRUNK))
    assert not can_be_cut(Along(1, TRUNK)) and not can_be_cut(None)


def test_along_the_body_each_place_has_its_own_bits():
    places = np.array([0.1, 0.42, 0.48, 0.5, 0.9], np.float32)
    found = dict(zip(PAPER_BODY, bits_along(CHEST_TO_PELVIS, TRUNK, places), strict=True))
    np.testing.assert_array_equal(found["Liver"], [0, 1, 1, 1, 0])
    np.testing.assert_array_equal(found["Pelvis"], [1, 0, 0, 0, 0])
    np.testing.assert_array_equal(found["Lung"], [0, 0, np.nan, np.nan, 1])  # near the edge of its band nothing is said
    np.testing.assert_array_equal(found["Brain"], np.zeros(5))
    assert np.isnan(found["Breast"]).all()


def test_without_bands_only_what_is_absent_is_known_along_the_body():
    found = bits_along(bits("Brain Head", absent="Liver"), None, np.array([0.2, 0.8], np.float32))
    assert (found[PAPER_BODY.index("Liver")] == 0).all() and np.isnan(found).sum() == 2 * (len(PAPER_BODY) - 1)


def test_the_pelvis_alone_holds_no_liver():
    found = answers(bits_of_part(ABDOMEN, ABDOMEN_AND_PELVIS, (0.0, 0.35)))
    assert found["Liver"] == 0 and found["Kidney"] == 0 and found["Pelvis"] == 1 and found["Brain"] == 0


def test_the_upper_chest_holds_no_liver_and_the_breast_is_unknown():
    found = answers(bits_of_part(CHEST_TO_PELVIS, TRUNK, (0.75, 1.0)))
    assert found["Lung"] == 1 and found["Liver"] == 0 and found["Pelvis"] == 0 and "Breast" not in found


def test_a_chest_s_upper_half_holds_no_liver_and_its_base_is_unknown():
    assert answers(bits_of_part(bits("Lung"), CHEST, (0.55, 1.0)))["Liver"] == 0
    assert "Liver" not in answers(bits_of_part(bits("Lung"), CHEST, (0.0, 0.5)))
    assert answers(bits_of_part(bits("Lung"), CHEST, (0.0, 0.5)))["Lung"] == 1


def test_near_an_edge_nothing_is_said():
    assert "Liver" not in answers(bits_of_part(ABDOMEN, ABDOMEN_AND_PELVIS, (0.0, 0.52)))
    assert "Liver" not in answers(bits_of_part(ABDOMEN, ABDOMEN_AND_PELVIS, (0.2, 0.6)))


def test_the_whole_keeps_its_own_bits_and_the_input_is_not_changed():
    before = ABDOMEN.copy()
    np.testing.assert_array_equal(bits_of_part(ABDOMEN, ABDOMEN_AND_PELVIS, WHOLE), ABDOMEN)
    bits_of_part(ABDOMEN, ABDOMEN_AND_PELVIS, (0.0, 0.3))
    np.testing.assert_array_equal(ABDOMEN, before)


@pytest.mark.parametrize("seed", range(30))
def test_drawn_parts_lie_inside_and_series_that_cannot_be_cut_stay_whole(seed):
    start, stop = draw_part(np.random.default_rng(seed), can_be_cut=True)
    assert 0 <= start < stop <= 1 + 1e-9
    assert draw_part(np.random.default_rng(seed), can_be_cut=False) == WHOLE


def test_as_many_numbers_are_drawn_with_and_without_cutting():
    generators = [np.random.default_rng(3), np.random.default_rng(3)]
    for generator, is_cut in zip(generators, (True, False), strict=True):
        draw_part(generator, can_be_cut=is_cut)
    assert generators[0].random() == generators[1].random()
