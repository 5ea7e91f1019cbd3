"""How fast params.yaml's networks train on one thread: `pytest tests/benchmarks -m slow -s` prints samples a second."""

import time

import pytest
import torch
from torch import Tensor

from radnet3d.models.building import build_segmenter
from radnet3d.models.heads import RadNet
from radnet3d.params import Params, load_params
from radnet3d.training.loop import Recipe, autocast, choose_device, fit

N_STEPS = 20


@pytest.fixture(scope="module")
def params(repository) -> Params:
    return load_params(repository / "params.yaml")


def samples_per_second(model, params: Params, batch_size: int) -> float:
    device = choose_device(n_threads=1)
    shape = params.volumes.shape_zyx
    batch = torch.rand(batch_size, 1, *shape).to(device).contiguous(memory_format=torch.channels_last_3d)
    model = model.to(device, memory_format=torch.channels_last_3d)

    def loss_at(step: int) -> dict[str, Tensor]:
        with autocast(device, "bf16"):
            outputs = model(batch)
        values = outputs if isinstance(outputs, Tensor) else outputs.sequence
        return {"loss": values.square().mean()}

    recipe = Recipe(N_STEPS, 1e-3, 0, "bf16", n_steps_between_checkpoints=N_STEPS)
    fit(model, loss_at, Recipe(2, 1e-3, 0, "bf16", n_steps_between_checkpoints=2), device=device)
    started = time.process_time() if device.type == "cpu" else time.perf_counter()  # CPU time: others share the cores
    fit(model, loss_at, recipe, device=device)
    ended = time.process_time() if device.type == "cpu" else time.perf_counter()
    return N_STEPS * batch_size / (ended - started)


@pytest.mark.slow
def test_pretraining_speed(params):
    speed = samples_per_second(RadNet(params.network), params, params.pretrain.batch_size)
    print(f"pretraining: {speed:.0f} samples/s")
    assert speed > 20


@pytest.mark.slow
def test_segmenter_speed(params):
    speed = samples_per_second(build_segmenter(params.network, trains="all"), params, params.finetune.batch_size)
    print(f"segmenter: {speed:.0f} samples/s")
    assert speed > 5


@pytest.mark.slow
def test_medicalnet_speed(params):
    speed = samples_per_second(build_segmenter(params.medicalnet, trains="all"), params, params.finetune.batch_size)
    print(f"segmenter on MedicalNet of depth {params.medicalnet.depth}: {speed:.1f} samples/s")
    assert speed > 0.5
