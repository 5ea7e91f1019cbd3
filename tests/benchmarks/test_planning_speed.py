"""How long a plan over the whole index takes on one core: `pytest tests/benchmarks -m slow -s` prints seconds and memory."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from radnet3d.params import load_params

pytestmark = pytest.mark.slow


def test_plan_over_the_whole_index(tmp_path: Path, repository: Path) -> None:
    """CPU seconds of the whole command, imports and writing included: others may share the cores."""
    pytest.importorskip("idc_index_data")
    settings = load_params(repository / "workflow/presets/paper.yaml").archive.model_dump(mode="json")
    settings["choice"] |= {"collections": [], "modalities": ["CT", "MR", "PT"]}
    assert (
        settings["choice"]["labels"].keys() == {"subject", "kind"}
        and settings["choice"]["balance"]["head"] == "sequence"
    )
    command = [sys.executable, "workflow/lib", "archive", "plan", str(tmp_path), "--settings", json.dumps(settings)]
    one_thread = os.environ | {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=repository, env=one_thread, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"\narchive plan over the whole index: {seconds:.1f} s of one core, {after.ru_maxrss / 1e3:.0f} MB at most")
    print(done.stdout)
    assert "series of" in done.stdout
