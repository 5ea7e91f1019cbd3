"""What The Cancer Imaging Archive has, asked over NBIA's interface: candidates that are chosen as those of the IDC's index are."""

import logging
import re
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl

from radnet3d.archive.index import asked_heads, check_collections, choose_series, collection_name, plan_table
from radnet3d.archive.licences import short_name
from radnet3d.archive.nbia_interface import Found, NbiaInterface
from radnet3d.errors import ArchiveError
from radnet3d.params import Archive
from radnet3d.tables import TRUTH, empty_table

LOG = logging.getLogger(__name__)

HOSTS = {"nlst": "nlst_url"}
"""Key of archive.nbia of the server that has a collection; all others are at `url`."""

COPIED = {
    "PatientID": "PatientID", "StudyInstanceUID": "StudyInstanceUID", "SeriesInstanceUID": "SeriesInstanceUID",
    "Modality": "Modality", "BodyPartExamined": "BodyPartExamined", "SeriesDescription": "SeriesDescription",
    "StudyDescription": "StudyDesc", "ProtocolName": "ProtocolName", "Manufacturer": "Manufacturer",
    "ManufacturerModelName": "ManufacturerModelName",
}  # fmt: skip
"""Text columns of a candidate, each with its key in the answer of getSeries."""


class NbiaCatalogue:
    """The series of The Cancer Imaging Archive, as its servers list them at the moment."""

    def __init__(self, settings: Archive) -> None:
        self.choice, self.n_shards = settings.choice, settings.n_shards
        self.interfaces = {
            key: NbiaInterface(url, settings.transfer) for key, url in settings.nbia.model_dump().items()
        }

    def plan(self, out_dir: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the chosen series of the collections as the servers have them today; there is no truth about them."""
        candidates = [row for name, host in self.collections() for row in self.series_of(name, host)]
        complete = [row for row in candidates if is_complete(row)]
        if len(complete) < len(candidates):
            LOG.warning("%d series without size or identifiers left out", len(candidates) - len(complete))
        if not complete:
            raise ArchiveError(
                f"archive.choice: {list(self.choice.collections)} have no series of modality {list(self.choice.modalities)}"
            )
        chosen = choose_series(pl.DataFrame(complete), self.choice)
        return plan_table(chosen, chosen["location"], self.n_shards, asked_heads(self.choice)), empty_table(TRUTH)

    def collections(self) -> list[tuple[str, str]]:
        """Return the wanted collections as the servers name them, each with the key of its server."""
        wanted = {collection_name(name): HOSTS.get(collection_name(name), "url") for name in self.choice.collections}
        known: dict[str, str] = {}
        for host in sorted(set(wanted.values())):
            found = [str(row.get("Collection", "")) for row in self.interfaces[host].query("getCollectionValues")]
            known |= {collection_name(name): name for name in found}
        check_collections(self.choice.collections, known.values())
        return [(known[name], host) for name, host in wanted.items()]

    def series_of(self, collection: str, host: str) -> list[dict[str, Any]]:
        """Return the candidates of one collection: its series of those wanted modalities that it has."""
        interface = self.interfaces[host]
        has = {row.get("Modality") for row in interface.query("getModalityValues", Collection=collection)}
        candidates = []
        for modality in self.choice.modalities:
            if modality in has:
                rows = interface.query("getSeries", Collection=collection, Modality=modality)
                candidates += [candidate(with_size(row, interface), collection, host) for row in rows]
        LOG.info("%s: %d series of %s", collection, len(candidates), ", ".join(self.choice.modalities))
        return candidates


def candidate(found: Found, collection: str, host: str) -> dict[str, Any]:
    """Return one series of getSeries as a row with the column names of the IDC's index, and its location."""
    # CollectionURI is what version 1 called it
    doi = str(found.get("DataDescriptionURI") or found.get("CollectionURI") or "")
    return {
        **{column: str(found.get(key) or "").strip() for column, key in COPIED.items()},
        "collection_id": collection_name(collection),
        "instanceCount": number(found, "ImageCount"),
        "series_size_MB": number(found, "FileSize") / 1e6,
        "license_short_name": short_name(str(found.get("LicenseName") or found.get("LicenseURI") or "")),
        "source_DOI": re.sub(r"^(https?://)?(dx\.)?doi\.org/", "", doi.strip(), flags=re.IGNORECASE).lower(),
        "location": f"nbia:{host}/{found.get('SeriesInstanceUID', '')}",
    }


def with_size(found: Found, interface: NbiaInterface) -> Found:
    """Return a series of getSeries with its count and size; asked for on their own, which is slow, where they are missing."""
    if number(found, "ImageCount") and number(found, "FileSize"):
        return found
    try:
        size = interface.query("getSeriesSize", SeriesInstanceUID=str(found.get("SeriesInstanceUID", "")))[0]
    except ArchiveError as error:
        LOG.warning("%s", error)
        return found
    return {**found, "ImageCount": size.get("ObjectCount"), "FileSize": size.get("TotalSizeInBytes")}


def number(found: Found, key: str) -> int:
    """Return a count, which may have come as text with decimals; 0 if there is none."""
    try:
        return max(0, int(float(found.get(key) or 0)))
    except (ValueError, TypeError, OverflowError):
        return 0


def is_complete(row: dict[str, Any]) -> bool:
    """Return whether a candidate can be fetched and checked."""
    needed = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "instanceCount", "series_size_MB")
    return all(row[name] for name in needed)
