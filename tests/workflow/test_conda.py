"""`--use-conda`: each rule runs with its own environment's packages and no others, made from envs/*.yaml."""

import shutil
from pathlib import Path

import pytest

from support.conda_command import install
from support.tiny_run import make_folder, run

pytestmark = [pytest.mark.slow, pytest.mark.extra]


TARGETS = ("results/pretrain/split.csv", "results/figures/contact_sheet.png")
"""Need rules of all three environments; that each environment has what its rules import, a consistency test says."""


def test_every_environment_can_be_made_and_runs_its_rules(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "project")
    path = None if shutil.which("conda") else install(tmp_path / "conda")
    done = run(folder, "snakemake", "--cores", "2", "--use-conda", *TARGETS, path=path)
    assert done.returncode == 0, done.stdout[-6000:]
    assert len(list((folder / ".snakemake/conda").glob("*_.yaml"))) == 3
    again = run(folder, "snakemake", "--cores", "2", *TARGETS)
    assert "Nothing to be done" in again.stdout
