"""Each figure verb draws from tables into a file that is the same twice."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from radnet3d.cli import finetune, pretrain
from radnet3d.cli.figures import commands
from radnet3d.errors import ParamsError, TableError
from radnet3d.params import load_params
from support.made_up_study import larger
from support.results_tree import REPOSITORY, write_results
from support.tiny_training import FINETUNE_FACTORS, PRETRAIN_FACTORS, write_cases, write_run, write_series

STUDIED = larger(load_params(REPOSITORY / "params.yaml"))
PARAMS = json.loads(STUDIED.model_dump_json())
INPUT, PRETRAIN = json.dumps(PARAMS["input"]), json.dumps(PARAMS["pretrain"])
STUDY = json.dumps({name: PARAMS[name] for name in ("pretrain", "finetune", "comparison")})
COMPARISON = "transfer/comparison.csv"
ENCODERS = ("dicom", "shuffled", "only_body", "without_body")

VERBS = {
    "dice": [COMPARISON, "transfer/runs.csv", "OUT.svg", "--settings", STUDY],
    "differences": [COMPARISON, "OUT.svg", "--settings", STUDY],
    "other-arms": [COMPARISON, "OUT.svg", "--settings", STUDY],
    "ablation": [COMPARISON, "OUT.svg", "--settings", STUDY],
    "labels-saved": ["transfer/labels_saved.csv", "OUT.svg", "--settings", STUDY],
    "tasks": ["transfer/task_comparison.csv", "transfer/runs.csv", "OUT.svg", "--settings", STUDY],
    "proposal-study": ["transfer/proposals.csv", "proposals/scores.csv", "OUT.svg", "--settings", STUDY],
    "heads": [*(f"pretrain/{name}_seed-0/heads.csv" for name in ENCODERS), "OUT.svg", "--settings", PRETRAIN],
    "curves": [*(f"pretrain/{name}_seed-0/history.csv" for name in ENCODERS), "OUT.svg", "--settings", PRETRAIN],
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
    return write_results(tmp_path_factory.mktemp("figures"), STUDIED)


def draw(verb: str, results: Path, tmp_path: Path, source: str) -> bytes:
    def place(argument: str) -> str:
        if argument.startswith("OUT"):
            return str(tmp_path / argument)
        return str(results / argument) if "/" in argument and "{" not in argument else argument

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


@pytest.mark.parametrize("folder", ["elsewhere_seed-0", "dicom", "dicom_seed-x"])
def test_the_folder_must_name_encoder_and_seed(folder: str, results: Path, tmp_path: Path) -> None:
    (tmp_path / folder).mkdir()
    path = tmp_path / folder / "heads.csv"
    path.write_bytes((results / "pretrain" / "dicom_seed-0" / "heads.csv").read_bytes())
    arguments = ["heads", str(path), str(tmp_path / "x.svg"), "--settings", PRETRAIN, "--source", "idc"]
    error = CliRunner().invoke(commands, arguments).exception
    assert isinstance(error, TableError) and folder in str(error)


@pytest.mark.parametrize("verb", ["other-arms", "ablation"])
def test_a_figure_of_no_arm_is_refused(verb: str, results: Path, tmp_path: Path) -> None:
    params = json.loads(load_params(REPOSITORY / "params.yaml").model_dump_json())
    settings = json.dumps({name: params[name] for name in ("pretrain", "finetune", "comparison")})
    arguments = [verb, str(results / COMPARISON), str(tmp_path / "x.svg"), "--settings", settings, "--source", "idc"]
    error = CliRunner().invoke(commands, arguments).exception
    assert isinstance(error, ParamsError) and "finetune.arms" in str(error)


def test_rated_wants_a_labeller_it_knows(results: Path, tmp_path: Path) -> None:
    path = tmp_path / "forest.csv"
    path.write_bytes((results / "labels" / "gold" / "rules.csv").read_bytes())
    result = CliRunner().invoke(commands, ["rated", str(path), str(tmp_path / "x.svg"), "--source", "idc"])
    assert isinstance(result.exception, TableError) and "forest.csv" in str(result.exception)


def test_every_verb_has_help() -> None:
    for verb in commands.commands:
        assert CliRunner().invoke(commands, [verb, "--help"]).exit_code == 0


def test_overlays_segment_the_shown_cases_anew(tmp_path: Path) -> None:
    pretrained = write_run(tmp_path / "p.json", "pretrain", PRETRAIN_FACTORS, write_series(tmp_path / "series"))
    assert CliRunner().invoke(pretrain.commands, ["train", str(pretrained), str(tmp_path / "dicom")]).exit_code == 0
    inputs = {**write_cases(tmp_path / "liver"), "proposer": str(tmp_path / "dicom" / "checkpoint.pt")}
    for init in ("scratch", "pretrained"):
        encoder = {} if init == "scratch" else {"encoder": inputs["proposer"]}
        factors = {**FINETUNE_FACTORS, "init": init, "encoder": "dicom" if encoder else None, "n_train": 4}
        path = write_run(tmp_path / f"{init}.json", "finetune", factors, {**inputs, **encoder})
        assert CliRunner().invoke(finetune.commands, ["train", str(path), str(tmp_path / init)]).exit_code == 0
    arguments = [inputs["cases"], str(tmp_path / "scratch"), str(tmp_path / "pretrained"), str(tmp_path / "out.png")]
    settings = json.dumps({name: PARAMS[name] for name in ("pretrain", "finetune", "comparison", "input")})
    result = CliRunner().invoke(commands, ["overlays", *arguments, "--settings", settings, "--source", "phantom"])
    assert result.exit_code == 0, (result.output, result.exception)
    assert (tmp_path / "out.png").stat().st_size > 10_000
