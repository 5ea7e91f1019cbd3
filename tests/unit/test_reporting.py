"""The words of the report: answers by rule, notes from comments, times from benchmarks."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from radnet3d.arms import Ablated, Study, ablated_arms, arm_names, longer_arms, main_arms, other_arms, study_of
from radnet3d.params import Params, load_params
from radnet3d.reporting.answer import Answer, ablation_sentences, answer, power_sentences, saved_sentences
from radnet3d.reporting.display import Column, data_uri, display, number, write_duration
from radnet3d.reporting.notes import file_notes
from radnet3d.reporting.times import as_text, times

ROOT = Path(__file__).resolve().parents[2]


def comparison(
    verdicts: list[str], *, half_width: float = 0.01, init: str = "pretrained", reference: str = "scratch"
) -> pd.DataFrame:
    difference = {"gain": 0.05, "loss": -0.05, "no difference shown": 0.004}
    rows = [{
        "init": init, "reference": reference, "n_train": 4**place, "difference": difference[verdict], "verdict": verdict,
        "difference_low": difference[verdict] - half_width, "difference_high": difference[verdict] + half_width,
    } for place, verdict in enumerate(verdicts)]  # fmt: skip
    return pd.DataFrame(rows)


def said(*frames: pd.DataFrame) -> Answer:
    found = answer(pd.concat(frames), 0.02)
    assert found is not None
    return found


NONE = "no difference shown"


@pytest.mark.parametrize(
    ("verdicts", "word", "start"),
    [
        (["gain", "gain"], "gain", "Yes: "),
        (["gain", NONE], "gain", "In part: "),
        (["loss", NONE], "loss", "No: "),
        (["gain", "loss"], "mixed", "It depends: "),
        ([NONE, NONE], "none", "Not shown: "),
    ],
)
def test_the_headline_follows_the_verdicts(verdicts: list[str], word: str, start: str) -> None:
    found = said(comparison(verdicts))
    assert found.word == word
    assert found.headline.startswith(start)


def test_the_headline_says_where() -> None:
    found = said(comparison(["loss", NONE, "gain"]))
    assert "raised Dice at n = 16" in found.headline
    assert "lowered Dice at n = 1" in found.headline
    assert "showed no difference of 0.02 or more at n = 4" in found.headline
    assert "−0.050 [−0.060, −0.040] at n = 1" in found.numbers


def test_a_narrow_null_is_told_from_a_wide_one() -> None:
    assert "no difference that matters" in said(comparison([NONE])).sentences[0]
    wide = said(comparison([NONE], half_width=0.05)).sentences[0]
    assert "neither a difference of that size nor its absence" in wide


def test_an_undefined_interval_is_said() -> None:
    frame = comparison([NONE])
    frame[["difference_low", "difference_high"]] = np.nan
    found = said(frame)
    assert "[no interval]" in found.numbers
    assert "neither" in found.sentences[0]


def test_shuffled_labels_and_the_control_are_read_from_the_one_table() -> None:
    nothing, shuffled = comparison([NONE]), comparison(["gain"], reference="shuffled")
    found = said(nothing, shuffled, comparison([NONE], init="control"))
    assert found.word == "none"
    assert any("the labels themselves matter" in sentence for sentence in found.sentences)
    assert any("too small to see transfer" in sentence for sentence in found.sentences)
    assert any("able to see" in s for s in said(nothing, comparison(["gain"], init="control")).sentences)
    assert len(said(nothing).sentences) == 1


def test_a_study_that_asks_something_else_has_no_answer() -> None:
    assert answer(comparison(["gain"], init="frozen", reference="frozen_scratch"), 0.02) is None


def test_power_is_said_against_the_margin() -> None:
    power = pd.DataFrame({
        "init": "pretrained", "reference": "scratch", "n_train": [1, 4, 16], "n_cases": 30, "power": 0.8,
        "smallest_difference": [0.031, 0.018, np.nan],
    })  # fmt: skip
    first, second = power_sentences(power, 0.02)
    assert "0.031 at n = 1 and 0.018 at n = 4" in first and "80 % power" in first and "30 test cases" in first
    assert second.startswith("A smaller one, of the margin of 0.02 or more, may be there at n = 1 and")
    assert len(power_sentences(power, 0.04)) == 1 and power_sentences(power.iloc[:0], 0.02) == []


def test_labels_saved_say_what_is_beyond_the_curve() -> None:
    rows = [(1, 1.94, "", 1.0, "below", 3.4, ""), (4, 5.0, "", 4.2, "", 32.0, "above"), (32, 32.0, "above", 32.0, "above", 32.0, "above")]  # fmt: skip
    saved = pd.DataFrame(
        rows, columns=["n_train", "n_equal", "n_equal_beyond", "low", "low_beyond", "high", "high_beyond"]
    ).assign(init="pretrained", reference="scratch")
    (sentence,) = saved_sentences(saved)
    assert "1 case is worth 1.9 from scratch (fewer than 1 to 3.4)" in sentence
    assert "4 cases are worth 5 from scratch (4.2 to more than 32)" in sentence
    assert sentence.endswith("32 cases are worth more than 32 from scratch.")
    assert saved_sentences(saved.assign(n_equal=np.nan)) == []


STUDY = load_params(ROOT / "workflow" / "presets" / "study.yaml")


def with_arms(**arms: dict[str, object]) -> Study:
    content = STUDY.model_dump(mode="json")
    content["finetune"]["arms"] |= arms
    content["proposal_study"]["arms"] = ["scratch", "pretrained"]
    return study_of(Params.model_validate({**content, "medicalnet": {**content["medicalnet"], "weights": "w.pth"}}))


def test_arms_are_called_by_what_they_are() -> None:
    names = arm_names(with_arms(ours={"encoder": "only_body", "steps_times": 2}, again={"encoder": "dicom"},
                                med={"network": "medicalnet", "encoder": "medicalnet"}))  # fmt: skip
    assert list(names)[:4] == ["scratch", "pretrained", "shuffled", "control"]
    assert len(set(names.values())) == len(names)
    wanted = {
        "scratch": "from scratch", "pretrained_x3": "header labels, 3× steps", "frozen_scratch": "frozen, random",
        "probe": "probe, header labels", "without_body": "without body", "only_view": "view alone",
        "ours": "body alone, 2× steps", "med": "MedicalNet", "again": "header labels (again)",
    }  # fmt: skip
    assert wanted.items() <= names.items()


def test_the_head_ablation_is_found_by_heads_and_not_by_names() -> None:
    study = with_arms(x={"encoder": "only_view"}, y={"encoder": "only_view", "trains": "decoder"})
    found = {one.init: (one.kind, one.head) for one in ablated_arms(study)}
    assert found["x"] == ("alone", "view") and found["without_contrast"] == ("without", "contrast")
    assert "y" not in found and "pretrained" not in found and len(found) == 11


def test_heads_are_named_by_what_they_did() -> None:
    heads = [Ablated("a", "without", "body"), Ablated("b", "without", "view"), Ablated("c", "alone", "body")]
    arms = [("a", "pretrained", "loss"), ("a", "scratch", "gain"), ("b", "pretrained", NONE), ("c", "scratch", NONE)]
    frame = pd.concat([comparison([word], init=init, reference=reference) for init, reference, word in arms])
    assert ablation_sentences(frame, heads) == [
        "Left out, at n = 1: a loss for body; no difference shown for view.",
        "Alone, against scratch, at n = 1: no difference shown for body.",
        "These verdicts are not corrected for the number of heads: take them for a first look.",
    ]


def test_main_arms_have_more_than_half_of_the_sizes() -> None:
    assert main_arms(STUDY.finetune) == ["scratch", "pretrained", "shuffled", "control"]
    assert len(other_arms(STUDY.finetune)) == len(STUDY.finetune.arms) - 4
    assert longer_arms(STUDY.finetune) == [("scratch", "scratch_x3"), ("pretrained", "pretrained_x3")]


@pytest.mark.parametrize(("seconds", "written"), [(0.4, "0 s"), (119, "119 s"), (300, "5.0 min"), (9000, "2.5 h")])
def test_durations_are_written_in_the_unit_that_reads_best(seconds: float, written: str) -> None:
    assert write_duration(seconds) == written


def test_notes_run_over_comment_lines_and_name_their_code(tmp_path: Path) -> None:
    path = tmp_path / "package" / "module.py"
    path.parent.mkdir()
    path.write_text(
        "# PAPER: section 3,\n# second line\nx = 1\ny = 2  # ASSUME: silent\n# not a note\n"
        's = "# PAPER: in a string"\n# ASSUME: one\n# PAPER: two\nz = 3\n'
    )
    found = [(note.kind, note.text, note.subject) for note in file_notes(path, path.parent)]
    assert found == [
        ("PAPER", "section 3, second line", "x = 1"),
        ("ASSUME", "silent", "y = 2"),
        ("ASSUME", "one", "z = 3"),
        ("PAPER", "two", "z = 3"),
    ]


def test_times_are_summed_by_rule(tmp_path: Path) -> None:
    for name, seconds in (("train/a.tsv", 2.0), ("train/b/c.tsv", 3.0), ("compare.tsv", 1.0)):
        path = tmp_path / "benchmarks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"s\th:m:s\tmax_rss\n{seconds}\t0:00:01\t-\n")
    found = times(tmp_path)
    assert found[["rule", "n_jobs", "seconds", "seconds_longest"]].to_numpy().tolist() == [
        ["train", 2, 5.0, 3.0],
        ["compare", 1, 1.0, 1.0],
    ]
    assert as_text(found).splitlines()[-1].split() == ["all", "3", "6.0"]
    assert times(tmp_path / "nothing").empty and "no benchmarks" in as_text(times(tmp_path / "nothing"))


def test_missing_values_are_dashes_and_numbers_are_readable() -> None:
    frame = pd.DataFrame({"a": ["x", ""], "b": [1234567.0, np.nan]})
    shown = display(frame, [Column("a", "A"), number("b", "B")])
    assert shown.rows == [["x", "1\u202f234\u202f567"], ["–", "–"]]


def test_a_figure_is_taken_from_svg_before_png(tmp_path: Path) -> None:
    assert data_uri(tmp_path, "dice") is None
    (tmp_path / "dice.png").write_bytes(b"p")
    assert str(data_uri(tmp_path, "dice")).startswith("data:image/png")
    (tmp_path / "dice.svg").write_bytes(b"s")
    assert str(data_uri(tmp_path, "dice")).startswith("data:image/svg+xml")
