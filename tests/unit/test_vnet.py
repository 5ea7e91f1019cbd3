import pytest
import torch

from radnet3d.models.vnet import Segmenter, fold, unfold
from support.tiny_training import NETWORK, PAPER_NETWORK


@pytest.mark.parametrize("shape", [(16, 16, 16), (9, 11, 13), (1, 2, 3)])
def test_output_has_the_input_s_grid(shape):
    assert Segmenter(NETWORK).eval()(torch.rand(2, 1, *shape)).shape == (2, 1, *shape)


def test_paper_network_segments_at_input_resolution():
    with torch.device("meta"):
        assert Segmenter(PAPER_NETWORK)(torch.empty(1, 1, 48, 192, 192)).shape == (1, 1, 48, 192, 192)


def test_unfold_undoes_fold():
    x = torch.rand(2, 1, 6, 8, 4)
    assert torch.equal(unfold(fold(x, (1, 2, 2)), (1, 2, 2)), x)
    assert torch.equal(unfold(fold(x, (3, 2, 4)), (3, 2, 4)), x)


def test_folded_channels_are_neighbours_of_their_position():
    x = torch.arange(16.0).reshape(1, 1, 1, 4, 4)
    assert fold(x, (1, 2, 2))[0, :, 0, 1, 1].tolist() == [10, 11, 14, 15]


def test_every_weight_gets_a_gradient():
    model = Segmenter(NETWORK)
    model(torch.rand(2, 1, 16, 16, 16)).square().mean().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
