import json

from click.testing import CliRunner

from radnet3d.cli.runs import commands
from radnet3d.errors import ParamsError
from support.tiny_training import SETTINGS

INPUTS = {"cases": "c.parquet", "split": "s.csv", "subsets": "u.csv", "proposals": "p.csv", "proposer": "p.pt"}
FACTORS = {"init": "scratch", "n_train": 4, "subset_seed": 0, "init_seed": 0, "evaluate_on": "test"}


def write(path, kind="finetune", settings=SETTINGS, factors=FACTORS, inputs=INPUTS):
    given = [json.dumps(content) for content in (settings, factors, inputs)]
    options = [text for pair in zip(["--settings", "--factors", "--inputs"], given, strict=True) for text in pair]
    return CliRunner().invoke(commands, ["write", str(path), "--kind", kind, *options])


def test_the_record_holds_what_its_kind_needs_and_no_more(tmp_path):
    grid = {**SETTINGS, "finetune": {**SETTINGS["finetune"], "n_train": [1, 4], "inits": ["scratch", "pretrained"]}}
    result = write(tmp_path / "run.json", settings=grid, factors={**FACTORS, "learning_rate": 0.01})
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "run.json").read_text())
    assert set(record["settings"]) == {"finetune", "network", "input", "volumes", "proposal"}
    assert "n_train" not in record["settings"]["finetune"]
    assert record["factors"]["learning_rate"] == 0.01 and record["inputs"]["encoder"] is None


def test_a_chosen_rate_becomes_a_number(tmp_path):
    rate = tmp_path / "scratch.json"
    rate.write_text(json.dumps({"init": "scratch", "learning_rate": 0.005}))
    result = write(tmp_path / "run.json", inputs={**INPUTS, "rate": str(rate)})
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["factors"]["learning_rate"] == 0.005 and "rate" not in record["inputs"]


def test_faults_are_named(tmp_path):
    rate = tmp_path / "rate.json"
    rate.write_text(json.dumps({"init": "pretrained", "learning_rate": 0.005}))
    for changed, said in [
        ({}, "factors.learning_rate: is missing"),
        ({"inputs": {**INPUTS, "rate": str(rate)}}, "learning rate of init 'pretrained', wanted that of 'scratch'"),
        (
            {"inputs": {**INPUTS, "rate": str(tmp_path / "none.json")}},
            "wanted the file `radnet3d finetune choose-rate`",
        ),
        ({"factors": {**FACTORS, "learning_rate": 0.01, "colour": 1}}, "factors.colour: is not a known key"),
        ({"settings": {}, "factors": {**FACTORS, "learning_rate": 0.01}}, "settings.finetune: is missing"),
    ]:
        result = write(tmp_path / "run.json", **changed)
        assert isinstance(result.exception, ParamsError), changed
        assert said in str(result.exception)
    assert not (tmp_path / "run.json").exists()


def test_an_unknown_kind_is_wrong_usage(tmp_path):
    assert write(tmp_path / "run.json", kind="dream").exit_code == 2
