"""Headers a second, and memory over a hundred thousand files: `pytest tests/benchmarks/test_header_speed.py -m slow -s`.

Warm cache, one process, readers in turn over the same files, medians of CPU time: others share the machine.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest

from radnet3d.archive.phantom.archive import PhantomSource
from radnet3d.archive.phantom.series import write_series
from radnet3d.dicom.headers import find_files, read_header, read_with_pydicom
from radnet3d.dicom.plain import PlainReader
from radnet3d.dicom.slices import read_slices
from radnet3d.dicom.values import header_values, lenient
from radnet3d.dicom.walker import WINDOW
from support.dicom_series import image

pytestmark = pytest.mark.slow
N_ROUNDS = 9
REAL = ("liver/chaos_ct_set3/dicom", "ct_single_slices_nysbu", "mr_oblique_toshiba", "mr_mosaic_orientation")


def phantom_slices(folder: Path) -> Path:
    """Write a few series of digital patients, each slice padded to 512 x 512 pixels."""
    settings = SimpleNamespace(seed=2026, n_patients=2, n_series_per_patient=(3, 5), difficulty=1.0)
    source = PhantomSource(SimpleNamespace(phantom=settings, n_shards=1))
    for patient in range(2):
        for number, series in enumerate(source.patient_series(patient)):
            (folder / f"{patient}/{number}").mkdir(parents=True)
            write_series(series, folder / f"{patient}/{number}")
    for path in find_files(folder):
        header = pydicom.dcmread(path)
        header.Rows = header.Columns = 512
        header.PixelData = bytes(512 * 512 * 2)
        header.save_as(path)
    return folder


def dcmread(path: Path) -> object:
    """Read the same values as the package does, from a header read with pydicom's `stop_before_pixels`."""
    header = pydicom.dcmread(path, stop_before_pixels=True)
    return header_values(header), read_slices(header, path.name)


def touch(path: Path) -> object:
    """Open a file and read as much of it as the fast reader does: no reader can be faster."""
    file = os.open(path, os.O_RDONLY)
    try:
        return os.read(file, WINDOW)
    finally:
        os.close(file)


def microseconds(readers: dict[str, Callable[[Path], object]], paths: list[Path]) -> dict[str, float]:
    """Return the median CPU time a file of each reader; each takes its turn in every round, after a first one."""
    rounds: dict[str, list[float]] = {name: [] for name in readers}
    for number in range(N_ROUNDS + 1):
        for name, reader in readers.items():
            started = time.process_time()
            for path in paths:
                reader(path)
            if number:
                rounds[name].append(time.process_time() - started)
    return {name: statistics.median(times) / len(paths) * 1e6 for name, times in rounds.items()}


def report(name: str, root: Path) -> float:
    plain = PlainReader()
    paths = [path for path in find_files(root) if pydicom.misc.is_dicom(path)]
    n_fast = sum(plain.read(str(path), path.name) is not None for path in paths)
    with lenient():
        times = microseconds(
            {
                "dcmread": dcmread,
                "read_with_pydicom": lambda path: read_with_pydicom(path, path.name),
                "read_header": lambda path: read_header(root, path),
                "open and read": touch,
            },
            paths,
        )
    ratio = times["dcmread"] / times["read_header"]
    said = ", ".join(f"{reader} {time_us:.0f} us" for reader, time_us in times.items())
    print(f"\n{name}: {len(paths)} files, {n_fast} read fast; {said}; {ratio:.1f} x dcmread")
    return ratio


def test_speed_on_slices_of_digital_patients(tmp_path: Path) -> None:
    assert report("digital patients, 512 x 512", phantom_slices(tmp_path / "phantom")) > 8


@pytest.mark.parametrize("folder", REAL)
def test_speed_on_real_slices(real_data: Path, folder: str) -> None:
    assert report(folder, real_data / "real" / folder) > 1


SCRIPT = """
import resource, sys
from pathlib import Path
from radnet3d.dicom.extract import extract_series, read_headers
folder, what = Path(sys.argv[1]), sys.argv[2]
n_files = len(extract_series(folder, n_processes=1).files) if what == "extract" else 0
n_files = n_files or sum(1 for _ in read_headers(folder, n_processes=1))
print(n_files, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def peak_mb(repository: Path, folder: Path, what: str) -> tuple[int, float]:
    """Return how many files a process of its own read, and its largest resident memory."""
    environment = {**os.environ, "PYTHONPATH": str(repository / "workflow/lib")}
    command = [sys.executable, "-c", SCRIPT, str(folder), what]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    n_files, megabytes = done.stdout.split()
    return int(n_files), float(megabytes)


def many_files(folder: Path, n_files: int) -> Path:
    """Write small files of 100 slices a series, each with UIDs and a position of its own."""
    values = {"SeriesInstanceUID": "1.2.3.11111111", "SOPInstanceUID": "1.2.4.22222222", "InstanceNumber": 333333,
              "AcquisitionTime": "444444.0", "ImagePositionPatient": [0, 0, 555555]}  # fmt: skip
    path = folder / "template"
    folder.mkdir()
    image(np.zeros((6, 8), np.int16), **values).save_as(path, enforce_file_format=True)
    template = path.read_bytes()
    path.unlink()
    for number in range(n_files):
        content = template.replace(b"11111111", b"%08d" % (10_000_000 + number // 100))
        content = content.replace(b"22222222", b"%08d" % (10_000_000 + number)).replace(b"333333", b"%06d" % number)
        content = content.replace(b"444444", b"%06d" % number).replace(b"555555", b"%06d" % number)
        if number % 1000 == 0:
            (folder / f"{number // 1000:03d}").mkdir()
        (folder / f"{number // 1000:03d}/{number:06d}.dcm").write_bytes(content)
    return folder


def test_memory_over_a_hundred_thousand_files(tmp_path: Path, repository: Path) -> None:
    few, many = many_files(tmp_path / "few", 10_000), many_files(tmp_path / "many", 100_000)
    for what in ("read", "extract"):
        (n_few, few_mb), (n_many, many_mb) = peak_mb(repository, few, what), peak_mb(repository, many, what)
        more = (many_mb - few_mb) / (n_many - n_few) * 1e6
        print(f"\n{what}: {n_few} files {few_mb:.0f} MB, {n_many} files {many_mb:.0f} MB: {more:.0f} bytes a file")
        assert more < 2500
