"""The comparison: what is paired with what, what is refused, and what its verdicts promise."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from radnet3d.errors import TableError
from radnet3d.evaluation.cells import Against, as_array, values_of
from radnet3d.evaluation.comparison import compare, flat_metrics, holm, paired_difference, wilcoxon_p
from radnet3d.tables import COMPARISON, check_table
from support.study import Components, draw, settings, study

TWO: Against = {"scratch": (), "pretrained": ("scratch",)}
THREE: Against = {"scratch": (), "pretrained": ("scratch", "shuffled"), "shuffled": ("scratch",)}
SIZES = {1: 3, 4: 3, 16: 1}


def row(comparison: pd.DataFrame, init: str, reference: str, n_train: int) -> pd.Series:
    key = (comparison["init"] == init) & (comparison["reference"] == reference) & (comparison["n_train"] == n_train)
    assert key.sum() == 1
    return comparison[key].iloc[0]


def of_part(cases: pd.DataFrame, init: str, query: str) -> pd.DataFrame:
    """Return the cases with only those rows of `init` that `query` names."""
    return pd.concat([cases[cases["init"] != init], cases[cases["init"] == init].query(query)])


@pytest.fixture(scope="module")
def cases() -> pd.DataFrame:
    effects = {"scratch": 0.0, "pretrained": 0.1, "shuffled": 0.0}
    return study(np.random.default_rng(0), effects, n_subsets=SIZES)


def test_one_row_an_arm_reference_and_size(cases: pd.DataFrame) -> None:
    comparison = check_table(compare(cases, THREE, settings()), COMPARISON, name="comparison")
    assert list(comparison[["init", "reference", "n_train"]].itertuples(index=False, name=None)) == [
        (init, reference, n)
        for init, reference in (("scratch", ""), ("pretrained", "scratch"), ("pretrained", "shuffled"), ("shuffled", "scratch"))
        for n in SIZES
    ]  # fmt: skip
    alone = comparison["reference"] == ""
    assert set(comparison.loc[alone, "verdict"]) == {"reference"}
    assert comparison.loc[alone, ["difference", "p", "p_holm"]].isna().all(axis=None)
    assert comparison.loc[~alone, ["difference", "p", "p_holm"]].notna().all(axis=None)
    assert row(comparison, "pretrained", "scratch", 4)["verdict"] == "gain"
    assert row(comparison, "pretrained", "shuffled", 4)["verdict"] == "gain"
    assert (comparison["low"] < comparison["dice_per_case_mean"]).all()
    assert list(comparison.loc[alone, "n_runs"]) == [6, 6, 2] and (comparison["n_cases"] == 30).all()


def test_the_difference_is_paired_by_case_and_seed(cases: pd.DataFrame) -> None:
    """A constant added to every case leaves a difference without any width, however different cases are."""
    scratch = cases[cases["init"] == "scratch"]
    other = scratch.assign(init="pretrained", dice_per_case=scratch["dice_per_case"] + 0.03)
    found = row(
        compare(pd.concat([other.sample(frac=1, random_state=0), scratch]), TWO, settings()), "pretrained", "scratch", 4
    )
    assert [found["difference"], found["difference_low"], found["difference_high"]] == pytest.approx([0.03] * 3)


def test_an_arm_with_a_part_of_the_seeds_and_sizes_meets_the_same_part_of_its_reference(cases: pd.DataFrame) -> None:
    part = of_part(cases, "pretrained", "n_train == 4 and init_seed == 0")
    comparison = compare(part, TWO | {"shuffled": ()}, settings())
    assert len(comparison) == 7
    found = row(comparison, "pretrained", "scratch", 4)
    same = cases.query("n_train == 4 and init_seed == 0").groupby("init")["dice_per_case"].mean()
    assert found["difference"] == pytest.approx(same["pretrained"] - same["scratch"])
    assert (found["n_runs"], found["n_inits"], found["fixed"]) == (3, 1, "init_seed")
    assert row(comparison, "scratch", "", 4)["n_runs"] == 6


@pytest.mark.parametrize(
    ("n_subsets", "n_inits", "fixed"),
    [(2, 2, ""), (1, 2, "subset_seed"), (2, 1, "init_seed"), (1, 1, "subset_seed, init_seed")],
)
def test_what_there_is_one_of_is_said(n_subsets: int, n_inits: int, fixed: str) -> None:
    rng = np.random.default_rng(1)
    some = study(rng, {"scratch": 0.0, "pretrained": 0.0}, n_subsets={4: n_subsets}, n_inits=n_inits)
    comparison = check_table(compare(some, TWO, settings()), COMPARISON, name="comparison")
    assert set(comparison["fixed"]) == {fixed}
    found = row(comparison, "pretrained", "scratch", 4)
    assert found["difference_low"] < found["difference"] < found["difference_high"]


def test_loss_and_margin(cases: pd.DataFrame) -> None:
    scratch = cases[cases["init"] == "scratch"]
    worse = scratch.assign(init="shuffled", dice_per_case=scratch["dice_per_case"] - 0.05)
    hardly = scratch.assign(init="pretrained", dice_per_case=scratch["dice_per_case"] + 0.019)
    comparison = compare(pd.concat([scratch, worse, hardly]), THREE, settings())
    assert row(comparison, "shuffled", "scratch", 4)["verdict"] == "loss"
    assert row(comparison, "pretrained", "scratch", 4)["verdict"] == "no difference shown"
    assert row(comparison, "pretrained", "scratch", 4)["p_holm"] < 0.05
    assert row(comparison, "pretrained", "shuffled", 4)["verdict"] == "gain"


def test_a_difference_of_one_pretraining_out_of_two_is_none(cases: pd.DataFrame) -> None:
    """Wilcoxon is sure of the networks that were trained; other seeds could do without the difference."""
    scratch = cases[cases["init"] == "scratch"]
    lucky = scratch.assign(init="pretrained", dice_per_case=scratch["dice_per_case"] + 0.1 * scratch["init_seed"])
    found = row(compare(pd.concat([scratch, lucky]), TWO, settings()), "pretrained", "scratch", 4)
    assert found["p_cases"] < 0.001 and found["p_seeds"] > 0.3
    assert found["p"] == found["p_seeds"] and found["verdict"] == "no difference shown"


def test_holm_is_over_the_sizes_of_one_arm_and_reference(cases: pd.DataFrame) -> None:
    comparison = compare(cases, THREE, settings())
    for _, rows in comparison[comparison["reference"] != ""].groupby(["init", "reference"]):
        np.testing.assert_allclose(rows["p_holm"], holm(rows["p"].to_numpy()))


def test_same_answer_twice_and_in_any_order_of_rows(cases: pd.DataFrame) -> None:
    first = compare(cases, THREE, settings())
    pd.testing.assert_frame_equal(first, compare(cases.sample(frac=1, random_state=1), THREE, settings()))


def test_a_single_case_has_no_interval_and_no_verdict_of_gain() -> None:
    one = study(np.random.default_rng(5), {"scratch": 0.0, "pretrained": 0.2}, n_subsets={1: 3}, n_cases=1)
    comparison = check_table(compare(one, TWO, settings()), COMPARISON, name="one case")
    found = row(comparison, "pretrained", "scratch", 1)
    assert np.isfinite(found["difference"])
    assert np.isnan([found["low"], found["difference_low"], found["p_holm"]]).all()
    assert found["verdict"] == "no difference shown"


def test_undefined_cases_are_counted_and_take_no_part(cases: pd.DataFrame) -> None:
    without = cases[cases["case_id"] != "case-000"]
    undefined = cases.assign(dice_per_case=cases["dice_per_case"].where(cases["case_id"] != "case-000"))
    found, wanted = (row(compare(c, THREE, settings()), "pretrained", "scratch", 4) for c in (undefined, without))
    assert found["n_undefined"] == 6 and found["n_cases"] == 30
    assert found["difference"] == pytest.approx(wanted["difference"])
    assert found["p_cases"] == pytest.approx(wanted["p_cases"])


def test_empty_predictions_and_failures_are_counted(cases: pd.DataFrame) -> None:
    hit = (cases["init"] == "pretrained") & (cases["n_train"] == 16) & (cases["case_id"] == "case-003")
    emptied = cases.assign(
        dice_per_case=cases["dice_per_case"].clip(0.6, 0.9).mask(hit, 0.0), is_empty=cases["is_empty"] | hit
    )
    found = row(compare(emptied, THREE, settings()), "pretrained", "scratch", 16)
    assert (found["n_empty"], found["n_failures"]) == (2, 2)


FAULTS = {
    "a row is missing": (lambda c: c.drop(index=5), TWO, "wanted each of"),
    "a row is doubled": (lambda c: pd.concat([c, c.iloc[[7]]]), TWO, "1 of them doubled"),
    "the reference has no runs": (lambda c: c[c["init"] != "scratch"], TWO, "scratch"),
    "an arm nobody declared": (lambda c: c, {"pretrained": ()}, "scratch"),
    "a reference that is no arm": (lambda c: c, {"scratch": (), "pretrained": ("absent",)}, "'absent'"),
    "fewer cases": (lambda c: of_part(c, "pretrained", "case_id != 'case-001'"), TWO, "case-001"),
    "more cases": (lambda c: of_part(c, "scratch", "case_id != 'case-001'"), TWO, "case-001"),
    "other cases": (
        lambda c: c.assign(case_id=c["case_id"].mask((c["init"] == "pretrained") & (c["case_id"] == "case-001"), "case-9")),
        TWO, "case-9",
    ),
    "seeds the reference lacks": (lambda c: of_part(c, "scratch", "init_seed == 0"), TWO, "found only in one"),
    "a size the reference lacks": (lambda c: of_part(c, "scratch", "n_train < 16"), TWO, "n_train 16: found no runs of scratch"),
}  # fmt: skip


def test_arms_that_fit_are_not_refused(cases: pd.DataFrame) -> None:
    assert len(compare(cases[cases["init"] != "shuffled"].reset_index(drop=True), TWO, settings(n_bootstrap=100))) == 6


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_fit_is_refused_by_name(fault: str, cases: pd.DataFrame) -> None:
    change, against, said = FAULTS[fault]
    both = cases[cases["init"] != "shuffled"].reset_index(drop=True)
    with pytest.raises(TableError, match=said):
        compare(change(both), against, settings(n_bootstrap=100))


def test_values_have_their_axes(cases: pd.DataFrame) -> None:
    values = as_array(values_of(cases.sample(frac=1, random_state=0), "scratch", 4))
    at = cases.query(
        "init == 'scratch' and n_train == 4 and subset_seed == 2 and init_seed == 1 and case_id == 'case-003'"
    )
    assert values.shape == (3, 2, 30)
    assert values[2, 1, 3] == at["dice_per_case"].item()


def test_wilcoxon_edges() -> None:
    assert np.isnan(wilcoxon_p(np.array([0.1])))
    assert np.isnan(wilcoxon_p(np.array([0.1, np.nan])))
    assert wilcoxon_p(np.zeros(5)) == 1.0
    assert wilcoxon_p(np.arange(1.0, 31.0)) < 1e-6


def test_holm_by_hand_and_undefined() -> None:
    np.testing.assert_allclose(holm(np.array([0.04, 0.01, np.nan, 0.03])), [0.06, 0.03, np.nan, 0.06])
    assert np.isnan(holm(np.array([np.nan, np.nan]))).all()
    np.testing.assert_allclose(holm(np.array([0.9, 0.8])), [1.0, 1.0])


def test_flat_metrics_hold_differences_to_the_first_reference_and_no_undefined_number(cases: pd.DataFrame) -> None:
    comparison = compare(cases, THREE, settings())
    metrics = flat_metrics(comparison)
    assert set(metrics["difference"]) == {"pretrained", "shuffled"}
    wanted = row(comparison, "pretrained", "scratch", 4)["difference"]
    assert metrics["difference"]["pretrained"]["n_004"] == pytest.approx(wanted, abs=1e-6)
    assert set(metrics["dice_per_case_mean"]["scratch"]) == {"n_001", "n_004", "n_016"}
    one = compare(cases[cases["case_id"] == "case-000"], THREE, settings())
    assert "difference_low" not in flat_metrics(one)


def test_no_effect_is_seldom_called_a_difference_at_any_size() -> None:
    """150 comparisons over three sizes, no margin asked: at most 1 in 20 may end in a gain or a loss somewhere."""
    rng = np.random.default_rng(42)
    own = Components(0.012, 0.008, 0.02, 0.008, 0.02, 0.01, 0.03)
    n_called = 0
    for _ in range(150):
        p = []
        for shape in ((5, 2, 30), (3, 2, 30), (3, 2, 30)):
            p.append(paired_difference(draw(rng, shape, own), settings(n_bootstrap=200))["p"])
        n_called += int(holm(np.array(p)).min() < 0.05)
    assert n_called <= stats.binom.isf(0.01, 150, 0.05)


def test_a_planted_effect_is_found() -> None:
    """An effect of several standard errors ends in a gain, and its mirror image in a loss."""
    rng = np.random.default_rng(43)
    for effect, word in ((0.07, "gain"), (-0.07, "loss")):
        verdicts = []
        for _ in range(5):
            some = study(rng, {"scratch": 0.0, "pretrained": effect}, n_subsets={4: 5})
            verdicts.append(row(compare(some, TWO, settings()), "pretrained", "scratch", 4)["verdict"])
        assert verdicts.count(word) >= 4
