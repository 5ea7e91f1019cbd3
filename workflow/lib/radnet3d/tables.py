"""Schemas of every table that crosses a file, checked on write and on read.

Conventions: a DICOM keyword keeps its name, what we derive is snake_case with its unit; missing text is "", a missing
number is NaN; one row a thing, and the key columns say which thing. A table may have further columns.
"""

from pathlib import Path
from typing import Any

import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from radnet3d.atomic import replacing
from radnet3d.errors import TableError

SUBJECTS = ("human", "animal", "phantom", "unknown")
KINDS = ("volume", "localizer", "derived", "unknown")
MR_SEQUENCES = ("T1", "T1_FLAIR", "T2", "FLAIR", "STIR", "PD", "DWI", "ADC", "T2STAR", "PERF", "MRA", "SSFP", "other")
PET_SEQUENCES = ("PET", "PET_AC", "PET_NAC")
SEQUENCES = ("CT", *MR_SEQUENCES, *PET_SEQUENCES, "unknown")
CONTRASTS = ("yes", "no", "unknown", "na")
PLANES = ("axial", "coronal", "sagittal", "oblique", "multi", "unknown")
REGIONS = ("head", "neck", "chest", "breast", "abdomen", "pelvis", "spine", "upper_limb", "lower_limb", "wholebody")
GEOMETRY = (
    "regular",
    "too_few_slices",
    "missing_slice",
    "duplicate_position",
    "irregular_spacing",
    "mixed_orientation",
    "gantry_tilt",
    "mixed_size",
    "multi_volume",
    "no_geometry",
)
EXCLUSIONS = (
    "not_dicom",  # no DICOM in the file, whatever its name says
    "truncated",  # DICOM that ends before its data do
    "no_pixel_data",  # structured reports, DICOMDIR, presentation states
    "no_series_uid",
    "unsupported_modality",
    *(reason for reason in GEOMETRY if reason != "regular"),
    "undecodable_pixels",
)
"""Why a file or a series was left out, in words that do not change."""

HEADER_TEXT = (
    "SeriesInstanceUID", "StudyInstanceUID", "PatientID", "Modality", "SOPClassUID", "TransferSyntaxUID",
    "FrameOfReferenceUID", "SeriesDescription", "StudyDescription", "ProtocolName", "BodyPartExamined",
    "RequestedProcedureDescription", "PerformedProcedureStepDescription", "AnatomicRegionSequence", "Manufacturer",
    "ManufacturerModelName", "ImageType", "PatientSex", "PatientAge", "PatientSpeciesDescription", "PatientPosition",
    "ContrastBolusAgent", "ContrastBolusRoute", "ScanningSequence", "SequenceVariant", "ScanOptions", "SequenceName",
    "PulseSequenceName", "MRAcquisitionType", "AcquisitionContrast", "ConvolutionKernel", "CorrectedImage", "Units",
    "ImageOrientationPatient",
)  # fmt: skip
"""Header values kept as text; several values are joined by a backslash, as DICOM writes them."""

HEADER_NUMBERS = (
    "RepetitionTime", "EchoTime", "InversionTime", "FlipAngle", "EchoTrainLength", "DiffusionBValue",
    "MagneticFieldStrength", "KVP", "SliceThickness", "SpacingBetweenSlices", "GantryDetectorTilt", "Rows", "Columns",
)  # fmt: skip

TEXT = pa.Column(str, coerce=True)
NUMBER = pa.Column(float, nullable=True, coerce=True)
COUNT = pa.Column(int, pa.Check.ge(0), coerce=True)
FLAG = pa.Column(bool, coerce=True)


def words(*allowed: str) -> pa.Column:
    """Return a text column that holds these words only."""
    return pa.Column(str, pa.Check.isin(allowed), coerce=True)


def table(name: str, key: tuple[str, ...], columns: dict[str, pa.Column]) -> pa.DataFrameSchema:
    """Return the schema of one table; rows are unique in `key`."""
    return pa.DataFrameSchema(columns, unique=list(key) or None, strict=False, name=name)


SERIES_KEY = ("SeriesInstanceUID",)

PLAN = table("plan", SERIES_KEY, {
    "SeriesInstanceUID": TEXT, "StudyInstanceUID": TEXT, "PatientID": TEXT, "collection_id": TEXT, "Modality": TEXT,
    "shard": pa.Column(str, pa.Check.str_matches(r"^\d{3}$"), coerce=True),
    "location": TEXT,  # the source's own address of the series
    "n_instances": COUNT, "n_bytes": COUNT, "licence": TEXT, "source_DOI": TEXT,
})  # fmt: skip

FOLDER_FILES = table("folder_files", ("path",), {
    "path": TEXT,  # absolute: of this machine, never published
    "n_bytes": COUNT, "SeriesInstanceUID": TEXT, "StudyInstanceUID": TEXT, "PatientID": TEXT, "Modality": TEXT,
})  # fmt: skip

SERIES = table("series", SERIES_KEY, {
    **dict.fromkeys(HEADER_TEXT, TEXT), **dict.fromkeys(HEADER_NUMBERS, NUMBER),
    "pixel_spacing_row_mm": NUMBER, "pixel_spacing_column_mm": NUMBER,
    "n_rows": COUNT, "n_columns": COUNT,  # of one slice; Rows and Columns are those of the whole mosaic
    "n_files": COUNT, "n_slices": COUNT, "n_volumes": COUNT,
    "slice_spacing_mm": NUMBER, "obliquity_deg": NUMBER, "gantry_tilt_deg": NUMBER,
    "orientation_plane": words("axial", "coronal", "sagittal", "oblique", "multi", ""),
    "position_min_mm": NUMBER, "position_max_mm": NUMBER,  # along the slice normal
    "z_min_lps_mm": NUMBER, "z_max_lps_mm": NUMBER,  # patient axis, toward the head, of all corners of the slices
    "geometry": words(*GEOMETRY),
})  # fmt: skip

FILES = table("files", ("path", "frame"), {
    "path": TEXT,  # relative to the scanned folder
    "frame": COUNT,  # 0 for a classic file; frame of an enhanced file, tile of a mosaic
    "SeriesInstanceUID": TEXT, "SOPInstanceUID": TEXT,
    "volume": COUNT, "slice": COUNT,  # which volume of the series, and the slice's place along the normal in it
    "position_mm": NUMBER,
})  # fmt: skip

EXCLUDED = table("excluded", (), {
    "path": TEXT, "SeriesInstanceUID": TEXT, "reason": words(*EXCLUSIONS), "detail": TEXT,
})  # fmt: skip

HEADS = ("subject", "kind", "sequence", "contrast", "plane", "regions")

LABELS = table("labels", SERIES_KEY, {
    "SeriesInstanceUID": TEXT, "StudyInstanceUID": TEXT, "PatientID": TEXT, "collection_id": TEXT, "Modality": TEXT,
    "subject": words(*SUBJECTS), "kind": words(*KINDS), "sequence": words(*SEQUENCES),
    "contrast": words(*CONTRASTS), "plane": words(*PLANES), "regions": TEXT,
    "n_slices": NUMBER, "slice_spacing_mm": NUMBER, "obliquity_deg": NUMBER, "gantry_tilt_deg": NUMBER,
    "PatientPosition": TEXT, "geometry": words(*GEOMETRY),
    **{f"{head}_evidence": TEXT for head in HEADS},
})  # fmt: skip

LABEL_SCORES = table("label_scores", ("head", "metric"), {
    "head": words(*HEADS),
    "metric": words("precision", "coverage", "over_answering", "agreement", "micro_f1"),
    "value": NUMBER, "low": NUMBER, "high": NUMBER, "n": COUNT, "n_of": COUNT,  # value = n / n_of, Wilson interval
})  # fmt: skip

LABEL_CONFUSION = table("label_confusion", ("head", "truth", "label"), {
    "head": words(*HEADS), "truth": TEXT, "label": TEXT, "n_series": COUNT,
})  # fmt: skip

CENSUS = table("census", ("head", "Modality", "collection_id"), {
    "head": words(*HEADS), "Modality": TEXT, "collection_id": TEXT,
    "n_series": COUNT, "n_answered": COUNT, "n_unknown": COUNT,
})  # fmt: skip

TRUTH = table("truth", SERIES_KEY, {
    "SeriesInstanceUID": TEXT, "PatientID": TEXT,
    "subject": words(*SUBJECTS), "kind": words(*KINDS), "sequence": words(*SEQUENCES),
    "contrast": words(*CONTRASTS), "plane": words(*PLANES), "regions": TEXT,
    "slice_spacing_mm": NUMBER, "geometry": words(*GEOMETRY),
    "phase": TEXT,  # native, arterial, portal, delayed, or ""
    "lie": TEXT,  # ';'-joined names of what is wrong or missing in this series' headers on purpose
})  # fmt: skip

VOLUMES = table("volumes", SERIES_KEY, {
    "SeriesInstanceUID": TEXT, "PatientID": TEXT, "Modality": TEXT,
    "path": TEXT,  # of the int16 .npy file, relative to this table's folder
    "intensity": words("hu", "robust_0_1000"),
    "original_shape_zyx": TEXT, "original_spacing_zyx_mm": TEXT, "spacing_zyx_mm": TEXT,  # 'z,y,x'
})  # fmt: skip

PAPER_SEQUENCES = ("CT", "T1-SE", "T2-SE", "T1-FLAIR", "T2-FLAIR")
PAPER_VIEWS = ("AX", "COR", "SAG")
PAPER_CONTRASTS = ("no", "yes")
PAPER_BODY = ("Brain", "Head", "Neck", "Lung", "Breast", "Liver", "Kidney", "Intestine", "Pelvis")

TARGETS = table("targets", SERIES_KEY, {
    "SeriesInstanceUID": TEXT, "PatientID": TEXT, "Modality": TEXT,
    "sequence": words(*PAPER_SEQUENCES, ""), "view": words(*PAPER_VIEWS, ""), "contrast": words(*PAPER_CONTRASTS, ""),
    **{f"body_{organ}": pa.Column(float, pa.Check.isin([0.0, 1.0]), nullable=True, coerce=True) for organ in PAPER_BODY},
    "slice_spacing_mm": NUMBER,
})  # fmt: skip
"""What the paper's heads are trained on; "" and NaN are unknown and masked in the loss."""

PATIENT_SPLIT = table("patient_split", ("PatientID",), {
    "PatientID": TEXT, "split": words("train", "validation", "test"),
})  # fmt: skip

HEAD_SCORES = table("head_scores", ("head", "metric"), {
    "head": TEXT,  # sequence, view, contrast, body_Brain ..., spacing
    "metric": words("accuracy", "balanced_accuracy", "auc", "pearson_r", "mean_absolute_error_mm"),
    "value": NUMBER, "low": NUMBER, "high": NUMBER,  # with the interval of params comparison.confidence
    "chance": NUMBER,  # what the most frequent class, or no knowledge, would reach
    "n_series": COUNT, "n_patients": COUNT,
})  # fmt: skip

PREDICTIONS = table("predictions", SERIES_KEY, {
    "SeriesInstanceUID": TEXT, "PatientID": TEXT, "Modality": TEXT,
    "sequence": words(*PAPER_SEQUENCES), "view": words(*PAPER_VIEWS), "contrast": words(*PAPER_CONTRASTS),
    **{f"p_sequence_{name}": NUMBER for name in PAPER_SEQUENCES}, **{f"p_view_{name}": NUMBER for name in PAPER_VIEWS},
    **{f"p_contrast_{name}": NUMBER for name in PAPER_CONTRASTS}, **{f"p_body_{organ}": NUMBER for organ in PAPER_BODY},
    "slice_spacing_mm": NUMBER,
})  # fmt: skip
"""What the heads say of a series; with `<column>_target` beside them for held-out patients, with f000 ... for features."""

HISTORY = table("history", ("step", "split", "name"), {
    "step": COUNT, "split": words("train", "validation"), "name": TEXT, "value": NUMBER,
})  # fmt: skip

LIVER_CASES = table("liver_cases", ("case_id",), {
    "case_id": TEXT, "PatientID": TEXT, "volume_path": TEXT, "segmentation_path": TEXT,  # relative to this table's folder
    "shape_zyx": TEXT, "spacing_zyx_mm": TEXT, "liver_ml": NUMBER, "tumour_ml": NUMBER, "image_sha256": TEXT,
})  # fmt: skip

LIVER_SPLIT = table("liver_split", ("case_id",), {
    "case_id": TEXT, "PatientID": TEXT, "role": words("train", "validation", "test", "control"),
})  # fmt: skip

SUBSETS = table("subsets", ("subset_seed", "case_id"), {
    "subset_seed": COUNT, "case_id": TEXT, "rank": COUNT,  # the first n ranks are the training set of size n
})  # fmt: skip

PROPOSALS = table("proposals", ("case_id",), {
    "case_id": TEXT, "start_slice": COUNT, "stop_slice": COUNT,  # half open, in the case's stored frame (z up)
    "n_slices": COUNT, "n_liver_slices": COUNT,
    "recall": NUMBER, "n_extra_slices": COUNT, "fallback": FLAG,  # fallback: no window passed, so the whole scan is taken
})  # fmt: skip

RUN_CASES = table("run_cases", ("run_id", "case_id"), {
    "run_id": TEXT, "case_id": TEXT, "dice_per_case": NUMBER, "predicted_ml": NUMBER, "true_ml": NUMBER, "is_empty": FLAG,
})  # fmt: skip

RUN_FACTORS = {"task": TEXT, "init": TEXT, "n_train": COUNT, "subset_seed": COUNT, "init_seed": COUNT}
RUNS = table("runs", ("run_id",), {
    "run_id": TEXT, **RUN_FACTORS, "learning_rate": NUMBER, "steps": COUNT, "dice_per_case_mean": NUMBER,
    "n_cases": COUNT, "n_failures": COUNT, "n_empty": COUNT, "seconds": NUMBER,
})  # fmt: skip
CASES = table("cases", ("run_id", "case_id"), {**RUN_CASES.columns, **RUN_FACTORS})

COMPARISON = table("comparison", ("init", "n_train"), {
    "init": TEXT, "n_train": COUNT, "n_cases": COUNT, "n_runs": COUNT,
    "dice_per_case_mean": NUMBER, "low": NUMBER, "high": NUMBER,
    "difference": NUMBER, "difference_low": NUMBER, "difference_high": NUMBER,  # against scratch, paired by case and seed
    "p": NUMBER, "p_holm": NUMBER,  # Wilcoxon on per-case means; Holm over n_train within an init
    "verdict": words("reference", "gain", "loss", "no difference shown"),
    "n_failures": COUNT, "n_empty": COUNT, "n_undefined": COUNT,  # of n_cases x n_runs; failure: Dice below 0.5
})  # fmt: skip


def write_table(frame: pd.DataFrame, path: Path, schema: pa.DataFrameSchema) -> None:
    """Check `frame` and write it to `path` (.parquet, .csv or .tsv), as a whole or not at all. Raises TableError."""
    checked = check_table(frame, schema, name=str(path))
    with replacing(path) as temporary:
        if path.suffix == ".parquet":
            checked.to_parquet(temporary, index=False)
        else:
            checked.to_csv(temporary, index=False, sep="\t" if path.suffix == ".tsv" else ",", lineterminator="\n")


def read_table(path: Path, schema: pa.DataFrameSchema) -> pd.DataFrame:
    """Return the checked table at `path` (.parquet, .csv or .tsv). Raises TableError naming file, column and value."""
    if not path.is_file():
        raise TableError(f"{path}: no such file, wanted the table '{schema.name}'")
    if path.suffix == ".parquet":
        frame = pd.read_parquet(path)
    else:
        text = [name for name, column in schema.columns.items() if column.dtype == TEXT.dtype]
        separator = "\t" if path.suffix == ".tsv" else ","
        frame = pd.read_csv(path, sep=separator, dtype=dict.fromkeys(text, str), keep_default_na=False, na_values={
            name: [""] for name in schema.columns if name not in text
        })  # fmt: skip
    return check_table(frame, schema, name=str(path))


def empty_table(schema: pa.DataFrameSchema) -> pd.DataFrame:
    """Return a table of no rows with the schema's columns."""
    return check_table(pd.DataFrame({name: [] for name in schema.columns}), schema, name=str(schema.name))


def rows_table(rows: list[dict[str, Any]], schema: pa.DataFrameSchema) -> pd.DataFrame:
    """Return the checked table of these rows, which may be none. Raises TableError."""
    return check_table(pd.DataFrame(rows), schema, name=str(schema.name)) if rows else empty_table(schema)


def check_table(frame: pd.DataFrame, schema: pa.DataFrameSchema, *, name: str) -> pd.DataFrame:
    """Return `frame` with the schema's types; `name` is what the error calls it. Raises TableError."""
    missing = [column for column in schema.columns if column not in frame.columns]
    if missing:
        raise TableError(f"{name}: table '{schema.name}' lacks the columns {missing}; found {list(frame.columns)}")
    try:
        return schema.validate(frame, lazy=True)
    except SchemaErrors as errors:
        cases = errors.failure_cases.head(5)
        said = "; ".join(f"{row.column}: {row.check} (found {row.failure_case!r})" for row in cases.itertuples())
        raise TableError(f"{name}: table '{schema.name}': {len(errors.failure_cases)} faults: {said}") from errors
