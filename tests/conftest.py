"""Fixtures shared by all tests."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder that holds Snakefile and params.yaml."""
    return ROOT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Real DICOM, a real liver CT and real archive text; the test is skipped where they are absent."""
    folder = Path(os.environ.get("RADNET3D_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "real").is_dir():
        pytest.skip(f"no real data: {folder} (set RADNET3D_TEST_DATA)")
    return folder


@pytest.fixture(autouse=True)
def subnormal_numbers() -> Iterator[None]:
    """Give the next test the subnormal numbers that training in this process switched off; hypothesis wants them."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Small networks wait for their threads longer than they compute."""
    import torch

    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)
