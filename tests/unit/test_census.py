"""Counts over label tables, on a catalogue of a dozen rows."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from radnet3d import tables
from radnet3d.errors import TableError
from radnet3d.labels import census
from radnet3d.labels.series import label_series, read_catalogue
from radnet3d.labels.targets import make_targets
from support.catalogue import ROWS, write_catalogue

LICENCES = ("CC BY 3.0", "CC BY 4.0")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_catalogue(tmp_path_factory.mktemp("census") / "catalogue.parquet")


@pytest.fixture(scope="module")
def labels(source: Path) -> pl.DataFrame:
    return label_series(read_catalogue(str(source)))


@pytest.fixture(scope="module")
def catalogue(source: Path, labels: pl.DataFrame) -> pl.DataFrame:
    return census.read_texts([str(source)], labels)


def test_every_series_is_answered_unknown_or_not_asked(labels: pl.DataFrame) -> None:
    counts = census.take_census(labels)
    assert (counts["n_answered"] + counts["n_unknown"] + counts["n_na"] == counts["n_series"]).all()
    assert set(counts.groupby("head")["n_series"].sum()) == {len(ROWS)}
    pet = counts[(counts["Modality"] == "PT") & (counts["head"] == "contrast")]
    assert pet[["n_answered", "n_na"]].to_numpy().tolist() == [[0, 1]]


def test_contradicted_series_are_counted_for_their_head(labels: pl.DataFrame) -> None:
    counts = census.take_census(labels).groupby("head")["n_disagreeing"].sum()
    said = labels["disagreements"].str.contains("regions: ")
    assert counts["regions"] == said.sum() > 0


def test_rules_add_up_to_the_images(labels: pl.DataFrame, catalogue: pl.DataFrame) -> None:
    use = census.count_rules(labels, catalogue)
    n_images = sum(row[1] in ("CT", "MR", "PT") for row in ROWS)
    sequence = use[(use["head"] == "sequence") & (use["Modality"] == "all")]
    assert sequence["n_series"].sum() == n_images  # one rule decides one series
    ct = sequence[sequence["value"] == "CT"].iloc[0]
    assert (ct["rule"], ct["witness"], ct["n_series"], ct["n_collections"]) == ("ct_modality", "Modality", 4, 2)
    silent = sequence[sequence["rule"] == ""].iloc[0]
    assert (silent["value"], silent["witness"]) == ("unknown", "")
    by_modality = use[use["Modality"] != "all"].groupby("head")["n_series"].sum()
    assert (by_modality == use[use["Modality"] == "all"].groupby("head")["n_series"].sum()).all()


def test_a_rule_shows_the_whole_text_of_one_series(labels: pl.DataFrame, catalogue: pl.DataFrame) -> None:
    use = census.count_rules(labels, catalogue)
    flair = use[(use["rule"] == "flair_words") & (use["Modality"] == "all")].iloc[0]
    assert (flair["witness"], flair["example"]) == ("SeriesDescription", "AX T2 FLAIR")


def test_rules_that_decide_nothing_are_listed(labels: pl.DataFrame, catalogue: pl.DataFrame) -> None:
    use = census.count_rules(labels, catalogue)
    assert set(use["rule"]) - {""} == {name for head in tables.HEADS for name in census.rules_of(head)}
    assert "spectroscopy" in set(use.loc[use["n_series"] == 0, "rule"])


def test_labels_of_other_rules_are_refused(labels: pl.DataFrame, catalogue: pl.DataFrame) -> None:
    other = labels.with_columns(plane_evidence=pl.lit("no_such_rule: SeriesDescription=ax"))
    with pytest.raises(TableError, match="no_such_rule"):
        census.count_rules(other, catalogue)


def test_a_word_with_a_semicolon_is_one_finding() -> None:
    text = "t2_words: SeriesDescription=t2; 3d; flair_words: SeriesDescription=flair"
    assert census.findings("sequence", [text])["rule"].to_list() == ["t2_words", "flair_words"]


def test_witnesses_count_each_series_once(labels: pl.DataFrame) -> None:
    use = census.count_witnesses(labels)
    sums = use.groupby(["head", "Modality"])["n_series"].sum()
    assert {sums[head, "all"] for head in tables.HEADS} == {sums["plane", "all"]}
    regions = use[(use["head"] == "regions") & (use["Modality"] == "all")].set_index("witness")["n_series"]
    assert regions["StudyDescription"] >= 3


def test_body_part_examined_against_texts(labels: pl.DataFrame, catalogue: pl.DataFrame) -> None:
    counts = census.compare_body_part(labels, catalogue).set_index(["Modality", "collection_id", "relation"])[
        "n_series"
    ]
    assert counts["MR", "tcga_lihc", "contradiction"] == 1  # a liver, the tag says breast
    assert counts["CT", "tcga_lihc", "contradiction"] == 1  # a thorax, the tag says abdomen
    assert counts["MR", "upenn_gbm", "same"] == 2
    assert counts["MR", "upenn_gbm", "no_tag"] == 2
    assert counts["CT", "ct_org", "text_silent"] == 1
    assert "SEG" not in counts.index.get_level_values("Modality")


@pytest.mark.parametrize(
    ("case", "word"),
    [
        (("chest", True, "chest", False), "same"),
        (("chest", True, "abdomen;chest", False), "overlap"),
        (("head", True, "lower_limb", False), "contradiction"),
        (("head", False, "head", False), "text_silent"),
        (("head", True, "unknown", False), "tag_unread"),
        (("head", True, "unknown", True), "no_tag"),
    ],
)
def test_relations(case: tuple[str, bool, str, bool], word: str) -> None:
    assert census.relation(*case) == word


def test_the_funnel_narrows_and_says_what_falls_out(labels: pl.DataFrame, catalogue: pl.DataFrame) -> None:
    series = census.candidates(labels, catalogue, licences=LICENCES, leaking={"acrin_flt_breast"})
    funnel = census.make_funnel(series)
    total = funnel[funnel["Modality"] == "all"].set_index("step")
    assert list(total.index) == [step for step in tables.FUNNEL_STEPS if step != "regular"]
    assert total["n_series"].is_monotonic_decreasing
    fell = (total["n_series"].shift() - total["n_series"]).dropna().astype(int).to_dict()
    assert (fell["image"], fell["human"], fell["licence"], fell["not_leaking"]) == (
        1,
        2,
        1,
        1,
    )  # no collection: no species
    assert total.loc["all", "size_gb"] == pytest.approx(0.05 * len(ROWS))
    parts = funnel[funnel["Modality"] != "all"].groupby("step")["n_series"].sum()
    assert (parts == total["n_series"].reindex(parts.index)).all()


def test_steps_that_nothing_is_known_of_are_left_out(labels: pl.DataFrame, catalogue: pl.DataFrame) -> None:
    bare = catalogue.drop("license_short_name", "series_size_MB")
    geometry = ["regular", "missing_slice"] * (labels.height // 2)
    measured = labels.with_columns(geometry=pl.Series(geometry))
    funnel = census.make_funnel(census.candidates(measured, bare, licences=(), leaking=()))
    assert "licence" not in set(funnel["step"])
    regular = funnel[(funnel["step"] == "regular") & (funnel["Modality"] == "all")]
    assert regular["n_series"].item() > 0
    assert np.isnan(regular["size_gb"].item())


def test_targets_are_those_of_make_targets(labels: pl.DataFrame) -> None:
    found = census.paper_heads(labels)
    targets = make_targets(labels.to_pandas()).set_index("SeriesInstanceUID")
    for uid, *values in labels.select("SeriesInstanceUID").hstack(found).iter_rows():
        if uid in targets.index:
            wanted = targets.loc[uid, found.columns]
            assert [value or "" for value in values[:3]] == wanted.iloc[:3].tolist()
            assert np.array_equal(np.array(values[3:], float), wanted.iloc[3:].to_numpy(float), equal_nan=True)
        else:
            assert set(values) == {None}


def test_classes_are_those_of_what_is_left(labels: pl.DataFrame, catalogue: pl.DataFrame) -> None:
    series = census.candidates(labels, catalogue, licences=LICENCES, leaking={"ct_org"})
    classes = census.count_classes(series)
    whole = classes[classes["Modality"] == "all"]
    assert set(whole.groupby("head")["n_series"].sum()) == {series["any_head"].sum()}
    counts = whole.set_index(["head", "label"])["n_series"]
    assert counts["sequence", "T2-FLAIR"] == 1
    assert counts["body_Brain", "present"] == 2


def test_the_sample_is_the_same_twice_and_collections_take_turns(labels: pl.DataFrame, catalogue: pl.DataFrame) -> None:
    many = pl.concat([labels] * 40).with_columns(
        SeriesInstanceUID=pl.Series([str(place) for place in range(40 * labels.height)])
    )
    texts = pl.concat([catalogue] * 40)
    sample = census.draw_sample(many, texts)
    assert sample.equals(census.draw_sample(many, texts))
    counts = sample["Modality"].value_counts()
    assert (counts["MR"], counts["CT"], counts["PT"], counts["SEG"]) == (90, 60, 30, 20)
    by_collection = sample[sample["Modality"] == "CT"]["collection_id"].value_counts()
    assert by_collection.tolist() == [30, 30]
    row = sample[sample["sequence"] == "FLAIR"].iloc[0]
    assert (row["SeriesDescription"], row["instanceCount"], row["ProtocolName"]) == ("AX T2 FLAIR", "40", "")


def test_another_catalogue_is_refused(labels: pl.DataFrame, source: Path, tmp_path: Path) -> None:
    with pytest.raises(TableError, match=f"found {2 * len(ROWS)} series"):
        census.read_texts([str(source), str(source)], labels)
    turned = tmp_path / "turned.parquet"
    pl.read_parquet(source).reverse().write_parquet(turned)
    with pytest.raises(TableError, match=r"turned\.parquet"):
        census.read_texts([str(turned)], labels)


def test_no_images_at_all(labels: pl.DataFrame, catalogue: pl.DataFrame) -> None:
    none, no_texts = labels.clear(), catalogue.clear()
    assert census.take_census(none).empty
    assert not census.count_rules(none, no_texts)["n_series"].any()
    assert census.count_witnesses(none).empty
    assert census.compare_body_part(none, no_texts).empty
    series = census.candidates(none, no_texts, licences=(), leaking=())
    assert census.make_funnel(series)["n_series"].tolist() == [0] * (len(tables.FUNNEL_STEPS) - 1)
    assert census.count_classes(series).empty
    assert census.draw_sample(none, no_texts).empty
