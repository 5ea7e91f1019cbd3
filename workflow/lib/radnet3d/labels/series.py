"""The label table: one row a series, from header rows or from the rows of a catalogue."""

import importlib.metadata
import logging
from collections.abc import Collection
from pathlib import Path

import polars as pl
from polars.datatypes import DataTypeClass

from radnet3d import tables
from radnet3d.atomic import replacing
from radnet3d.errors import TableError
from radnet3d.labels.disagreements import disagreements_column
from radnet3d.labels.engine import Column, Contradictions, Rows, answer, columns_asked
from radnet3d.labels.rules import RULES_DIR, Head, load_heads

LOG = logging.getLogger(__name__)

IDC_INDEX = "idc-index"
"""The word that stands for the series table of the installed package idc-index-data."""

IDENTITY = ("SeriesInstanceUID", "StudyInstanceUID", "PatientID", "collection_id", "Modality")
GEOMETRY_NUMBERS = ("n_slices", "slice_spacing_mm", "obliquity_deg", "gantry_tilt_deg")
CATALOGUE_ONLY = ("collection_id", "species", "tumor_locations", "sop_class_name", "instanceCount")
READ = (*CATALOGUE_ONLY, *tables.SERIES.columns, "z_extent_mm")
"""Columns that identity, geometry or a rule may use; others are not read."""


def label_series(
    frame: pl.DataFrame, *, heads: Collection[str] | None = None, with_evidence: bool = True
) -> pl.DataFrame:
    """Return one row of tables.LABELS a row of `frame`, in the same order.

    `frame`: columns of tables.SERIES, of the IDC index, or any subset with SeriesInstanceUID and Modality; what is
    missing is not evidence. Geometry is copied where it was measured. `heads`: those of tables.HEADS to answer (None:
    all); heads that these refer to are worked out but not returned. Without evidence the <head>_evidence columns
    and `disagreements` are left out, which is faster. Raises TableError on a missing column or one that holds anything
    but single values and lists of them, ValueError on an unknown head.
    """
    missing = [name for name in ("SeriesInstanceUID", "Modality") if name not in frame.columns]
    if missing:
        raise TableError(f"series to label: found the columns {frame.columns}, wanted also {missing}")
    frame = with_joined_lists(frame, name="series to label")
    wanted = tables.HEADS if heads is None else tuple(heads)
    rows = Rows(with_extent(with_collections(frame)))
    labels = [text_column(frame, name) for name in IDENTITY]
    evidence: list[pl.Series] = []
    contradictions: list[Contradictions] = []
    for head in heads_needed(wanted):
        found = answer(head, rows, with_contradictions=with_evidence and head.head in wanted)
        rows.add(head.head, found.values)
        if head.head in wanted:
            labels.append(words_of(found.values, head.head))
            evidence.append(words_of(found.evidence, f"{head.head}_evidence"))
            contradictions += found.contradictions
    reasons = [*evidence, disagreements_column(contradictions, frame.height)] if with_evidence else []
    return pl.DataFrame([*labels, *geometry_columns(frame), *reasons])


def with_joined_lists(frame: pl.DataFrame, *, name: str) -> pl.DataFrame:
    """Return `frame` with lists as DICOM writes several values: as one text, with backslashes between them.

    Only columns that are read are looked at. `name` is what the error calls the frame. Raises TableError on columns of
    anything but single values and lists of them.
    """
    read = {column: dtype for column, dtype in frame.schema.items() if column in READ}
    lists = [
        column for column, dtype in read.items() if isinstance(dtype, pl.List | pl.Array) and is_single(dtype.inner)
    ]
    strange = {column: str(dtype) for column, dtype in read.items() if column not in lists and not is_single(dtype)}
    if strange:
        raise TableError(f"{name}: found the columns {strange}, wanted single values or lists of them")
    return frame.with_columns(pl.col(column).cast(pl.List(pl.String)).list.join("\\") for column in lists)


def is_single(dtype: pl.DataType | DataTypeClass) -> bool:
    """Return whether the values of a column are single ones, which can be written as text."""
    return not (dtype.is_nested() or dtype == pl.Object)


def heads_needed(wanted: Collection[str]) -> list[Head]:
    """Return the rules of the `wanted` heads and of those they refer to, in the order in which they are answered.

    Raises ValueError on a head that tables.HEADS does not have.
    """
    strange = [name for name in wanted if name not in tables.HEADS]
    if strange:
        raise ValueError(f"heads to answer: found {strange}, wanted some of {tables.HEADS}")
    needed = set(wanted)
    kept = []
    for head in reversed(load_heads()):  # a head refers to earlier ones only
        if head.head in needed:
            kept.append(head)
            needed |= columns_asked(head)
    return kept[::-1]


def words_of(column: Column, name: str) -> pl.Series:
    """Return the column as text, one value a series."""
    return column.values.gather(column.codes).alias(name)


def text_column(frame: pl.DataFrame, name: str) -> pl.Series:
    """Return a column as text, "" where it or its value is missing."""
    if name not in frame.columns:
        return pl.Series(name, [""]).new_from_index(0, frame.height)
    return frame[name].cast(pl.String).fill_null("")


def geometry_columns(frame: pl.DataFrame) -> list[pl.Series]:
    """Return what was measured from the headers; nothing was in the rows of a catalogue."""
    is_measured = "geometry" in frame.columns
    measured = [name for name in GEOMETRY_NUMBERS if is_measured and name in frame.columns]
    numbers = [
        frame[name].cast(pl.Float64).fill_nan(None)
        if name in measured
        else pl.Series(name, [None], pl.Float64).new_from_index(0, frame.height)
        for name in GEOMETRY_NUMBERS
    ]
    unmeasured = pl.Series("geometry", ["no_geometry"]).new_from_index(0, frame.height)
    return [*numbers, text_column(frame, "PatientPosition"), frame["geometry"] if is_measured else unmeasured]


def with_plan(series: pl.DataFrame, plan: pl.DataFrame) -> pl.DataFrame:
    """Return `series` with the collection_id that `plan` (tables.PLAN) has of each, "" for those not in it."""
    ids = plan.select(pl.col("SeriesInstanceUID", "collection_id").cast(pl.String))
    return (
        series.drop("collection_id", strict=False)
        .with_columns(pl.col("SeriesInstanceUID").cast(pl.String))
        .join(ids, on="SeriesInstanceUID", how="left", maintain_order="left")
        .with_columns(pl.col("collection_id").fill_null(""))
    )


def with_collections(frame: pl.DataFrame) -> pl.DataFrame:
    """Return `frame` with the species and tumour location of each row's collection, where it does not have its own."""
    names = [name for name in ("species", "tumor_locations") if name not in frame.columns]
    if "collection_id" not in frame.columns or not names:
        return frame
    known = pl.read_csv(RULES_DIR / "collections.csv").select("collection_id", *names)
    return frame.join(known, on="collection_id", how="left", maintain_order="left")


def with_extent(frame: pl.DataFrame) -> pl.DataFrame:
    """Return `frame` with `z_extent_mm`, how far each series reaches along the patient, where that was measured."""
    if not {"z_min_lps_mm", "z_max_lps_mm"} <= set(frame.columns):
        return frame
    return frame.with_columns(
        z_extent_mm=pl.col("z_max_lps_mm").cast(pl.Float64) - pl.col("z_min_lps_mm").cast(pl.Float64)
    )


def read_catalogue(source: str, *, also: Collection[str] = ()) -> pl.DataFrame:
    """Return the rows of a catalogue: a csv or parquet file, or `idc-index` for the installed package's table.

    Columns that label rules may use, and those of `also`, are read where the catalogue has them. Raises TableError if
    there is no such file, it cannot be read, it lacks SeriesInstanceUID or Modality or has columns of nested values.
    """
    path = idc_index_path() if source == IDC_INDEX else Path(source)
    if not path.is_file():
        raise TableError(f"{path}: no such file, wanted a csv or parquet catalogue, or the word {IDC_INDEX}")
    try:
        if path.suffix == ".parquet":
            lazy = pl.scan_parquet(path)
        else:
            lazy = pl.scan_csv(path, infer_schema=False, separator="\t" if path.suffix == ".tsv" else ",")
        found = lazy.collect_schema().names()
        frame = lazy.select([name for name in found if name in READ or name in also]).collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise TableError(f"{path}: not readable as a table: {error}") from error
    missing = [name for name in ("SeriesInstanceUID", "Modality") if name not in found]
    if missing:
        raise TableError(f"{path}: found the columns {found}, wanted also {missing}")
    return with_joined_lists(frame, name=str(path))


def idc_index_path() -> Path:
    """Return where the installed package idc-index-data keeps its series table. Raises TableError without it."""
    try:
        files = importlib.metadata.files("idc-index-data") or []
    except importlib.metadata.PackageNotFoundError as error:
        raise TableError(f"{IDC_INDEX}: the package idc-index-data is not installed") from error
    for file in files:
        if file.name == "idc_index.parquet":
            return Path(str(file.locate()))
    raise TableError(f"{IDC_INDEX}: the installed package idc-index-data has no idc_index.parquet")


def write_labels(labels: pl.DataFrame, path: Path) -> None:
    """Write tables.LABELS to `path` (.parquet, .csv or .tsv), as a whole or not at all.

    The words of each head were checked when the rules were loaded, so a million rows of parquet need not be checked
    again. Raises TableError if a series occurs twice.
    """
    repeated = labels["SeriesInstanceUID"].filter(labels["SeriesInstanceUID"].is_duplicated())
    if len(repeated):
        raise TableError(f"{path}: series {repeated[0]} occurs more than once, wanted one row a series")
    if path.suffix != ".parquet":
        tables.write_table(labels.to_pandas(), path, tables.LABELS)
        return
    tables.check_table(labels.head(1000).to_pandas(), tables.LABELS, name=str(path))
    with replacing(path) as temporary:
        labels.write_parquet(temporary)
