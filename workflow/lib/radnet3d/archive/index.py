"""Choosing series of a public archive from a table of candidates: what is left out, what is drawn first, what limits cut.

A candidate is a row with the column names of the IDC's index (package idc-index-data); another source brings its own table
under these names. Each patient and series draws a number that follows from its identifier and the seed alone, so that the
order of rows changes nothing and a new version of an index changes little.
"""

import difflib
import hashlib
import logging
import re
from collections.abc import Collection, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl

from radnet3d.archive.licences import is_commercial, short_name
from radnet3d.archive.source import shard_of
from radnet3d.errors import ArchiveError, TableError
from radnet3d.labels.series import IDC_INDEX, READ, idc_index_path, label_series
from radnet3d.params import Archive, Balance, Choice
from radnet3d.tables import PLAN, TRUTH, check_table, empty_table

LOG = logging.getLogger(__name__)

LEAKING = Path(__file__).resolve().parents[3] / "resources" / "leaking_collections.csv"
"""Collections that contain LiTS, so that pretraining on them would see the fine-tuning task's images."""

NEEDED = (
    "collection_id", "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "Modality", "instanceCount",
    "license_short_name", "source_DOI", "series_size_MB",
)  # fmt: skip
"""Columns of every table of candidates, none of them empty; BodyPartExamined and all that label rules read may be there, too."""

PINS = ("aws_bucket", "crdc_series_uuid")
"""Columns of the index that say where a series lies, and in which version."""

MB = 1_000_000
"""Bytes in the megabyte of the index. Source: idc_index.sql of idc-index-data."""


class IdcIndex:
    """The series of the NCI Imaging Data Commons, as the index of package idc-index-data lists them."""

    def __init__(self, settings: Archive) -> None:
        self.source, self.choice, self.n_shards = settings.idc.index, settings.choice, settings.n_shards

    def plan(self, out_dir: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the chosen series; `crdc_series_uuid` pins the version of each. There is no truth about them.

        Raises TableError if the index cannot be read or lacks a column, ArchiveError as `choose_series` does.
        """
        index = open_index(self.source)
        check_collections(self.choice.collections, index.select("collection_id").unique().collect().to_series())
        chosen = choose_series(read_candidates(index, self.choice.modalities), self.choice)
        locations = "s3://" + chosen["aws_bucket"] + "/" + chosen["crdc_series_uuid"]
        extra = ("crdc_series_uuid", *asked_heads(self.choice))
        plan = plan_table(chosen, locations, self.n_shards, extra=extra)
        return plan.assign(index=index_name(self.source)), empty_table(TRUTH)


def index_name(source: str) -> str:
    """Return what an index is called: the package with its version, or the file's name."""
    return f"idc-index-data {version('idc-index-data')}" if source == IDC_INDEX else Path(source).name


def open_index(source: str) -> pl.LazyFrame:
    """Return an index as a table not yet read: the installed package's (`idc-index`), or that of a parquet or csv file.

    Raises TableError if there is none, it is no table or lacks a column.
    """
    path = idc_index_path() if source == IDC_INDEX else Path(source)
    if not path.is_file():
        raise TableError(f"{path}: no such file, wanted an index, or the word {IDC_INDEX} (archive.idc.index)")
    index = pl.scan_parquet(path) if path.suffix == ".parquet" else pl.scan_csv(path, infer_schema=False)
    try:
        found = index.collect_schema().names()
    except pl.exceptions.PolarsError as error:
        raise TableError(f"{path}: not readable as an index: {error}") from error
    missing = [name for name in (*NEEDED, *PINS) if name not in found]
    if missing:
        raise TableError(f"{path}: found the columns {found}, wanted also {missing}")
    return index


def read_candidates(index: pl.LazyFrame, modalities: Collection[str]) -> pl.DataFrame:
    """Return the rows of an index that have one of `modalities`, with the columns that choosing needs.

    Raises TableError if a count or a size is no number.
    """
    columns = [name for name in index.collect_schema().names() if name in {*NEEDED, *PINS, *READ}]
    rows = index.select(columns).filter(pl.col("Modality").is_in(list(modalities)))
    try:
        return rows.with_columns(
            pl.col("instanceCount").cast(pl.Int64), pl.col("series_size_MB").cast(pl.Float64)
        ).collect()
    except pl.exceptions.PolarsError as error:
        raise TableError(f"archive.idc.index: not readable as an index: {error}") from error


def choose_series(candidates: pl.DataFrame, choice: Choice) -> pl.DataFrame:
    """Return the chosen rows of `candidates`, by SeriesInstanceUID, with a column for each label that was asked for.

    Limits are applied in this order, each to what the one before left: patients, series of a patient, targets of the
    balance, series, GB. Tightening the last one only takes series away; tightening an earlier one may let others move up.
    Raises ArchiveError if a collection leaks, a licence is not permitted, or nothing is left.
    """
    refuse_leaking(choice.collections)
    check_licences(choice)
    kept = keep_permitted(candidates, choice)
    kept = keep_labelled(kept, choice)
    if choice.balance:
        kept = keep(kept, choice.balance.head, list(choice.balance.n_series), key="balance.n_series")
    kept = with_draws(kept, choice.seed)
    kept = limit_patients(kept, choice.n_patients_max)
    kept = limit_per_patient(kept, choice.n_series_per_patient_max, choice.balance)
    kept = in_order(kept, choice.balance)
    chosen = limit_total(kept, choice.n_series_max, choice.gb_max)
    found = {collection_name(name) for name in chosen["collection_id"].unique()}
    absent = [name for name in choice.collections if collection_name(name) not in found]
    if absent:
        LOG.warning("no series was chosen of %s", ", ".join(absent))
    return chosen.select(*candidates.columns, *asked_heads(choice)).sort("SeriesInstanceUID")


def collection_name(text: str) -> str:
    """Return a collection's name as the IDC's index writes it: TCGA-LIHC is tcga_lihc."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def leaking_collections() -> dict[str, str]:
    """Return why each collection that contains LiTS is left out, by its name."""
    return {str(row.collection_id): f"{row.reason} ({row.source})" for row in pd.read_csv(LEAKING).itertuples()}


def refuse_leaking(wanted: Collection[str]) -> None:
    """Raise ArchiveError if a collection contains the images of the fine-tuning task."""
    leaking = leaking_collections()
    for name in wanted:
        if collection_name(name) in leaking:
            raise ArchiveError(
                f"archive.choice.collections: {name!r} is refused: {leaking[collection_name(name)]}; see {LEAKING.name}"
            )


def check_collections(wanted: Collection[str], known: Collection[str]) -> None:
    """Raise ArchiveError if a collection leaks, or is not among all those `known` to the source; it names the nearest."""
    refuse_leaking(wanted)
    names = sorted({collection_name(name) for name in known})
    for name in wanted:
        if collection_name(name) not in names:
            near = difflib.get_close_matches(collection_name(name), names, n=3, cutoff=0.5) or names[:3]
            raise ArchiveError(
                f"archive.choice.collections: found {name!r}, which is not among the source's {len(names)} collections; "
                f"nearest: {', '.join(near)}"
            )


def check_licences(choice: Choice) -> None:
    """Raise ArchiveError if a licence is asked for by name that does not permit commercial use, and that was not allowed."""
    for name in choice.licences:
        if is_commercial(name) is False and not choice.allow_non_commercial:
            raise ArchiveError(
                f"archive.choice.licences: {name!r} does not permit commercial use; leave it out, or set "
                f"archive.choice.allow_non_commercial if yours is none"
            )


def keep_permitted(candidates: pl.DataFrame, choice: Choice) -> pl.DataFrame:
    """Return the candidates of the wanted collections, modalities, licences and body parts."""
    kept = candidates
    names = {name: collection_name(name) for name in kept["collection_id"].unique()}
    if choice.collections:
        wanted = {collection_name(name) for name in choice.collections}
        kept = keep(
            kept, "collection_id", [name for name, plain in names.items() if plain in wanted], key="collections"
        )
    else:
        clean = [name for name, plain in names.items() if plain not in leaking_collections()]
        kept = keep(kept, "collection_id", clean, key="collections")
    kept = keep(kept, "Modality", choice.modalities, key="modalities")
    found = kept["license_short_name"].fill_null("").unique().sort().to_list()
    kept = keep(kept, "license_short_name", permitted_licences(found, choice), key="licences")
    if choice.body_parts:
        parts = {part.upper().strip() for part in choice.body_parts}
        same = [part for part in kept["BodyPartExamined"].unique() if part and part.upper().strip() in parts]
        kept = keep(kept, "BodyPartExamined", same, key="body_parts")
    return kept


def permitted_licences(found: Sequence[str], choice: Choice) -> list[str]:
    """Return those licences of an archive that the choice permits: one of unknown wording only if it is named."""
    if choice.licences:
        named = {short_name(name) for name in choice.licences}
        return [name for name in found if short_name(name) in named]
    return [
        name for name in found if is_commercial(name) or (is_commercial(name) is False and choice.allow_non_commercial)
    ]


def asked_heads(choice: Choice) -> list[str]:
    """Return the heads whose labels decide: those asked for and the one that is balanced."""
    return list(dict.fromkeys([*choice.labels, *([choice.balance.head] if choice.balance else [])]))


def keep_labelled(candidates: pl.DataFrame, choice: Choice) -> pl.DataFrame:
    """Return the candidates whose labels are those wanted, with these labels beside them."""
    heads = asked_heads(choice)
    if not heads:
        return candidates
    labels = label_series(candidates, heads=heads, with_evidence=False)
    kept = candidates.drop(heads, strict=False).hstack(labels.select(heads))
    for head, wanted in choice.labels.items():
        found = kept[head].unique().sort().to_list()
        answers = [answer for answer in found if set(answer.split(";")) & set(wanted)]
        kept = keep(kept, head, answers, key=f"labels.{head}")
    return kept


def keep(frame: pl.DataFrame, column: str, allowed: Collection[str], *, key: str) -> pl.DataFrame:
    """Return the rows whose `column` is allowed. Raises ArchiveError, naming what there was, if none is."""
    kept = frame.filter(pl.col(column).is_in(list(allowed)))
    if kept.height < frame.height:
        LOG.info("%-20s %9d of %d series kept", key, kept.height, frame.height)
    if kept.is_empty():
        counts = frame[column].fill_null("").replace("", "(empty)").value_counts(sort=True).head(8).rows()
        raise ArchiveError(
            f"archive.choice.{key}: no series is left; {column} of the {frame.height} before: "
            f"{', '.join(f'{name} ({n})' for name, n in counts)}"
        )
    return kept


def with_draws(candidates: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Return the candidates with the numbers that they and their patients draw: `series_draw`, `patient_draw`."""
    patients = candidates.select(pl.col("PatientID").unique().sort())
    patients = patients.with_columns(patient_draw=draws(patients["PatientID"], seed))
    candidates = candidates.sort("SeriesInstanceUID")
    candidates = candidates.with_columns(series_draw=draws(candidates["SeriesInstanceUID"], seed))
    return candidates.join(patients, on="PatientID", how="left", maintain_order="left")


def draws(identifiers: pl.Series, seed: int) -> pl.Series:
    """Return a number for each identifier, as good as random, that follows from it and the seed."""
    key = str(seed).encode()
    digests = b"".join(hashlib.blake2b(text.encode(), key=key, digest_size=8).digest() for text in identifiers)
    return pl.Series(np.frombuffer(digests, "<u8"), dtype=pl.UInt64)


def limit_patients(candidates: pl.DataFrame, n_max: int | None) -> pl.DataFrame:
    """Return the series of at most `n_max` patients; collections take turns, so that the largest does not fill them up."""
    if n_max is None:
        return candidates
    patients = candidates.group_by("PatientID").agg(pl.col("collection_id").min(), pl.col("patient_draw").first())
    patients = patients.with_columns(turn=place("patient_draw", "collection_id"))
    taken = patients.sort("turn", "patient_draw").head(n_max)
    return candidates.filter(pl.col("PatientID").is_in(taken["PatientID"].to_list()))


def limit_per_patient(candidates: pl.DataFrame, n_max: int | None, balance: Balance | None) -> pl.DataFrame:
    """Return at most `n_max` series of each patient; with a balance its classes take turns.

    A class that is too scarce to reach its target goes first, with all it has.
    """
    if n_max is None:
        return candidates
    if balance is None:
        return candidates.filter(place("series_draw", "PatientID") < n_max)
    wanted = pl.col(balance.head).replace_strict(dict(balance.n_series), return_dtype=pl.Float64)
    turns = candidates.with_columns(
        turn=place("series_draw", "PatientID", balance.head), supply=pl.len().over(balance.head) / wanted
    )
    turns = turns.with_columns(turn=pl.when(pl.col("supply") < 1).then(0).otherwise("turn"))
    turns = turns.sort("turn", "supply", balance.head, "series_draw")
    kept = turns.filter(pl.int_range(pl.len()).over("PatientID") < n_max)
    return kept.drop("turn", "supply")


def in_order(candidates: pl.DataFrame, balance: Balance | None) -> pl.DataFrame:
    """Return the candidates as they are drawn: collections take turns; with a balance, up to each class's target.

    The classes then fill up at the same pace, so that a limit on the whole keeps their proportions.
    """
    if balance is None:
        turns = candidates.with_columns(turn=place("series_draw", "collection_id"))
        return turns.sort("turn", "series_draw")
    turns = candidates.with_columns(turn=place("series_draw", "collection_id", balance.head)).sort(
        "turn", "series_draw"
    )
    wanted = pl.col(balance.head).replace_strict(dict(balance.n_series), return_dtype=pl.Int64)
    turns = turns.with_columns(rank=pl.int_range(pl.len()).over(balance.head))
    turns = turns.filter(pl.col("rank") < wanted)
    return turns.with_columns(pace=(pl.col("rank") + 0.5) / wanted).sort("pace", "series_draw")


def place(draw: str, *groups: str) -> pl.Expr:
    """Return each row's place, from 0, among the rows of its group in the order of what they drew."""
    return (pl.col(draw).rank("ordinal") - 1).over(*groups)


def limit_total(candidates: pl.DataFrame, n_max: int | None, gb_max: float | None) -> pl.DataFrame:
    """Return the first candidates, at most so many and so large together. Raises ArchiveError if the first is too large."""
    kept = candidates.head(n_max) if n_max else candidates
    if gb_max is not None:
        kept = kept.filter(pl.col("series_size_MB").cum_sum() <= gb_max * 1000)
        if kept.is_empty():
            first = candidates["series_size_MB"][0] / 1000
            raise ArchiveError(
                f"archive.choice.gb_max: found {gb_max} GB, wanted at least the {first:.3f} of the first series"
            )
    LOG.info("%-20s %9d of %d series kept", "limits in all", kept.height, candidates.height)
    return kept


def plan_table(chosen: pl.DataFrame, locations: pl.Series, n_shards: int, extra: Sequence[str] = ()) -> pd.DataFrame:
    """Return tables.PLAN of chosen series. `locations`: the source's address of each; `extra`: further columns to keep."""
    n_bytes = (chosen["series_size_MB"] * MB).round().cast(pl.Int64)
    plan = pd.DataFrame({
        **{name: chosen[name].cast(pl.String).to_list() for name in ("SeriesInstanceUID", "StudyInstanceUID", "PatientID", "collection_id", "Modality")},
        "shard": [shard_of(name, n_shards) for name in chosen["SeriesInstanceUID"]],
        "location": locations.to_list(),
        "n_instances": chosen["instanceCount"].to_list(), "n_bytes": n_bytes.to_list(),
        "licence": chosen["license_short_name"].to_list(), "source_DOI": chosen["source_DOI"].fill_null("").to_list(),
        **{name: chosen[name].to_list() for name in extra},
    })  # fmt: skip
    return check_table(plan, PLAN, name="plan")
