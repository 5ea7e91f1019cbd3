"""Witnesses that contradict each other: what is recorded with a series, what is counted, and what is no contradiction."""

from pathlib import Path

import pandas as pd
import polars as pl
import pytest

from radnet3d import tables
from radnet3d.labels.disagreements import count_disagreements
from radnet3d.labels.rules import Head, load_heads
from radnet3d.labels.series import label_series, read_catalogue

HEAD = {head.head: head for head in load_heads()}


def labelled(*rows: dict[str, object]) -> pl.DataFrame:
    named = [{"SeriesInstanceUID": str(i), **row} for i, row in enumerate(rows)]
    return label_series(pl.from_dicts(named, infer_schema_length=None))


CASES: list[tuple[dict[str, object], str]] = [
    (
        {"Modality": "MR", "SeriesDescription": "BREAST T1", "BodyPartExamined": "TSPINE"},
        "regions: breast_words@SeriesDescription=breast / spine_words@BodyPartExamined=spine",
    ),
    (
        {"Modality": "CT", "StudyDescription": "CT CHEST ABD", "BodyPartExamined": "HEAD"},
        "regions: chest_words+abdomen_words@StudyDescription=abdomen+chest / head_words@BodyPartExamined=head",
    ),
    (
        {"Modality": "MR", "SeriesDescription": "SAG T2", "orientation_plane": "axial"},
        "plane: orientation_axial=axial / sagittal_words@SeriesDescription=sagittal",
    ),
    (
        {"Modality": "MR", "SeriesDescription": "AX T1", "ScanningSequence": "SE", "RepetitionTime": 4000.0,
         "EchoTime": 90.0},
        "sequence: t1_words@SeriesDescription=T1 / physics_t2=T2",
    ),
    (
        {"Modality": "CT", "SeriesDescription": "NATIVE", "ContrastBolusAgent": "OMNIPAQUE 350"},
        "contrast: without_words@SeriesDescription=no / agent_given=yes",
    ),
    (
        {"Modality": "CT", "SeriesDescription": "ARTERIAL", "StudyDescription": "CT CHEST WITHOUT CONTRAST"},
        "contrast: with_words@SeriesDescription=yes / study_without@StudyDescription=no",
    ),
    (
        {"Modality": "CT", "BodyPartExamined": "HEAD", "z_min_lps_mm": 0.0, "z_max_lps_mm": 650.0,
         "orientation_plane": "axial"},
        "regions: head_words@BodyPartExamined=head / long_as_a_trunk=abdomen+chest+pelvis",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("row", "said"), CASES, ids=[said.split(":")[0] for _, said in CASES])
def test_contradiction_is_recorded(row: dict[str, object], said: str) -> None:
    assert said in labelled(row)["disagreements"][0].split("; ")


@pytest.mark.parametrize(
    "row",
    [
        {"Modality": "CT", "SeriesDescription": "CHEST", "StudyDescription": "CT CHEST ABD PELVIS"},  # a part of it
        {"Modality": "CT", "SeriesDescription": "CHEST", "StudyDescription": "PET WHOLE BODY"},
        {"Modality": "CT", "SeriesDescription": "NATIVE", "StudyDescription": "CT ABDOMEN W CONTRAST"},
        {"Modality": "CT", "SeriesDescription": "ARTERIAL", "StudyDescription": "CT ABDOMEN W/WO CONTRAST"},
        {"Modality": "MR", "SeriesDescription": "AX T2 FLAIR", "AcquisitionContrast": "T2"},
        {"Modality": "MR", "SeriesDescription": "AX OBL", "orientation_plane": "oblique"},
        {"Modality": "MR", "PatientSpeciesDescription": "Mus musculus", "PatientSex": "F"},
        {"Modality": "SEG", "SeriesDescription": "T2 BREAST", "BodyPartExamined": ""},
    ],
)
def test_what_is_no_contradiction(row: dict[str, object]) -> None:
    assert labelled(row)["disagreements"][0] == ""


@pytest.mark.parametrize(
    ("head", "value", "other", "is_contradiction"),
    [
        ("regions", "chest", "abdomen", True),
        ("regions", "chest", "abdomen;chest", False),
        ("regions", "breast", "abdomen;chest", False),
        ("regions", "wholebody", "head", False),
        ("regions", "chest", "unknown", False),
        ("sequence", "T1", "T1_FLAIR", False),
        ("sequence", "T1", "T2", True),
        ("contrast", "yes", "no", True),
    ],
)
def test_contradiction_is_mutual(head: str, value: str, other: str, is_contradiction: bool) -> None:
    rules: Head = HEAD[head]
    assert rules.contradict(value, other) is is_contradiction
    assert rules.contradict(other, value) is is_contradiction


def test_counts_by_rules_values_and_modality() -> None:
    wrong = {"Modality": "MR", "SeriesDescription": "BREAST T1", "BodyPartExamined": "TSPINE"}
    twice = {**wrong, "orientation_plane": "axial", "SeriesDescription": "SAG BREAST T1"}
    labels = labelled(wrong, wrong, twice, {"Modality": "CT", "SeriesDescription": "CHEST"}).to_pandas()
    counts = tables.check_table(count_disagreements(labels), tables.DISAGREEMENTS, name="disagreements")
    assert counts[["head", "value", "other_value", "n_series"]].to_numpy().tolist() == [
        ["regions", "breast", "spine", 3],
        ["plane", "axial", "sagittal", 1],
    ]
    assert counts["example_SeriesInstanceUID"].tolist() == ["0", "2"]


def test_counts_keep_sets_of_regions() -> None:
    labels = labelled(CASES[1][0]).to_pandas()
    assert count_disagreements(labels)["value"].tolist() == ["abdomen;chest"]


def test_no_disagreements() -> None:
    counts = count_disagreements(labelled({"Modality": "CT"}).to_pandas())
    assert counts.empty
    assert list(counts.columns) == list(tables.DISAGREEMENTS.columns)


def test_real_rows_contradict_as_they_did(real_data: Path) -> None:
    """On the rated rows, the witness that is asked first is right wherever series and another text contradict."""
    gold = pd.read_csv(real_data / "labels" / "series_gold.csv", dtype=str).set_index("SeriesInstanceUID")
    labels = label_series(read_catalogue(str(real_data / "labels" / "series_gold.csv"))).to_pandas()
    rows = labels[labels["disagreements"].str.contains("regions: ")]
    assert len(rows) >= 15
    right = rows["regions"].to_numpy() == gold.loc[rows["SeriesInstanceUID"], "gold_regions"].to_numpy()
    assert right.mean() >= 0.9
