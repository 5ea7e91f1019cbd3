import pytest
import torch
from torch.nn import functional

from radnet3d.models.building import build_segmenter
from radnet3d.models.probe import Probe
from radnet3d.models.resnet3d import initialise
from radnet3d.models.vnet import unfold
from support.tiny_training import NETWORK, PAPER_NETWORK

pytestmark = pytest.mark.usefixtures("one_thread")


def probe(seed: int = 0) -> Probe:
    model = build_segmenter(NETWORK, trains="probe")
    initialise(model, torch.Generator().manual_seed(seed))
    return model


@pytest.mark.parametrize("shape", [(16, 16, 16), (9, 11, 13), (1, 2, 3)])
def test_output_has_the_input_s_grid(shape):
    assert probe().eval()(torch.rand(2, 1, *shape)).shape == (2, 1, *shape)


def test_one_linear_layer_is_all_that_is_trained():
    with torch.device("meta"):
        model = build_segmenter(PAPER_NETWORK, trains="probe")
    n_features, n_voxels_a_position = 64 + 256 + 512 + 1024 + 2048, 1 * 2 * 2
    n_trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert n_trained == (n_features + 1) * n_voxels_a_position


def test_it_is_a_linear_layer_on_all_levels_raised_and_concatenated():
    model, x = probe().eval(), torch.rand(2, 1, 16, 16, 16)
    levels = model.encoder(x)
    raised = [functional.interpolate(level, levels[0].shape[2:], mode="nearest") for level in levels]
    features = torch.cat(
        [(r - n.running_mean.view(1, -1, 1, 1, 1)) / (n.running_var + n.eps).sqrt().view(1, -1, 1, 1, 1)
         for r, n in zip(raised, model.norms, strict=True)],
        dim=1,
    )  # fmt: skip
    weight = torch.cat([linear.weight for linear in model.logits], dim=1)
    wanted = unfold(functional.conv3d(features, weight, model.logits[0].bias), model.encoder.stride)
    torch.testing.assert_close(model(x), wanted)


def test_training_leaves_the_encoders_weights_as_they_were():
    model = probe().train()
    before = {name: weight.clone() for name, weight in model.encoder.named_parameters()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        model(torch.rand(2, 1, 16, 16, 16)).square().mean().backward()
        optimizer.step()
    assert all(torch.equal(weight, before[name]) for name, weight in model.encoder.named_parameters())


def test_the_scale_of_a_level_does_not_matter():
    """Standardised features: an encoder ten times as loud gives the same answer in training."""
    model, x = probe().train(), torch.rand(4, 1, 16, 16, 16)
    levels, answers = model.encoder(x), []
    for scale in (1e2, 1e3):
        model.encoder.forward = lambda _, scale=scale: [scale * level for level in levels]
        answers.append(model(x))
    torch.testing.assert_close(answers[0], answers[1], rtol=1e-2, atol=1e-2)


def test_it_learns_what_is_linear_in_its_features():
    teacher, model = probe().train(), probe().train()
    initialise(model.logits, torch.Generator().manual_seed(1))
    x = torch.rand(4, 1, 16, 16, 16, generator=torch.Generator().manual_seed(2))
    target = (teacher(x) > 0).float()
    before = float(((model(x) > 0) == (target > 0)).float().mean())
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.05)
    for _ in range(80):
        loss = functional.binary_cross_entropy_with_logits(model(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after = float(((model(x) > 0) == (target > 0)).float().mean())
    assert after > 0.95 > 0.8 > before
