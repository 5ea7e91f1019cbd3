from pathlib import Path

import numpy as np
import pytest
import torch

from radnet3d.liver.proposal import SliceRange, overlap
from radnet3d.params import Input, SliceClassification
from radnet3d.training.cases import Case
from radnet3d.training.slice_classifier import (
    SliceClassifier,
    range_of,
    slab_at,
    slice_probabilities,
    train_classifier,
)

INPUT = Input(ct_window_hu=(-200, 300))
SETTINGS = SliceClassification(steps=60, batch_size=16, learning_rate=0.02, weight_decay=0.0)
CPU = torch.device("cpu")


def case(number: int, n_slices: int = 30) -> Case:
    """A scan whose slices hold a bright square where the liver is."""
    generator = np.random.default_rng(number)
    slab = generator.normal(0, 20, (n_slices, 16, 16)).astype(np.float32)
    start = int(generator.integers(5, 12))
    stop = start + int(generator.integers(8, 12))
    slab[start:stop, 4:10, 3:9] += 150
    return Case(str(number), slab, np.zeros_like(slab), (start, stop), (5.0, 3.0, 3.0), Path())


@pytest.fixture(scope="module")
def trained():
    torch.set_num_threads(1)
    return train_classifier([case(0), case(1)], SETTINGS, INPUT, seed=0, device=CPU)


def test_it_finds_in_new_scans_what_it_saw_in_two(trained):
    model, history = trained
    assert history["value"].iloc[-1] < 0.5 * history["value"].iloc[0]
    for number in range(5, 10):
        new = case(number)
        found = range_of(slice_probabilities(model, new.slab_hu, 5.0, INPUT, CPU), 0.5)
        recall, n_extra = overlap(found, *new.liver)
        assert recall >= 0.8 and n_extra <= 3


def test_training_depends_on_its_seed_alone(trained):
    again, history = train_classifier([case(0), case(1)], SETTINGS, INPUT, seed=0, device=CPU)
    assert history.equals(trained[1])
    assert all(
        torch.equal(a, b) for a, b in zip(again.state_dict().values(), trained[0].state_dict().values(), strict=True)
    )


def test_an_experts_labels_are_what_it_learns_from():
    first, other = case(0), case(0)
    elsewhere = Case("0", other.slab_hu, other.slab_liver, (0, 3), other.spacing_zyx_mm, Path())
    short = SETTINGS.model_copy(update={"steps": 3})
    _, own = train_classifier([first], short, INPUT, seed=0, device=CPU)
    _, wrong = train_classifier([elsewhere], short, INPUT, seed=0, device=CPU)
    assert not own["value"].equals(wrong["value"])


def test_a_slab_reaches_as_far_at_any_spacing_and_not_beyond_the_scan():
    slab = np.arange(6, dtype=np.float32)[:, None, None] * np.ones((1, 2, 2), np.float32) * 50

    def slices(place: int, spacing_mm: float) -> list[int]:
        return [round(float(value) * 10 - 4) for value in slab_at(slab, place, spacing_mm, INPUT)[:, 0, 0]]

    assert slices(3, 10.0) == [1, 3, 5]
    assert slices(3, 20.0) == [2, 3, 4]
    assert slices(3, 90.0) == [2, 3, 4]  # never the slice itself thrice
    assert slices(0, 10.0) == [0, 0, 2]
    assert slices(5, 7.0) == [2, 5, 5]


@pytest.mark.parametrize("n_slices", [1, 2, 7, 65])
@pytest.mark.parametrize("spacing_mm", [0.7, 5.0, 40.0])
def test_every_slice_gets_one_probability(n_slices, spacing_mm):
    probabilities = slice_probabilities(
        SliceClassifier(), np.zeros((n_slices, 16, 16), np.float32), spacing_mm, INPUT, CPU
    )
    assert probabilities.shape == (n_slices,) and ((probabilities > 0) & (probabilities < 1)).all()


def test_the_longest_run_of_slices_is_the_range():
    probabilities = np.array([0.9, 0.1, 0.6, 0.5, 0.7, 0.2, 0.8])
    assert range_of(probabilities, 0.5) == SliceRange(2, 5, fallback=False)
    assert range_of(probabilities, 0.95) == SliceRange(0, 7, fallback=True)
    assert range_of(probabilities, 0.05) == SliceRange(0, 7, fallback=False)
