import itertools

import pandas as pd
import pytest

from radnet3d.errors import SplitError
from radnet3d.params import LiverSplit, PretrainRecipe
from radnet3d.splits import (
    check_one_side,
    decide_split,
    nested_subsets,
    split_liver_cases,
    split_patients,
    split_table,
    training_cases,
)
from radnet3d.tables import LIVER_SPLIT, SPLIT_TABLE, SUBSETS, check_table, read_table, write_table
from support.tiny_training import LIVER_SPLIT_SETTINGS, SETTINGS

PRETRAIN = PretrainRecipe.model_validate(SETTINGS["pretrain"])


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


def test_patients_of_tasks_come_out_of_training_alone():
    names = [f"P{i}" for i in range(20)]
    without, kept = (
        split_patients(names, PRETRAIN),
        split_patients(names, PRETRAIN.model_copy(update={"fraction_tasks": 0.25})),
    )
    assert kept["split"].value_counts().to_dict() == {"train": 7, "tasks": 5, "test": 4, "validation": 4}
    moved = without["split"] != kept["split"]
    assert set(without.loc[moved, "split"]) == {"train"} and set(kept.loc[moved, "split"]) == {"tasks"}


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
        decide_split(twins.reset_index(), LIVER_SPLIT_SETTINGS, 1, None)
    assert f"{train} (train)" in str(caught.value)
    assert f"{test} (test)" in str(caught.value)


def test_too_few_liver_cases():
    with pytest.raises(SplitError, match="7 cases of 7 patients"):
        split_liver_cases(cases(7), LIVER_SPLIT_SETTINGS)


def test_small_sets_lie_inside_larger_ones():
    split = split_liver_cases(cases(20), LIVER_SPLIT_SETTINGS)
    subsets = nested_subsets(split, 2)
    for seed in (0, 1):
        sets = [training_cases(subsets, subset_seed=seed, n_train=n) for n in (1, 2, 4, 8)]
        assert all(large[: len(small)] == small for small, large in itertools.pairwise(sets))
        assert set(sets[-1]) <= set(split.loc[split["role"] == "train", "case_id"])
    assert training_cases(subsets, subset_seed=0, n_train=8) != training_cases(subsets, subset_seed=1, n_train=8)


def test_more_cases_than_there_are():
    subsets = nested_subsets(split_liver_cases(cases(12), LIVER_SPLIT_SETTINGS), 1)
    with pytest.raises(SplitError, match="has 5 training cases, wanted 6"):
        training_cases(subsets, subset_seed=0, n_train=6)


def test_a_patient_on_two_sides_is_named():
    rows = pd.DataFrame({"PatientID": ["A", "B", "A"], "role": ["train", "train", "test"]})
    with pytest.raises(SplitError, match="patient A is in test and train"):
        check_one_side(rows, "role")


def test_a_patient_s_cases_have_ranks_that_follow_each_other():
    settings = LIVER_SPLIT_SETTINGS.model_copy(update={"n_test": 2, "n_validation": 2})
    split = split_liver_cases(cases(24, per_patient=2), settings)
    ranked = nested_subsets(split, 1).merge(split, on="case_id").sort_values("rank")
    assert (ranked["PatientID"].to_numpy()[::2] == ranked["PatientID"].to_numpy()[1::2]).all()


@pytest.mark.parametrize(("n_alike", "wanted"), [(8, [2, 1, 1, 4]), (10, [3, 1, 1, 5]), (1, [0, 0, 0, 1])])
def test_every_role_has_its_share_of_each_group(n_alike, wanted):
    settings = LiverSplit(seed=0, n_test=10, n_validation=5, n_control=5, table=None)
    table = cases(40).assign(group=["alike" if i < n_alike else "others" for i in range(40)])
    split = split_liver_cases(table, settings).merge(table[["case_id", "group"]], on="case_id")
    counts = pd.crosstab(split["role"], split["group"]).loc[["test", "validation", "control", "train"]]
    assert counts.sum(axis=1).tolist() == [10, 5, 5, 20]
    assert counts["alike"].tolist() == wanted


@pytest.fixture
def drawn(tmp_path):
    """A draw of 12 cases, and the table of it as it comes back from its file."""
    split = split_liver_cases(cases(12), LIVER_SPLIT_SETTINGS)
    subsets = nested_subsets(split, 3)
    write_table(split_table(split, subsets), tmp_path / "table.csv", SPLIT_TABLE)
    return split, subsets, read_table(tmp_path / "table.csv", SPLIT_TABLE)


WITH_TABLE = LIVER_SPLIT_SETTINGS.model_copy(update={"table": "table.csv"})


def test_a_table_gives_what_it_was_made_from(drawn):
    split, subsets, table = drawn
    found = decide_split(cases(12), WITH_TABLE, 2, table)
    pd.testing.assert_frame_equal(check_table(found[0], LIVER_SPLIT, name=""), split)
    pd.testing.assert_frame_equal(check_table(found[1], SUBSETS, name=""), subsets, check_dtype=False)


def refusal(table, found, n_subsets=2):
    with pytest.raises(SplitError) as caught:
        decide_split(found, WITH_TABLE, n_subsets, table)
    assert str(caught.value).startswith("table.csv: ")
    return str(caught.value)


def test_a_table_of_other_cases_is_refused_with_their_names(drawn):
    _, _, table = drawn
    assert "gives no role to 1 of the cases: 012;" in refusal(table, cases(13))
    assert "names what was not found: 2 of the cases: 010, 011;" in refusal(table, cases(10))
    assert "005, 006, 007, 008, 009 and 2 more" in refusal(table, cases(5))


def test_a_table_with_other_sizes_or_a_patient_in_two_roles_is_refused(drawn):
    split, _, table = drawn
    train, test = (split.loc[split["role"] == role, "case_id"].iloc[0] for role in ("train", "test"))
    changed = table.copy()
    changed.loc[changed["case_id"] == train, "role"] = "test"
    assert "'test': 4" in refusal(changed, cases(12))
    twins = cases(12)
    twins.loc[twins["case_id"] == train, "PatientID"] = twins.loc[twins["case_id"] == test, "PatientID"].item()
    assert "is in test and train" in refusal(table, twins)


def test_a_table_with_broken_ranks_is_refused_with_the_cases_at_fault(drawn):
    split, _, table = drawn
    first, second = split.loc[split["role"] == "train", "case_id"].iloc[:2]
    other = split.loc[split["role"] == "test", "case_id"].iloc[0]
    for case, value, said in [
        (first, "", f"rank_1: cases {first}: wanted a rank for each training case"),
        (other, "0", f"rank_1: cases {other}: wanted a rank for each training case and for no other"),
        (first, "5", f"rank_1: ranks of cases {first}: wanted 0 to 4, each once"),
        (first, "x", f"rank_1: ranks of cases {first}: wanted 0 to 4"),
        (first, table.loc[table["case_id"] == second, "rank_1"].item(), f"ranks of cases {min(first, second)}, "),
    ]:
        changed = table.copy()
        changed.loc[changed["case_id"] == case, "rank_1"] = value
        assert said in refusal(changed, cases(12))
    assert "wanted rank_0 to rank_3" in refusal(table, cases(12), n_subsets=4)
    assert "found the subsets ['rank_0', 'rank_2']" in refusal(table.drop(columns="rank_1"), cases(12))
