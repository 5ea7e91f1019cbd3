import json

from click.testing import CliRunner

from radnet3d.cli.runs import commands
from radnet3d.errors import ParamsError, StaleResultError
from radnet3d.params import load_params
from support.tiny_training import FINETUNE_FACTORS, SETTINGS

INPUTS = {"cases": "c.parquet", "split": "s.csv", "subsets": "u.csv", "proposals": "p.csv", "proposer": "p.pt"}
FACTORS = {name: value for name, value in FINETUNE_FACTORS.items() if name != "learning_rate"}


def write(path, kind="finetune", settings=SETTINGS, factors=FACTORS, inputs=INPUTS):
    given = [json.dumps(content) for content in (settings, factors, inputs)]
    options = [text for pair in zip(["--settings", "--factors", "--inputs"], given, strict=True) for text in pair]
    return CliRunner().invoke(commands, ["write", str(path), "--kind", kind, *options])


def test_the_record_holds_what_its_kind_needs_and_no_more(tmp_path):
    grid = {**SETTINGS, "finetune": {**SETTINGS["finetune"], "n_train": {"1": 5}, "arms": {"scratch": {}}}}
    result = write(tmp_path / "run.json", settings=grid, factors={**FACTORS, "learning_rate": 0.01})
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "run.json").read_text())
    assert set(record["settings"]) == {"finetune", "network", "input", "volumes", "proposal"}
    assert "n_train" not in record["settings"]["finetune"]
    assert record["factors"]["learning_rate"] == 0.01 and record["inputs"]["encoder"] is None


def test_what_was_chosen_becomes_factors(tmp_path):
    rate = tmp_path / "scratch.json"
    rate.write_text(json.dumps({"task": "liver", "init": "scratch", "learning_rate": 0.005, "largest_component": True}))
    result = write(tmp_path / "run.json", inputs={**INPUTS, "rate": str(rate)})
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "run.json").read_text())
    assert (
        record["factors"]["learning_rate"] == 0.005
        and record["factors"]["largest_component"] is True
        and "rate" not in record["inputs"]
    )
    assert record["factors"]["largest_component"] is True


def test_faults_are_named(tmp_path):
    rate = tmp_path / "rate.json"
    rate.write_text(
        json.dumps({"task": "liver", "init": "pretrained", "learning_rate": 0.005, "largest_component": False})
    )
    for changed, said in [
        ({}, "factors.learning_rate: is missing"),
        (
            {"inputs": {**INPUTS, "rate": str(rate)}},
            "learning rate of liver from pretrained, wanted that of liver from scratch",
        ),
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


HEADS = ["sequence", "view", "contrast", "body", "spacing"]


def test_records_are_checked_against_the_parameters(tmp_path, repository):
    params = load_params(repository / "params.yaml")
    given = json.loads(params.model_dump_json(exclude={"medicalnet"}))
    for kind, place, factors in (
        ("pretrain", "pretrain/dicom_seed-0", {"encoder": "dicom", "labels": "own", "heads": HEADS, "seed": 0}),
        ("finetune", "finetune/runs/liver/one", {**FACTORS, "learning_rate": 0.02}),
    ):
        inputs = INPUTS if kind == "finetune" else {"targets": "t", "split": "s", "volumes": ["v"]}
        done = write(tmp_path / place / "run.json", kind, given, factors, inputs)
        assert done.exit_code == 0, done.exception

    def check():
        return CliRunner().invoke(commands, ["check", str(tmp_path), str(repository / "params.yaml")])

    assert check().exit_code == 0
    finetuned, pretrained = tmp_path / "finetune/runs/liver/one/run.json", tmp_path / "pretrain/dicom_seed-0/run.json"
    for run, there, instead, said in (
        (finetuned, '"steps": 80', '"steps": 81', "finetune.steps: the run was made with 81, asked for is 80"),
        (finetuned, '"init": "scratch"', '"init": "gone"', "arm 'gone', which params.yaml does not have"),
        (
            finetuned,
            '"steps_times": 1',
            '"steps_times": 3',
            "factors.steps_times: the run was made with 3, asked for is 1",
        ),
        (pretrained, '"labels": "own"', '"labels": "shuffled"', "factors.labels: the run was made with 'shuffled'"),
        (pretrained, '"encoder": "dicom"', '"encoder": "gone"', "the encoder 'gone', which params.yaml does not have"),
    ):
        before = run.read_text()
        run.write_text(before.replace(there, instead))
        assert run.read_text() != before
        result = check()
        assert isinstance(result.exception, StaleResultError) and said in str(result.exception), run
        run.write_text(before)
