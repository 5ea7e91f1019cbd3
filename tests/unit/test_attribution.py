"""Who is to be cited, under which licence, and what could not be had."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from radnet3d.archive.attribution import (
    SOURCES,
    attribute,
    attribution_text,
    missing_series,
    plain_text,
    read_citations,
)
from radnet3d.errors import StaleResultError
from radnet3d.tables import ATTRIBUTION, FETCHED, PLAN, check_table, empty_table

CITATIONS = {"10.7937/a": "Author, A. (2016). A [Data set]. The Cancer Imaging Archive. https://doi.org/10.7937/A"}


def plan_of(*rows: tuple[str, str, str, str, str]) -> pd.DataFrame:
    """Return a plan of (series, patient, collection, licence, DOI)."""
    return check_table(pd.DataFrame([{
        "SeriesInstanceUID": series, "StudyInstanceUID": "1", "PatientID": patient, "collection_id": collection,
        "Modality": "CT", "shard": "000", "location": "s3://b/u", "n_instances": 3, "n_bytes": 100, "licence": licence,
        "source_DOI": doi,
    } for series, patient, collection, licence, doi in rows]), PLAN, name="plan")  # fmt: skip


def fetched_of(plan: pd.DataFrame, **reasons: str) -> pd.DataFrame:
    """Return what was fetched of a plan: all but the series named."""
    rows = [{
        "SeriesInstanceUID": row.SeriesInstanceUID, "PatientID": row.PatientID, "collection_id": row.collection_id,
        "n_files": 3, "n_bytes": 90, "reason": reasons.get(str(row.SeriesInstanceUID), ""), "detail": "said the server",
    } for row in plan.itertuples()]  # fmt: skip
    return check_table(pd.DataFrame(rows), FETCHED, name="fetched")


PLAN_ROWS = (
    ("s1", "P1", "a_set", "CC BY 3.0", "10.7937/a"),
    ("s2", "P1", "a_set", "CC BY 3.0", "10.7937/a"),
    ("s3", "P2", "a_set", "CC BY 4.0", "10.5281/b"),  # a second data set of the same collection
    ("s4", "P3", "c_set", "CC BY-NC 4.0", "10.7937/c"),
    ("s5", "P4", "d_set", "CC BY 4.0", "10.7937/d"),
)


def test_what_was_fetched_is_counted_by_collection_doi_and_licence() -> None:
    plan = plan_of(*PLAN_ROWS)
    fetched = fetched_of(plan, s5="not_found", s2="wrong_hash")
    used = check_table(attribute(plan, fetched, CITATIONS), ATTRIBUTION, name="attribution")
    rows = used.set_index(["collection_id", "licence"])
    assert list(rows.index) == [("a_set", "CC BY 4.0"), ("a_set", "CC BY 3.0"), ("c_set", "CC BY-NC 4.0")]
    assert rows["n_series"].tolist() == rows["n_patients"].tolist() == [1, 1, 1]
    assert rows["n_bytes"].tolist() == [90, 90, 90]
    assert rows["licence_url"].tolist()[0] == "https://creativecommons.org/licenses/by/4.0/"
    assert rows["citation"].tolist() == ["", CITATIONS["10.7937/a"], ""]
    missing = missing_series(fetched)
    assert missing[["SeriesInstanceUID", "reason"]].to_numpy().tolist() == [["s5", "not_found"], ["s2", "wrong_hash"]]


def test_series_of_another_plan_are_refused() -> None:
    plan = plan_of(*PLAN_ROWS)
    with pytest.raises(StaleResultError, match="2 series are not in the plan, s4 first"):
        attribute(plan.head(3), fetched_of(plan), {})


def test_the_text_names_every_doi_and_what_a_licence_forbids() -> None:
    plan = plan_of(*PLAN_ROWS)
    fetched = fetched_of(plan, s5="not_found")
    text = attribution_text(attribute(plan, fetched, CITATIONS), missing_series(fetched), "idc", "idc-index-data 25")
    assert "4 series of 2 collections of the NCI Imaging Data Commons (idc-index-data 25) were used" in text
    assert "Not all licences permit commercial use without further reading: CC BY-NC 4.0." in text
    assert "1 further series were planned and could not be had (not_found 1)" in text
    assert "| a_set | 2 | 1 | 0.00 | [CC BY 3.0](https://creativecommons.org/licenses/by/3.0/) |" in text
    references = text.split("## References")[1].strip().splitlines()
    assert references[0] == f"- {SOURCES['idc'][1]}"
    assert set(references[1:]) == {
        f"- {CITATIONS['10.7937/a']}",
        "- a_set [Data set]. https://doi.org/10.5281/b",
        "- c_set [Data set]. https://doi.org/10.7937/c",
    }


@pytest.mark.parametrize("source", ["phantom", "folder"])
def test_without_an_archive_there_is_nothing_to_cite(source: str) -> None:
    plan = plan_of(("s1", "P1", "synthetic", "CC0-1.0", ""))
    text = attribution_text(attribute(plan, fetched_of(plan), {}), empty_table(FETCHED), source, "")
    assert "nothing to cite" in text and "|" not in text


def test_citations_come_without_markup(tmp_path: Path) -> None:
    sources: list[list[dict[str, Any]]] = [
        [{"source_doi": "10.7937/A", "citation": "B &amp; C. <i>T\n(U)</i>. https://doi.org/10.7937/A"}],
        [{"source_doi": None, "citation": None}, {"source_doi": "10.5281/z", "citation": None}],
    ]
    pd.DataFrame({"sources": sources}).to_parquet(tmp_path / "collections.parquet")
    assert read_citations(tmp_path / "collections.parquet") == {"10.7937/a": "B & C. T (U). https://doi.org/10.7937/A"}
    assert plain_text("<p>a &lt; b</p>") == "a < b"


def test_nearly_every_data_set_of_the_real_index_can_be_cited_in_full() -> None:
    pytest.importorskip("idc_index_data")
    from radnet3d.labels.series import idc_index_path

    citations = read_citations(idc_index_path().with_name("collections_index.parquet"))
    index = pd.read_parquet(idc_index_path(), columns=["source_DOI", "Modality"])
    dois = index.loc[index["Modality"].isin(["CT", "MR", "PT"]), "source_DOI"]
    assert dois.isin(list(citations)).mean() > 0.95
    assert not any("<" in text or "\n" in text for text in citations.values())
