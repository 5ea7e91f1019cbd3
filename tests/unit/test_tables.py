"""Tables are checked on write and on read, and written as a whole or not at all."""

from pathlib import Path

import pandas as pd
import pandera.pandas as pa
import pytest

import radnet3d.tables
from radnet3d.atomic import MARKER, SNAKEMAKE_NOTE, output_directory, replacing, resumable_directory
from radnet3d.errors import OutputError, TableError
from radnet3d.tables import EXCLUDED, PATIENT_SPLIT, PLAN, RUN_CASES, empty_table, read_table, write_table

SCHEMAS = [value for value in vars(radnet3d.tables).values() if isinstance(value, pa.DataFrameSchema)]


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: str(schema.name))
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_empty_round_trip(tmp_path: Path, schema: pa.DataFrameSchema, suffix: str) -> None:
    path = tmp_path / f"table{suffix}"
    write_table(empty_table(schema), path, schema)
    assert list(read_table(path, schema).columns) == list(schema.columns)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_text_stays_text(tmp_path: Path, suffix: str) -> None:
    frame = pd.DataFrame({"PatientID": ["007", "NA", ""], "split": ["train", "test", "train"]})
    write_table(frame, tmp_path / f"split{suffix}", PATIENT_SPLIT)
    assert read_table(tmp_path / f"split{suffix}", PATIENT_SPLIT)["PatientID"].tolist() == ["007", "NA", ""]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_carriage_returns_and_quotes_survive(tmp_path: Path, suffix: str) -> None:
    ids = ["Icon\r", "a\r\nb", 'c"\td,e', "f", "\r", ""]
    frame = pd.DataFrame({"run_id": "x\ry", "case_id": ids, "is_empty": [True, False] * 3})
    numbers = [name for name in RUN_CASES.columns if name not in frame]
    frame = frame.assign(**{name: [1.5, float("nan"), 3, 4, 5, 6] for name in numbers})
    write_table(frame, tmp_path / f"cases{suffix}", RUN_CASES)
    read = read_table(tmp_path / f"cases{suffix}", RUN_CASES)
    pd.testing.assert_frame_equal(read[list(frame)], frame, check_dtype=False)


def test_texts_are_quoted_only_where_they_must_be(tmp_path: Path) -> None:
    frame = pd.DataFrame({"PatientID": ["1"], "split": ["train"]})
    write_table(frame, tmp_path / "split.csv", PATIENT_SPLIT)
    assert (tmp_path / "split.csv").read_bytes() == b"PatientID,split\n1,train\n"


DAMAGED = {
    "text.parquet": b"no table", "empty.parquet": b"", "empty.csv": b"", "blank.csv": b"\n\n", "binary.csv": bytes(range(256)),
    "latin.csv": "PatientID,split\nJosé,train\n".encode("latin-1"), "open.tsv": b'PatientID\tsplit\n"1\ttrain\n',
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_unreadable_file_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(DAMAGED[name])
    with pytest.raises(TableError, match=rf"{name}: not readable as the table 'patient_split': "):
        read_table(tmp_path / name, PATIENT_SPLIT)


def test_faults_name_file_column_and_value(tmp_path: Path) -> None:
    path = tmp_path / "excluded.csv"
    with pytest.raises(TableError, match=r"excluded.csv: .*lacks the columns \['reason', 'detail'\]"):
        write_table(pd.DataFrame({"path": ["a"], "SeriesInstanceUID": ["1"]}), path, EXCLUDED)
    wrong = pd.DataFrame({"path": ["a"], "SeriesInstanceUID": ["1"], "reason": ["bored"], "detail": [""]})
    with pytest.raises(TableError, match="reason: isin.*found 'bored'"):
        write_table(wrong, path, EXCLUDED)
    assert not list(tmp_path.iterdir())
    with pytest.raises(TableError, match="no such file, wanted the table 'excluded'"):
        read_table(path, EXCLUDED)


def test_key_is_unique(tmp_path: Path) -> None:
    frame = pd.DataFrame({"PatientID": ["1", "1"], "split": ["train", "test"]})
    with pytest.raises(TableError, match="patient_split"):
        write_table(frame, tmp_path / "split.csv", PATIENT_SPLIT)


def test_numbers_may_be_missing_but_counts_may_not(tmp_path: Path) -> None:
    plan = empty_table(PLAN)
    plan.loc[0] = dict.fromkeys(PLAN.columns, "x") | {"shard": "001", "n_instances": -1, "n_bytes": 1}
    with pytest.raises(TableError, match="n_instances"):
        write_table(plan, tmp_path / "plan.csv", PLAN)


def test_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(OSError, match="full"), replacing(path) as temporary:
        temporary.write_text("ne")
        raise OSError("disk full")
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["a.txt"]


def test_resumable_directory_keeps_what_was_finished(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt), resumable_directory(out) as partial:
        (partial / "first").write_text("1")
        raise KeyboardInterrupt
    assert not out.exists()
    with resumable_directory(out) as partial:
        assert (partial / "first").read_text() == "1"
        (partial / "second").write_text("2")
    assert sorted(found.name for found in out.iterdir()) == ["first", "second"]
    assert not out.with_name("out.partial").exists()


def write_output(out: Path, *inputs: Path) -> None:
    with output_directory(out, inputs=inputs) as partial:
        (partial / "a").write_text("a")


def test_only_its_own_or_an_empty_folder_is_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / SNAKEMAKE_NOTE).touch()
    for _ in range(2):
        write_output(out)
        assert sorted(path.name for path in out.iterdir()) == [MARKER, "a"]
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "thesis.txt").write_text("years")
    with pytest.raises(OutputError, match="theirs: not empty and not made by radnet3d, wanted a new folder"):
        write_output(theirs)
    with pytest.raises(OutputError, match="a file, wanted a new folder"):
        write_output(theirs / "thesis.txt")
    assert (theirs / "thesis.txt").read_text() == "years" and not (tmp_path / "theirs.partial").exists()


def test_an_input_is_never_replaced_and_late_files_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_output(tmp_path / "out")  # its own, and yet
    (tmp_path / "out/dicom").symlink_to(tmp_path)
    for inside in (tmp_path / "out", tmp_path / "out/dicom", tmp_path / "out/dicom/out/a"):
        with pytest.raises(OutputError, match=f"out: holds the input {inside}, wanted a folder of its own"):
            write_output(tmp_path / "out", inside)
    with pytest.raises(OutputError, match="not empty"), output_directory(tmp_path / "late"):
        (tmp_path / "late").mkdir()
        (tmp_path / "late/b").touch()
    assert (tmp_path / "late/b").exists()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="not empty"):
        write_output(Path())
    (tmp_path / "new").mkdir()
    monkeypatch.chdir(tmp_path / "new")
    write_output(Path())
    assert (tmp_path / "new/a").exists()
