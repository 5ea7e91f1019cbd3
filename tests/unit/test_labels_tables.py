"""Scores and targets, on tables written by hand; the gold rows of the IDC."""

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from radnet3d import tables
from radnet3d.errors import TableError
from radnet3d.labels.scoring import confusion, joined, score, wilson_interval
from radnet3d.labels.series import idc_index_path, label_series, read_catalogue, with_plan
from radnet3d.labels.targets import make_targets, organs_of

REACHED = {  # a little below what the rules reach on the 226 gold rows: (precision, coverage, most over-answering)
    "subject": (0.99, 0.99, 0.0),
    "kind": (0.99, 0.98, 0.5),
    "sequence": (0.98, 0.98, 0.05),
    "contrast": (0.98, 0.97, 0.03),
    "plane": (0.99, 0.98, 0.02),
    "regions": (0.98, 0.98, 0.3),
}


def labelled(**columns: list[str]) -> pd.DataFrame:
    n = len(next(iter(columns.values())))
    rows = {"SeriesInstanceUID": [str(i) for i in range(n)], "Modality": ["CT"] * n}
    frame = label_series(pl.DataFrame(rows)).to_pandas()
    return tables.check_table(frame.assign(**columns), tables.LABELS, name="test")


def test_gold_is_reached(real_data: Path) -> None:
    gold = pd.read_csv(real_data / "labels" / "series_gold.csv", dtype=str)
    labels = label_series(read_catalogue(str(real_data / "labels" / "series_gold.csv"))).to_pandas()
    scores = score(joined(gold, labels, name="gold")).set_index(["head", "metric"])["value"]
    for head, (precision, coverage, over_answering) in REACHED.items():
        assert scores[head, "precision"] >= precision, head
        assert scores[head, "coverage"] >= coverage, head
        assert not scores[head, "over_answering"] > over_answering, head
    assert scores["regions", "micro_f1"] >= 0.98


HELD_OUT = {  # what is wanted of series of other collections, on rows that nobody read to write a rule
    ("subject", "agreement"): 0.99,
    ("kind", "agreement"): 0.965,  # 191 of 197; a nameless series is called a volume, where the readers say unknown
    ("sequence", "agreement"): 0.95,
    ("contrast", "agreement"): 0.95,
    ("plane", "agreement"): 0.99,
    ("regions", "micro_f1"): 0.95,
}


def test_held_out_rows_are_reached(repository: Path) -> None:
    gold = pd.read_csv(repository / "workflow" / "resources" / "gold" / "held_out.csv", dtype=str)
    rows = (
        pl.scan_parquet(idc_index_path())
        .filter(pl.col("SeriesInstanceUID").is_in(gold["SeriesInstanceUID"].tolist()))
        .collect()
    )
    scores = score(joined(gold, label_series(rows).to_pandas(), name="gold")).set_index(["head", "metric"])["value"]
    missed = {key: scores[key] for key, wanted in HELD_OUT.items() if scores[key] < wanted}
    assert not missed
    assert scores["contrast", "over_answering"] <= 0.05


def test_no_rows() -> None:
    frame = pl.DataFrame(
        {"SeriesInstanceUID": [], "Modality": []}, schema=dict.fromkeys(("SeriesInstanceUID", "Modality"), pl.String)
    )
    labels = label_series(frame)
    assert labels.height == 0
    tables.check_table(labels.to_pandas(), tables.LABELS, name="empty")
    assert make_targets(labels.to_pandas()).empty


def test_rows_keep_their_order_and_collections_add_species() -> None:
    frame = pl.DataFrame({
        "SeriesInstanceUID": ["3", "1", "2"], "Modality": ["MR", "CT", "MR"],
        "collection_id": ["mouse_mammary", "tcga_lihc", "nowhere"],
    })  # fmt: skip
    labels = label_series(frame)
    assert labels["SeriesInstanceUID"].to_list() == ["3", "1", "2"]
    assert labels["subject"].to_list() == ["animal", "human", "unknown"]
    assert labels["regions"].to_list() == ["unknown", "abdomen", "unknown"]
    assert set(labels["geometry"]) == {"no_geometry"}


def test_catalogue_without_needed_column_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "catalogue.csv"
    path.write_text("SeriesInstanceUID,StudyDescription\n1,CT\n", encoding="utf-8")
    with pytest.raises(TableError, match=r"catalogue.csv.*Modality"):
        read_catalogue(str(path))


def test_scores_of_a_small_truth() -> None:
    labels = labelled(plane=["axial", "axial", "unknown", "coronal"])
    truth = pd.DataFrame(
        {"SeriesInstanceUID": ["0", "1", "2", "3"], "gold_plane": ["axial", "sagittal", "axial", "unknown"]}
    )
    pairs = joined(truth, labels, name="truth")
    scores = tables.check_table(score(pairs), tables.LABEL_SCORES, name="scores").set_index("metric")
    assert scores.loc["precision", ["n", "n_of"]].tolist() == [1, 2]
    assert scores.loc["coverage", ["n", "n_of"]].tolist() == [2, 3]
    assert scores.loc["over_answering", ["n", "n_of"]].tolist() == [1, 1]
    assert tables.check_table(confusion(pairs), tables.LABEL_CONFUSION, name="confusion")["n_series"].sum() == 4


def test_cells_left_empty_are_not_scored_and_regions_count_one_by_one() -> None:
    labels = labelled(regions=["abdomen;chest", "head", "unknown"])
    truth = pd.DataFrame({"SeriesInstanceUID": ["0", "1", "2"], "gold_regions": ["chest", None, "pelvis"]})
    scores = score(joined(truth, labels, name="truth")).set_index("metric")
    assert scores.loc["agreement", "n_of"] == 2
    assert scores.loc["micro_f1", "value"] == pytest.approx(2 * 1 / (2 * 1 + 1 + 1))


def test_no_truth_has_no_scores_but_columns() -> None:
    pairs = joined(tables.empty_table(tables.TRUTH), labelled(plane=["axial"]), name="truth")
    assert score(pairs).columns.tolist() == list(tables.LABEL_SCORES.columns)
    assert confusion(pairs).columns.tolist() == list(tables.LABEL_CONFUSION.columns)


def test_geometry_without_its_numbers_is_null() -> None:
    frame = pl.DataFrame(
        {"SeriesInstanceUID": ["1"], "Modality": ["CT"], "geometry": ["regular"], "obliquity_deg": [3]}
    )
    labels = label_series(frame)
    assert labels.select("n_slices", "obliquity_deg", "geometry").rows() == [(None, 3.0, "regular")]
    tables.check_table(labels.to_pandas(), tables.LABELS, name="labels")


def test_plan_gives_collections_in_the_order_of_the_series() -> None:
    series = pl.DataFrame({"SeriesInstanceUID": ["3", "1", "2"], "Modality": ["CT"] * 3})
    plan = pl.DataFrame({"SeriesInstanceUID": ["1", "3", "7"], "collection_id": ["a", "b", "c"]})
    found = with_plan(series, plan)
    assert found["SeriesInstanceUID"].to_list() == ["3", "1", "2"]
    assert found["collection_id"].to_list() == ["b", "a", ""]


def test_truth_of_a_series_without_label_is_refused() -> None:
    truth = pd.DataFrame({"SeriesInstanceUID": ["9"], "plane": ["axial"]})
    with pytest.raises(TableError, match="first is 9"):
        joined(truth, labelled(plane=["axial"]), name="truth")


def test_wilson_interval_of_a_textbook_case() -> None:
    low, high = wilson_interval(8, 10, confidence=0.95)
    assert (low, high) == (pytest.approx(0.490, abs=1e-3), pytest.approx(0.943, abs=1e-3))
    assert np.isnan(wilson_interval(0, 0, confidence=0.95)).all()


@pytest.mark.parametrize(
    ("regions", "present", "absent"),
    [
        ("breast", {"Breast"}, {"Brain", "Head", "Neck", "Kidney", "Intestine", "Pelvis"}),  # never Brain for "Br"
        ("chest", {"Lung"}, {"Brain", "Head", "Intestine", "Pelvis"}),
        ("abdomen;chest;pelvis", {"Lung", "Liver", "Kidney", "Intestine", "Pelvis"}, {"Brain", "Head"}),
        ("head;neck", {"Brain", "Head", "Neck"}, {"Breast", "Liver", "Kidney", "Intestine", "Pelvis"}),
        ("unknown", set(), set()),
        ("spine", set(), set()),
    ],
)
def test_organs_of_regions(regions: str, present: set[str], absent: set[str]) -> None:
    organs = dict(zip(tables.PAPER_BODY, organs_of(regions), strict=True))
    assert {organ for organ, value in organs.items() if value == 1} == present
    assert {organ for organ, value in organs.items() if value == 0} == absent


@pytest.mark.parametrize("region", tables.REGIONS)
def test_brain_is_present_only_with_the_head(region: str) -> None:
    assert (organs_of(region)[tables.PAPER_BODY.index("Brain")] == 1) == (region == "head")


def test_targets_keep_volumes_of_humans_and_mask_the_unknown() -> None:
    labels = labelled(
        subject=["human", "animal", "human", "human"],
        kind=["volume", "volume", "localizer", "volume"],
        sequence=["T1_FLAIR", "T1", "T1", "DWI"],
        plane=["sagittal", "axial", "axial", "oblique"],
        contrast=["yes", "no", "no", "unknown"],
    )
    targets = tables.check_table(make_targets(labels), tables.TARGETS, name="targets")
    assert targets["SeriesInstanceUID"].tolist() == ["0", "3"]
    assert targets[["sequence", "view", "contrast"]].to_numpy().tolist() == [["T1-FLAIR", "SAG", "yes"], ["", "", ""]]
    assert np.isnan(targets["body_Liver"]).all()
