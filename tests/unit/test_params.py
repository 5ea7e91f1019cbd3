"""params.yaml: every wrong key is named with what is allowed."""

import copy
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from radnet3d.cli import radnet3d
from radnet3d.errors import ParamsError
from radnet3d.params import Archive, Pretrain, check_params, finetune_of, load_params, parse_section


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
        (("finetune", "arms", "scratch"), {"steps_times": 2}, "wanted `scratch: {}`"),
        (("finetune", "arms", "control"), {"encoder": "controll"}, "arms.control.encoder: found 'controll'"),
        (("finetune", "arms", "control"), {"against": ["scrach"]}, "arms.control.against: found 'scrach'"),
        (("finetune", "arms", "control"), {"against": ["control"]}, "wanted some of the other arms"),
        (("finetune", "arms", "control"), {"n_train": [5]}, "arms.control.n_train: found 5, wanted some of n_train"),
        (("finetune", "arms", "control"), {"init_seeds": [7]}, "arms.control.init_seeds: found 7"),
        (
            ("finetune", "arms", "control"),
            {"network": "medicalnet", "encoder": "dicom"},
            "for the network 'medicalnet'",
        ),
        (("finetune", "init_seeds"), [0, 0], "repeats a value"),
        (("finetune", "n_train"), {1: 3, 4: 3, 500: 1}, "leaves 32 cases for training, finetune.n_train asks for 500"),
        (
            ("finetune", "tune"),
            {"n_train": 3, "subset_seed": 0, "init_seed": 0},
            "tune.n_train: found 3, wanted some of",
        ),
        (("finetune", "tune"), {"n_train": 4, "subset_seed": 3, "init_seed": 0}, "tune.subset_seed: found 3"),
        (
            ("pretrain", "encoders", "control"),
            {"labels": "own", "heads": ["body"]},
            "found 'control', a name that stands",
        ),
        (("pretrain", "encoders", "dicom"), {"labels": "own", "heads": ["view"]}, "with the head body, which proposes"),
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


TASK = {
    "labels": "truth", "classes": ["native", "portal"], "seed": 0, "n_test": 6, "n_validation": 4, "n_train": {2: 2, 4: 1},
    "arms": ["scratch", "pretrained"], "init_seeds": [3], "steps": 40, "margin": 0.05,
    "tune": {"n_train": 2, "subset_seed": 0, "init_seed": 3},
}  # fmt: skip


def with_task(content: dict[str, Any], name: str = "phase", **changed: Any) -> dict[str, Any]:
    content["tasks"] = {name: {**TASK, **changed}}
    content["pretrain"]["fraction_tasks"] = 0.2
    return content


def test_a_task_has_its_own_grid_and_the_recipe_of_all(content: dict[str, Any]) -> None:
    params = check_params(with_task(content), name="params.yaml")
    grid = finetune_of(params.finetune, params.tasks, "phase")
    assert finetune_of(params.finetune, params.tasks, "liver") is params.finetune
    assert len(grid.cells()) == 2 * 3 and {cell.init_seed for cell in grid.cells()} == {3}
    assert grid.against == {"scratch": (), "pretrained": ("scratch",)}  # its other reference is no arm here
    assert (grid.steps, grid.learning_rates) == (40, params.finetune.learning_rates)
    assert params.seeds_of_encoder("dicom") == (0, 3) and params.seeds_of_encoder("shuffled") == (0,)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"name": "spleen"}, "tasks: found 'spleen', wanted some of the tasks"),
        ({"classes": ["native", "late"]}, "tasks.phase.classes: found 'late'"),
        ({"classes": ["native", "native"]}, "tasks.phase.classes: .* repeats"),
        ({"arms": ["scratch", "magic"]}, "tasks.phase.arms: found 'magic'"),
        ({"arms": ["pretrained", "shuffled"]}, "tasks.phase: .*wanted `scratch: {}`"),
        ({"tune": {"n_train": 9, "subset_seed": 0, "init_seed": 3}}, "tasks.phase: .*tune.n_train: found 9"),
    ],
)
def test_a_task_that_does_not_fit_is_named(content: dict[str, Any], changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ParamsError, match=said):
        check_params(with_task(content, **changed), name="params.yaml")


def test_a_task_needs_patients_and_labels_of_its_own(content: dict[str, Any]) -> None:
    content["pretrain"]["fraction_tasks"] = 0.2
    with pytest.raises(ParamsError, match=r"fraction_tasks: found 0.2 for 0 tasks"):
        check_params(content, name="params.yaml")
    content["archive"]["source"] = "folder"
    with pytest.raises(ParamsError, match="tasks.phase.labels: found 'truth', which only digital patients have"):
        check_params(with_task(content), name="params.yaml")
    content["archive"]["source"] = "phantom"
    content["finetune"]["arms"]["frozen"] = {"encoder": "dicom", "trains": "decoder"}
    with pytest.raises(ParamsError, match="frozen trains the decoder, and a classification has none"):
        check_params(with_task(content, arms=["scratch", "frozen"]), name="params.yaml")


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


def test_grid_has_every_cell_of_every_arm_and_no_other(content: dict[str, Any]) -> None:
    content["proposal_study"] |= {"arms": ["scratch"], "n_train": [4]}
    content["finetune"] |= {
        "n_train": {1: 2, 4: 1},
        "init_seeds": [0, 1],
        "tune": {"n_train": 4, "subset_seed": 1, "init_seed": 0},
        "arms": {
            "scratch": {},
            "late": {"encoder": "shuffled", "n_train": [4], "init_seeds": [1], "against": ["scratch"]},
        },
    }
    finetune = check_params(content, name="params.yaml").finetune
    scratch = [
        ("scratch", n, subset, seed) for n, subset, seed in [*product([1], [0, 1], [0, 1]), (4, 0, 0), (4, 0, 1)]
    ]
    assert finetune.cells() == [*scratch, ("late", 4, 0, 1)]
    assert finetune.seeds_of_encoder("shuffled") == (0, 1)  # 0: where its learning rate is chosen
    assert finetune.seeds_of_encoder("dicom") == (0,)  # no arm starts from it, but it proposes slices
    assert finetune.seeds_of_encoder("control") == ()


def test_what_the_user_names_is_explained() -> None:
    said = CliRunner().invoke(radnet3d, ["params", "explain"]).output
    assert "finetune.arms.NAME.steps_times\t" in said and "pretrain.encoders.NAME.heads\t" in said
