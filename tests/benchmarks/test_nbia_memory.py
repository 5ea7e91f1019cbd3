"""Memory of one series fetched over NBIA, while the zip grows: `pytest tests/benchmarks -m slow -s` prints MB and seconds."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from radnet3d.params import load_params
from support.dicom_series import write_series
from support.nbia_server import NbiaServer, read_series

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")]

# VmHWM and not ru_maxrss, which a process starts with its parent's: getrusage(2)
FETCH = """
import json, re, sys, time
from pathlib import Path
from radnet3d.archive.nbia import NbiaSource
from radnet3d.archive.nbia_catalogue import NbiaCatalogue
from radnet3d.params import Archive

archive, folder = Archive.model_validate_json(sys.argv[1]), Path(sys.argv[2])
plan, _ = NbiaCatalogue(archive).plan(folder)
started = time.perf_counter()
fetched = NbiaSource(archive).fetch(plan, folder, folder / "raw", 1)
seconds = time.perf_counter() - started
peak_mb = int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1000
print(json.dumps({"mb": float(fetched["n_bytes"].sum() / 1e6), "seconds": seconds, "peak_mb": peak_mb, "reason": fetched["reason"][0]}))
"""


def fetched(n_slices: int, repository: Path, folder: Path) -> dict[str, Any]:
    """Return how a series of `n_slices` times half a megabyte was fetched by a process of its own."""
    noise = np.random.default_rng(0).integers(-1000, 1000, (n_slices, 512, 512), np.int16)
    write_series(folder / "served", [float(z) for z in range(n_slices)], noise)
    content = load_params(repository / "tests" / "params.tiny.yaml").archive.model_dump(mode="json")
    with NbiaServer([read_series(folder / "served", "Lung Test")]) as server:
        content |= {"source": "nbia", "nbia": {"url": server.url, "nlst_url": server.url}}
        content["choice"] |= {"collections": ["Lung Test"], "labels": {}}
        content["transfer"] |= {"timeout_s": 60}
        done = subprocess.run(
            [sys.executable, "-c", FETCH, json.dumps(content), str(folder / "out")],
            capture_output=True, text=True, check=True, cwd=repository / "workflow" / "lib",
        )  # fmt: skip
    return json.loads(done.stdout)


def test_memory_stays_flat_while_the_zip_grows(repository: Path, tmp_path: Path) -> None:
    small, large = (fetched(n, repository, tmp_path / str(n)) for n in (20, 600))
    for run in (small, large):
        print(f"\n{run['mb']:.0f} MB in {run['seconds']:.1f} s, peak {run['peak_mb']:.0f} MB resident", end="")
        assert run["reason"] == ""
    assert large["mb"] - small["mb"] > 250
    assert large["peak_mb"] - small["peak_mb"] < 25
