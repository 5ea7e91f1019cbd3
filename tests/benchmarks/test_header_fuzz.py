"""Broken files by the hundred thousand, fast reader against pydicom: `pytest tests/benchmarks/test_header_fuzz.py -s`.

RADNET3D_FUZZ_CASES says how many (default 20000), RADNET3D_FUZZ_SEED which; a failure prints the smallest file found.
"""

import logging
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from support.header_differences import Differences, mutations
from support.mutations import Mutation, bundled, generated, real

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::UserWarning")]
N_CASES = int(os.environ.get("RADNET3D_FUZZ_CASES", "20000"))
SEED = int(os.environ.get("RADNET3D_FUZZ_SEED", "0"))
BATCH = 5000  # hypothesis remembers every case of a run


def test_broken_files(tmp_path: Path, real_data: Path) -> None:
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # it says of each file what is odd about it
    files = [*generated(), *bundled(), *real(real_data / "real")]
    compared = Differences(files, tmp_path / "file")
    for content in compared.files:
        compared.check(content)
    print(f"\nas they are: {compared}")

    few = settings(max_examples=BATCH, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    for batch in range(-(-N_CASES // BATCH)):

        @seed(SEED + batch)
        @few
        @given(st.integers(0, len(files) - 1), mutations())
        def same_or_none(index: int, changes: list[Mutation]) -> None:
            compared.check_mutated(index, changes)

        same_or_none()
        print(compared, flush=True)
    assert compared.n_answered > 0.1 * compared.n_compared
