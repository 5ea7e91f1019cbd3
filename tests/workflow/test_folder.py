"""The source `folder` in the graph: what happens to the user's files is noticed, and that they are away is no reason to work."""

import shutil
from pathlib import Path

import pytest
import yaml
from pydicom.data import get_testdata_file

from radnet3d.tables import FETCHED, read_table
from support.tiny_run import make_folder, planned, snakemake

pytestmark = pytest.mark.slow

TARGETS = ["--", "results/raw/fetched/000.csv"]


def test_a_file_more_or_less_is_noticed(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "project")
    source = tmp_path / "mine"
    source.mkdir()
    shutil.copy(get_testdata_file("CT_small.dcm"), source / "one")
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["archive"] |= {"source": "folder", "n_shards": 1, "folder": {"dir": str(source)}}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    snakemake(folder, *TARGETS)
    assert read_table(folder / "results/raw/fetched/000.csv", FETCHED)["n_files"].tolist() == [1]
    source.rename(tmp_path / "unmounted")
    assert planned(folder, *TARGETS) == {}
    (tmp_path / "unmounted").rename(source)
    shutil.copy(get_testdata_file("MR_small.dcm"), source / "two")
    assert planned(folder, *TARGETS) == {"plan_archive": 1, "fetch_series": 1}
