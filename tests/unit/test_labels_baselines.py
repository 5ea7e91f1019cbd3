"""What others do, in our columns: that it has their faults, and that the rules do better on the rated rows."""

from pathlib import Path

import pandas as pd
import polars as pl
import pytest

from radnet3d import tables
from radnet3d.errors import TableError
from radnet3d.labels.baselines import BASELINES, label_by
from radnet3d.labels.scoring import joined, score
from radnet3d.labels.series import label_series, read_catalogue

ROWS = pl.DataFrame({
    "SeriesInstanceUID": ["1", "2", "3", "4"], "Modality": ["MR", "MR", "CT", "PT"],
    "SeriesDescription": ["SAG BREAST T2", "REST MATRIX", "CHEST WITHOUT", "PET NAC"],
    "BodyPartExamined": ["BREAST", "", "HEAD", "CHEST"],
})  # fmt: skip


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_baseline_has_the_label_tables_schema(name: str) -> None:
    labels = label_by(name, ROWS)
    tables.check_table(labels.to_pandas(), tables.LABELS, name=name)
    assert labels["SeriesInstanceUID"].to_list() == ["1", "2", "3", "4"]
    assert label_by(name, ROWS.clear()).height == 0


def test_regular_expressions_match_inside_words_and_force_an_answer() -> None:
    labels = label_by("regex", ROWS)
    assert labels["regions"].to_list() == ["breast;head", "unknown", "chest", "unknown"]  # "br" is in "breast"
    assert labels["sequence"].to_list() == ["T2", "other", "CT", "PET_NAC"]
    assert labels["contrast"].to_list() == ["no", "no", "yes", "na"]  # "with" is in "without", no tag is "no"
    assert labels["plane"].to_list() == ["sagittal", "axial", "axial", "axial"]


def test_body_part_examined_alone() -> None:
    labels = label_by("body-part-examined", ROWS)
    assert labels["regions"].to_list() == ["breast", "unknown", "head", "chest"]
    assert set(labels["sequence"]) == {"unknown"}


def test_unknown_baseline_is_refused() -> None:
    with pytest.raises(TableError, match="forest"):
        label_by("forest", ROWS)


@pytest.mark.parametrize(("name", "heads"), [
    ("regex", {"kind": "agreement", "sequence": "agreement", "contrast": "agreement", "plane": "agreement",
               "regions": "micro_f1"}),
    ("body-part-examined", {"regions": "micro_f1"}),
])  # fmt: skip
def test_rules_do_better_on_rated_rows(real_data: Path, name: str, heads: dict[str, str]) -> None:
    path = real_data / "labels" / "series_gold.csv"
    gold, frame = pd.read_csv(path, dtype=str), read_catalogue(str(path))
    ours, theirs = (
        score(joined(gold, labels.to_pandas(), name="gold")).set_index(["head", "metric"])["value"]
        for labels in (label_series(frame), label_by(name, frame))
    )
    for key in heads.items():
        assert ours[key] > theirs[key] + 0.05, key
