"""`radnet3d labels` on small files, on real DICOM, and on the whole index (slow)."""

from pathlib import Path

import pandas as pd
import polars as pl
import pytest
from click.testing import CliRunner, Result

from radnet3d import tables
from radnet3d.archive.phantom.headers import COLLECTION_ID
from radnet3d.cli.labels import commands
from radnet3d.errors import RadnetError, TableError
from radnet3d.labels.series import label_series

ROWS = """SeriesInstanceUID,Modality,collection_id,StudyDescription,SeriesDescription
1.3,CT,tcga_lihc,CT ABDOMEN W/ CONTRAST,AXIAL 5mm
1.1,MR,upenn_gbm,BRAIN,AX T2 FLAIR
1.2,SEG,upenn_gbm,BRAIN,Tumour
"""

CENSUS_TABLES = {
    "census": tables.CENSUS,
    "rule_use": tables.RULE_USE,
    "witness_use": tables.WITNESS_USE,
    "body_part": tables.BODY_PART,
    "disagreements": tables.DISAGREEMENTS,
    "disagreement_examples": tables.LABEL_SAMPLE,
    "funnel": tables.FUNNEL,
    "classes": tables.CLASSES,
    "sample": tables.LABEL_SAMPLE,
}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(commands, [str(argument) for argument in arguments])


@pytest.fixture
def labels_path(tmp_path: Path) -> Path:
    (tmp_path / "in.csv").write_text(ROWS, encoding="utf-8")
    path = tmp_path / "labels.parquet"
    assert run("from-catalogue", tmp_path / "in.csv", path).exit_code == 0
    return path


def test_from_catalogue_keeps_order_and_schema(labels_path: Path) -> None:
    labels = tables.read_table(labels_path, tables.LABELS)
    assert labels["SeriesInstanceUID"].tolist() == ["1.3", "1.1", "1.2"]
    assert labels["sequence"].tolist() == ["CT", "FLAIR", "unknown"]
    assert labels["kind"].tolist() == ["volume", "volume", "derived"]
    assert labels["contrast"].tolist()[0] == "yes"
    assert labels["sequence_evidence"][1] == "flair_words: SeriesDescription=flair"


def test_catalogue_as_parquet_gives_the_same(tmp_path: Path, labels_path: Path) -> None:
    pd.read_csv(tmp_path / "in.csv", dtype=str).to_parquet(tmp_path / "in.parquet")
    assert run("from-catalogue", tmp_path / "in.parquet", tmp_path / "again.parquet").exit_code == 0
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "again.parquet"), pd.read_parquet(labels_path))


def test_series_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(ROWS + ROWS.splitlines()[1] + "\n", encoding="utf-8")
    result = run("from-catalogue", tmp_path / "in.csv", tmp_path / "out.parquet")
    assert isinstance(result.exception, RadnetError)
    assert "1.3" in str(result.exception)
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize("name", ["missing.csv", "not-a-table.parquet", "empty.csv", "latin.csv"])
def test_unreadable_catalogue_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "not-a-table.parquet").write_text("text", encoding="utf-8")
    (tmp_path / "empty.csv").touch()
    (tmp_path / "latin.csv").write_text(ROWS.replace("Tumour", "Tête"), encoding="latin-1")
    result = run("from-catalogue", tmp_path / name, tmp_path / "out.parquet")
    assert isinstance(result.exception, RadnetError)
    assert name in str(result.exception)


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_labels_are_text_where_the_name_says_so(tmp_path: Path, labels_path: Path, suffix: str) -> None:
    out = tmp_path / f"out{suffix}"
    assert run("from-catalogue", tmp_path / "in.csv", out).exit_code == 0
    assert out.read_text(encoding="utf-8").startswith("SeriesInstanceUID")
    pd.testing.assert_frame_equal(
        tables.read_table(out, tables.LABELS), tables.read_table(labels_path, tables.LABELS), check_dtype=False
    )
    assert run("census", out, tmp_path / "in.csv", tmp_path / "census").exit_code == 0
    assert run("disagreements", out, tmp_path / "disagreements.csv").exit_code == 0


def test_lists_of_a_catalogue_are_read_as_dicom_writes_them(tmp_path: Path) -> None:
    rows = pl.DataFrame({"SeriesInstanceUID": ["1", "2", "3"], "Modality": ["CT"] * 3})
    types = pl.Series("ImageType", [["DERIVED", "SECONDARY", "MIP"], ["ORIGINAL", "PRIMARY", "AXIAL"], None])
    rows.with_columns(types).write_parquet(tmp_path / "in.parquet")
    assert run("from-catalogue", tmp_path / "in.parquet", tmp_path / "out.parquet").exit_code == 0
    assert tables.read_table(tmp_path / "out.parquet", tables.LABELS)["kind"].tolist() == [
        "derived",
        "volume",
        "volume",
    ]
    assert label_series(rows.with_columns(types))["kind"].to_list() == ["derived", "volume", "volume"]

    rows.with_columns(SeriesDescription=pl.struct("Modality"), EchoTime=pl.lit([[1.0]])).write_parquet(
        tmp_path / "struct.parquet"
    )
    result = run("from-catalogue", tmp_path / "struct.parquet", tmp_path / "out2.parquet")
    assert isinstance(result.exception, TableError)
    assert all(word in str(result.exception) for word in ("struct.parquet", "SeriesDescription", "EchoTime"))
    assert not (tmp_path / "out2.parquet").exists()


@pytest.mark.parametrize("command", ["disagreements", "evaluate", "census", "targets", "join"])
def test_unreadable_labels_are_named(tmp_path: Path, labels_path: Path, command: str) -> None:
    (tmp_path / "truth.csv").write_text("SeriesInstanceUID,gold_plane\n1.3,axial\n", encoding="utf-8")
    before = {"evaluate": [tmp_path / "truth.csv"]}.get(command, [])
    after = {"census": [tmp_path / "in.csv"]}.get(command, [])
    for name, content in (("text.parquet", b"text"), ("empty.csv", b""), ("latin.csv", b"\xe9,Modality\n1,CT\n")):
        (tmp_path / name).write_bytes(content)
        result = run(command, *before, tmp_path / name, *after, tmp_path / "out.csv")
        assert isinstance(result.exception, TableError) and name in str(result.exception), (name, result.exception)


@pytest.mark.parametrize("content", ["", "plane\naxial\n"])
def test_unreadable_truth_is_named(tmp_path: Path, labels_path: Path, content: str) -> None:
    (tmp_path / "truth.csv").write_text(content, encoding="utf-8")
    result = run("evaluate", tmp_path / "truth.csv", labels_path)
    assert isinstance(result.exception, TableError) and "truth.csv" in str(result.exception)


def test_evaluate_and_targets(tmp_path: Path, labels_path: Path) -> None:
    truth = tmp_path / "truth.csv"
    truth.write_text("SeriesInstanceUID,gold_plane,gold_sequence\n1.3,axial,CT\n1.1,axial,T2\n", encoding="utf-8")
    assert run("evaluate", truth, labels_path, tmp_path / "scores.csv").exit_code == 0
    scores = tables.read_table(tmp_path / "scores.csv", tables.LABEL_SCORES).set_index(["head", "metric"])
    assert scores.loc[("plane", "precision"), "value"] == 1
    assert scores.loc[("sequence", "precision"), "value"] == 0
    assert scores.loc[("sequence", "precision"), "n_of"] == 1  # CT is not scored
    assert len(tables.read_table(tmp_path / "scores_confusion.csv", tables.LABEL_CONFUSION)) == 2

    assert run("targets", labels_path, tmp_path / "targets.parquet").exit_code == 0
    targets = tables.read_table(tmp_path / "targets.parquet", tables.TARGETS)
    assert targets["sequence"].tolist() == ["CT", "T2-FLAIR"]


def test_evaluate_prints_scores_and_confusion_and_writes_nothing(tmp_path: Path, labels_path: Path) -> None:
    truth = tmp_path / "truth.csv"
    truth.write_text(
        "SeriesInstanceUID,gold_plane,gold_regions\n1.3,axial,abdomen\n1.1,coronal,neck\n", encoding="utf-8"
    )
    before = sorted(tmp_path.iterdir())
    result = run("evaluate", truth, labels_path)
    assert result.exit_code == 0, result.exception
    lines = [line.split() for line in result.output.splitlines()]
    assert ["plane", "accuracy", "0.500", "[0.095,", "0.905]", "1", "of", "2"] in lines
    assert ["plane", "coverage", "1.000", "[0.342,", "1.000]", "2", "of", "2"] in lines
    assert ["coronal", "1"] in lines  # of truth, once: taken for axial, the only label
    assert ["neck", "0", "1", "0"] in lines  # both, missed, added
    assert ["head", "0", "0", "1"] in lines
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("name", ["regex", "body-part-examined"])
def test_baseline_is_scored_like_labels(tmp_path: Path, name: str) -> None:
    (tmp_path / "in.csv").write_text(ROWS, encoding="utf-8")
    truth = tmp_path / "truth.csv"
    truth.write_text("SeriesInstanceUID,gold_regions\n1.3,abdomen\n", encoding="utf-8")
    assert run("baseline", name, tmp_path / "in.csv", tmp_path / "out.parquet").exit_code == 0
    result = run("evaluate", truth, tmp_path / "out.parquet")
    assert result.exit_code == 0, result.exception
    assert "micro_f1" in result.output


def test_baseline_of_some_series(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(ROWS, encoding="utf-8")
    (tmp_path / "some.csv").write_text("SeriesInstanceUID\n1.1\n", encoding="utf-8")
    result = run("baseline", "regex", tmp_path / "in.csv", tmp_path / "out.parquet", "--of", tmp_path / "some.csv")
    assert result.exit_code == 0, result.exception
    assert pd.read_parquet(tmp_path / "out.parquet")["SeriesInstanceUID"].tolist() == ["1.1"]


def test_census_writes_tables_that_fit_their_schemas(tmp_path: Path, labels_path: Path) -> None:
    result = run("census", labels_path, tmp_path / "in.csv", tmp_path / "census")
    assert result.exit_code == 0, result.exception
    for name, schema in CENSUS_TABLES.items():
        tables.read_table(tmp_path / "census" / f"{name}.csv", schema)
    assert {path.stem for path in (tmp_path / "census").iterdir()} == CENSUS_TABLES.keys()
    counts = tables.read_table(tmp_path / "census" / "census.csv", tables.CENSUS)
    assert counts["n_series"].sum() == 3 * len(tables.HEADS)


def test_census_of_another_catalogue_is_refused(tmp_path: Path, labels_path: Path) -> None:
    (tmp_path / "other.csv").write_text(ROWS.replace("1.2,", "1.7,"), encoding="utf-8")
    result = run("census", labels_path, tmp_path / "other.csv", tmp_path / "census")
    assert isinstance(result.exception, RadnetError) and "other.csv" in str(result.exception)
    assert not (tmp_path / "census").exists()


def test_baseline_of_another_name_is_refused(tmp_path: Path) -> None:
    assert run("baseline", "forest", tmp_path / "in.csv", tmp_path / "out.parquet").exit_code == 2


def test_disagreements(tmp_path: Path) -> None:
    rows = (
        "SeriesInstanceUID,Modality,SeriesDescription,BodyPartExamined\n1.1,MR,BREAST T1,TSPINE\n1.2,CT,CHEST,CHEST\n"
    )
    (tmp_path / "in.csv").write_text(rows, encoding="utf-8")
    assert run("from-catalogue", tmp_path / "in.csv", tmp_path / "labels.parquet").exit_code == 0
    assert run("disagreements", tmp_path / "labels.parquet", tmp_path / "dis.csv").exit_code == 0
    counts = tables.read_table(tmp_path / "dis.csv", tables.DISAGREEMENTS)
    assert counts[["value", "other_value", "n_series"]].to_numpy().tolist() == [["breast", "spine", 1]]


def test_evaluate_without_truth(tmp_path: Path, labels_path: Path) -> None:
    tables.write_table(tables.empty_table(tables.TRUTH), tmp_path / "truth.parquet", tables.TRUTH)
    result = run("evaluate", tmp_path / "truth.parquet", labels_path, tmp_path / "accuracy.csv")
    assert result.exit_code == 0, result.exception
    assert tables.read_table(tmp_path / "accuracy.csv", tables.LABEL_SCORES).empty
    assert tables.read_table(tmp_path / "accuracy_confusion.csv", tables.LABEL_CONFUSION).empty


def test_from_dicom_agrees_with_what_is_known_of_real_series(tmp_path: Path, real_data: Path) -> None:
    folder = real_data / "real"
    assert run("from-dicom", folder, tmp_path / "labels.parquet").exit_code == 0
    labels = tables.read_table(tmp_path / "labels.parquet", tables.LABELS).set_index("SeriesInstanceUID")
    manifest = pd.read_csv(folder / "manifest.csv", dtype=str).fillna("")
    manifest = manifest[manifest["series_uid"].isin(labels.index)]
    plane = manifest[manifest["plane_truth"] != ""]
    assert len(plane) >= 30
    for row in plane.itertuples():
        assert labels.loc[row.series_uid, "plane"] == row.plane_truth.split(" ")[0], row.path
    for row in manifest.itertuples():
        found = labels.loc[row.series_uid, "contrast"]
        if row.contrast_truth.split(" ")[0] in ("yes", "no"):
            assert found == row.contrast_truth.split(" ")[0], row.path
        if row.contrast_visible:
            assert found in (row.contrast_visible, "unknown"), row.path


def test_from_series_equals_from_dicom(tmp_path: Path, real_data: Path) -> None:
    from radnet3d.dicom.extract import extract_series

    folder = real_data / "real" / "mr_position"
    tables.write_table(extract_series(folder, n_processes=1).series, tmp_path / "series.parquet", tables.SERIES)
    assert run("from-series", tmp_path / "series.parquet", tmp_path / "a.parquet").exit_code == 0
    assert run("from-dicom", folder, tmp_path / "b.parquet").exit_code == 0
    a, b = (tables.read_table(tmp_path / name, tables.LABELS) for name in ("a.parquet", "b.parquet"))
    pd.testing.assert_frame_equal(a, b)
    assert set(a["sequence"]) == {"T1"}
    assert set(a["plane"]) == {"sagittal"}
    assert (a["n_slices"] > 0).all()


def test_from_dicom_says_what_it_left_out(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.dcm").write_text("no DICOM", encoding="utf-8")
    result = run("from-dicom", tmp_path / "in", tmp_path / "labels.parquet")
    assert result.exit_code == 0, result.exception
    excluded = tables.read_table(tmp_path / "labels_excluded.csv", tables.EXCLUDED)
    assert excluded[["path", "reason"]].to_numpy().tolist() == [["notes.dcm", "not_dicom"]]


def test_plan_of_the_phantom_leaves_its_subjects_human(tmp_path: Path) -> None:
    text = {**dict.fromkeys(tables.HEADER_TEXT, ""), "Modality": "CT", "PatientSex": "F", "geometry": "regular"}
    others = {name: 0 for name in tables.SERIES.columns if name not in (*text, "orientation_plane")}
    series = [{**text, **others, "orientation_plane": "axial", "SeriesInstanceUID": uid} for uid in ("2", "1")]
    plan = {**dict.fromkeys(tables.PLAN.columns, "0"), "SeriesInstanceUID": "1", "shard": "000",
            "collection_id": COLLECTION_ID}  # fmt: skip
    tables.write_table(tables.rows_table([plan], tables.PLAN), tmp_path / "plan.parquet", tables.PLAN)
    for rows in (series, []):
        tables.write_table(tables.rows_table(rows, tables.SERIES), tmp_path / "series.parquet", tables.SERIES)
        arguments = (tmp_path / "series.parquet", tmp_path / "labels.parquet", "--plan", tmp_path / "plan.parquet")
        result = run("from-series", *arguments)
        assert result.exit_code == 0, result.exception
        labels = tables.read_table(tmp_path / "labels.parquet", tables.LABELS)
        assert labels["collection_id"].tolist() == ["", COLLECTION_ID][: len(rows)]
        assert labels["subject"].tolist() == ["human", "human"][: len(rows)]


@pytest.mark.slow
def test_whole_index_is_labelled_in_order(tmp_path: Path) -> None:
    from radnet3d.labels.series import idc_index_path

    assert run("from-catalogue", "idc-index", tmp_path / "index.parquet").exit_code == 0
    found = pd.read_parquet(tmp_path / "index.parquet", columns=["SeriesInstanceUID", "contrast", "Modality"])
    index = pd.read_parquet(idc_index_path(), columns=["SeriesInstanceUID"])
    assert (found["SeriesInstanceUID"].to_numpy() == index["SeriesInstanceUID"].to_numpy()).all()
    assert (found.loc[found["Modality"] == "PT", "contrast"] == "na").all()
