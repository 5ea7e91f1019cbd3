"""Figures at their edges: one arm, one size, an empty mask; files without dates."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from radnet3d.evaluation.comparison import compare
from radnet3d.figures import census, contact_sheet, curves, dice, differences, overlays, proposals, rated, witnesses
from radnet3d.figures.style import ARMS, mark_synthetic, new_figure, save_figure
from radnet3d.params import Finetune
from support.results_tree import comparison_settings, made_up_cases


def test_every_arm_has_its_own_colour_and_marker() -> None:
    allowed = Finetune.model_fields["inits"].annotation
    assert all(repr(init) in str(allowed) for init in ARMS)
    assert len({look.colour for look in ARMS.values()}) == len({look.marker for look in ARMS.values()}) == len(ARMS)


def test_axes_have_names_and_units() -> None:
    cases = made_up_cases(np.random.default_rng(0), effects={"scratch": 0.0, "pretrained": 0.1})
    comparison = compare(cases, comparison_settings())
    runs = cases.groupby(["init", "n_train", "subset_seed"], as_index=False).agg(
        dice_per_case_mean=("dice_per_case", "mean")
    )
    axes = dice.draw(comparison, runs).axes[0]
    assert "Dice" in axes.get_ylabel() and axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "4", "16"]


def test_one_size_one_case(tmp_path: Path) -> None:
    effects = {"scratch": 0.0, "control": 0.1}
    cases = made_up_cases(np.random.default_rng(0), effects=effects, n_train=(8,), n_cases=1, n_subsets=1)
    comparison = compare(cases, comparison_settings())
    runs = cases.assign(dice_per_case_mean=cases["dice_per_case"])
    save_figure(dice.draw(comparison, runs), tmp_path / "dice.svg")
    save_figure(differences.draw(comparison, 0.02), tmp_path / "differences.svg")


def test_a_head_that_does_not_apply_has_no_bar_and_says_so() -> None:
    rows = [{"head": head, "Modality": "MR", "collection_id": "a", "n_series": 4, "n_answered": n, "n_na": 4 - n} for head, n in (("plane", 4), ("kernel", 0))]  # fmt: skip
    axes = census.draw(pd.DataFrame(rows)).axes[0]
    assert [text.get_text() for text in axes.texts] == ["100%", "does not apply"]
    assert [bar.get_width() for bar in axes.patches] == [1, 0, 1, 0]


def test_a_labeller_has_no_mark_where_it_answers_nothing() -> None:
    def scores(n_answered: int) -> pd.DataFrame:
        rates = {"agreement": (3, 4), "coverage": (n_answered, 4)}
        rows = [{"head": "plane", "metric": m, "value": n / of, "low": 0.3, "high": 0.9, "n": n, "n_of": of} for m, (n, of) in rates.items()]  # fmt: skip
        return pd.DataFrame(rows)

    axes = rated.draw({"rules": scores(4), "regex": scores(0)}).axes[0]
    assert [text.get_text() for text in axes.texts] == ["75.0%"]


@pytest.mark.parametrize(
    ("witness", "sort"),
    [
        ("SeriesDescription", "text of the series"),
        ("", "nothing: unknown"),
        ("Modality, instanceCount", "other header values"),
    ],
)
def test_sorts_of_evidence(witness: str, sort: str) -> None:
    assert witnesses.sort_of(witness) == sort


def test_one_curve_and_one_encoder(tmp_path: Path) -> None:
    history = pd.DataFrame({"step": [0, 1], "split": "train", "name": "loss", "value": [1.0, np.nan]})
    save_figure(curves.draw({"control": history}), tmp_path / "curves.png")


def test_cases_without_liver_are_drawn(tmp_path: Path) -> None:
    table = pd.DataFrame({
        "case_id": ["a", "b"], "start_slice": [0, 2], "stop_slice": [10, 5], "n_slices": 10, "n_liver_slices": [0, 3],
        "recall": [np.nan, 1.0], "n_extra_slices": [10, 0], "fallback": [True, False],
    })  # fmt: skip
    ranges = pd.DataFrame(
        {"case_id": ["a", "b"], "true_start_slice": [0, 2], "true_stop_slice": [0, 5], "slice_spacing_mm": 2.0}
    )
    save_figure(proposals.draw(table, ranges), tmp_path / "proposals.svg")


def test_overlays_of_empty_and_full_predictions(tmp_path: Path) -> None:
    truth = np.zeros((6, 8, 10), bool)
    truth[2:4, 2:5, 3:8] = True
    shown = [
        overlays.Overlay("a", "best", init, 0.5, np.zeros(truth.shape, np.int16), truth, predicted, (2.0, 1.0, 1.0))
        for init, predicted in (("scratch", np.zeros_like(truth)), ("pretrained", np.ones_like(truth)))
    ]
    figure = overlays.draw(shown, (-200, 300))
    assert len(figure.axes) == 4
    save_figure(mark_synthetic(figure), tmp_path / "overlays.png")


def test_overlay_places_are_ranked_by_mean_dice() -> None:
    scores = pd.DataFrame({"case_id": list("abcabc"), "dice_per_case": [0.9, 0.5, 0.1, 0.8, np.nan, 0.3]})
    assert overlays.choose(scores) == {"best": "a", "median": "b", "worst": "c"}
    assert set(overlays.choose(scores.iloc[:1]).values()) == {"a"}


def test_the_contact_sheet_spreads_over_kinds_of_series() -> None:
    labels = pd.DataFrame({
        "SeriesInstanceUID": [f"1.{i}" for i in range(20)], "sequence": ["CT"] * 18 + ["T1", "T2"],
        "plane": "axial", "regions": "head",
    })  # fmt: skip
    chosen = contact_sheet.choose(labels, 4)
    assert sorted(chosen["sequence"]) == ["CT", "CT", "T1", "T2"]
    assert len(contact_sheet.choose(labels, 99)) == 20


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_saving_leaves_no_date_and_no_version(suffix: str, tmp_path: Path) -> None:
    figure, (axes,) = new_figure(2.0)
    axes.plot([0, 1])
    path = tmp_path / f"figure{suffix}"
    save_figure(figure, path)
    content = path.read_bytes()
    assert b"date>" not in content and b"Matplotlib v" not in content and b"Software" not in content
