"""`radnet3d archive ...` on a small archive."""

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from radnet3d.cli import radnet3d
from radnet3d.errors import ArchiveError
from radnet3d.params import Params, load_params
from radnet3d.tables import PLAN, TRUTH, read_table


@pytest.fixture
def params(repository: Path) -> Params:
    return load_params(repository / "params.yaml")


def archive_json(params: Params, **changes: object) -> str:
    content = params.archive.model_dump(mode="json")
    content["n_shards"] = 3
    content["phantom"] |= {"n_patients": 1, "n_series_per_patient": [2, 2]}
    return json.dumps(content | changes)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(radnet3d, ["archive", *arguments])


def test_plan_then_fetch_every_shard(params: Params, tmp_path: Path) -> None:
    settings = archive_json(params)
    assert run("plan", str(tmp_path), "--settings", settings).exit_code == 0
    plan = read_table(tmp_path / "plan.parquet", PLAN)
    assert len(read_table(tmp_path / "truth.parquet", TRUTH)) == len(plan) == 2
    for shard in ("000", "001", "002"):
        done = run(
            "fetch", str(tmp_path / "plan.parquet"), str(tmp_path / shard), "--shard", shard, "--settings", settings
        )
        assert done.exit_code == 0, done.output
        assert (tmp_path / shard).is_dir()  # even when no series belongs to it
    for row in plan.itertuples():
        folder = tmp_path / str(row.shard) / str(row.PatientID) / str(row.SeriesInstanceUID)
        assert len([p for p in folder.iterdir() if p.suffix not in (".db", ".txt")]) == row.n_instances


def test_truth_is_not_where_the_labels_look(params: Params, tmp_path: Path) -> None:
    run("plan", str(tmp_path), "--settings", archive_json(params))
    plan = pd.read_parquet(tmp_path / "plan.parquet")
    assert not {"sequence", "contrast", "plane", "regions", "lie"} & set(plan.columns)


def test_wrong_shard_and_unknown_settings(params: Params, tmp_path: Path) -> None:
    settings = archive_json(params)
    run("plan", str(tmp_path), "--settings", settings)
    assert (
        run(
            "fetch", str(tmp_path / "plan.parquet"), str(tmp_path / "x"), "--shard", "003", "--settings", settings
        ).exit_code
        == 2
    )
    bad = run("plan", str(tmp_path), "--settings", json.dumps({"source": "phantom"}))
    assert bad.exit_code == 1 and "n_shards" in str(bad.exception)


def test_empty_folder_is_named(params: Params, tmp_path: Path) -> None:
    settings = archive_json(params, source="folder", folder={"dir": str(tmp_path / "nothing")})
    result = run("plan", str(tmp_path), "--settings", settings)
    assert isinstance(result.exception, ArchiveError) and "nothing" in str(result.exception)


def test_fetch_liver(params: Params, tmp_path: Path) -> None:
    content = params.liver.model_dump(mode="json")
    content["phantom"]["n_cases"] = 2
    assert run("fetch-liver", str(tmp_path), "--settings", json.dumps(content)).exit_code == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "segmentation-0.nii", "segmentation-1.nii", "volume-0.nii", "volume-1.nii",
    ]  # fmt: skip
    content["source"], content["lits"] = "lits", {"dir": str(tmp_path / "absent")}
    result = run("fetch-liver", str(tmp_path / "out"), "--settings", json.dumps(content))
    assert isinstance(result.exception, ArchiveError) and "absent" in str(result.exception)
