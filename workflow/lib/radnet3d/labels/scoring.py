"""How good labels are: precision, coverage and over-answering of each head against a truth.

*Precision*: of the answers where the truth is known, how many are right. *Coverage*: of the series where the truth is
known, how many got an answer. *Over-answering*: of the series whose truth is `unknown`, how many got an answer.
"""

import math
import statistics

import pandas as pd

from radnet3d import tables
from radnet3d.errors import TableError

NOT_SCORED = ""
"""A cell of the truth that does not count: the readers differed, or nobody looked."""


def truth_columns(truth: pd.DataFrame, *, name: str) -> dict[str, str]:
    """Return head -> the column of its truth: `gold_<head>`, or `<head>` as tables.TRUTH has it. Raises TableError."""
    found = {head: column for head in tables.HEADS for column in (f"gold_{head}", head) if column in truth.columns}
    if not found or "SeriesInstanceUID" not in truth.columns:
        raise TableError(
            f"{name}: found the columns {list(truth.columns)}, wanted SeriesInstanceUID and gold_<head> or <head>"
        )
    return {head: f"gold_{head}" if f"gold_{head}" in truth.columns else head for head in found}


def joined(truth: pd.DataFrame, labels: pd.DataFrame, *, name: str) -> pd.DataFrame:
    """Return one row a series and head: Modality, head, truth, label. Raises TableError if a series has no label."""
    columns = truth_columns(truth, name=name)
    by_series = labels.set_index("SeriesInstanceUID")
    missing = [uid for uid in truth["SeriesInstanceUID"] if uid not in by_series.index]
    if missing:
        raise TableError(f"{name}: {len(missing)} series have no label, the first is {missing[0]}")
    rows = by_series.loc[truth["SeriesInstanceUID"]]
    parts = [
        pd.DataFrame({
            "Modality": rows["Modality"].to_numpy(), "head": head,
            "truth": truth[column].fillna(NOT_SCORED).to_numpy(), "label": rows[head].to_numpy(),
        })
        for head, column in columns.items()
    ]  # fmt: skip
    pairs = pd.concat(parts, ignore_index=True)
    pairs = pairs[pairs["truth"] != NOT_SCORED]
    if not (pairs["truth"][pairs["head"] == "sequence"] == "T1_FLAIR").any():
        pairs["label"] = pairs["label"].replace("T1_FLAIR", "T1")  # a truth without that word calls it T1
    return pairs[(pairs["head"] != "sequence") | pairs["Modality"].isin(["MR", "PT"])]  # every CT is a CT


def score(pairs: pd.DataFrame, *, confidence: float = 0.95) -> pd.DataFrame:
    """Return tables.LABEL_SCORES of the pairs of `joined`."""
    rows: list[dict[str, object]] = []
    for head, part in pairs.groupby("head", sort=False):
        known, answered = part["truth"] != "unknown", part["label"] != "unknown"
        right = part["truth"] == part["label"]
        counts = {
            "precision": (int((known & answered & right).sum()), int((known & answered).sum())),
            "coverage": (int((known & answered).sum()), int(known.sum())),
            "over_answering": (int((~known & answered).sum()), int((~known).sum())),
            "agreement": (int(right.sum()), len(part)),
        }
        if head == "regions":
            counts["micro_f1"] = micro_f1(part[known])
        for metric, (n, n_of) in counts.items():
            low, high = wilson_interval(n, n_of, confidence=confidence)
            rows.append({"head": head, "metric": metric, "value": n / n_of if n_of else math.nan,
                         "low": low, "high": high, "n": n, "n_of": n_of})  # fmt: skip
    return tables.rows_table(rows, tables.LABEL_SCORES)


def micro_f1(part: pd.DataFrame) -> tuple[int, int]:
    """Return (2 TP, 2 TP + FP + FN) over all regions of all series."""
    n_both, n_all = 0, 0
    for truth, label in zip(part["truth"], part["label"], strict=True):
        named, found = (set(text.split(";")) - {"unknown"} for text in (truth, label))
        n_both += 2 * len(named & found)
        n_all += len(named) + len(found)
    return n_both, n_all


def confusion(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return tables.LABEL_CONFUSION: how many series have each truth and each label, by head."""
    if pairs.empty:
        return tables.empty_table(tables.LABEL_CONFUSION)
    counts = pairs.groupby(["head", "truth", "label"], sort=False).size().rename("n_series").reset_index()
    return counts.sort_values(["head", "truth", "n_series"], ascending=[True, True, False], ignore_index=True)


def scores_text(scores: pd.DataFrame) -> str:
    """Return tables.LABEL_SCORES as lines to read: one a head and metric, with its Wilson interval and counts."""
    lines = [f"{'head':<9} {'metric':<15} {'value':>6}  {'95 % interval':<16} counts"]
    for row in scores.to_dict("records"):
        name = "accuracy" if row["metric"] == "agreement" else row["metric"]
        interval = f"[{row['low']:.3f}, {row['high']:.3f}]"
        lines.append(f"{row['head']:<9} {name:<15} {row['value']:>6.3f}  {interval:<16} {row['n']} of {row['n_of']}")
    return "\n".join(lines)


def confusion_text(pairs: pd.DataFrame) -> str:
    """Return a table of truth (rows) against label (columns) for each head; for regions one line a region."""
    parts = []
    for head, part in pairs.groupby("head", sort=False):
        if head == "regions":
            table = regions_confusion(part)
        else:
            table = pd.crosstab(part["truth"], part["label"], rownames=["truth"], colnames=["label"])
        parts.append(f"\n{head}\n{table.to_string()}")
    return "\n".join(parts)


def regions_confusion(part: pd.DataFrame) -> pd.DataFrame:
    """Return, for each region, in how many series truth and label both name it, the label misses it or adds it."""
    truths, labels = (part[column].str.split(";").map(set) for column in ("truth", "label"))
    counts = {
        region: [sum(region in truth and region in label for truth, label in zip(truths, labels, strict=True)),
                 sum(region in truth - label for truth, label in zip(truths, labels, strict=True)),
                 sum(region in label - truth for truth, label in zip(truths, labels, strict=True))]
        for region in (*tables.REGIONS, "unknown")
    }  # fmt: skip
    return pd.DataFrame.from_dict(counts, orient="index", columns=["both", "missed", "added"])


def wilson_interval(n: int, n_of: int, *, confidence: float) -> tuple[float, float]:
    """Return the Wilson score interval of a proportion; NaN where there is nothing to count.

    Source: Wilson, J. Am. Stat. Assoc. 22 (1927) 209.
    """
    if n_of == 0:
        return math.nan, math.nan
    z = normal_quantile(0.5 + confidence / 2)
    share, spread = n / n_of, z * z / n_of
    centre = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / n_of + spread / (4 * n_of))
    return max(0.0, centre - half), min(1.0, centre + half)


def normal_quantile(probability: float) -> float:
    """Return the quantile of the standard normal distribution."""
    return statistics.NormalDist().inv_cdf(probability)
