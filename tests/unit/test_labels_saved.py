"""Labels saved: exact cases, what lies beyond the curve, what is refused, and how often the interval holds the truth."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from radnet3d.errors import TableError
from radnet3d.evaluation.labels_saved import labels_saved, never_falling, scratch_of
from radnet3d.tables import LABELS_SAVED, check_table
from support.study import Components, rows_of, settings, study

AGAINST = {"scratch": (), "pretrained": ("scratch",)}
NONE = Components(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
STUDY = {1: 5, 2: 5, 4: 5, 8: 5, 16: 3, 32: 1}


def saved(cases: pd.DataFrame, against: dict[str, tuple[str, ...]] = AGAINST, **changed: float) -> pd.DataFrame:
    found = labels_saved(cases, against, settings(**changed))
    return check_table(found, LABELS_SAVED, name="labels saved").set_index(["init", "n_train"])


def plain(dice: dict[str, dict[int, float]]) -> pd.DataFrame:
    """Cells of one Dice each, with nothing random in them."""
    return pd.concat(
        [rows_of(init, n, np.full((2, 2, 3), value)) for init, sizes in dice.items() for n, value in sizes.items()],
        ignore_index=True,
    )


def test_a_constant_gain_is_read_off_the_curve() -> None:
    """0.05 a doubling, and an arm 0.05 better: scratch needs twice as many cases, and no interval has any width."""
    cases = study(
        np.random.default_rng(0),
        {"scratch": 0.0, "pretrained": 0.05},
        n_subsets={1: 2, 2: 2, 4: 2, 8: 2},
        shared=NONE,
        own=NONE,
    )
    found = saved(cases)
    assert list(found["n_equal"][:3]) == pytest.approx([2, 4, 8])
    assert list(found["low"][:3]) == pytest.approx([2, 4, 8]) and list(found["high"][:3]) == pytest.approx([2, 4, 8])
    assert (found["n_equal_beyond"].iloc[3], found["n_equal"].iloc[3]) == ("above", 8)
    assert set(found["reference"]) == {"scratch"}


def test_between_sizes_and_beyond_both_ends() -> None:
    dice = {"scratch": {2: 0.5, 8: 0.7}, "pretrained": {2: 0.6, 4: 0.8, 8: 0.4}, "control": {2: 0.5, 8: 0.7}}
    found = saved(plain(dice), {"scratch": (), "pretrained": ("scratch",), "control": ("scratch",)})
    assert found.loc[("pretrained", 2), "n_equal"] == pytest.approx(4)
    columns = ["n_equal", "low", "high"]
    for n, word, end in ((4, "above", 8), (8, "below", 2)):
        row = found.loc[("pretrained", n)]
        assert list(row[columns]) == [end] * 3
        assert [row[f"{name}_beyond"] for name in columns] == [word] * 3
    assert list(found.loc[("control", 2), columns]) == [2, 2, 2]
    assert (
        found.loc[("control", 8), "n_equal"] == pytest.approx(8) and found.loc[("control", 8), "n_equal_beyond"] == ""
    )


def test_a_curve_that_falls_is_levelled_by_weight() -> None:
    np.testing.assert_allclose(
        never_falling(np.array([0.5, 0.7, 0.6, 0.8]), np.array([1.0, 3.0, 1.0, 1.0])), [0.5, 0.675, 0.675, 0.8]
    )
    assert np.isnan(never_falling(np.array([0.5, np.nan]), np.ones(2))).all()
    found = saved(plain({"scratch": {1: 0.5, 2: 0.7, 4: 0.6, 8: 0.8}, "pretrained": {1: 0.65 - 1e-9, 2: 0.5}}))
    assert found.loc[("pretrained", 1), "n_equal"] == pytest.approx(2, rel=1e-6)
    assert found.loc[("pretrained", 2), "n_equal"] == pytest.approx(1.0)


def test_one_size_one_case_and_an_arm_of_a_part() -> None:
    rng = np.random.default_rng(1)
    alone = saved(study(rng, {"scratch": 0.0, "pretrained": 0.2}, n_subsets={4: 3}))
    assert list(alone.loc[("pretrained", 4), ["n_equal", "n_equal_beyond", "low_beyond"]]) == [4, "above", "above"]
    one_case = saved(study(rng, {"scratch": 0.0, "pretrained": 0.03}, n_subsets={1: 2, 8: 2}, n_cases=1))
    assert one_case["n_equal"].notna().all() and one_case[["low", "high"]].isna().all(axis=None)
    cases = study(rng, {"scratch": 0.0, "pretrained": 0.05}, n_subsets={1: 2, 2: 2, 4: 2})
    part = cases.query("init == 'scratch' or (n_train == 2 and init_seed == 1)")
    same_seed = cases.query("(init == 'scratch' or n_train == 2) and init_seed == 1")
    pd.testing.assert_frame_equal(saved(part), saved(same_seed))


def test_the_arm_from_scratch_is_at_the_end_of_the_chain() -> None:
    against = {
        "scratch": (),
        "pretrained": ("scratch", "shuffled"),
        "shuffled": ("scratch",),
        "without_body": ("pretrained",),
    }
    assert [scratch_of(init, against) for init in against] == ["scratch"] * 4
    with pytest.raises(TableError, match="circle a -> b -> a"):
        scratch_of("a", {"a": ("b",), "b": ("a",)})
    assert labels_saved(plain({"scratch": {1: 0.5}}), {"scratch": ()}, settings()).empty


def test_a_reference_tested_on_other_cases_or_seeds_is_refused() -> None:
    cases = study(np.random.default_rng(2), {"scratch": 0.0, "pretrained": 0.0}, n_subsets={1: 2, 4: 2})
    at_4 = (cases["init"] == "scratch") & (cases["n_train"] == 4)
    with pytest.raises(TableError, match="scratch at n_train 4: wanted case_id"):
        saved(cases[~(at_4 & (cases["case_id"] == "case-003"))])
    with pytest.raises(TableError, match="scratch at n_train 4: wanted init_seed"):
        saved(cases[~(at_4 & (cases["init_seed"] == 1))])


def test_the_interval_holds_the_true_number_as_often_as_it_says() -> None:
    """An arm 0.05 better at n = 2 and 4, where scratch truly needs 4 and 8: two sizes of 30 studies."""
    rng = np.random.default_rng(3)
    n_held = 0
    for _ in range(30):
        cases = study(rng, {"scratch": 0.0, "pretrained": 0.05}, n_subsets={1: 3, 2: 3, 4: 3, 8: 3, 16: 3})
        found = saved(cases, n_bootstrap=100)
        for n in (2, 4):
            row = found.loc[("pretrained", n)]
            n_held += row["low"] <= 2 * n <= row["high"]
            assert row["low"] <= row["n_equal"] <= row["high"]
    assert n_held >= stats.binom.ppf(0.01, 60, 0.95)
