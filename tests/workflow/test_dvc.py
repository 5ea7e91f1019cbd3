"""DVC beside Snakemake: a run of Snakemake is recorded, a clone is reproduced, a change redoes what it concerns."""

import json
import shutil
from pathlib import Path

import pytest

from support.tiny_run import clone, planned, run, snakemake

pytestmark = [pytest.mark.slow, pytest.mark.extra]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of its own in which Snakemake made everything."""
    folder = clone(tmp_path_factory.mktemp("dvc") / "project")
    snakemake(folder)
    return folder


def dvc(folder: Path, *arguments: str) -> str:
    done = run(folder, "dvc", *arguments)
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def test_repro_has_nothing_to_do_after_snakemake(recorded: Path) -> None:
    said = dvc(recorded, "repro")
    assert "Data and pipelines are up to date." in said
    assert "Running stage" not in said
    assert planned(recorded) == {}


def test_metrics_are_shown(recorded: Path) -> None:
    shown = json.loads(dvc(recorded, "metrics", "show", "--json"))
    assert shown[""]["data"]["results/transfer/metrics.json"]["data"]


def test_repository_is_clean_but_for_the_record(recorded: Path) -> None:
    status = run(recorded, "git", "status", "--porcelain").stdout.split()
    assert status == ["??", "dvc.lock", "??", "results/"]  # of results, the metrics only
    listed = run(recorded, "git", "ls-files", "--others", "--exclude-standard").stdout.split()
    assert listed == ["dvc.lock", "results/transfer/metrics.json"]


def test_results_of_other_parameters_are_not_recorded(recorded: Path) -> None:
    record = recorded / "results/pretrain/dicom_seed-0/run.json"
    before = record.read_text()
    record.write_text(before.replace('"steps": 6', '"steps": 7'))
    try:
        done = run(recorded, "workflow/record")
        assert done.returncode == 1
        assert "pretrain.steps: the run was made with 7, asked for is 6" in done.stdout
    finally:
        record.write_text(before)


def test_recorded_results_are_restored_elsewhere(recorded: Path, tmp_path: Path) -> None:
    folder = clone(tmp_path / "project")
    for name in ("dvc.lock", "results/transfer/metrics.json"):  # what a user commits
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(recorded / name, folder / name)
    assert dvc(folder, "cache", "dir", "--local", str(recorded / ".dvc/cache")) == ""
    done = run(folder, "workflow/restore")
    assert done.returncode == 0, done.stdout[-6000:]
    assert (folder / "reports/index.html").read_bytes() == (recorded / "reports/index.html").read_bytes()
    assert not (folder / "results/raw/dicom").exists()
    assert planned(folder) == {}


def test_changed_comparison_redoes_its_stage(recorded: Path) -> None:
    """Last of those that use `recorded`: its record is another one afterwards."""
    params = recorded / "params.yaml"
    before = params.read_text()
    params.write_text(before.replace("margin_dice: 0.02", "margin_dice: 0.03"))
    try:
        said = dvc(recorded, "repro", "--single-item", "transfer")
        assert "compare_inits" in said
        assert "finetune_task" not in said
    finally:
        params.write_text(before)


def test_clone_is_reproduced_stage_by_stage(tmp_path: Path) -> None:
    folder = clone(tmp_path / "project")
    dvc(folder, "repro")
    assert (folder / "reports/index.html").is_file()
    assert (folder / "results/figures/dice.svg").is_file()
    assert "Data and pipelines are up to date." in dvc(folder, "repro")
    assert planned(folder) == {}
