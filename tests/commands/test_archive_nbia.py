"""`radnet3d archive plan` and `fetch` of real DICOM over NBIA, on to labels and volumes."""

import json
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from radnet3d.archive import transfer
from radnet3d.cli import radnet3d
from radnet3d.errors import ArchiveError
from radnet3d.params import load_params
from radnet3d.tables import FETCHED, read_table
from support.nbia_server import NbiaServer, read_series

FOLDERS = {
    "mr_epi_ge/mr_0004_firstvol": "Head Test",
    "dicom2nifti_small/ge_anatomical_001": "Head Test",
    "mr_oblique_toshiba/7006_DTI_ortho_b0": "NLST",
}
"""Real series, each with the collection it is served in: NLST is asked of its own host."""


@pytest.fixture
def servers(real_data: Path) -> Iterator[tuple[NbiaServer, NbiaServer]]:
    series = [read_series(real_data / "real" / folder, name) for folder, name in FOLDERS.items()]
    with NbiaServer(series[:2]) as tcia, NbiaServer(series[2:]) as nlst:
        yield tcia, nlst


@pytest.fixture
def settings(servers: tuple[NbiaServer, NbiaServer], repository: Path) -> str:
    content: dict[str, Any] = load_params(repository / "tests" / "params.tiny.yaml").archive.model_dump(mode="json")
    content |= {"source": "nbia", "nbia": {"url": servers[0].url, "nlst_url": servers[1].url}}
    content["choice"] |= {"collections": ["Head Test", "NLST"], "modalities": ["MR"], "n_series_max": None}
    content["choice"] |= {"n_series_per_patient_max": 6, "labels": {"kind": ["volume", "unknown"]}}
    return json.dumps(content)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(radnet3d, [str(argument) for argument in arguments])


def test_real_series_arrive_as_labels_and_volumes(
    servers: tuple[NbiaServer, NbiaServer],
    settings: str,
    real_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transfer, "pause", lambda seconds: None)
    names = [series.row["SeriesInstanceUID"] for server in servers for series in server.series]
    planned = run("archive", "plan", tmp_path, "--settings", settings)
    assert planned.exit_code == 0, planned.output
    assert "head_test" in planned.stdout and "nlst" in planned.stdout and "CC BY 3.0" in planned.stdout
    assert sum(servers[0].requests[name] + servers[1].requests[name] for name in names) == 0  # before a byte moves
    servers[0].fail(names[0], "429", "truncated")
    raw = tmp_path / "raw"
    done = run("archive", "fetch", tmp_path / "plan.parquet", raw, tmp_path / "fetched.csv", "--settings", settings)
    assert done.exit_code == 0, done.output
    assert set(read_table(tmp_path / "fetched.csv", FETCHED)["reason"]) == {""}
    plan = pd.read_parquet(tmp_path / "plan.parquet").set_index("SeriesInstanceUID")
    for folder, name in zip(FOLDERS, names, strict=True):
        fetched = sorted((raw / plan.loc[name, "PatientID"] / name).glob("*.dcm"))
        source = sorted((real_data / "real" / folder).iterdir())
        assert [path.read_bytes() for path in fetched] == [path.read_bytes() for path in source]
    assert run("labels", "from-dicom", raw, tmp_path / "labels.parquet").exit_code == 0
    labels = pd.read_parquet(tmp_path / "labels.parquet").set_index("SeriesInstanceUID")
    assert sorted(labels.index) == sorted(names) and set(labels["Modality"]) == {"MR"}
    assert run("volumes", "resample", raw, tmp_path / "volumes").exit_code == 0
    volumes = pd.read_parquet(tmp_path / "volumes" / "volumes.parquet")
    assert set(volumes["SeriesInstanceUID"]) == set(names)


def test_too_few_series_is_an_error_that_keeps_the_rest(
    servers: tuple[NbiaServer, NbiaServer], settings: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "pause", lambda seconds: None)
    name = servers[1].series[0].row["SeriesInstanceUID"]
    servers[1].fail(name, then=repeat("traversal"))
    run("archive", "plan", tmp_path, "--settings", settings)
    fetching = ("archive", "fetch", tmp_path / "plan.parquet", tmp_path / "raw", tmp_path / "fetched.csv")
    failed = run(*fetching, "--settings", settings)
    assert failed.exit_code == 1 and isinstance(failed.exception, ArchiveError)
    assert "1 of 3 series could not be fetched (1 unsafe_archive)" in str(failed.exception)
    assert f"the first is {name}: entry '../../evil.dcm' is not a plain file name" in str(failed.exception)
    assert sorted(read_table(tmp_path / "fetched.csv", FETCHED)["reason"]) == ["", "", "unsafe_archive"]
    assert not [*tmp_path.rglob("evil*"), *tmp_path.parent.glob("evil*")]
    servers[1].fail(name)
    servers[0].requests.clear()
    assert run(*fetching, "--settings", settings).exit_code == 0
    assert not servers[0].requests  # what arrived the first time is not asked for again
