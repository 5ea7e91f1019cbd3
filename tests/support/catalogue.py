"""A small catalogue in the manner of the IDC's, and everything that `labels` makes of one: TEST DATA."""

from pathlib import Path

import polars as pl
from click.testing import CliRunner

from radnet3d.cli.labels import commands

ROWS = [  # collection, modality, description of series, of study, BodyPartExamined, images, licence
    ("tcga_lihc", "CT", "AXIAL 5mm W", "CT ABDOMEN W/ CONTRAST", "ABDOMEN", 60, "CC BY 3.0"),
    ("tcga_lihc", "CT", "SCOUT", "CT ABDOMEN W/ CONTRAST", "ABDOMEN", 2, "CC BY 3.0"),
    ("tcga_lihc", "MR", "COR T2 HASTE", "MRI LIVER", "BREAST", 30, "CC BY 3.0"),
    ("tcga_lihc", "CT", "Thorax 3mm", "", "ABDOMEN", 30, "CC BY 3.0"),
    ("upenn_gbm", "MR", "AX T2 FLAIR", "BRAIN", "BRAIN", 40, "CC BY 4.0"),
    ("upenn_gbm", "MR", "SAG T1 MPRAGE POST", "BRAIN", "", 160, "CC BY 4.0"),
    ("upenn_gbm", "MR", "ADC", "BRAIN", "BRAIN", 30, "CC BY 4.0"),
    ("upenn_gbm", "MR", "something", "", "", 30, "CC BY-NC 4.0"),
    ("upenn_gbm", "SEG", "Tumour", "BRAIN", "", 1, "CC BY 4.0"),
    ("ct_org", "CT", "", "", "LIVER", 80, "CC BY 4.0"),
    ("mouse_mammary", "MR", "T1 axial", "", "BREAST", 20, "CC BY 4.0"),
    ("acrin_flt_breast", "PT", "PET AC WB", "PET whole body", "BREAST", 250, "CC BY 3.0"),
]


def write_catalogue(path: Path, rows: list[tuple[object, ...]] = ROWS) -> Path:
    """Write rows as a catalogue, with identifiers and a size of 50 MB each; return the path."""
    names = ("collection_id", "Modality", "SeriesDescription", "StudyDescription", "BodyPartExamined")
    frame = pl.DataFrame(rows, schema=[*names, "instanceCount", "license_short_name"], orient="row")
    numbers = [str(place) for place in range(frame.height)]
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.with_columns(
        SeriesInstanceUID=pl.Series([f"1.9.{place}" for place in numbers]),
        StudyInstanceUID=pl.Series([f"1.8.{place}" for place in numbers]),
        PatientID=pl.concat_str(pl.lit("P-"), "collection_id"),
        series_size_MB=pl.lit(50.0),
    ).write_parquet(path)
    return path


def run(*arguments: object) -> None:
    """Run `labels` as a user would; fail if it fails."""
    result = CliRunner().invoke(commands, [str(argument) for argument in arguments])
    assert result.exit_code == 0, (result.output, result.exception)


def write_catalogue_labels(results: Path) -> None:
    """Write what the rules of labels.smk make: labels, census, baselines, scores on rated series."""
    labels = results / "labels"
    source = write_catalogue(results / "catalogue.parquet")
    gold = results / "gold.csv"
    gold.write_text(
        "SeriesInstanceUID,collection_id,Modality,gold_sequence,gold_contrast,gold_plane,gold_regions\n"
        "1.9.0,tcga_lihc,CT,CT,yes,axial,abdomen\n1.9.4,upenn_gbm,MR,FLAIR,unknown,axial,head\n"
        "1.9.7,upenn_gbm,MR,unknown,unknown,unknown,head\n",
        encoding="utf-8",
    )
    run("from-catalogue", source, labels / "index.parquet")
    for name in ("census_index", "census_archive"):
        run("census", labels / "index.parquet", source, labels / name)
    (labels / "gold").mkdir()
    run("evaluate", gold, labels / "index.parquet", labels / "gold" / "rules.csv")
    for name in ("regex", "body-part-examined"):
        run("baseline", name, source, labels / "gold" / f"{name}.parquet", "--of", gold)
        run("evaluate", gold, labels / "gold" / f"{name}.parquet", labels / "gold" / f"{name}.csv")
