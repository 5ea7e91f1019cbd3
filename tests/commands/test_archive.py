"""`radnet3d archive ...` on a small archive."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from click.testing import CliRunner, Result

from radnet3d.cli import radnet3d
from radnet3d.errors import ArchiveError, LiverCaseError, OutputError
from radnet3d.params import Params, load_params
from radnet3d.tables import ATTRIBUTION, FETCHED, LIVER_CASES, PLAN, PLAN_SUMMARY, TRUTH, read_table, write_table


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
            "fetch", str(tmp_path / "plan.parquet"), str(tmp_path / shard), str(tmp_path / f"fetched/{shard}.csv"),
            "--shard", shard, "--settings", settings,
        )  # fmt: skip
        assert done.exit_code == 0, done.output
        assert (tmp_path / shard).is_dir()  # even when no series belongs to it
        fetched = read_table(tmp_path / f"fetched/{shard}.csv", FETCHED)
        assert fetched["SeriesInstanceUID"].tolist() == plan.loc[plan["shard"] == shard, "SeriesInstanceUID"].tolist()
    for row in plan.itertuples():
        folder = tmp_path / str(row.shard) / str(row.PatientID) / str(row.SeriesInstanceUID)
        assert len([p for p in folder.iterdir() if p.suffix not in (".db", ".txt")]) == row.n_instances


def test_a_plan_is_shown_before_a_byte_moves_and_accounted_for_afterwards(params: Params, tmp_path: Path) -> None:
    said = run("plan", str(tmp_path), "--settings", archive_json(params))
    assert "2 series of 1 patients" in said.output and "GB are free" in said.output
    assert read_table(tmp_path / "summary.csv", PLAN_SUMMARY)["n_series"].iloc[0] == 2
    plan = read_table(tmp_path / "plan.parquet", PLAN)
    tables = []
    for n, reason in enumerate(["", "not_found"]):
        rows = plan.iloc[[n]][["SeriesInstanceUID", "PatientID", "collection_id"]]
        tables.append(tmp_path / f"{n}.csv")
        write_table(rows.assign(n_files=1, n_bytes=7, reason=reason, detail=""), tables[-1], FETCHED)
    done = run(
        "attribution", str(tmp_path / "plan.parquet"), str(tmp_path / "out"), *map(str, tables), "--source", "phantom"
    )
    assert done.exit_code == 0, done.output
    used = read_table(tmp_path / "out/attribution.csv", ATTRIBUTION)
    assert used["n_bytes"].tolist() == [7] and used["licence_url"].str.endswith("/zero/1.0/").all()
    assert read_table(tmp_path / "out/missing.csv", FETCHED)["reason"].tolist() == ["not_found"]
    assert "nothing to cite" in (tmp_path / "out/attribution.md").read_text()


def test_truth_is_not_where_the_labels_look(params: Params, tmp_path: Path) -> None:
    run("plan", str(tmp_path), "--settings", archive_json(params))
    plan = pd.read_parquet(tmp_path / "plan.parquet")
    assert not {"sequence", "contrast", "plane", "regions", "lie"} & set(plan.columns)


def test_wrong_shard_and_unknown_settings(params: Params, tmp_path: Path) -> None:
    settings = archive_json(params)
    run("plan", str(tmp_path), "--settings", settings)
    assert (
        run(
            "fetch",
            str(tmp_path / "plan.parquet"),
            str(tmp_path / "x"),
            str(tmp_path / "x.csv"),
            "--shard",
            "003",
            "--settings",
            settings,
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


def test_spacings_of_a_lits_folder_reach_the_importer(params: Params, tmp_path: Path) -> None:
    lits, raw = tmp_path / "lits", tmp_path / "raw"
    (lits / "batch").mkdir(parents=True)
    volume = np.full((6, 8, 10), -1000, np.int16)
    volume[:, 2:6, 2:8] = 100
    for kind, array in (("volume", volume), ("segmentation", (volume > 0).astype(np.uint8))):
        image = sitk.GetImageFromArray(array)
        image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))  # what ITK makes of an identity affine
        sitk.WriteImage(image, str(lits / "batch" / f"{kind}-28.nii"))
    settings = json.dumps(params.liver.model_dump(mode="json") | {"source": "lits", "lits": {"dir": str(lits)}})
    importing = ["liver", "import", str(raw), str(tmp_path / "cases")]
    for place in (lits / "batch", lits):
        assert run("fetch-liver", str(raw), "--settings", settings).exit_code == 0
        refused = CliRunner().invoke(radnet3d, importing)
        assert isinstance(refused.exception, LiverCaseError)
        assert f"write it into {lits / 'batch' / 'spacings.csv'} " in str(refused.exception)
        (place / "spacings.csv").write_text("case_id,z_mm,y_mm,x_mm\n28,2.5,0.9,0.8\n")
        if place == lits:  # beside a volume it is found at once, above it once linked
            assert run("fetch-liver", str(raw), "--settings", settings).exit_code == 0
        done = CliRunner().invoke(radnet3d, importing)
        assert done.exit_code == 0, done.output
        assert read_table(tmp_path / "cases/cases.parquet", LIVER_CASES)["spacing_zyx_mm"].tolist() == ["2.5,0.9,0.8"]
        if place != lits:
            (place / "spacings.csv").unlink()
    refused = run("fetch-liver", str(lits / "batch"), "--settings", settings)  # onto the user's own files
    assert isinstance(refused.exception, OutputError)
    assert not any(path.is_symlink() for path in lits.rglob("*"))
