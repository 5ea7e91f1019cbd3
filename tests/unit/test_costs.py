"""Operations and samples of a training, and what an arm costs with its pretraining."""

import copy
import json

import pytest
import torch
from torch import nn
from torch.nn import functional

from radnet3d.errors import TableError
from radnet3d.evaluation.costs import sum_costs
from radnet3d.models.building import build_segmenter
from radnet3d.models.heads import RadNet
from radnet3d.tables import COSTS, check_table
from radnet3d.training.cost import sample_flops, training_cost
from support.tiny_training import NETWORK

SHAPE = (8, 8, 8)


class OneConvolution(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv3d(1, 3, 3, padding=1, bias=False)
        self.last = nn.Conv3d(3, 1, 1, bias=False)

    def forward(self, x):
        return self.last(functional.relu(self.first(x)))


def test_operations_are_those_of_convolutions_forward_and_backward():
    n_voxels = 4 * 5 * 6
    first, last = 2 * 27 * 3 * n_voxels, 2 * 3 * n_voxels  # a multiplication and an addition a weight and voxel
    model = OneConvolution()
    # backward: weights of both, and what goes back from the last into the first; the volume itself needs nothing
    assert sample_flops(model, (4, 5, 6)) == first + last + (first + 2 * last)
    assert training_cost(model, (4, 5, 6), steps=10, batch_size=4) == {
        "n_samples": 40, "tflops": 40 * (2 * first + 3 * last) / 1e12,
    }  # fmt: skip
    model.first.requires_grad_(False)
    assert sample_flops(model, (4, 5, 6)) == first + last + last


@pytest.mark.parametrize("build", [lambda: build_segmenter(NETWORK, trains="all"), lambda: RadNet(NETWORK)])
def test_counting_leaves_the_network_as_it_was(build):
    model = build().eval()
    before = copy.deepcopy(model.state_dict())
    assert sample_flops(model, SHAPE) > 1e4
    assert not model.training and all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_what_is_frozen_costs_less():
    whole, decoder, probe = (
        sample_flops(build_segmenter(NETWORK, trains=part), SHAPE) for part in ("all", "decoder", "probe")
    )
    assert probe < decoder < whole


def leave(folder, metrics, *, seconds, is_resumed=False):
    """Write what a training says of its cost; `seconds` of metrics.json are others, of a part."""
    folder.mkdir()
    (folder / "metrics.json").write_text(json.dumps({**metrics, "seconds": 0.1}))
    environment = {"seconds": seconds, "cpu_seconds": seconds / 2, "is_resumed": is_resumed}
    (folder / "environment.json").write_text(json.dumps(environment))
    return folder


def run(folder, init, encoder, **cost):
    return leave(folder, {"task": "liver", "init": init, "encoder": encoder, "n_samples": 320, "tflops": 0.5}, **cost)


def test_an_arm_costs_its_pretraining_and_its_run(tmp_path):
    runs = [
        run(tmp_path / "a", "scratch", None, seconds=10), run(tmp_path / "b", "scratch", None, seconds=14),
        run(tmp_path / "c", "pretrained", "dicom", seconds=20),
        run(tmp_path / "d", "medicalnet", "medicalnet", seconds=30),
    ]  # fmt: skip
    encoders = [
        leave(tmp_path / "e0", {"encoder": "dicom", "n_samples": 1000, "tflops": 7.0}, seconds=100),
        leave(tmp_path / "e1", {"encoder": "dicom", "n_samples": 1000, "tflops": 9.0}, seconds=50, is_resumed=True),
        leave(tmp_path / "e2", {"encoder": "shuffled", "n_samples": 1000, "tflops": 7.0}, seconds=999),
    ]  # fmt: skip
    rows = check_table(sum_costs(runs, encoders), COSTS, name="costs").set_index("init")
    assert list(rows.index) == ["scratch", "pretrained", "medicalnet"]
    scratch, pretrained, medicalnet = (rows.loc[init] for init in rows.index)
    assert (scratch["encoder"], scratch["n_runs"], scratch["n_encoders"], scratch["n_resumed"]) == ("", 2, 0, 0)
    assert scratch["pretraining_seconds"] == 0 and scratch["total_seconds"] == 12 and scratch["total_cpu_seconds"] == 6
    assert (pretrained["n_encoders"], pretrained["n_resumed"]) == (2, 1)
    assert pretrained["pretraining_seconds"] == 75 and pretrained["total_seconds"] == 95
    assert pretrained["total_n_samples"] == 1320 and pretrained["total_tflops"] == 8.5
    assert rows[["pretraining_tflops", "total_tflops"]].isna().loc["medicalnet"].all()
    assert medicalnet["finetuning_tflops"] == 0.5


def test_costs_that_are_not_known_are_named(tmp_path):
    one = run(tmp_path / "a", "pretrained", "dicom", seconds=10)
    with pytest.raises(TableError, match="no folder of the encoder 'dicom', which the arm 'pretrained'"):
        sum_costs([one], [])
    old = leave(tmp_path / "old", {"encoder": "dicom"}, seconds=10)
    with pytest.raises(TableError, match=r"old: .* lack \['n_samples', 'tflops'\]"):
        sum_costs([one], [old])
