"""How good labels are, as the page on labels shows it: scores of `labels evaluate`, and what was taken for what."""

from pathlib import Path

import pandas as pd

from radnet3d.reporting.display import NOTHING
from radnet3d.reporting.grids import NBSP, Cell, Grid, Row, count, counted, grid, per_cent, records, share_of, sums
from radnet3d.reporting.sections import optional
from radnet3d.tables import HEADS, LABEL_CONFUSION, LABEL_SCORES

LABELLERS = {
    "rules": "our rules",
    "regex": "regular expressions\nas published",
    "body-part-examined": "BodyPartExamined alone",
}
RATES = {"precision": "precision", "coverage": "coverage", "over_answering": "over-answering"}

Scores = dict[tuple[str, str], Row]
"""Rows of tables.LABEL_SCORES by head and metric."""


def read_scores(path: Path) -> Scores | None:
    """Return the scores at `path`, None if there are none."""
    frame = optional(path, LABEL_SCORES)
    return None if frame is None or frame.empty else {(row["head"], row["metric"]): row for row in records(frame)}


def rated_scores(folder: Path) -> dict[str, Scores] | None:
    """Return the scores on the rated series by labeller, None without those of the rules."""
    found = {name: read_scores(folder / f"{name}.csv") for name in LABELLERS}
    scores = {name: one for name, one in found.items() if one}
    return scores if "rules" in scores else None


def heads_of(scores: Scores) -> list[str]:
    """Return the heads of which a labeller answers anything."""
    return [head for head in HEADS if (head, "coverage") in scores and scores[head, "coverage"]["n"]]


def headline(scores: dict[str, Scores]) -> str:
    """Return in one sentence how often our labels are what the readers said, and how often those of others are."""
    said = f"On rated real series the rules answer as the readers did in {range_of(scores['rules'])}, by head"
    if "regex" in scores:
        said += f"; regular expressions in the manner of published rule sets in {range_of(scores['regex'])}"
    return f"{said}."


def range_of(scores: Scores) -> str:
    """Return the smallest and the largest agreement of the heads answered."""
    values = [scores[head, "agreement"]["value"] for head in heads_of(scores)]
    low, high = per_cent(min(values, default=0)), per_cent(max(values, default=0))
    return low if low == high else f"{low.partition(NBSP)[0]} to {high}"


def rated_grid(scores: dict[str, Scores]) -> Grid:
    """Return the agreement of each labeller by head with its interval; regions also by micro-F1."""
    rows = [
        [
            Cell(head),
            Cell(count(scores["rules"][head, "agreement"]["n_of"])),
            *(rated_cell(one, head, "agreement") for one in scores.values()),
        ]
        for head in heads_of(scores["rules"])
    ]
    if ("regions", "micro_f1") in scores["rules"]:
        cells = [rated_cell(one, "regions", "micro_f1") for one in scores.values()]
        rows.append([Cell("regions, micro-F1"), Cell(NOTHING), *cells])
    return grid(["head"], ["rated series", *(LABELLERS[name] for name in scores)], rows)


def rated_cell(scores: Scores, head: str, metric: str) -> Cell:
    """Return value and interval of one head, a dash where the labeller does not answer it."""
    if head not in heads_of(scores):
        return Cell(NOTHING)
    row = scores[head, metric]
    return Cell(per_cent(row["value"]), row["value"], interval(row))


def interval(row: Row) -> str:
    """Return the interval of a score."""
    return f"{per_cent(row['low'])} to {per_cent(row['high'])}"


def rates_grid(scores: Scores | None) -> Grid | None:
    """Return precision, coverage and over-answering by head with intervals and counts."""
    if scores is None:
        return None
    heads = dict.fromkeys(head for head, _ in scores)
    rows = [[Cell(head), *(rate_cell(scores[head, rate]) for rate in RATES)] for head in heads]
    return grid(["head"], RATES.values(), rows)


def rate_cell(row: Row) -> Cell:
    """Return a rate with its interval and counts."""
    if not row["n_of"]:
        return Cell("none to judge")
    return Cell(per_cent(row["value"]), row["value"], f"{interval(row)}\n{count(row['n'])} of {count(row['n_of'])}")


def confusions(path: Path) -> list[tuple[str, Grid]]:
    """Return (head, grid) of what was taken for what: truth by label, of regions those that differ; [] without counts."""
    frame = optional(path, LABEL_CONFUSION)
    if frame is None or frame.empty:
        return []
    return [
        (head, differing_grid(part) if head == "regions" else confusion_grid(part))
        for head in HEADS
        if len(part := frame[frame["head"] == head])
    ]


def confusion_grid(part: pd.DataFrame) -> Grid:
    """Return truth by label; a bar shows the share of the truth's row."""
    rows = records(part)
    counts, totals = sums(rows, "truth", "label"), sums(rows, "truth")
    truths, labels = (in_order({row[side] for row in rows}) for side in ("truth", "label"))
    cells = [
        [Cell(truth), *(confusion_cell(counts[truth, label], totals[(truth,)]) for label in labels)] for truth in truths
    ]
    return grid(["truth ↓ label →"], labels, cells)


def confusion_cell(n: int, of: int) -> Cell:
    """Return how many series of a truth have one label, nothing for none."""
    return share_of(n, of)._replace(text=count(n)) if n else Cell("")


def in_order(words: set[str]) -> list[str]:
    """Return words in order, `unknown` last."""
    return sorted(words, key=lambda word: (word == "unknown", word))


def differing_grid(part: pd.DataFrame) -> Grid:
    """Return the pairs of truth and label that differ, most frequent first."""
    pairs = part[part["truth"] != part["label"]].sort_values(["n_series", "truth"], ascending=[False, True])
    rows = [[Cell(row["truth"]), Cell(row["label"]), counted(row["n_series"])] for row in records(pairs)]
    return grid(["truth", "label"], ["series"], rows)
