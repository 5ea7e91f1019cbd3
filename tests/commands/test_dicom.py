"""`radnet3d dicom extract`."""

import pandas as pd
import pytest
from click.testing import CliRunner

from radnet3d.cli import radnet3d
from radnet3d.tables import EXCLUDED, FILES, SERIES, read_table
from support.dicom_series import write_series


def run(*words: object):
    return CliRunner().invoke(radnet3d, [str(word) for word in words])


def test_extract_writes_three_tables(tmp_path):
    write_series(tmp_path / "in/a", [0, 2, 4, 6])
    (tmp_path / "in/notes.txt").write_text("not an image")
    assert run("dicom", "extract", tmp_path / "in", tmp_path / "out").exit_code == 0
    series = read_table(tmp_path / "out/series.parquet", SERIES)
    assert series[["SeriesInstanceUID", "n_slices", "geometry"]].values.tolist() == [["1.2.3.4", 4, "regular"]]
    files = read_table(tmp_path / "out/files.parquet", FILES)
    assert files["path"].tolist() == [f"a/{index:03d}.dcm" for index in range(4)]
    excluded = read_table(tmp_path / "out/excluded.csv", EXCLUDED)
    assert excluded[["path", "reason"]].values.tolist() == [["notes.txt", "not_dicom"]]
    assert not (tmp_path / "out.partial").exists()


def test_a_folder_of_nothing_gives_empty_tables(tmp_path):
    (tmp_path / "in").mkdir()
    assert run("dicom", "extract", tmp_path / "in", tmp_path / "out").exit_code == 0
    assert len(read_table(tmp_path / "out/series.parquet", SERIES)) == 0


def test_the_same_folder_gives_the_same_bytes(tmp_path):
    write_series(tmp_path / "in", [0, 2, 4, 6])
    for name in ("one", "two"):
        run("dicom", "extract", tmp_path / "in", tmp_path / name)
    for name in ("series.parquet", "files.parquet", "excluded.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize("words", [["nowhere", "out"], ["in"], ["in", "out", "--threads", "0"]])
def test_wrong_usage(tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    assert run("dicom", "extract", *words).exit_code == 2


def test_labels_need_no_number_to_be_there(tmp_path):
    write_series(tmp_path / "in", [0, 2, 4, 6])
    run("dicom", "extract", tmp_path / "in", tmp_path / "out")
    series = pd.read_parquet(tmp_path / "out/series.parquet")
    assert series["EchoTime"].isna().all()
    assert (series["ContrastBolusAgent"] == "").all()
