import numpy as np
import pytest

from radnet3d.tables import PAPER_BODY
from radnet3d.training.bands import ABDOMEN_AND_PELVIS, CHEST, TRUNK, WHOLE, bands_of, bits_of_part, draw_part


def bits(present: str, absent: str = "Brain Head") -> np.ndarray:
    values = {**dict.fromkeys(present.split(), 1.0), **dict.fromkeys(absent.split(), 0.0)}
    return np.array([values.get(organ, np.nan) for organ in PAPER_BODY], np.float32)


ABDOMEN = bits("Liver Kidney Intestine Pelvis")
CHEST_TO_PELVIS = bits("Lung Breast Liver Kidney Intestine Pelvis")


def answers(found: np.ndarray) -> dict[str, float]:
    return {organ: value for organ, value in zip(PAPER_BODY, found, strict=True) if not np.isnan(value)}


def test_bands_are_known_for_axial_series_from_the_pelvis_up():
    assert bands_of(ABDOMEN, "AX", "S,P,L") is ABDOMEN_AND_PELVIS
    assert bands_of(CHEST_TO_PELVIS, "AX", "S,P,L") is TRUNK
    assert bands_of(ABDOMEN, "COR", "S,P,L") is None and bands_of(ABDOMEN, "", "S,P,L") is None
    assert bands_of(bits("Lung"), "AX", "S,P,L") is CHEST and bands_of(bits("Liver Kidney"), "AX", "S,P,L") is None
    assert bands_of(bits("Lung Liver Kidney Intestine Pelvis", absent=""), "AX", "S,P,L") is None, (
        "the head may be in it"
    )


def test_bands_are_turned_where_slices_go_to_the_feet_and_unknown_where_they_go_elsewhere():
    down = bands_of(ABDOMEN, "AX", "I,P,R")
    assert (
        down is not None
        and down["Liver"] == (0.0, pytest.approx(0.45))
        and down["Pelvis"] == (pytest.approx(0.58), 1.0)
    )
    head_half = bits_of_part(ABDOMEN, down, (0.0, 0.35))  # the first slices are the upper ones
    assert answers(head_half)["Liver"] == 1 and answers(head_half)["Pelvis"] == 0
    assert bands_of(ABDOMEN, "AX", "L,P,S") is None and bands_of(ABDOMEN, "AX", "") is None


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
def test_drawn_parts_lie_inside_and_series_without_bands_stay_whole(seed):
    start, stop = draw_part(np.random.default_rng(seed), has_bands=True)
    assert 0 <= start < stop <= 1 + 1e-9
    assert draw_part(np.random.default_rng(seed), has_bands=False) == WHOLE


def test_as_many_numbers_are_drawn_with_and_without_bands():
    generators = [np.random.default_rng(3), np.random.default_rng(3)]
    for generator, has_bands in zip(generators, (True, False), strict=True):
        draw_part(generator, has_bands=has_bands)
    assert generators[0].random() == generators[1].random()
