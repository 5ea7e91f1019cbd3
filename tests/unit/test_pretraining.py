from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from radnet3d.errors import SplitError
from radnet3d.models.heads import UNKNOWN_CLASS
from radnet3d.params import Input
from radnet3d.runs import PretrainRun, read_run
from radnet3d.tables import PAPER_BODY, VOLUMES, read_table, write_table
from radnet3d.training import pretraining
from radnet3d.training.bands import TRUNK, Along
from radnet3d.training.inputs import jittered_grid, scale
from radnet3d.training.loop import Recipe, drawn_places, learning_rate_at
from radnet3d.training.series import deal_to_others, load_series
from support.tiny_training import SHAPE, write_run, write_series

INPUT = Input(ct_window_hu=(-200, 300))
RECIPE = Recipe(steps=100, learning_rate=1.0, weight_decay=0, precision="fp32", n_steps_between_checkpoints=10)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return write_series(tmp_path_factory.mktemp("series"))


def a_run(tmp_path, inputs, encoder="dicom", **changed) -> PretrainRun:
    labels = "shuffled" if encoder == "shuffled" else "own"
    factors = {"encoder": encoder, "labels": labels}
    return read_run(write_run(tmp_path / "run.json", "pretrain", factors, inputs, **changed), PretrainRun)


def equal(a, b) -> bool:
    return all(torch.equal(tensor, b.checkpoint.weights[name]) for name, tensor in a.checkpoint.weights.items())


def test_scaling_uses_a_fixed_range_so_that_one_metal_voxel_changes_nothing_else():
    volume = np.array([[[-1000, -200, 50, 300, 30000]]], np.int16)
    assert scale(volume, -200, 300).ravel().tolist() == [0, 0, 0.5, 1, 1]


def test_a_jittered_grid_never_flips_and_stays_inside():
    for seed in range(20):
        for n, axis in zip(SHAPE, jittered_grid(SHAPE, np.random.default_rng(seed)), strict=True):
            assert len(axis) == n and axis.min() >= 0 and axis.max() < n
            assert (np.diff(axis) >= 0).all()


def test_every_series_is_drawn_once_an_epoch():
    drawn = np.concatenate([drawn_places(7, step, 3, seed=1) for step in range(7)])
    for epoch in range(3):
        assert sorted(drawn[epoch * 7 : (epoch + 1) * 7]) == list(range(7))
    assert len(drawn_places(1, 5, 4, seed=1)) == 4


def test_the_learning_rate_rises_to_its_peak_and_falls():
    rates = [learning_rate_at(step, RECIPE) for step in range(RECIPE.steps)]
    assert rates[0] == pytest.approx(1 / 25) and max(rates) == pytest.approx(1, rel=1e-2) and rates[-1] < 1e-3
    top = int(np.argmax(rates))
    assert (np.diff(rates[:top]) > 0).all() and (np.diff(rates[top + 1 :]) < 0).all()
    one = Recipe(steps=1, learning_rate=1.0, weight_decay=0, precision="fp32", n_steps_between_checkpoints=1)
    assert 0 < learning_rate_at(0, one) <= 1


def test_a_patient_outside_the_split_stops_everything(tmp_path):
    inputs = write_series(tmp_path)
    lines = (tmp_path / "split.csv").read_text().splitlines(keepends=True)
    (tmp_path / "split.csv").write_text("".join(lines[:-1]))
    with pytest.raises(SplitError, match="P09 .* no side"):
        load_series(a_run(tmp_path, inputs).inputs, INPUT, SHAPE)


def test_of_several_volumes_the_first_whole_one_is_taken_without_what_it_need_not_show(tmp_path):
    inputs = write_series(tmp_path)
    path = Path(inputs["volumes"][0])
    table = read_table(path, VOLUMES)
    one = table[table["SeriesInstanceUID"] == "1.2.8"]  # of patient P04, on the side of training
    parts = pd.concat([one] * 3).assign(
        volume=[0, 1, 2], volume_of=["stack=1", "EchoTime=2", "EchoTime=9"], is_whole=[False, True, True],
        path=["none.npy", *one["path"], "none.npy"], axes_lps="I,P,R",
    )  # fmt: skip
    write_table(pd.concat([table.drop(one.index), parts]), path, VOLUMES)
    series = load_series(a_run(tmp_path, inputs).inputs, INPUT, SHAPE)["train"]
    rows = series.table.set_index("SeriesInstanceUID")
    assert rows.index.is_unique and rows.loc["1.2.8", "volume"] == 1
    assert (rows.loc["1.2.8", ["sequence", "contrast"]] == "").all()
    assert (rows.drop("1.2.8")["sequence"] != "").all()
    assert series.targets["sequence"][rows.index.get_loc("1.2.8")] == UNKNOWN_CLASS
    assert rows.loc["1.2.8", "body_Liver"] == 1 and rows.loc["1.2.8", "view"] == "AX"


def test_the_spacing_is_of_the_slices_that_the_network_sees(tmp_path, inputs):
    series = load_series(a_run(tmp_path, inputs).inputs, INPUT, SHAPE)["train"]
    axes = tuple((np.arange(16), 1.0) for _ in range(3))
    halved = series.targets_of_part(0, (0.5, 1.0), None, tuple((places, 1.1) for places, _ in axes))
    assert series.targets_of_part(0, (0.0, 1.0), None, axes)["spacing"] == pytest.approx(3.75)
    assert halved["spacing"] == pytest.approx(3.75 * 0.5 * 1.1)


def test_labels_along_the_body_move_with_the_volume(tmp_path, inputs):
    series = load_series(a_run(tmp_path, inputs).inputs, INPUT, SHAPE)["train"]
    series.targets["body"][0] = [0, 0, np.nan, 1, np.nan, 1, 1, 1, 1]
    liver, along = PAPER_BODY.index("Liver"), Along(0, TRUNK)
    still = tuple((np.arange(16), 1.0) for _ in range(3))
    lower = series.targets_of_part(0, (0.0, 0.3), along, still)
    assert (lower["coverage"][liver] == 0).all() and lower["body"][liver] == 0 and lower["axis"] == 0
    whole = series.targets_of_part(0, (0.0, 1.0), along, still)["coverage"][liver]
    assert whole[0] == whole[-1] == 0 and whole[24] == 1
    shifted = tuple((np.clip(np.arange(16) + 8, 0, 15), 1.0) for _ in range(3))
    assert series.targets_of_part(0, (0.0, 1.0), along, shifted)["coverage"][liver][0] == 1


def test_shuffled_labels_go_to_other_patients_and_none_is_lost(tmp_path, inputs):
    series = load_series(a_run(tmp_path, inputs).inputs, INPUT, SHAPE)["train"]
    dealt = deal_to_others(series, np.random.default_rng(0))
    patients = series.table["PatientID"].to_numpy()
    assert sorted(dealt.source) == list(range(len(series)))
    assert (patients[dealt.source] != patients).all()
    found = dealt.targets_at(np.arange(len(series)), torch.device("cpu"))
    np.testing.assert_array_equal(found.sequence.numpy(), series.targets["sequence"][dealt.source])


def test_one_patient_with_half_of_the_series_cannot_be_shuffled(tmp_path):
    inputs = write_series(tmp_path, n_patients=4, n_series=2)
    series = load_series(a_run(tmp_path, inputs).inputs, INPUT, SHAPE)["train"]
    with pytest.raises(SplitError, match="2 of 2 series"):
        deal_to_others(series, np.random.default_rng(0))


def test_two_runs_are_equal_to_the_bit_and_shuffled_differs(tmp_path, inputs):
    first = pretraining.pretrain(a_run(tmp_path, inputs), state_path=None)
    second = pretraining.pretrain(a_run(tmp_path, inputs), state_path=None)
    shuffled = pretraining.pretrain(a_run(tmp_path, inputs, encoder="shuffled"), state_path=None)
    assert equal(first, second) and not equal(first, shuffled)
    assert first.predictions.equals(second.predictions)


def test_a_killed_run_goes_on_to_the_same_weights(tmp_path, inputs, monkeypatch):
    whole = pretraining.pretrain(a_run(tmp_path, inputs), state_path=None)
    state = tmp_path / "state.pt"
    read, n_read = pretraining.Series.drawn, 0

    def killed(*args):
        nonlocal n_read
        n_read += 1
        if n_read == 6:
            raise KeyboardInterrupt
        return read(*args)

    monkeypatch.setattr(pretraining.Series, "drawn", killed)
    with pytest.raises(KeyboardInterrupt):
        pretraining.pretrain(a_run(tmp_path, inputs), state_path=state)
    monkeypatch.undo()
    resumed = pretraining.pretrain(a_run(tmp_path, inputs), state_path=state)
    assert state.exists() and equal(whole, resumed)
    assert whole.history.equals(resumed.history)


def test_heads_learn_what_can_be_seen(tmp_path, inputs):
    """CT and MR differ in intensity at a glance: forty steps suffice."""
    run = a_run(
        tmp_path, inputs, pretrain__steps=40, pretrain__learning_rate=0.02, pretrain__n_steps_between_checkpoints=40
    )
    done = pretraining.pretrain(run, state_path=None)
    assert (done.predictions["sequence"] == done.predictions["sequence_target"]).mean() > 0.9
    loss = done.history.query("split == 'train' and name == 'loss'")["value"]
    assert loss.iloc[-1] < loss.iloc[0]
