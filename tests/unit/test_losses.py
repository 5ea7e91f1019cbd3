from dataclasses import replace

import pytest
import torch

from radnet3d.models.heads import (
    HEAD_NAMES,
    UNKNOWN_CLASS,
    RadNet,
    Targets,
    along_the_body,
    count_all,
    head_losses,
    masked_mean,
    pool_positions,
    weighted_sum,
)
from radnet3d.params import LossWeights
from radnet3d.training.tasks.liver import soft_dice_loss
from support.tiny_training import LEVELS_NETWORK, NETWORK

WEIGHTS = LossWeights(sequence=1, view=1, contrast=1, body=1, spacing=0.3)


def unknown(n: int) -> Targets:
    nothing = torch.full((n,), UNKNOWN_CLASS)
    return Targets(nothing, nothing, nothing, torch.full((n, 9), torch.nan), torch.full((n,), torch.nan))


def test_a_batch_without_labels_has_no_loss_and_no_gradient():
    model = RadNet(NETWORK)
    losses = head_losses(model(torch.rand(2, 1, 8, 8, 8)), unknown(2))
    assert {name: loss.item() for name, loss in losses.items()} == dict.fromkeys(HEAD_NAMES, 0.0)
    weighted_sum(losses, WEIGHTS).backward()
    assert all(p.grad is None or float(p.grad.abs().max()) == 0 for p in model.parameters())


def test_a_masked_head_gets_no_gradient_while_another_does():
    model = RadNet(NETWORK)
    nothing = unknown(2)
    only_view = Targets(
        nothing.sequence, torch.tensor([2, UNKNOWN_CLASS]), nothing.contrast, nothing.body, nothing.spacing
    )
    weighted_sum(head_losses(model(torch.rand(2, 1, 8, 8, 8)), only_view), WEIGHTS).backward()
    assert float(model.heads["view"].weight.grad.abs().max()) > 0
    assert float(model.heads["sequence"].weight.grad.abs().max()) == 0
    assert float(model.heads["body"].weight.grad.abs().max()) == 0
    assert float(model.heads["spacing"].weight.grad.abs().max()) == 0


def test_masked_organs_do_not_change_the_loss():
    model = RadNet(NETWORK).eval()
    outputs = model(torch.rand(2, 1, 8, 8, 8))
    targets = unknown(2)
    targets.body[0, 5] = 1.0
    alone = head_losses(outputs, targets)["body"]
    expected = -torch.nn.functional.logsigmoid(outputs.body[0, 5])
    assert alone.item() == pytest.approx(expected.item(), rel=1e-5)


def test_spacing_is_compared_as_log_mm():
    model = RadNet(NETWORK).eval()
    outputs = model(torch.rand(1, 1, 8, 8, 8))
    targets = unknown(1)
    targets.spacing[0] = torch.exp(outputs.spacing[0]).detach()
    assert head_losses(outputs, targets)["spacing"].item() == pytest.approx(0, abs=1e-6)


def test_a_class_counts_by_its_weight():
    model = RadNet(NETWORK).eval()
    outputs = model(torch.rand(2, 1, 8, 8, 8))
    targets = replace(unknown(2), view=torch.tensor([2, UNKNOWN_CLASS]))
    weights = {"sequence": torch.ones(5), "view": torch.tensor([1.0, 1.0, 3.0]), "contrast": torch.ones(2)}
    plain, weighted = head_losses(outputs, targets)["view"], head_losses(outputs, targets, weights)["view"]
    assert weighted.item() == pytest.approx(3 * plain.item(), rel=1e-5)


def test_coverage_is_asked_at_each_place_along_the_axis_of_the_body():
    here = torch.zeros(2, 9, 2, 4, 3)
    here[0, :, 1] = 5.0  # the first volume shows all organs in the upper half of z
    here[1, :, :, 0] = 5.0  # the second in the first quarter of y
    coverage = torch.full((2, 9, 8), torch.nan)
    coverage[0, 0] = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    coverage[1, 0] = torch.tensor([1, 1, 0, 0, torch.nan, 0, 0, 1])
    logits, targets = along_the_body(here, coverage, torch.tensor([0, 1]))
    known = ~torch.isnan(targets)
    # z: two positions, both known; y: four, of which the third has an unknown place and the fourth is of two minds
    assert targets[known].tolist() == [0, 1, 1, 0]
    assert logits[known].tolist() == pytest.approx([0, 5, 5, 0], abs=1e-5)


def test_labels_along_the_body_train_every_level():
    model = RadNet(LEVELS_NETWORK)
    targets = unknown(2)
    told = replace(targets, coverage=torch.ones(2, 9, 48), axis=torch.tensor([0, 2]))
    losses = head_losses(model(torch.rand(2, 1, 16, 16, 16)), told)
    assert losses["body"].item() > 0 and all(losses[head].item() == 0 for head in HEAD_NAMES if head != "body")
    losses["body"].backward()
    assert all(float(head.weight.grad.abs().max()) > 0 for head in model.heads["body"])


def test_each_head_is_trained_alone():
    known = Targets(
        torch.tensor([1, 2]), torch.tensor([0, 1]), torch.tensor([0, 1]), torch.ones(2, 9), torch.tensor([2.0, 5.0])
    )
    for head in HEAD_NAMES:
        model = RadNet(LEVELS_NETWORK)
        head_losses(model(torch.rand(2, 1, 16, 16, 16)), known)[head].backward()
        moved = {
            name for name, p in model.heads.named_parameters() if p.grad is not None and float(p.grad.abs().max()) > 0
        }
        assert moved and all(name.startswith(head) for name in moved)
        assert float(model.encoder.stem.weight.grad.abs().max()) > 0


def test_the_heads_of_the_paper_add_nothing_to_its_parameters():
    plain, levels = count_all(NETWORK), count_all(LEVELS_NETWORK)
    assert plain[0] == levels[0] and levels[1] > plain[1]


def test_masked_mean_ignores_nan_free_placeholders():
    values = torch.tensor([1.0, 5.0], requires_grad=True)
    masked_mean(values, torch.tensor([True, False])).backward()
    assert values.grad.tolist() == [1.0, 0.0]


def test_pooling_lies_between_mean_and_maximum():
    logits = torch.tensor([[[-2.0], [0.0], [7.0]]])
    pooled = float(pool_positions(logits))
    assert float(logits.mean()) < pooled < 7
    assert float(pool_positions(torch.full((1, 4, 1), 1.5))) == pytest.approx(1.5)


def test_soft_dice_of_perfect_empty_and_wrong():
    target = torch.zeros(2, 1, 2, 2, 2)
    target[0, 0, 0] = 1
    sure = 40 * (2 * target - 1)
    assert float(soft_dice_loss(sure, target)) == pytest.approx(0, abs=1e-6)
    assert float(soft_dice_loss(-sure, target)) > 0.7
