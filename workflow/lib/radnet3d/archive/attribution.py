"""Whose images were used, under which licence, and how they are cited; and what could not be had."""

import html
import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from radnet3d.archive.licences import is_commercial, licence_url
from radnet3d.errors import StaleResultError
from radnet3d.tables import ATTRIBUTION, FETCHED, check_table

SOURCES = {
    "idc": (
        "the NCI Imaging Data Commons",
        "Fedorov, A., et al. (2023). National Cancer Institute Imaging Data Commons: Toward Transparency, Reproducibility, and "
        "Scalability in Imaging Artificial Intelligence. RadioGraphics. https://doi.org/10.1148/rg.230180",
    ),
    "nbia": (
        "The Cancer Imaging Archive",
        "Clark, K., et al. (2013). The Cancer Imaging Archive (TCIA): Maintaining and Operating a Public Information "
        "Repository. Journal of Digital Imaging 26(6), 1045-1057. https://doi.org/10.1007/s10278-013-9622-7",
    ),
}
"""Name and reference of the archives that ask to be cited.

Source: pypi.org/project/idc-index-data; wiki.cancerimagingarchive.net, Data Usage Policies and Restrictions.
"""


def attribute(plan: pd.DataFrame, fetched: pd.DataFrame, citations: Mapping[str, str]) -> pd.DataFrame:
    """Return tables.ATTRIBUTION of the series that were fetched: a row for each collection, DOI and licence.

    `plan`: tables.PLAN; `fetched`: tables.FETCHED of any of its shards; `citations`: by DOI. Raises StaleResultError if a
    series was fetched that is not in the plan.
    """
    strange = fetched.loc[~fetched["SeriesInstanceUID"].isin(plan["SeriesInstanceUID"]), "SeriesInstanceUID"]
    if len(strange):
        raise StaleResultError(
            f"fetched: {len(strange)} series are not in the plan, {strange.iloc[0]} first; fetch this plan anew"
        )
    here = fetched.loc[fetched["reason"] == "", ["SeriesInstanceUID", "n_bytes"]]
    used = here.merge(plan.drop(columns="n_bytes"), on="SeriesInstanceUID")
    keys = ["collection_id", "source_DOI", "licence"]
    rows = used.groupby(keys, as_index=False).agg(
        n_series=("PatientID", "size"), n_patients=("PatientID", "nunique"), n_bytes=("n_bytes", "sum")
    )
    rows["licence_url"] = rows["licence"].map(licence_url).astype(str)
    rows["citation"] = [citations.get(doi, "") for doi in rows["source_DOI"]]
    return check_table(rows[list(ATTRIBUTION.columns)], ATTRIBUTION, name="attribution")


def missing_series(fetched: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of tables.FETCHED that could not be had, by reason and collection."""
    missing = fetched[fetched["reason"] != ""].sort_values(["reason", "collection_id", "SeriesInstanceUID"])
    return check_table(missing.reset_index(drop=True), FETCHED, name="missing")


def read_citations(collections: Path) -> dict[str, str]:
    """Return how each data set of the IDC is cited, by DOI, from the table of collections that comes with its index."""
    sources = pd.read_parquet(collections, columns=["sources"])["sources"].explode().dropna()
    said = [(source["source_doi"], source["citation"]) for source in sources]
    return {doi.lower(): plain_text(citation) for doi, citation in said if doi and citation}


def plain_text(markup: str) -> str:
    """Return HTML as text on one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", markup)).split())


def attribution_text(attribution: pd.DataFrame, missing: pd.DataFrame, source: str, index: str) -> str:
    """Return tables.ATTRIBUTION as Markdown to paste into a paper.

    `source`: as archive.source names it; `index`: what the series were chosen from, "" if that has no name.
    """
    if source not in SOURCES:
        return (
            "# Data\n\nNo images of a public archive were fetched: no licence applies, and there is nothing to cite.\n"
        )
    name, reference = SOURCES[source]
    pinned = f" ({index})" if index else ""
    n_series, n_collections = attribution["n_series"].sum(), attribution["collection_id"].nunique()
    parts = [
        "# Data",
        f"{n_series:,} series of {n_collections} collections of {name}{pinned} were used, {attribution['n_bytes'].sum() / 1e9:,.1f} GB "
        f"in all. {licence_sentence(attribution)} Their identifiers and versions are in the plan, `results/raw/plan.parquet`.",
        *([missing_sentence(missing)] if len(missing) else []),
        collections_table(attribution),
        "## References",
        "\n".join(f"- {line}" for line in [reference, *references(attribution)]),
    ]
    return "\n\n".join(parts) + "\n"


def licence_sentence(attribution: pd.DataFrame) -> str:
    """Return whether all licences permit commercial use, and which do not."""
    closed = sorted({name for name in attribution["licence"] if not is_commercial(name)})
    if not closed:
        return "All licences permit commercial use."
    return f"Not all licences permit commercial use without further reading: {', '.join(closed)}."


def missing_sentence(missing: pd.DataFrame) -> str:
    """Return how many planned series could not be had, and why."""
    reasons = ", ".join(f"{reason} {n:,}" for reason, n in missing["reason"].value_counts().items())
    return f"{len(missing):,} further series were planned and could not be had ({reasons}); they are listed in `missing.csv`."


def collections_table(attribution: pd.DataFrame) -> str:
    """Return the collections as a Markdown table."""
    lines = ["| collection | series | patients | GB | licence | DOI |", "|---|---:|---:|---:|---|---|"]
    for row in attribution.to_dict("records"):
        licence = f"[{row['licence']}]({row['licence_url']})" if row["licence_url"] else row["licence"] or "see the DOI"
        doi = f"[{row['source_DOI']}](https://doi.org/{row['source_DOI']})" if row["source_DOI"] else ""
        lines.append(
            f"| {row['collection_id']} | {row['n_series']:,} | {row['n_patients']:,} | {row['n_bytes'] / 1e9:,.2f} | {licence} | {doi} |"
        )
    return "\n".join(lines)


def references(attribution: pd.DataFrame) -> list[str]:
    """Return one reference for each DOI, in full where the citation is known."""
    rows = attribution.drop_duplicates("source_DOI").sort_values("collection_id").to_dict("records")
    return [
        row["citation"] or f"{row['collection_id']} [Data set]. https://doi.org/{row['source_DOI']}"
        for row in rows
        if row["source_DOI"]
    ]
