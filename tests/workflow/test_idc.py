"""From an index of the IDC's kind, over its buckets on loopback, to labels and volumes of real series, with what is missing."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from pydicom import dcmread

from radnet3d.params import load_params
from radnet3d.tables import ATTRIBUTION, EXCLUDED, FETCHED, LABELS, PLAN, VOLUMES, read_table
from support.s3_server import NOBODY, S3Server, s3_server, status
from support.tiny_run import make_folder, planned, run, snakemake

pytestmark = pytest.mark.slow

COLLECTIONS = {
    "mr_position/HFS_t1_fl2d_sag": ("loop_mr", "CC BY 4.0"),
    "mr_oblique_toshiba/7006_DTI_ortho_b0": ("loop_mr", "CC BY 4.0"),
    "mr_epi_ge/mr_0004_firstvol": ("loop_mr", "CC BY 4.0"),
    "dicom2nifti_failing/sliceincrement/001": ("loop_ct", "CC BY 3.0"),
    "liver/chaos_ct_set3/dicom": ("loop_ct", "CC BY 3.0"),
    "dicom2nifti_small/ge_anatomical_001": ("loop_nc", "CC BY-NC 4.0"),
}
"""Real series, and the collection and licence this test gives them."""
GONE = "1.2.826.0.1.3680043.10.1"
"""A series of the index that the bucket does not have."""


def series_uuid(name: str) -> str:
    """Return a name of the form the buckets use: 8-4-4-4-12 hexadecimal digits."""
    digits = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
    return "-".join([digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]])


def index_row(name: str, files: list[Path]) -> dict[str, Any]:
    """Return what the index says of one real series."""
    header = dcmread(files[0], stop_before_pixels=True)
    collection, licence = COLLECTIONS[name]
    texts = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "Modality", "BodyPartExamined", "SeriesDescription",
             "StudyDescription", "Manufacturer", "ManufacturerModelName", "PatientAge", "PatientSex", "SeriesDate")  # fmt: skip
    return {
        **{keyword: str(header.get(keyword, "") or "") for keyword in texts}, "collection_id": collection,
        "license_short_name": licence, "source_DOI": f"10.7937/{collection}", "aws_bucket": "idc-open-data",
        "crdc_series_uuid": series_uuid(name), "instanceCount": len(files),
        "series_size_MB": sum(path.stat().st_size for path in files) / 1e6,
    }  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running


@pytest.fixture(scope="module")
def finished(server: S3Server, real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the workflow went from the index to labels and volumes, disturbed a little."""
    folder = make_folder(tmp_path_factory.mktemp("idc") / "project")
    rows = []
    for name in COLLECTIONS:
        files = sorted(path for path in (real_data / "real" / name).rglob("*") if path.suffix in (".dcm", ".ima", ""))
        files = [path for path in files if path.is_file()]
        server.put_series(series_uuid(name), files)
        rows.append(index_row(name, files))
    rows.append(rows[0] | {"SeriesInstanceUID": GONE, "crdc_series_uuid": series_uuid("gone")})
    pd.DataFrame(rows).to_parquet(folder / "index.parquet", index=False)
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["archive"] |= {"source": "idc", "idc": {"endpoint_url": server.url, "index": "index.parquet"}}
    params["archive"]["choice"] |= {"collections": [], "modalities": ["CT", "MR"], "labels": {}}
    params["archive"]["choice"] |= {"n_series_per_patient_max": None, "n_series_max": None}
    params["archive"]["transfer"] |= {"min_fraction_fetched": 0.5, "timeout_s": 60}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    load_params(folder / "params.yaml")
    first = next(request for request in objects(server) if series_uuid("liver/chaos_ct_set3/dicom") in request)
    server.forget()
    server.faults[f"GET {first}"] = [
        status(500, "<html>Oops</html>", "text/html"),
        status(503, "busy", Retry_After="0"),
    ]
    snakemake(folder, *TARGETS)
    assert not server.faults[f"GET {first}"]
    return folder


TARGETS = [
    "results/labels/labels.parquet", "results/labels/targets.parquet", "results/volumes/000", "results/volumes/001",
    "results/raw/attribution.csv",
]  # fmt: skip


def objects(server: S3Server) -> list[str]:
    pages = server.client().get_paginator("list_objects_v2").paginate(Bucket="idc-open-data")
    return [entry["Key"] for page in pages for entry in page["Contents"]]


def test_every_permitted_series_is_fetched_once_and_the_missing_one_is_a_row(finished: Path, server: S3Server) -> None:
    plan = read_table(finished / "results/raw/plan.parquet", PLAN)
    assert sorted(plan["collection_id"]) == ["loop_ct"] * 2 + ["loop_mr"] * 4  # nothing non-commercial
    fetched = pd.concat(
        [read_table(finished / f"results/raw/fetched/{shard}.csv", FETCHED) for shard in ("000", "001")]
    )
    failed = fetched[fetched["reason"] != ""]
    assert failed[["SeriesInstanceUID", "reason"]].to_numpy().tolist() == [[GONE, "not_found"]]
    missing = pd.read_csv(finished / "results/raw/missing.csv", dtype=str)
    assert missing["SeriesInstanceUID"].tolist() == [GONE]
    got = [request for request in server.requests if request.startswith("GET")]
    assert fetched["n_files"].sum() == len(set(got)) == len(got) - 2  # two answers were none


def test_labels_are_of_the_fetched_headers_with_the_plans_collections(finished: Path) -> None:
    labels = read_table(finished / "results/labels/labels.parquet", LABELS)
    assert len(labels) == 5 and GONE not in set(labels["SeriesInstanceUID"])
    by_collection = labels.groupby("collection_id")["Modality"].agg(list)
    assert by_collection.to_dict() == {"loop_ct": ["CT", "CT"], "loop_mr": ["MR", "MR", "MR"]}
    liver = labels[labels["n_slices"] == 78].iloc[0]
    assert (liver["sequence"], liver["plane"], liver["geometry"]) == ("CT", "axial", "regular")
    sagittal = labels[labels["n_slices"] == 35].iloc[0]
    assert (sagittal["sequence"], sagittal["plane"]) == ("T1", "sagittal")


def test_volumes_are_of_the_regular_series(finished: Path) -> None:
    volumes = pd.concat(
        [read_table(finished / f"results/volumes/{n}/volumes.parquet", VOLUMES) for n in ("000", "001")]
    )
    excluded = pd.concat([read_table(finished / f"results/volumes/{n}/excluded.csv", EXCLUDED) for n in ("000", "001")])
    assert len(volumes) == 4 and all(volumes["spacing_zyx_mm"] != "")
    assert excluded["reason"].tolist() == ["missing_slice"]


def test_attribution_counts_what_was_fetched(finished: Path) -> None:
    attribution = read_table(finished / "results/raw/attribution.csv", ATTRIBUTION)
    found = attribution[["collection_id", "source_DOI", "licence", "n_series"]].to_numpy().tolist()
    assert found == [["loop_ct", "10.7937/loop_ct", "CC BY 3.0", 2], ["loop_mr", "10.7937/loop_mr", "CC BY 4.0", 3]]
    text = (finished / "results/raw/attribution.md").read_text()
    assert "https://doi.org/10.7937/loop_ct" in text and "loop_nc" not in text


def test_second_run_has_nothing_to_do_and_a_forced_one_fetches_nothing_again(finished: Path, server: S3Server) -> None:
    assert planned(finished, "--", *TARGETS) == {}
    server.forget()
    snakemake(finished, "--forcerun", "fetch_series", "--", *TARGETS[2:3])
    assert {request.split()[0] for request in server.requests} <= {"LIST"}
    assert all(series_uuid("gone") in request for request in server.requests)


def test_a_server_that_is_gone_stops_the_run_with_a_sentence(finished: Path) -> None:
    params = yaml.safe_load((finished / "params.yaml").read_text())
    params["archive"]["idc"]["endpoint_url"] = NOBODY
    params["archive"]["transfer"] |= {"min_fraction_fetched": 1.0, "n_attempts": 1}
    command = ["python", "workflow/lib", "archive", "fetch", "results/raw/plan.parquet", "again", "again.csv"]
    done = run(finished, *command, "--settings", json.dumps(params["archive"]))
    assert done.returncode == 1 and "Traceback" not in done.stdout
    last = done.stdout.strip().splitlines()[-1]
    assert last.startswith("error: again.csv: 1 of 6 series could not be fetched (1 connection_failed)")
    assert "Connection refused" in last
