"""What Snakemake needs to read the workflow: `pytest tests/benchmarks -m slow -s` prints seconds."""

import time
from pathlib import Path

import pytest
import yaml

from support.tiny_run import make_folder, planned

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("n_shards", [8, 256])
def test_dry_run(tmp_path: Path, repository: Path, n_shards: int) -> None:
    folder = make_folder(tmp_path / "project")
    params = yaml.safe_load((repository / "params.yaml").read_text())
    params["archive"]["n_shards"] = n_shards
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    started = time.perf_counter()
    jobs = planned(folder)
    print(f"\nsnakemake --dry-run, {n_shards} shards, {sum(jobs.values())} jobs: {time.perf_counter() - started:.1f} s")
    assert jobs["fetch_series"] == n_shards
