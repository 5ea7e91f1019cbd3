"""The whole graph on tiny parameters: a killed run is finished by the next; a change reruns what it concerns, no more."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.tiny_run import environment, make_folder, planned, run, snakemake

pytestmark = pytest.mark.slow


MOMENTS = random.Random(20261122).sample(range(2, 20), 2)


TASK = """tasks:
  body_region:
    classes: [chest, abdomen]
    labels: truth
    seed: 3
    n_test: 2
    n_validation: 2
    n_train: {2: 1}
    arms: [scratch, pretrained]
    init_seeds: [0]
    tune: {n_train: 2, subset_seed: 0, init_seed: 0}
    steps: 2
    margin: 0.05
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all results, of a run killed twice on the way; tests that change it put it back."""
    folder = make_folder(tmp_path_factory.mktemp("graph") / "project")
    add_task(folder / "params.yaml")
    for n_jobs in MOMENTS:
        start_and_kill(folder, n_jobs)
    snakemake(folder)
    return folder


def start_and_kill(folder: Path, n_jobs: int) -> None:
    """Start a run in `folder`, and kill it and all its jobs half a second after it finished `n_jobs` of them."""
    command = [str(Path(sys.executable).parent / "snakemake"), "--cores", "2"]
    log = folder / "killed.log"
    with log.open("w") as output:
        running = subprocess.Popen(
            command, cwd=folder, env=environment(), start_new_session=True, stdout=output, stderr=subprocess.STDOUT
        )
        while running.poll() is None and log.read_text().count("Finished jobid:") < n_jobs:
            time.sleep(0.05)
        time.sleep(0.5)
        assert running.poll() is None, log.read_text()[-6000:]
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()


def replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, (old, text.count(old))
    path.write_text(text.replace(old, new))


def add_task(path: Path) -> None:
    """Declare a classification, in an archive and a split that have three patients of each of its classes for it."""
    replaced(path, "    seed: 1\n    n_patients: 10\n", "    seed: 4\n    n_patients: 16\n")
    replaced(
        path, "pretrain:\n  seed: 0\n  fraction_validation: 0.2\n", "pretrain:\n  seed: 5\n  fraction_validation: 0.1\n"
    )
    replaced(path, "fraction_tasks: 0.0\n", "fraction_tasks: 0.45\n")
    replaced(path, "tasks: {}\n", TASK)


@pytest.fixture
def params(finished: Path):
    """Return the parameter file, put back after the test."""
    path = finished / "params.yaml"
    before = path.read_text()
    yield path
    path.write_text(before)


def test_run_ends_in_pages_tables_and_metrics(finished: Path) -> None:
    page = (finished / "reports/index.html").read_text()
    assert "synthetic" in page.lower()
    assert "was not made in this run" not in (finished / "reports/labels.html").read_text()
    assert (finished / "reports/workflow.html").stat().st_size > 10_000
    metrics = json.loads((finished / "results/transfer/metrics.json").read_text())
    assert metrics
    runs = (finished / "results/transfer/runs.csv").read_text()
    assert len(runs.splitlines()) == 1 + 2 * 2 + 2 and runs.count("body_region") == 2
    leakage = (finished / "results/finetune/split/liver/leakage.csv").read_text()
    assert "body_region train,body_region test" in leakage


def test_every_job_left_a_log_that_names_command_and_version(finished: Path) -> None:
    logs = [path for path in (finished / "results/logs").rglob("*.log") if path.name != "workflow_report.log"]
    assert len(logs) > 30
    assert [str(path) for path in logs if "radnet3d 0." not in path.read_text()] == []


def test_second_run_has_nothing_to_do(finished: Path) -> None:
    assert "Nothing to be done" in snakemake(finished)


def test_comparison_parameter_reruns_the_comparison_only(finished: Path, params: Path) -> None:
    replaced(params, "n_bootstrap: 100", "n_bootstrap: 101")
    jobs = planned(finished)
    assert {"compare_inits", "score_heads", "build_report"} <= jobs.keys()
    assert not {"pretrain_encoder", "tune_task", "finetune_task", "resample_volumes", "plan_archive"} & jobs.keys()


def test_larger_grid_leaves_the_runs_there_are(finished: Path, params: Path) -> None:
    replaced(params, "init_seeds: [0]\n  steps", "init_seeds: [0, 1]\n  steps")  # of the liver
    jobs = planned(finished)
    assert jobs["finetune_task"] == 4 and jobs["pretrain_encoder"] == 1  # a seed of weights is a pretraining of its own
    assert not {"train_control", "tune_task", "choose_rate", "propose_liver_slices"} & jobs.keys()


def test_changed_function_reruns_its_command_and_better_words_nothing(finished: Path) -> None:
    link = finished / "workflow"
    source = link.resolve()
    link.unlink()
    shutil.copytree(source, link, ignore=shutil.ignore_patterns("__pycache__"))
    try:
        module = link / "lib/radnet3d/evaluation/comparison.py"
        module.write_text(module.read_text() + "\n# A comment.\n")
        assert planned(finished) == {"build_report": 1, "all": 1}  # it lists notes, which are comments
        replaced(module, "FAILURE_DICE = 0.5", "FAILURE_DICE = 0.4")
        jobs = planned(finished)
        assert {"collect_runs", "compare_inits", "build_report"} <= jobs.keys()
        assert not {"finetune_task", "pretrain_encoder", "label_series"} & jobs.keys()
    finally:
        shutil.rmtree(link)
        link.symlink_to(source)


def test_fetched_files_may_go_once_results_are_there(finished: Path) -> None:
    raw, away = finished / "results/raw", finished / "away"
    raw.rename(away)
    try:
        assert planned(finished) == {}
    finally:
        away.rename(raw)


def test_wrong_key_stops_with_its_name(finished: Path, params: Path) -> None:
    replaced(params, "weight_decay: 0.0001\n  loss_weights", "wait_decay: 0.0001\n  loss_weights")
    done = run(finished, "snakemake", "--dry-run")
    assert done.returncode == 1
    assert "params.yaml: pretrain.weight_decay: is missing; pretrain.wait_decay: is not a known key" in done.stdout
    assert "Traceback" not in done.stdout
