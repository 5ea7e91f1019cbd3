import pytest
import torch

from radnet3d.models.building import build_segmenter
from radnet3d.models.resnet3d import initialise
from radnet3d.models.vnet import fold, pad, unfold
from support.tiny_training import NETWORK, PAPER_NETWORK

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("shape", [(16, 16, 16), (9, 11, 13), (1, 2, 3)])
def test_output_has_the_input_s_grid(shape):
    assert build_segmenter(NETWORK, trains="all").eval()(torch.rand(2, 1, *shape)).shape == (2, 1, *shape)


def test_paper_network_segments_at_input_resolution():
    with torch.device("meta"):
        assert build_segmenter(PAPER_NETWORK, trains="all")(torch.empty(1, 1, 48, 192, 192)).shape == (
            1,
            1,
            48,
            192,
            192,
        )


def test_unfold_undoes_fold():
    x = torch.rand(2, 1, 6, 8, 4)
    assert torch.equal(unfold(fold(x, (1, 2, 2)), (1, 2, 2)), x)
    assert torch.equal(unfold(fold(x, (3, 2, 4)), (3, 2, 4)), x)


def test_folded_channels_are_neighbours_of_their_position():
    x = torch.arange(16.0).reshape(1, 1, 1, 4, 4)
    assert fold(x, (1, 2, 2))[0, :, 0, 1, 1].tolist() == [10, 11, 14, 15]


def test_every_weight_gets_a_gradient():
    model = build_segmenter(NETWORK, trains="all")
    model(torch.rand(2, 1, 16, 16, 16)).square().mean().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_padding_reaches_the_next_multiple():
    assert pad(torch.ones(1, 1, 3, 4, 5), (1, 2, 4)).shape == (1, 1, 3, 4, 8)
    assert pad(torch.ones(1, 1, 3, 4, 5), (1, 2, 4))[..., 5:].abs().sum() == 0


def test_a_frozen_encoder_trains_its_decoder_alone():
    model = build_segmenter(NETWORK, trains="decoder")
    initialise(model, torch.Generator().manual_seed(0))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.train()
    model(torch.rand(2, 1, 16, 16, 16)).square().mean().backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    fixed = {f"encoder.{name}" for name, _ in model.encoder.named_parameters()}
    assert not changed & fixed, "of the encoder batch norm's statistics alone"
    assert {"logits.weight", "ups.3.convolve.weight", "encoder.norm.running_mean"} <= changed


@pytest.mark.parametrize("trains", ["all", "decoder", "probe"])
def test_what_is_trained_changes_neither_the_encoder_nor_its_names(trains):
    model = build_segmenter(NETWORK, trains=trains)
    initialise(model, torch.Generator().manual_seed(0))
    whole = build_segmenter(NETWORK, trains="all")
    initialise(whole, torch.Generator().manual_seed(0))
    assert list(model.encoder.state_dict()) == list(whole.encoder.state_dict())
