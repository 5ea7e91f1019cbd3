"""Each figure verb draws from tables into a file that is the same twice."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from radnet3d.cli import finetune, pretrain
from radnet3d.cli.figures import commands
from radnet3d.errors import TableError
from radnet3d.params import load_params
from support.results_tree import REPOSITORY, write_results
from support.tiny_training import write_cases, write_run, write_series

PARAMS = json.loads(load_params(REPOSITORY / "params.yaml").model_dump_json())
INPUT, COMPARISON = json.dumps(PARAMS["input"]), json.dumps(PARAMS["comparison"])

VERBS = {
    "dice": ["transfer/comparison.csv", "transfer/runs.csv", "OUT.svg"],
    "differences": ["transfer/comparison.csv", "OUT.svg", "--settings", COMPARISON],
    "heads": ["pretrain/dicom/heads.csv", "pretrain/shuffled/heads.csv", "OUT.svg"],
    "curves": ["pretrain/dicom/history.csv", "pretrain/shuffled/history.csv", "OUT.svg"],
    "label-accuracy": ["labels/accuracy.csv", "OUT.svg"],
    "census": ["labels/census_index/census.csv", "OUT.svg"],
    "rated": ["labels/gold/rules.csv", "labels/gold/regex.csv", "labels/gold/body-part-examined.csv", "OUT.svg"],
    "witnesses": ["labels/census_index/witness_use.csv", "OUT.svg"],
    "funnel": ["labels/census_index/funnel.csv", "OUT.svg"],
    "contact-sheet": ["labels/labels.parquet", "volumes/000", "OUT.png", "--settings", INPUT, "--n", "10"],
    "proposals": ["liver/proposals.csv", "liver/cases/cases.parquet", "OUT.svg"],
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_results(tmp_path_factory.mktemp("figures"))


def draw(verb: str, results: Path, tmp_path: Path, source: str) -> bytes:
    def place(argument: str) -> str:
        if argument.startswith("OUT"):
            return str(tmp_path / argument)
        return (
            str(results / argument) if (results / argument.split("/")[0]).is_dir() and "{" not in argument else argument
        )

    arguments = [place(argument) for argument in VERBS[verb]]
    result = CliRunner().invoke(commands, [verb, *arguments, "--source", source])
    assert result.exit_code == 0, (result.output, result.exception)
    return next(tmp_path.glob("OUT.*")).read_bytes()


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_draws_the_same_bytes_twice(verb: str, results: Path, tmp_path: Path) -> None:
    first = draw(verb, results, tmp_path, "phantom")
    assert first == draw(verb, results, tmp_path, "phantom")
    assert first[:5] in (b"<?xml", b"\x89PNG\r")
    assert b"<dc:date>" not in first


def test_synthetic_data_are_marked_and_real_ones_not(results: Path, tmp_path: Path) -> None:
    assert draw("dice", results, tmp_path, "phantom") != draw("dice", results, tmp_path, "lits")


def test_the_folder_must_name_an_encoder(results: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / "elsewhere" / "heads.csv"
    path.write_bytes((results / "pretrain" / "dicom" / "heads.csv").read_bytes())
    result = CliRunner().invoke(commands, ["heads", str(path), str(tmp_path / "x.svg"), "--source", "idc"])
    assert isinstance(result.exception, TableError) and "elsewhere" in str(result.exception)


def test_rated_wants_a_labeller_it_knows(results: Path, tmp_path: Path) -> None:
    path = tmp_path / "forest.csv"
    path.write_bytes((results / "labels" / "gold" / "rules.csv").read_bytes())
    result = CliRunner().invoke(commands, ["rated", str(path), str(tmp_path / "x.svg"), "--source", "idc"])
    assert isinstance(result.exception, TableError) and "forest.csv" in str(result.exception)


def test_every_verb_has_help() -> None:
    for verb in commands.commands:
        assert CliRunner().invoke(commands, [verb, "--help"]).exit_code == 0


def test_overlays_segment_the_shown_cases_anew(tmp_path: Path) -> None:
    record = write_run(tmp_path / "p.json", "pretrain", {"encoder": "dicom"}, write_series(tmp_path / "series"))
    assert CliRunner().invoke(pretrain.commands, ["train", str(record), str(tmp_path / "dicom")]).exit_code == 0
    inputs = {**write_cases(tmp_path / "liver"), "proposer": str(tmp_path / "dicom" / "checkpoint.pt")}
    factors = {"n_train": 4, "subset_seed": 0, "init_seed": 0, "learning_rate": 0.01, "evaluate_on": "test"}
    for init in ("scratch", "pretrained"):
        encoder = {} if init == "scratch" else {"encoder": inputs["proposer"]}
        path = write_run(tmp_path / f"{init}.json", "finetune", {**factors, "init": init}, {**inputs, **encoder})
        assert CliRunner().invoke(finetune.commands, ["train", str(path), str(tmp_path / init)]).exit_code == 0
    arguments = [inputs["cases"], str(tmp_path / "scratch"), str(tmp_path / "pretrained"), str(tmp_path / "out.png")]
    result = CliRunner().invoke(commands, ["overlays", *arguments, "--settings", INPUT, "--source", "phantom"])
    assert result.exit_code == 0, (result.output, result.exception)
    assert (tmp_path / "out.png").stat().st_size > 10_000
