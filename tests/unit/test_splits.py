import itertools

import pandas as pd
import pytest

from radnet3d.errors import SplitError
from radnet3d.params import Pretrain
from radnet3d.splits import (
    check_one_side,
    nested_subsets,
    split_liver_cases,
    split_patients,
    training_cases,
)
from support.tiny_training import LIVER_SPLIT_SETTINGS, SETTINGS

PRETRAIN = Pretrain.model_validate(SETTINGS["pretrain"])


def cases(n: int, per_patient: int = 1) -> pd.DataFrame:
    return pd.DataFrame({
        "case_id": [f"{i:03d}" for i in range(n)], "PatientID": [f"L{i // per_patient:03d}" for i in range(n)],
        "image_sha256": [f"{i:064x}" for i in range(n)],
    })  # fmt: skip


def test_patients_are_dealt_by_fraction_and_do_not_depend_on_their_order():
    names = [f"P{i}" for i in range(20)]
    split = split_patients(names, PRETRAIN)
    assert split["split"].value_counts().to_dict() == {"train": 12, "test": 4, "validation": 4}
    pd.testing.assert_frame_equal(split, split_patients(reversed(names * 3), PRETRAIN))


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_patients(n):
    with pytest.raises(SplitError, match="wanted at least 1"):
        split_patients([f"P{i}" for i in range(n)], PRETRAIN)


def test_liver_roles_have_the_sizes_asked_for():
    split = split_liver_cases(cases(12), LIVER_SPLIT_SETTINGS)
    assert split["role"].value_counts().to_dict() == {"train": 5, "test": 3, "validation": 2, "control": 2}


def test_a_patient_s_cases_stay_together():
    split = split_liver_cases(cases(24, per_patient=2), LIVER_SPLIT_SETTINGS)
    assert (split.groupby("PatientID")["role"].nunique() == 1).all()


def test_one_image_under_two_case_numbers_is_refused_when_it_would_be_on_two_sides():
    split = split_liver_cases(cases(12), LIVER_SPLIT_SETTINGS).set_index("case_id")["role"]
    train, test = split[split == "train"].index[0], split[split == "test"].index[0]
    twins = cases(12).set_index("case_id")
    twins.loc[train, "image_sha256"] = twins.loc[test, "image_sha256"]
    with pytest.raises(SplitError, match="are the same image") as caught:
        split_liver_cases(twins.reset_index(), LIVER_SPLIT_SETTINGS)
    assert f"{train} (train)" in str(caught.value)
    assert f"{test} (test)" in str(caught.value)


def test_too_few_liver_cases():
    with pytest.raises(SplitError, match="7 cases of 7 patients"):
        split_liver_cases(cases(7), LIVER_SPLIT_SETTINGS)


def test_small_sets_lie_inside_larger_ones():
    split = split_liver_cases(cases(20), LIVER_SPLIT_SETTINGS)
    subsets = nested_subsets(split, [0, 1])
    for seed in (0, 1):
        sets = [training_cases(subsets, subset_seed=seed, n_train=n) for n in (1, 2, 4, 8)]
        assert all(large[: len(small)] == small for small, large in itertools.pairwise(sets))
        assert set(sets[-1]) <= set(split.loc[split["role"] == "train", "case_id"])
    assert training_cases(subsets, subset_seed=0, n_train=8) != training_cases(subsets, subset_seed=1, n_train=8)


def test_more_cases_than_there_are():
    subsets = nested_subsets(split_liver_cases(cases(12), LIVER_SPLIT_SETTINGS), [0])
    with pytest.raises(SplitError, match="has 5 training cases, wanted 6"):
        training_cases(subsets, subset_seed=0, n_train=6)


def test_a_patient_on_two_sides_is_named():
    rows = pd.DataFrame({"PatientID": ["A", "B", "A"], "role": ["train", "train", "test"]})
    with pytest.raises(SplitError, match="patient A is in test and train"):
        check_one_side(rows, "role")
