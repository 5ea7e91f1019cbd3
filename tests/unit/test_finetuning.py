from pathlib import Path

import numpy as np
import pytest
import torch

from radnet3d.errors import ParamsError, SplitError
from radnet3d.models.checkpoint import Checkpoint, load_checkpoint, patient_digests, save_checkpoint
from radnet3d.models.heads import RadNet
from radnet3d.models.resnet3d import initialise
from radnet3d.params import Input, Volumes
from radnet3d.runs import ControlRun, FinetuneRun, read_run
from radnet3d.training.cases import drawn_crop, evaluate, load_cases
from radnet3d.training.control import train_control
from radnet3d.training.finetuning import Finetuned, finetune, start_weights
from radnet3d.training.tasks.liver import Liver
from support.tiny_training import NETWORK, SHAPE, write_cases, write_run


def pretrained(path, patients=("P00",), seed=9):
    model = RadNet(NETWORK)
    initialise(model, torch.Generator().manual_seed(seed))
    save_checkpoint(
        Checkpoint(
            kind="pretrain", network=NETWORK, input=Input(ct_window_hu=(-200, 300)), volumes=Volumes(shape_zyx=SHAPE, correct_tilt=False, n_per_series_max=1),
            precision="bf16", patients=patient_digests(patients), weights=model.state_dict(),
        ),
        path,
    )  # fmt: skip
    return str(path)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("liver")
    return {**write_cases(folder), "proposer": pretrained(folder / "pretrained.pt")}


def a_run(tmp_path, inputs, init="scratch", factors=(), **changed) -> FinetuneRun:
    inputs = inputs if init == "scratch" else {**inputs, "encoder": inputs["proposer"]}
    return read_run(
        write_run(tmp_path / "run.json", "finetune", {"init": init, **dict(factors)}, inputs, **changed), FinetuneRun
    )


def tuned(run: FinetuneRun) -> Finetuned:
    return finetune(run, Liver(run))


def test_arms_differ_in_their_encoder_and_in_nothing_else(tmp_path, inputs):
    models = {}
    for init in ("scratch", "pretrained"):
        run = a_run(tmp_path, inputs, init)
        models[init] = Liver(run).build()
        report = start_weights(models[init], run, patients=np.array(["L00"]))
        assert (report is None) == (init == "scratch")
    for (name, a), b in zip(models["scratch"].named_parameters(), models["pretrained"].parameters(), strict=True):
        is_drawn = name.startswith("encoder.") and "norm" not in name  # norms begin as 1 and 0 everywhere
        assert torch.equal(a, b) != is_drawn, name


def test_a_run_leaves_scores_of_every_test_case(tmp_path, inputs):
    done = tuned(a_run(tmp_path, inputs, "pretrained"))
    assert len(done.cases) == done.metrics["n_cases"] == 3
    assert done.metrics["task"] == "liver" and done.metrics["metric"] == "dice_per_case"
    assert done.metrics["dice_per_case_mean"] == pytest.approx(done.cases["dice_per_case"].mean())
    assert done.transfer is not None and done.transfer.fraction_loaded == 1
    assert done.checkpoint.proposer is not None
    again = tuned(a_run(tmp_path, inputs, "pretrained"))
    assert done.cases.equals(again.cases)


def test_three_times_the_steps(tmp_path, inputs):
    done = tuned(a_run(tmp_path, inputs, factors={"steps_times": 3}))
    assert done.metrics["steps"] == 12 == done.history["step"].max() and done.metrics["n_samples"] == 24


@pytest.mark.parametrize("trains", ["decoder", "probe"])
def test_a_frozen_encoder_keeps_its_weights(tmp_path, inputs, trains):
    done = tuned(a_run(tmp_path, inputs, "pretrained", factors={"trains": trains}))
    source = load_checkpoint(Path(inputs["proposer"]), kinds=["pretrain"]).weights
    same = [
        torch.equal(done.checkpoint.weights[name], value)
        for name, value in source.items()
        if name.startswith("encoder.") and name.endswith((".weight", ".bias"))  # statistics of norms follow the data
    ]
    assert len(same) > 20 and all(same) and done.checkpoint.trains == trains


def test_the_task_can_be_learned(tmp_path, inputs):
    run = a_run(tmp_path, inputs, factors={"n_train": 4, "evaluate_on": "validation"}, finetune__steps=60)
    done = tuned(run)
    assert done.metrics["n_cases"] == 2
    assert done.metrics["dice_per_case_mean"] > 0.7


def test_a_patient_of_pretraining_is_refused(tmp_path, inputs):
    leaking = {**inputs, "proposer": pretrained(tmp_path / "leak.pt", patients=[f"L{i:02d}" for i in range(12)])}
    with pytest.raises(SplitError, match="among the data of the 'pretrain' checkpoint"):
        tuned(a_run(tmp_path, leaking))
    with pytest.raises(SplitError, match="among the data of the 'pretrain' checkpoint"):
        tuned(
            read_run(
                write_run(tmp_path / "r.json", "finetune", {}, {**inputs, "encoder": leaking["proposer"]}), FinetuneRun
            )
        )


def test_more_training_cases_than_there_are(tmp_path, inputs):
    with pytest.raises(SplitError, match="has 5 training cases, wanted 9"):
        tuned(a_run(tmp_path, inputs, factors={"n_train": 9}))


def test_an_arm_without_its_file_and_a_file_without_its_arm_are_refused(tmp_path, inputs):
    for given, encoder in ((inputs, "shuffled"), ({**inputs, "encoder": inputs["proposer"]}, None)):
        with pytest.raises(ParamsError, match="inputs.encoder: found"):
            write_run(tmp_path / "run.json", "finetune", {"init": "shuffled", "encoder": encoder}, given)


def test_what_a_run_does_not_use_is_not_in_its_record(tmp_path, inputs):
    with pytest.raises(ParamsError, match="settings.medicalnet: found none for the network medicalnet"):
        write_run(tmp_path / "run.json", "finetune", {"network": "medicalnet"}, inputs)
    with pytest.raises(ParamsError, match="settings.proposal, as the liver needs them"):
        tuned(a_run(tmp_path, inputs, proposal=None))


def test_training_crops_hold_the_liver_and_its_margins(inputs):
    (case,) = load_cases(Path(inputs["cases"]), ["3"], SHAPE)
    for seed in range(5):
        volume, liver = drawn_crop(case, (1, 20), SHAPE, Input(ct_window_hu=(-200, 300)), np.random.default_rng(seed))
        assert volume.shape == liver.shape == SHAPE and volume.dtype == liver.dtype == np.float32
        assert 0.02 < liver.mean() < 0.6 and liver.min() >= 0 and liver.max() <= 1
        assert volume[liver > 0.9].mean() > volume[liver < 0.1].mean() + 0.1


def test_native_dice_of_the_truth_itself_of_nothing_and_of_no_liver(inputs, tmp_path):
    (case,) = load_cases(Path(inputs["cases"]), ["3"], SHAPE)
    truth = np.load(case.segmentation_path)
    perfect = evaluate(case, 0, truth.astype(np.float32), len(truth), largest_only=False)
    assert perfect["dice_per_case"] == 1 and perfect["predicted_ml"] == pytest.approx(truth.sum() * 0.045)
    empty = evaluate(case, 0, np.zeros(SHAPE, np.float32), len(truth), largest_only=False)
    assert empty["dice_per_case"] == 0 and empty["is_empty"]
    half = len(truth) // 2
    below = evaluate(case, 0, truth[:half].astype(np.float32), half, largest_only=False)
    assert below["dice_per_case"] == pytest.approx(2 * truth[:half].sum() / (truth[:half].sum() + truth.sum()))
    np.save(tmp_path / "none.npy", np.zeros_like(truth))
    nobody = type(case)(**{**vars(case), "segmentation_path": tmp_path / "none.npy"})
    assert np.isnan(evaluate(nobody, 0, np.zeros(SHAPE, np.float32), len(truth), largest_only=False)["dice_per_case"])


def test_the_largest_component_is_scored_beside_and_kept_when_asked(inputs):
    (case,) = load_cases(Path(inputs["cases"]), ["3"], SHAPE)
    truth = np.load(case.segmentation_path) >= 1
    spotted = truth.copy()
    spotted[0, :4, :4] = True
    assert not truth[:2].any() and not truth[:, :5, :5].any()
    probability = spotted.astype(np.float32)
    whole, kept = (evaluate(case, 0, probability, len(truth), largest_only=asked) for asked in (False, True))
    assert whole["dice_per_case"] < whole["dice_largest_component"] == kept["dice_largest_component"] == 1
    assert kept["dice_per_case"] == 1 and kept["hd95_mm"] == 0 and kept["volume_error_percent"] == 0


def test_the_control_s_encoder_transfers(tmp_path, inputs):
    record = write_run(tmp_path / "c.json", "control", {}, {k: inputs[k] for k in ("cases", "split")})
    checkpoint, history, *_ = train_control(read_run(record, ControlRun), state_path=None)
    assert checkpoint.kind == "control" and len(checkpoint.patients) == 2 and len(history)
    save_checkpoint(checkpoint, tmp_path / "control.pt")
    factors, given = {"init": "control", "encoder": "control"}, {**inputs, "encoder": str(tmp_path / "control.pt")}
    done = tuned(read_run(write_run(tmp_path / "run.json", "finetune", factors, given), FinetuneRun))
    assert done.transfer is not None and done.transfer.fraction_loaded == 1
