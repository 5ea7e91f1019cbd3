"""The answer in words, made from the comparison by rule: a null or a loss is said in the same place as a gain."""

from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

import pandas as pd

from radnet3d.arms import Ablated

ARM = "pretrained"
GOOD, BAD, NONE = "gain", "loss", "no difference shown"


class Answer(NamedTuple):
    """What the first screen says."""

    word: str  # gain, loss, mixed, none
    headline: str
    numbers: str  # the differences it rests on
    sentences: list[str]  # what belongs to it


def answer(comparison: pd.DataFrame, margin_dice: float) -> Answer | None:
    """Return the answer to 'does pretraining on header labels help?' from tables.COMPARISON; None if it was not asked."""
    rows = rows_of(comparison, ARM, "scratch")
    if rows.empty:
        return None
    sentences = null_sentences(rows, margin_dice)
    if len(against_shuffled := rows_of(comparison, ARM, "shuffled")):
        sentences.append(shuffled_sentence(against_shuffled))
    if len(control := rows_of(comparison, "control", "scratch")):
        sentences.append(control_sentence(control))
    return Answer(verdict_of(rows), headline(rows, margin_dice), differences_sentence(rows, "scratch"), sentences)


def rows_of(table: pd.DataFrame, init: str, reference: str) -> pd.DataFrame:
    """Return the rows of one arm and reference, sizes ascending."""
    return table[(table["init"] == init) & (table["reference"] == reference)].sort_values("n_train")


def power_sentences(power: pd.DataFrame, margin_dice: float) -> list[str]:
    """Return which difference this experiment could have shown (tables.POWER), and what it may have missed."""
    rows = rows_of(power, ARM, "scratch").dropna(subset=["smallest_difference"])
    if rows.empty:
        return []
    said = [f"{row['smallest_difference']:.3f} at n = {row['n_train']}" for row in rows.to_dict("records")]
    first = rows.iloc[0]
    sentences = [
        f"This experiment could have shown a difference between header labels and scratch of {listed(said)}: a true difference "
        f"of that size would have been called a gain with {first['power']:.0%} power, on {first['n_cases']} test cases, at the "
        "level that Holm’s correction leaves to the first of the sizes.".replace("%", " %")
    ]
    blind = rows[rows["smallest_difference"] > margin_dice]
    if len(blind):
        sentences.append(
            f"A smaller one, of the margin of {margin_dice:g} or more, may be there at n = {sizes(blind)} and have been missed."
        )
    return sentences


def saved_sentences(saved: pd.DataFrame, init: str = ARM) -> list[str]:
    """Return in words how many cases scratch needs to reach the pretrained arm (tables.LABELS_SAVED)."""
    rows = saved[(saved["init"] == init) & (saved["reference"] == "scratch")].dropna(subset=["n_equal"])
    said = [worth(row) for row in rows.sort_values("n_train").to_dict("records")]
    return [f"With pretraining on header labels, {listed(said)}."] if said else []


def worth(row: Mapping[Hashable, Any]) -> str:
    """Return how many cases from scratch those of one size are worth."""
    equal, ends = amount(row["n_equal"], row["n_equal_beyond"]), amounts(row)
    verb = f"{row['n_train']} case is" if row["n_train"] == 1 else f"{row['n_train']} cases are"
    return f"{verb} worth {equal} from scratch" + (f" ({ends})" if ends != equal else "")


def amounts(row: Mapping[Hashable, Any]) -> str:
    """Return an interval of numbers of cases, once where both ends are beyond the same end of the curve."""
    low, high = amount(row["low"], row["low_beyond"]), amount(row["high"], row["high_beyond"])
    return low if low == high else f"{low} to {high}"


def amount(n: float, beyond: str) -> str:
    """Return a number of cases that need not be whole, or which end of the curve it is beyond."""
    if pd.isna(n):
        return "unknown"
    shown = f"{n:.1f}".removesuffix(".0")
    return {"above": f"more than {shown}", "below": f"fewer than {shown}"}.get(beyond, shown)


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


def ablation_sentences(comparison: pd.DataFrame, heads: list[Ablated]) -> list[str]:
    """Return by rule what leaving a head out cost, and what it gave alone, at each size."""
    sentences = []
    for kind, start, reference in (("without", "Left out", ARM), ("alone", "Alone, against scratch", "scratch")):
        head_of = {one.init: one.head for one in heads if one.kind == kind}
        rows = comparison[comparison["init"].isin(list(head_of)) & (comparison["reference"] == reference)]
        for n_train, of_size in rows.groupby("n_train"):
            parts = [
                f"{words} {listed([head_of[init] for init in found['init']])}"
                for verdict, words in ((BAD, "a loss for"), (GOOD, "a gain for"), (NONE, "no difference shown for"))
                if len(found := of_size[of_size["verdict"] == verdict])
            ]
            if parts:
                sentences.append(f"{start}, at n = {n_train}: {'; '.join(parts)}.")
    if sentences:
        sentences.append("These verdicts are not corrected for the number of heads: take them for a first look.")
    return sentences


def signed(value: float, digits: int = 3) -> str:
    """Return a difference with its sign, of Dice with three decimals, and a true minus."""
    return f"{value:+.{digits}f}".replace("-", "−")


def interval(low: float, high: float, digits: int = 3) -> str:
    """Return an interval in brackets, or that there is none."""
    return "[no interval]" if pd.isna(low) or pd.isna(high) else f"[{signed(low, digits)}, {signed(high, digits)}]"


def sizes(rows: pd.DataFrame) -> str:
    """Return the training-set sizes of rows as words."""
    return listed([str(n) for n in rows["n_train"]])


def listed(items: list[str]) -> str:
    """Return items as 'a, b and c'."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
