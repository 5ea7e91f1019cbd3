"""Figures at their edges: one arm, one size, an empty mask; files without dates."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from radnet3d.evaluation.comparison import compare
from radnet3d.figures import (
    ablation,
    census,
    contact_sheet,
    curves,
    dice,
    differences,
    heads,
    labels_saved,
    other_arms,
    overlays,
    proposals,
    rated,
    witnesses,
)
from radnet3d.figures.style import looks, mark_synthetic, new_figure, save_figure
from support.results_tree import comparison_settings, made_up_cases

ARMS = looks({"scratch": "from scratch", "pretrained": "header labels", "control": "positive control", "mine": "ours"})
AGAINST = {"scratch": (), "pretrained": ("scratch",), "control": ("scratch",)}


def compared(effects: dict[str, float], **grid: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """tables.COMPARISON and tables.RUNS, as far as figures need them."""
    cases = made_up_cases(np.random.default_rng(0), effects=effects, **grid)
    comparison = compare(cases, {init: AGAINST[init] for init in effects}, comparison_settings())
    runs = cases.groupby(["init", "n_train", "subset_seed"], as_index=False).agg(
        dice_per_case_mean=("dice_per_case", "mean")
    )
    return comparison, runs


def test_every_arm_of_any_name_has_its_own_look() -> None:
    names = {name: name for name in ("scratch", "pretrained", "shuffled", "control", *(f"a{n}" for n in range(28)))}
    drawn = looks(names)
    assert len({(look.colour, look.marker) for look in drawn.values()}) == len(names)
    assert looks({**names, **{f"b{n}": "" for n in range(50)}}).keys() > names.keys()
    alone = looks({"pretrained": "x"})["pretrained"]
    assert (alone.colour, alone.marker) == (drawn["pretrained"].colour, drawn["pretrained"].marker)


def test_axes_have_names_and_units_and_only_arms_asked_for() -> None:
    comparison, runs = compared({"scratch": 0.0, "pretrained": 0.1, "control": 0.2})
    shown = {init: ARMS[init] for init in ("scratch", "pretrained")}
    axes = dice.draw(comparison, runs, shown).axes[0]
    assert "Dice" in axes.get_ylabel() and axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "4", "16"]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["from scratch", "header labels"]


def test_one_size_one_case(tmp_path: Path) -> None:
    comparison, runs = compared({"scratch": 0.0, "control": 0.1}, n_train=(8,), n_cases=1, n_subsets=1)
    save_figure(dice.draw(comparison, runs, ARMS), tmp_path / "dice.svg")
    save_figure(differences.draw(comparison, 0.02, ARMS, ["scratch", "control"]), tmp_path / "differences.svg")
    save_figure(other_arms.draw(comparison, 0.02, ARMS, ["control"]), tmp_path / "other.svg")


def test_arms_with_one_size_are_no_panels_of_differences() -> None:
    comparison, _ = compared({"scratch": 0.0, "pretrained": 0.1, "control": 0.2})
    comparison = comparison[(comparison["init"] != "control") | (comparison["n_train"] == 4)]
    titles = [axes.get_title("left") for axes in differences.draw(comparison, 0.02, ARMS, ["scratch"]).axes]
    assert titles == ["header labels\n− from scratch"]
    left, right = other_arms.draw(comparison, 0.02, ARMS, ["control"]).axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["positive control"]
    assert [label.get_text() for label in right.get_yticklabels()] == ["− from scratch"]


def test_heads_left_out_and_alone_are_ordered_and_held_against_their_own_reference() -> None:
    rows = [
        {"init": init, "reference": reference, "n_train": 4, "difference": value, "difference_low": value - 0.01,
         "difference_high": value + 0.01}
        for init, reference, value in (
            ("pretrained", "scratch", 0.02), ("a", "pretrained", -0.04), ("a", "scratch", 0.01), ("b", "pretrained", -0.01),
            ("c", "scratch", 0.03), ("c", "pretrained", -0.02),
        )
    ]  # fmt: skip
    heads = {"a": ("without", "body"), "b": ("without", "view"), "c": ("alone", "body")}
    arms = looks({name: name for name in ("scratch", "pretrained", "shuffled", "a", "b", "c")})
    left, right = ablation.draw(pd.DataFrame(rows), heads, 0.02, arms).axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["view", "body"]
    assert [label.get_text() for label in right.get_yticklabels()] == ["body"]
    lines = [
        [line.get_xdata()[0] for line in axes.lines if len(set(line.get_xdata())) == 1][:2] for axes in (left, right)
    ]
    assert lines == [[0, pytest.approx(-0.05)], [0, pytest.approx(0.05)]], "of the arms' own seeds, not +-0.02"


def test_labels_saved_of_arms_that_were_not_reached(tmp_path: Path) -> None:
    saved = pd.DataFrame({
        "init": "pretrained", "n_train": [1, 16], "reference": "scratch", "n_equal": [2.0, 16.0], "low": [1.0, 8.0],
        "high": [np.nan, 16.0], "n_equal_beyond": ["", "above"], "low_beyond": ["below", ""], "high_beyond": ["", "above"],
    })  # fmt: skip
    figure = labels_saved.draw(saved, [1, 4, 16], ARMS, ["scratch", "pretrained"])
    assert len(figure.axes) == 1 and figure.axes[0].get_yscale() == "log"
    save_figure(figure, tmp_path / "saved.svg")
    save_figure(labels_saved.draw(saved.iloc[:0], [1, 4, 16], ARMS, ["scratch"]), tmp_path / "nothing.svg")


def test_heads_of_one_group_are_drawn_together() -> None:
    rows = [{"head": "view", "metric": "accuracy", "value": v, "low": v - 0.1, "high": v + 0.1, "chance": 0.5, "group": g}
            for g, v in (("dicom", 0.8), ("dicom", 0.6), ("alone", 0.9))]  # fmt: skip
    (axes,) = heads.draw(pd.DataFrame(rows), looks({"dicom": "header labels", "alone": "alone"})).axes
    drawn = {container.get_label(): container.lines[0].get_xdata()[0] for container in axes.containers}
    assert drawn == {"header labels": pytest.approx(0.7), "alone": 0.9}


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
    save_figure(curves.draw(history.assign(encoder="mine", seed=0), ARMS), tmp_path / "curves.png")


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
    figure = overlays.draw(shown, (-200, 300), ARMS)
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
