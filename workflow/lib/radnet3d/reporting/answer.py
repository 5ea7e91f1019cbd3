"""The answer in words, made from the comparison by rule: a null or a loss is said in the same place as a gain."""

from typing import NamedTuple

import pandas as pd

ARM = "pretrained"
GOOD, BAD, NONE = "gain", "loss", "no difference shown"


class Answer(NamedTuple):
    """What the first screen says."""

    word: str  # gain, loss, mixed, none
    headline: str
    numbers: str  # the differences it rests on
    sentences: list[str]  # what belongs to it


def answer(comparison: pd.DataFrame, against_shuffled: pd.DataFrame | None, margin_dice: float) -> Answer:
    """Return the answer to 'does pretraining on header labels help?' from tables.COMPARISON.

    `against_shuffled`: the same table with shuffled labels as the reference, None or without rows where not made.
    """
    rows = comparison[comparison["init"] == ARM].sort_values("n_train")
    word = verdict_of(rows)
    sentences = null_sentences(rows, margin_dice)
    if against_shuffled is not None and len(against_shuffled):
        sentences.append(shuffled_sentence(against_shuffled[against_shuffled["init"] == ARM]))
    if (comparison["init"] == "control").any():
        sentences.append(control_sentence(comparison[comparison["init"] == "control"]))
    return Answer(word, headline(rows, margin_dice), differences_sentence(rows, "scratch"), sentences)


def headline(rows: pd.DataFrame, margin_dice: float) -> str:
    """Return the answer in one sentence: where Dice rose, where it fell, where no difference that counts was shown."""
    parts = [
        (f"{verb} at n = {sizes(found)}")
        for verb, verdict in (
            ("raised Dice", GOOD),
            ("lowered Dice", BAD),
            (f"showed no difference of {margin_dice:g} or more", NONE),
        )
        if len(found := rows[rows["verdict"] == verdict])
    ]
    start = {"gain": "Yes" if len(parts) == 1 else "In part", "loss": "No", "mixed": "It depends", "none": "Not shown"}
    return f"{start[verdict_of(rows)]}: against training from scratch, pretraining on header labels {listed(parts)}."


def verdict_of(rows: pd.DataFrame) -> str:
    """Return gain, loss, mixed or none for the rows of one arm."""
    gains, losses = (rows["verdict"] == GOOD).any(), (rows["verdict"] == BAD).any()
    return {(True, False): "gain", (False, True): "loss", (True, True): "mixed"}.get(
        (bool(gains), bool(losses)), "none"
    )


def differences_sentence(rows: pd.DataFrame, reference: str) -> str:
    """Return the difference at each size, with interval and verdict."""
    said = [
        f"{signed(row['difference'])} {interval(row['difference_low'], row['difference_high'])} at n = {row['n_train']}"
        for row in rows.to_dict("records")
    ]
    return f"Mean Dice per case minus that of {reference}: {listed(said)}."


def null_sentences(rows: pd.DataFrame, margin_dice: float) -> list[str]:
    """Return what a null verdict does and does not exclude, if there is one."""
    nulls = rows[rows["verdict"] == NONE]
    small = nulls[(nulls["difference_low"] > -margin_dice) & (nulls["difference_high"] < margin_dice)]
    wide = nulls.drop(small.index)
    said = []
    if len(small):
        said.append(f"At n = {sizes(small)} the interval lies within ±{margin_dice:g}: no difference that matters.")
    if len(wide):
        said.append(
            f"At n = {sizes(wide)} the interval reaches beyond ±{margin_dice:g}: neither a difference of that size nor "
            "its absence is shown."
        )
    within = nulls[nulls["difference"].abs() < margin_dice]
    for word, found in (
        ("above", within[within["difference_low"] > 0]),
        ("below", within[within["difference_high"] < 0]),
    ):
        if len(found):
            said.append(f"At n = {sizes(found)} the whole interval lies {word} zero, the estimate within the margin.")
    return said


def shuffled_sentence(rows: pd.DataFrame) -> str:
    """Return whether the labels, rather than pretraining as such, made the difference."""
    meaning = {
        "gain": "true labels did better, so the labels themselves matter",
        "loss": "true labels did worse",
        "mixed": "better at one size, worse at another",
        "none": "it is not shown that the labels, rather than pretraining as such, matter",
    }[verdict_of(rows)]
    return (
        f"Against the same pretraining on shuffled labels: {meaning}. {differences_sentence(rows, 'shuffled labels')}"
    )


def control_sentence(rows: pd.DataFrame) -> str:
    """Return whether the experiment is able to see transfer at all."""
    gained = rows[rows["verdict"] == GOOD]
    if len(gained):
        return (
            f"The positive control (an encoder from a liver segmenter of other patients) gained up to "
            f"{signed(float(gained['difference'].max()))}, so the experiment is able to see transfer."
        )
    return (
        "The positive control (an encoder from a liver segmenter of other patients) gained nothing that could be shown, "
        "so this experiment may be too small to see transfer: read a null with that in mind."
    )


def signed(value: float) -> str:
    """Return a difference of Dice with its sign, three decimals and a true minus."""
    return f"{value:+.3f}".replace("-", "−")


def interval(low: float, high: float) -> str:
    """Return an interval in brackets, or that there is none."""
    return "[no interval]" if pd.isna(low) or pd.isna(high) else f"[{signed(low)}, {signed(high)}]"


def sizes(rows: pd.DataFrame) -> str:
    """Return the training-set sizes of rows as words."""
    return listed([str(n) for n in rows["n_train"]])


def listed(items: list[str]) -> str:
    """Return items as 'a, b and c'."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
