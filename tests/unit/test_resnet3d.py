import pytest
import torch

from radnet3d.models.heads import RadNet, count_all
from radnet3d.models.resnet3d import Convolution, Encoder, initialise
from support.tiny_training import NETWORK, PAPER_NETWORK


def test_paper_layout_counts_the_paper_s_parameters():
    encoder, whole = count_all(PAPER_NETWORK)
    assert encoder / 1e6 == pytest.approx(60.7, abs=0.05)
    assert whole / 1e6 == pytest.approx(62.8, abs=0.05)


def test_paper_input_shrinks_as_in_the_paper():
    with torch.device("meta"):
        levels = Encoder(PAPER_NETWORK)(torch.empty(1, 1, 48, 192, 192))
    assert [tuple(level.shape[1:]) for level in levels] == [
        (64, 48, 96, 96), (256, 24, 48, 48), (512, 12, 24, 24), (1024, 6, 12, 12), (2048, 3, 6, 6),
    ]  # fmt: skip


def test_every_unit_has_a_projection_and_no_strided_convolution():
    with torch.device("meta"):
        encoder = Encoder(PAPER_NETWORK)
    units = [unit for stage in encoder.stages for unit in stage]
    assert len(units) == 3 + 4 + 6 + 3
    assert all(unit.project.kernel_size == (1, 1, 1) for unit in units)
    assert all(conv.stride == (1, 1, 1) for unit in units for conv in (unit.squeeze, unit.convolve, unit.project))


def test_a_second_model_of_one_process_has_the_same_architecture():
    """A mutable default, reversed in place, gave the paper's second model another layout."""
    first, second = RadNet(NETWORK), RadNet(NETWORK)
    shapes = [{name: tuple(t.shape) for name, t in model.state_dict().items()} for model in (first, second)]
    assert shapes[0] == shapes[1]


def test_initialise_depends_on_the_generator_alone():
    models = [RadNet(NETWORK) for _ in range(2)]
    for model in models:
        initialise(model, torch.Generator().manual_seed(3))
    assert all(torch.equal(a, b) for a, b in zip(models[0].parameters(), models[1].parameters(), strict=True))
    initialise(models[1], torch.Generator().manual_seed(4))
    assert not torch.equal(models[0].encoder.stem.weight, models[1].encoder.stem.weight)


@pytest.mark.parametrize("shape", [(16, 16, 16), (17, 23, 30), (5, 8, 8), (1, 1, 1)])
def test_encoder_takes_any_shape(shape):
    levels = Encoder(NETWORK).eval()(torch.zeros(2, 1, *shape))
    assert len(levels) == 5
    assert min(levels[-1].shape[2:]) >= 1


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_bf16_weight_gradients_are_those_of_float32(depth):
    """torch 2.13 on a CPU: garbage for a depth of two, unless taken in float32."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, 16, depth, 3, 3, generator=generator).contiguous(memory_format=torch.channels_last_3d)
    conv = Convolution(16, 16, 3, padding=1, bias=False).to(memory_format=torch.channels_last_3d)
    gradients = []
    for is_bf16 in (True, False):
        conv.weight.grad = None
        stale = [torch.full((2**n,), torch.nan) for n in range(4, 20)]  # what uninitialised memory would hold
        del stale
        with torch.autocast("cpu", torch.bfloat16, enabled=is_bf16):
            conv(x).float().square().mean().backward()
        gradients.append(conv.weight.grad.clone())
    assert float((gradients[0] - gradients[1]).norm() / gradients[1].norm()) < 0.02
