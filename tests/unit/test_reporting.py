"""The words of the report: answers by rule, notes from comments, times from benchmarks."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from radnet3d.reporting.answer import answer
from radnet3d.reporting.display import Column, data_uri, display, number
from radnet3d.reporting.notes import file_notes
from radnet3d.reporting.times import as_text, times


def comparison(verdicts: list[str], *, half_width: float = 0.01, init: str = "pretrained") -> pd.DataFrame:
    difference = {"gain": 0.05, "loss": -0.05, "no difference shown": 0.004}
    rows = [{
        "init": init, "n_train": 4**place, "difference": difference[verdict], "verdict": verdict,
        "difference_low": difference[verdict] - half_width, "difference_high": difference[verdict] + half_width,
    } for place, verdict in enumerate(verdicts)]  # fmt: skip
    return pd.DataFrame(rows)


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
    found = answer(comparison(verdicts), None, 0.02)
    assert found.word == word
    assert found.headline.startswith(start)


def test_the_headline_says_where() -> None:
    found = answer(comparison(["loss", NONE, "gain"]), None, 0.02)
    assert "raised Dice at n = 16" in found.headline
    assert "lowered Dice at n = 1" in found.headline
    assert "showed no difference of 0.02 or more at n = 4" in found.headline
    assert "−0.050 [−0.060, −0.040] at n = 1" in found.numbers


def test_a_narrow_null_is_told_from_a_wide_one() -> None:
    assert "no difference that matters" in answer(comparison([NONE]), None, 0.02).sentences[0]
    assert (
        "neither a difference of that size nor its absence"
        in answer(comparison([NONE], half_width=0.05), None, 0.02).sentences[0]
    )


def test_an_undefined_interval_is_said() -> None:
    frame = comparison([NONE])
    frame[["difference_low", "difference_high"]] = np.nan
    found = answer(frame, None, 0.02)
    assert "[no interval]" in found.numbers
    assert "neither" in found.sentences[0]


def test_shuffled_labels_and_the_control_are_read() -> None:
    arms = pd.concat([comparison([NONE]), comparison([NONE], init="control")])
    found = answer(arms, comparison(["gain"]), 0.02)
    assert any("the labels themselves matter" in sentence for sentence in found.sentences)
    assert any("too small to see transfer" in sentence for sentence in found.sentences)
    assert any(
        "able to see" in s
        for s in answer(pd.concat([comparison([NONE]), comparison(["gain"], init="control")]), None, 0.02).sentences
    )


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
