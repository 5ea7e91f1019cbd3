"""Schemas of every table that crosses a file, checked on write and on read.

Conventions: a DICOM keyword keeps its name, what we derive is snake_case with its unit; missing text is "", a missing
number is NaN; one row a thing, and the key columns say which thing. A table may have further columns.
"""

import csv
from pathlib import Path
from typing import Any

import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from radnet3d.atomic import replacing
from radnet3d.errors import TableError
from radnet3d.vocabulary import CONTRASTS as CONTRASTS
from radnet3d.vocabulary import KERNELS as KERNELS
from radnet3d.vocabulary import KINDS as KINDS
from radnet3d.vocabulary import PHASES as PHASES
from radnet3d.vocabulary import PLANES as PLANES
from radnet3d.vocabulary import REGIONS as REGIONS
from radnet3d.vocabulary import SEQUENCES as SEQUENCES
from radnet3d.vocabulary import SUBJECTS as SUBJECTS

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
    "duplicate_file",  # a further copy of a file that is used, byte for byte
    "unsupported_modality",
    *(reason for reason in GEOMETRY if reason != "regular"),
    "undecodable_pixels",
)
"""Why a file or a series was left out, in words that do not change."""

FETCH_REASONS = (
    "not_found",
    "not_permitted",
    "wrong_instance_count",
    "wrong_hash",
    "wrong_size",
    "not_an_archive",  # no zip where one was wanted: an error page, say
    "unsafe_archive",  # a zip with paths that lead out of its folder, or far larger than announced
    "duplicate_instance",
    "server_error",
    "connection_failed",
)
"""Why a planned series could not be fetched, in words that do not change."""

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


DIGESTS = pa.Column(str, pa.Check.str_matches("^([0-9a-f]{16}( [0-9a-f]{16})*)?$"), coerce=True)
"""Digests of CT slices (volumes.digests), joined by spaces."""


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

FETCHED = table("fetched", SERIES_KEY, {
    "SeriesInstanceUID": TEXT, "PatientID": TEXT, "collection_id": TEXT,
    "n_files": COUNT, "n_bytes": COUNT,  # as they lie on disk; 0 of a series that could not be had
    "reason": words(*FETCH_REASONS, ""), "detail": TEXT,  # "": fetched
})  # fmt: skip

FOLDER_FILES = table("folder_files", ("path",), {
    "path": TEXT,  # absolute: of this machine, never published
    "n_bytes": COUNT, "modified_ns": COUNT,  # since 1970
    "SeriesInstanceUID": TEXT, "StudyInstanceUID": TEXT, "PatientID": TEXT, "Modality": TEXT,
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
    "body_coverage_mm": NUMBER,  # along the patient axis, from outer face to outer face of the outermost voxels
    "axes_lps": TEXT,  # where slices, rows and columns ascend to: "S,P,L" of L(eft) P(osterior) S(uperior) R A I
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

HEADS = ("subject", "kind", "sequence", "contrast", "phase", "plane", "regions", "kernel")

PLAN_SUMMARY = table("plan_summary", ("what", "value"), {
    "what": words("all", "modality", "licence", "collection", *HEADS),  # of a head: the class that was asked for
    "value": TEXT,
    "n_series": COUNT, "n_patients": COUNT, "n_bytes": COUNT,
    "n_wanted": NUMBER,  # of a class that is balanced
})  # fmt: skip

ATTRIBUTION = table("attribution", ("collection_id", "source_DOI", "licence"), {
    "collection_id": TEXT, "source_DOI": TEXT, "licence": TEXT,
    "licence_url": TEXT,  # "": the page behind the DOI says it
    "n_series": COUNT, "n_patients": COUNT, "n_bytes": COUNT,  # fetched, not planned
    "citation": TEXT,  # "": not known here; the page behind the DOI says it
})  # fmt: skip

LABELS = table("labels", SERIES_KEY, {
    "SeriesInstanceUID": TEXT, "StudyInstanceUID": TEXT, "PatientID": TEXT, "collection_id": TEXT, "Modality": TEXT,
    "subject": words(*SUBJECTS), "kind": words(*KINDS), "sequence": words(*SEQUENCES),
    "contrast": words(*CONTRASTS), "phase": words(*PHASES), "plane": words(*PLANES), "regions": TEXT,
    "kernel": words(*KERNELS),  # of the CT reconstruction; na if not CT
    "n_slices": NUMBER, "slice_spacing_mm": NUMBER, "obliquity_deg": NUMBER, "gantry_tilt_deg": NUMBER,
    "PatientPosition": TEXT, "geometry": words(*GEOMETRY),
    **{f"{head}_evidence": TEXT for head in HEADS},
    # '; '-joined 'head: rules@tag=value / rules@tag=other': what decided, and a later witness that contradicts it
    "disagreements": TEXT,
})  # fmt: skip

DISAGREEMENTS = table("disagreements", ("head", "deciding_rule", "value", "other_rule", "other_value", "Modality"), {
    "head": words(*HEADS),
    "deciding_rule": TEXT, "value": TEXT,  # rules, '+'-joined, with the tag they read after '@'
    "other_rule": TEXT, "other_value": TEXT,
    "Modality": TEXT, "n_series": COUNT, "example_SeriesInstanceUID": TEXT,
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
    "n_series": COUNT, "n_answered": COUNT, "n_unknown": COUNT, "n_na": COUNT,  # na: the head does not apply
    "n_disagreeing": COUNT,  # of n_series, those with a witness that contradicts the one that decided
})  # fmt: skip

IMAGE_GROUPS = ("all", "CT", "MR", "PT")
"""What counts over images are made for: the modalities that are labelled for pretraining, and all three together."""

RULE_USE = table("rule_use", ("head", "rule", "witness", "Modality", "value"), {
    "head": words(*HEADS), "rule": TEXT,  # "": no rule spoke
    "witness": TEXT,  # the text it read, or the header values it looked at
    "Modality": words(*IMAGE_GROUPS), "value": TEXT, "n_series": COUNT, "n_collections": COUNT,  # 0: a rule not needed here
    "example": TEXT,  # that text of one series, as it stands there
})  # fmt: skip

WITNESS_USE = table("witness_use", ("head", "witness", "Modality"), {
    "head": words(*HEADS), "witness": TEXT, "Modality": words(*IMAGE_GROUPS), "n_series": COUNT,  # each series once
})  # fmt: skip

BODY_PART_RELATIONS = ("no_tag", "tag_unread", "text_silent", "same", "overlap", "contradiction")
BODY_PART = table("body_part", ("Modality", "collection_id", "relation"), {
    "Modality": TEXT, "collection_id": TEXT,
    "relation": words(*BODY_PART_RELATIONS),  # of BodyPartExamined to the texts of series and study
    "n_series": COUNT,
})  # fmt: skip

FUNNEL_STEPS = (
    "all", "image", "human", "volume",
    "regular",  # slices at even distances, where headers were read
    "licence", "not_leaking",
    "any_head", "all_heads",  # of the paper's sequence, view, contrast and body parts
)  # fmt: skip
FUNNEL = table("funnel", ("step", "Modality"), {
    "step": words(*FUNNEL_STEPS), "Modality": words("all", "CT", "MR", "PT", "other"),
    "n_series": COUNT, "n_patients": COUNT, "n_collections": COUNT, "size_gb": NUMBER,
})  # fmt: skip

CLASSES = table("classes", ("head", "label", "Modality"), {
    "head": TEXT,  # a column of TARGETS
    "label": TEXT,  # present and absent of an organ; "": unknown, masked in the loss
    "Modality": words(*IMAGE_GROUPS), "n_series": COUNT, "n_patients": COUNT, "n_collections": COUNT,
})  # fmt: skip

SAMPLE_TEXTS = (
    "SeriesDescription", "StudyDescription", "ProtocolName", "BodyPartExamined", "ManufacturerModelName", "instanceCount",
)  # fmt: skip
LABEL_SAMPLE = table("label_sample", SERIES_KEY, {
    "SeriesInstanceUID": TEXT, "collection_id": TEXT, "Modality": TEXT, **dict.fromkeys(SAMPLE_TEXTS, TEXT),
    **dict.fromkeys(HEADS, TEXT), **{f"{head}_evidence": TEXT for head in HEADS}, "disagreements": TEXT,
})  # fmt: skip

TRUTH = table("truth", SERIES_KEY, {
    "SeriesInstanceUID": TEXT, "PatientID": TEXT,
    "subject": words(*SUBJECTS), "kind": words(*KINDS), "sequence": words(*SEQUENCES),
    "contrast": words(*CONTRASTS), "plane": words(*PLANES), "regions": TEXT,
    "slice_spacing_mm": NUMBER, "geometry": words(*GEOMETRY),
    "phase": TEXT,  # native, arterial, portal, delayed, or ""
    "lie": TEXT,  # ';'-joined names of what is wrong or missing in this series' headers on purpose
})  # fmt: skip

VOLUMES = table("volumes", ("SeriesInstanceUID", "volume"), {
    "SeriesInstanceUID": TEXT, "StudyInstanceUID": TEXT, "PatientID": TEXT, "Modality": TEXT,
    "volume": COUNT,  # which of the series, as in FILES
    "volume_of": TEXT,  # what tells it from the series' others: "EchoTime=2.3"; "" where the series holds one
    "is_whole": FLAG,  # shows every place that the series shows; of stacks of several orientations or sizes: the largest
    "axes_lps": TEXT,  # where the array's axes point to, as in SERIES
    "corrected_tilt_deg": NUMBER,  # 0 where nothing was sheared
    "path": TEXT,  # of the int16 .npy file, relative to this table's folder
    "intensity": words("hu", "robust_0_1000"),
    "original_shape_zyx": TEXT, "original_spacing_zyx_mm": TEXT, "spacing_zyx_mm": TEXT,  # 'z,y,x'
    "slice_digests": DIGESTS,  # of the slices as acquired; "" of what is no CT
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
    "PatientID": TEXT, "split": words("train", "validation", "test", "tasks"),  # tasks: no pretraining sees them
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
    "SeriesInstanceUID": TEXT, "StudyInstanceUID": TEXT,  # "" where the source does not say, as LiTS
    "slice_digests": DIGESTS,  # as in VOLUMES
})  # fmt: skip

LIVER_SPLIT = table("liver_split", ("case_id",), {
    "case_id": TEXT, "PatientID": TEXT, "role": words("train", "validation", "test", "control"),
})  # fmt: skip

SUBSETS = table("subsets", ("subset_seed", "case_id"), {
    "subset_seed": COUNT, "case_id": TEXT, "rank": COUNT,  # the first n ranks are the training set of size n
})  # fmt: skip

SPLIT_CASES = table("split_cases", ("case_id",), {"case_id": TEXT, "PatientID": TEXT})
"""The cases that a split table is drawn for; a further column `group` is dealt in proportion."""

SPLIT_TABLE = table("split_table", ("case_id",), {
    "case_id": TEXT, "role": words("train", "validation", "test", "control"),
})  # fmt: skip
"""LIVER_SPLIT and SUBSETS in one: with rank_0, rank_1 ..., the rank of a training case in the subset of each seed, else NaN."""

LEAKAGE = table("leakage", ("check", "left", "right"), {
    "check": words("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "slice", "nested"),
    "left": TEXT, "right": TEXT,  # pretrain train, pretrain test ..., control, train ...; of nested subset 0 ..., train
    "n_left": COUNT, "n_right": COUNT,  # different values of each side; 0: not known there, so nothing could be compared
    "n_shared": COUNT,  # values on both sides; of nested: ranks that are no rank of a training case, or not 0, 1, 2 ...
    "examples": TEXT,  # a few of them, joined by '; '
})  # fmt: skip

TASK_LABELS = table("task_labels", SERIES_KEY, {"SeriesInstanceUID": TEXT, "label": TEXT})
"""What the user says of series, for one classification."""

TASK_CASES = table("task_cases", ("case_id",), {
    "case_id": TEXT, "PatientID": TEXT, "label": TEXT,  # case_id: the SeriesInstanceUID
    "path": TEXT, "intensity": words("hu", "robust_0_1000"),  # of the volume, as in VOLUMES; relative to this table's folder
})  # fmt: skip

PROPOSALS = table("proposals", ("case_id",), {
    "case_id": TEXT, "start_slice": COUNT, "stop_slice": COUNT,  # half open, in the case's stored frame (z up)
    "n_slices": COUNT, "n_liver_slices": COUNT,
    "recall": NUMBER, "n_extra_slices": COUNT, "fallback": FLAG,  # fallback: no window passed, so the whole scan is taken
})  # fmt: skip

PROPOSAL_METHODS = (
    "coverage",  # the pretrained coverage head, as params.yaml says
    "coverage_tuned",  # the same with threshold and margin chosen on validation cases
    "classifier",  # of slices, from scratch on the slice labels of n_train cases; chosen as above
    "true_range",
    "whole_scan",
)  # fmt: skip
PROPOSER_KEY = {"method": words(*PROPOSAL_METHODS), "n_train": COUNT, "subset_seed": COUNT}
"""Which proposer; n_train and subset_seed are 0 where none was trained on liver cases."""
FOUND = {
    **PROPOSALS.columns, "extra_mm": NUMBER,
    "threshold": NUMBER, "margin_mm": NUMBER,
    "n_labels_trained": COUNT, "n_labels": COUNT,  # slices an expert labelled for it: to train on, in all
}  # fmt: skip
PROPOSED = table("proposed", (*PROPOSER_KEY, "case_id"), {**PROPOSER_KEY, **FOUND, "seconds": NUMBER})

PROPOSAL_SCORES = table("proposal_scores", (*PROPOSER_KEY, "role", "threshold", "margin_mm"), {
    **PROPOSER_KEY, "role": words("validation", "test"), "threshold": NUMBER, "margin_mm": NUMBER,
    "n_cases": COUNT, "n_whole": COUNT, "recall": NUMBER, "extra_mm": NUMBER,  # whole: no liver slice lost; means over cases
})  # fmt: skip

RUN_CASES = table("run_cases", ("run_id", "case_id"), {
    "run_id": TEXT, "case_id": TEXT, "dice_per_case": NUMBER,
    "nsd_2mm": NUMBER, "hd95_mm": NUMBER, "volume_error_percent": NUMBER,  # (predicted - true) / true
    "predicted_ml": NUMBER, "true_ml": NUMBER, "is_empty": FLAG,
    "dice_largest_component": NUMBER,  # what Dice is if only the prediction's largest component is kept
})  # fmt: skip

CLASSIFIED = table("classified", ("run_id", "case_id"), {
    "run_id": TEXT, "case_id": TEXT, "label": TEXT, "predicted": TEXT,
    "correct": pa.Column(float, pa.Check.isin([0.0, 1.0]), nullable=True, coerce=True),
})  # fmt: skip
"""RUN_CASES of a classification."""

RUN_FACTORS = {"task": TEXT, "init": TEXT, "n_train": COUNT, "subset_seed": COUNT, "init_seed": COUNT}
RUNS = table("runs", ("task", "run_id"), {
    "run_id": TEXT, **RUN_FACTORS, "learning_rate": NUMBER, "steps": COUNT, "dice_per_case_mean": NUMBER,
    "metric": words("dice_per_case", "correct"),  # of the task: arms are compared by its mean
    "correct_mean": NUMBER, "balanced_accuracy": NUMBER,  # of a classification, which has no Dice; else NaN
    "largest_component": FLAG,  # nothing else of a mask was kept: the same for all runs of a task
    "n_cases": COUNT, "n_failures": COUNT, "n_empty": COUNT, "seconds": NUMBER,
})  # fmt: skip
CASES = table("cases", ("task", "run_id", "case_id"), {**RUN_CASES.columns, **CLASSIFIED.columns, **RUN_FACTORS})
"""The test cases of all tasks: of columns that a task does not have, numbers are NaN, text is "", flags are false."""

PAIRING = {"init": TEXT, "reference": TEXT, "n_train": COUNT}
"""An arm, the arm it is compared with ("": none, and every difference is NaN), and the training-set size."""
COMPARISON = table("comparison", tuple(PAIRING), {
    **PAIRING, "n_cases": COUNT, "n_runs": COUNT, "n_subsets": COUNT, "n_inits": COUNT,
    "fixed": words("", "subset_seed", "init_seed", "subset_seed, init_seed"),  # of which there is one, so the row says nothing of others
    "dice_per_case_mean": NUMBER, "low": NUMBER, "high": NUMBER,
    "difference": NUMBER, "difference_low": NUMBER, "difference_high": NUMBER,  # to the reference, paired by case and seed
    "p_cases": NUMBER,  # Wilcoxon on per-case means: would other cases differ, for these networks
    "p_seeds": NUMBER,  # t over cases and seeds: other networks too; below 1 - confidence where the interval leaves 0 out
    "p": NUMBER, "p_holm": NUMBER,  # the larger of both; Holm over n_train within an init and reference
    "verdict": words("reference", "gain", "loss", "no difference shown"),
    "n_failures": COUNT, "n_empty": COUNT, "n_undefined": COUNT,  # of n_cases x n_runs; failure: Dice below 0.5
})  # fmt: skip

TASK_COMPARISON = table("task_comparison", ("task", *PAIRING), {
    "task": TEXT, "metric": words("correct"), "mean": NUMBER, "balanced_accuracy": NUMBER,
    **{name: column for name, column in COMPARISON.columns.items() if name not in ("dice_per_case_mean", "n_empty")},
})  # fmt: skip
"""COMPARISON of the classifications, of the fraction answered rightly; n_failures: wrong answers."""

SECONDARY = table("secondary", (*PAIRING, "metric"), {
    **PAIRING, "metric": words("nsd_2mm", "hd95_mm", "volume_error_percent"),
    "mean": NUMBER, "low": NUMBER, "high": NUMBER,
    "difference": NUMBER, "difference_low": NUMBER, "difference_high": NUMBER,  # as in COMPARISON
    "n_undefined": COUNT, "n_pairs_undefined": COUNT,  # take no part: the arm's own values; pairs with either undefined
})  # fmt: skip

BEYOND = words("", "below", "above")
LABELS_SAVED = table("labels_saved", ("init", "n_train"), {
    "init": TEXT, "n_train": COUNT, "reference": TEXT,  # whose curve is read: an arm compared with none
    "n_equal": NUMBER, "low": NUMBER, "high": NUMBER,  # cases with which it reaches the arm's Dice at n_train
    "n_equal_beyond": BEYOND, "low_beyond": BEYOND, "high_beyond": BEYOND,  # not reached at this, its first or last size
})  # fmt: skip

POWER = table("power", tuple(PAIRING), {
    **PAIRING, "n_cases": COUNT, "n_runs": COUNT, "standard_error": NUMBER, "degrees_of_freedom": NUMBER,
    "level": NUMBER,  # of Holm's first step
    "power": NUMBER, "smallest_difference": NUMBER,  # of Dice, that is found at this level with this probability
})  # fmt: skip

PROPOSAL_CASES = table("proposal_cases", ("method", "run_id", "case_id"), {
    "method": words(*PROPOSAL_METHODS), "run_id": TEXT, **RUN_FACTORS, **FOUND,
    "dice_per_case": NUMBER, "is_empty": FLAG,
    "seconds_propose": NUMBER, "seconds_segment": NUMBER,  # segmenting was timed for one run
})  # fmt: skip

PROPOSAL_STUDY = table("proposal_study", ("method", "n_train", "init"), {
    "method": words(*PROPOSAL_METHODS), "n_train": COUNT, "init": TEXT,  # training set and arm of the segmenters
    "n_labels_trained": NUMBER, "n_labels": NUMBER,  # slices an expert labelled for the proposer, mean over training sets
    "n_cases": COUNT, "n_runs": COUNT,
    "recall": NUMBER, "recall_low": NUMBER, "recall_high": NUMBER,  # of liver slices, mean over cases
    "whole": NUMBER, "whole_low": NUMBER, "whole_high": NUMBER,  # share of cases that lose none
    "extra_mm": NUMBER, "extra_mm_low": NUMBER, "extra_mm_high": NUMBER, "n_extra_slices": NUMBER, "n_fallbacks": COUNT,
    "dice_per_case_mean": NUMBER, "low": NUMBER, "high": NUMBER,
    "difference": NUMBER, "difference_low": NUMBER, "difference_high": NUMBER,  # to the true range, paired by run and case
    "n_failures": COUNT, "n_empty": COUNT, "n_undefined": COUNT,  # of n_cases x n_runs; failure: Dice below 0.5
    "seconds_propose": NUMBER, "seconds_segment": NUMBER,  # median over cases; NaN where it was not timed
})  # fmt: skip


COSTS = table("costs", ("task", "init"), {
    "task": TEXT, "init": TEXT, "encoder": TEXT,  # "": from random weights, whose pretraining costs 0
    **{
        f"{part}_{measure}": NUMBER  # seconds by the clock and of CPUs, samples with repeats, 10^12 operations
        for part in ("pretraining", "finetuning", "total")  # means: of an encoder's seeds, of the arm's runs; their sum
        for measure in ("seconds", "cpu_seconds", "n_samples", "tflops")
    },
    "n_encoders": COUNT, "n_runs": COUNT,
    "n_resumed": COUNT,  # trainings of these that were killed and went on: their seconds are of the last part only
})  # fmt: skip


def write_table(frame: pd.DataFrame, path: Path, schema: pa.DataFrameSchema) -> None:
    """Check `frame` and write it to `path` (.parquet, .csv or .tsv), as a whole or not at all. Raises TableError."""
    checked = check_table(frame, schema, name=str(path))
    with replacing(path) as temporary:
        if path.suffix == ".parquet":
            checked.to_parquet(temporary, index=False)
        else:
            checked.to_csv(
                temporary, index=False, sep="\t" if path.suffix == ".tsv" else ",", lineterminator="\n",
                quoting=csv.QUOTE_NONNUMERIC if has_carriage_return(checked) else csv.QUOTE_MINIMAL,
            )  # fmt: skip


def has_carriage_return(frame: pd.DataFrame) -> bool:
    """Return whether any text has a carriage return, at which readers end the row if the text is not in quotes."""
    texts = frame.select_dtypes(exclude=["number", "bool"])
    return any(texts[name].astype(str).str.contains("\r", regex=False).any() for name in texts)


def read_table(path: Path, schema: pa.DataFrameSchema) -> pd.DataFrame:
    """Return the checked table at `path` (.parquet, .csv or .tsv). Raises TableError naming file, column and value."""
    if not path.is_file():
        raise TableError(f"{path}: no such file, wanted the table '{schema.name}'")
    text = [name for name, column in schema.columns.items() if column.dtype == TEXT.dtype]
    try:
        if path.suffix == ".parquet":
            frame = pd.read_parquet(path)
        else:
            separator = "\t" if path.suffix == ".tsv" else ","
            frame = pd.read_csv(path, sep=separator, dtype=dict.fromkeys(text, str), keep_default_na=False, na_values={
                name: [""] for name in schema.columns if name not in text
            })  # fmt: skip
    except (ValueError, OSError) as error:  # no parquet, damaged, empty, rows of several lengths, not UTF-8
        raise TableError(f"{path}: not readable as the table '{schema.name}': {error}") from error
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
