"""Where witnesses of a head contradict one another: kept with each series, and counted over many.

The decision stays with the witness that the rules ask first; what the others hold against it is information about the
headers, not about the label.
"""

import re
from collections.abc import Sequence

import pandas as pd
import polars as pl

from radnet3d import tables
from radnet3d.labels.engine import Contradictions

STATEMENT = re.compile(
    r"(?P<head>\w+): (?P<deciding_rule>\S+)=(?P<value>\S+) / (?P<other_rule>\S+)=(?P<other_value>\S+)"
)
"""One contradiction, as `Answers.against` words it: what decided, and what another witness says instead."""


def disagreements_column(found: Sequence[Contradictions], n_series: int) -> pl.Series:
    """Return the column `disagreements` of tables.LABELS: (n_series,) contradictions joined by '; ', "" for none."""
    parts = [
        pl.DataFrame({"row": part.rows, "said": pl.Series(part.words, dtype=pl.String).gather(part.said)})
        for part in found
        if len(part.rows)
    ]
    column = pl.Series("disagreements", [""], pl.String).new_from_index(0, n_series)
    if not parts:
        return column
    said = pl.concat(parts).group_by("row", maintain_order=True).agg(pl.col("said").str.join("; "))
    return column.scatter(said["row"], said["said"])


def count_disagreements(labels: pd.DataFrame) -> pd.DataFrame:
    """Return tables.DISAGREEMENTS of `labels` (disagreements, Modality, SeriesInstanceUID): most frequent first."""
    said = labels[labels["disagreements"] != ""]
    if said.empty:
        return tables.empty_table(tables.DISAGREEMENTS)
    by_text = said.groupby(["disagreements", "Modality"], sort=True)["SeriesInstanceUID"]
    texts = by_text.agg(n_series="size", example_SeriesInstanceUID="min").reset_index()
    parts = texts.assign(part=texts["disagreements"].str.split("; ")).explode("part", ignore_index=True)
    parts = pd.concat([parts, parts["part"].str.extract(STATEMENT)], axis=1)
    for name in ("value", "other_value"):
        parts[name] = parts[name].str.replace("+", ";")
    key = ["head", "deciding_rule", "value", "other_rule", "other_value", "Modality"]
    counts = parts.groupby(key, as_index=False).agg({"n_series": "sum", "example_SeriesInstanceUID": "min"})
    return counts.sort_values(["n_series", *key], ascending=[False] + [True] * len(key), ignore_index=True)
