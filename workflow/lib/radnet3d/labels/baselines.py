"""What others do, as functions from series rows to the same columns: to be scored on the same table as the rules.

`regex` is how published rule sets read a series: regular expressions over the description that match inside words, an
answer forced where none matches, an absent ContrastBolusAgent taken for "no contrast". Its words for MR, and their
order, are facts taken from scitran's dicom-mr-classifier (MIT, classification_from_label.py, github.com/scitran-apps);
it has none for CT coverage or contrast, where we read as such rule sets do: first words of the description.
`body_part_examined` reads the regions from BodyPartExamined alone.
"""

from collections.abc import Callable, Mapping

import polars as pl

from radnet3d import tables
from radnet3d.errors import TableError
from radnet3d.labels.series import IDENTITY, geometry_columns, label_series, text_column

SEQUENCE_WORDS = {  # value -> pattern, in the order in which they are tried
    "DWI": "dti|dwi|diff_|diffusion|diff.*dir|hardi|_adc$|_tracew$|_colfa$|_fa$|_exp$",
    "other": "functional|fmri|func|bold|resting|ep2d|task|rest|mocoseries",
    "T2": "t2",
    "T1": "t1|3d anat|3d.*bravo|spgr|tfl|mprage|mm.*iso|mp.*rage",
    "FLAIR": "flair",
    "PD": "^pd$|proton.*density|pd_|_pd",
    "PERF": "asl|blood.*flow|art.*spin|tof|perfusion|angio",
    "T2STAR": "swi|mag_images|pha_images|mip_images",
}
KIND_WORDS = {
    "derived": "_adc$|_colfa$|_fa$|_exp$|t-map|screen.*save|screenshot|phase.*map|^phase$|mip|sub|report",
    "localizer": "localizer|localiser|survey|loc\\.|scout|plane.*loc|3-plane|^loc|shim|calibration|asset.*cal",
}
CONTRAST_WORDS = {"yes": "post|gad|\\+c|contrast|with|ce", "no": "pre|without|non"}
PLANE_WORDS = {"axial": "ax|tra", "coronal": "cor", "sagittal": "sag"}
REGION_WORDS = {
    "head": "head|brain|br",  # the defect of a published rule set: every "breast" has "br" in it
    "neck": "neck",
    "chest": "chest|thorax|lung",
    "breast": "breast",
    "abdomen": "abd|liver|kidney",
    "pelvis": "pel|prostate",
    "spine": "spine",
}


def label_by_regex(frame: pl.DataFrame) -> pl.DataFrame:
    """Return tables.LABELS of `frame` (as for `label_series`) as published regular expressions would give them."""
    said = text_column(frame, "SeriesDescription").str.to_lowercase()
    study = text_column(frame, "StudyDescription").str.to_lowercase()
    modality = text_column(frame, "Modality")
    agent = text_column(frame, "ContrastBolusAgent") != ""
    texts = pl.DataFrame({"said": said, "all": said + " " + study, "modality": modality, "agent": agent})
    is_pet = pl.col("modality") == "PT"
    attenuation = first_match("said", {"PET_NAC": "nac", "PET_AC": "ac"}, otherwise="PET_AC")
    sequence = (
        pl.when(pl.col("modality") == "CT")
        .then(pl.lit("CT"))
        .when(is_pet)
        .then(attenuation)
        .otherwise(first_match("said", SEQUENCE_WORDS, otherwise="T1"))
    )
    contrast = (
        pl.when(is_pet)
        .then(pl.lit("na"))
        .when(pl.col("agent"))
        .then(pl.lit("yes"))
        .otherwise(first_match("said", CONTRAST_WORDS, otherwise="no"))
    )
    regions = pl.concat_list(
        pl.when(pl.col("all").str.contains(pattern)).then(pl.lit(region))
        for region, pattern in sorted(REGION_WORDS.items())
    )
    answers = texts.select(
        subject=pl.lit("human"),
        kind=first_match("said", KIND_WORDS, otherwise="volume"),
        sequence=sequence,
        contrast=contrast,
        plane=first_match("said", PLANE_WORDS, otherwise="axial"),
        regions=regions.list.drop_nulls().list.join(";").replace("", "unknown"),
    )
    return as_labels(frame, {name: answers[name] for name in answers.columns}, evidence="regex")


def label_by_body_part(frame: pl.DataFrame) -> pl.DataFrame:
    """Return tables.LABELS of `frame` with nothing but the regions, and these from BodyPartExamined alone."""
    tags = ("SeriesInstanceUID", "Modality", "BodyPartExamined")
    alone = pl.DataFrame({name: text_column(frame, name) for name in tags})
    regions = label_series(alone, heads=["regions"], with_evidence=False)["regions"]
    return as_labels(frame, {"regions": regions}, evidence="BodyPartExamined")


def first_match(column: str, patterns: Mapping[str, str], *, otherwise: str) -> pl.Expr:
    """Return the first value whose pattern is anywhere in the text, inside a word or not."""
    return pl.coalesce(
        *(pl.when(pl.col(column).str.contains(pattern)).then(pl.lit(value)) for value, pattern in patterns.items()),
        pl.lit(otherwise),
    )


def as_labels(frame: pl.DataFrame, answers: Mapping[str, pl.Series], *, evidence: str) -> pl.DataFrame:
    """Return tables.LABELS with these answers; heads that are not among them are unknown."""

    def constant(name: str, value: str) -> pl.Series:
        return pl.Series(name, [value]).new_from_index(0, frame.height)

    heads = [answers[head].alias(head) if head in answers else constant(head, "unknown") for head in tables.HEADS]
    reasons = [constant(f"{head}_evidence", evidence if head in answers else "") for head in tables.HEADS]
    identity = [text_column(frame, name) for name in IDENTITY]
    return pl.DataFrame([*identity, *heads, *geometry_columns(frame), *reasons, constant("disagreements", "")])


BASELINES: Mapping[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "regex": label_by_regex,
    "body-part-examined": label_by_body_part,
}


def label_by(name: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Return tables.LABELS of `frame` by one of BASELINES. Raises TableError on another name."""
    if name not in BASELINES:
        raise TableError(f"baseline {name!r}: wanted one of {sorted(BASELINES)}")
    return BASELINES[name](frame)
