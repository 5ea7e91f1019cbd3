"""params.yaml: every wrong key is named with what is allowed."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from radnet3d.cli import radnet3d
from radnet3d.errors import ParamsError
from radnet3d.params import Archive, Pretrain, check_params, load_params, parse_section


@pytest.fixture
def content(repository: Path) -> dict[str, Any]:
    return copy.deepcopy(yaml.safe_load((repository / "params.yaml").read_text()))


def test_committed_parameters_are_valid(repository: Path) -> None:
    params = load_params(repository / "params.yaml")
    assert params.archive.source == "phantom"
    with pytest.raises(Exception, match="frozen"):
        params.archive.source = "idc"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("pretrain", "step"), 3, "pretrain.step: is not a known key"),
        (("pretrain", "steps"), "many", "pretrain.steps: .*integer.*found 'many'"),
        (("archive", "source"), "ftp", "archive.source: .*'phantom'.*found 'ftp'"),
        (("finetune", "inits"), ["pretrained", "shuffled"], "lacks 'scratch'"),
        (("finetune", "n_train"), [1, 1], "repeats a value"),
        (("finetune", "n_train"), [1, 4, 500], "leaves 32 cases for training, finetune.n_train asks for 500"),
        (("finetune", "tune"), {"n_train": 3, "subset_seed": 0, "init_seed": 0}, "tune.n_train: 3 is not in n_train"),
        (("input", "ct_window_hu"), [300, -200], "lower 300.0 must be below upper -200.0"),
        (("liver", "phantom", "seed"), 2026, "patients would be in both"),
        (("pretrain", "fraction_test"), 0.95, "leaves no patients for training"),
    ],
)
def test_wrong_value_is_named(content: dict[str, Any], path: tuple[str, ...], value: object, said: str) -> None:
    section = content
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = value
    with pytest.raises(ParamsError, match=said) as caught:
        check_params(content, name="params.yaml")
    assert str(caught.value).startswith("params.yaml: ")


def test_missing_key_is_an_error_because_nothing_has_a_default(content: dict[str, Any]) -> None:
    del content["pretrain"]["steps"]
    with pytest.raises(ParamsError, match="pretrain.steps: is missing"):
        check_params(content, name="params.yaml")


def test_section_round_trip(repository: Path) -> None:
    pretrain = load_params(repository / "params.yaml").pretrain
    assert parse_section(Pretrain, pretrain.model_dump_json()) == pretrain
    with pytest.raises(ParamsError, match="--settings: batch_size: .*greater than or equal to 2"):
        parse_section(Pretrain, pretrain.model_copy(update={"batch_size": 1}).model_dump_json())


def test_not_yaml(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("a: [1")
    with pytest.raises(ParamsError, match="not valid YAML"):
        load_params(tmp_path / "p.yaml")
    (tmp_path / "p.yaml").write_text("- 1")
    with pytest.raises(ParamsError, match="found list, wanted a mapping"):
        load_params(tmp_path / "p.yaml")


def test_a_section_is_printed_with_changes(repository: Path) -> None:
    path = str(repository / "params.yaml")
    changes = ["--set", "source=idc", "--set", "choice.collections=[tcga_read]", "--set", "choice.gb_max=0.5"]
    done = CliRunner().invoke(radnet3d, ["params", "section", "archive", path, *changes])
    archive = parse_section(Archive, done.output)
    assert (archive.source, archive.choice.collections, archive.choice.gb_max) == ("idc", ("tcga_read",), 0.5)
    for change in ("choice.colour=red", "choice.seed.x=1", "source"):
        done = CliRunner().invoke(radnet3d, ["params", "section", "archive", path, "--set", change])
        assert done.exit_code == 2 and change in done.output
    done = CliRunner().invoke(radnet3d, ["params", "section", "archive", path, "--set", "n_shards=0"])
    assert isinstance(done.exception, ParamsError) and "n_shards" in str(done.exception)
