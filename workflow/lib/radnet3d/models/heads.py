"""The five heads of 3D-RADNet and their masked losses."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from radnet3d.models.resnet3d import Encoder, count_parameters
from radnet3d.params import LossWeights, Network
from radnet3d.tables import PAPER_BODY, PAPER_CONTRASTS, PAPER_SEQUENCES, PAPER_VIEWS

CLASSES = {"sequence": PAPER_SEQUENCES, "view": PAPER_VIEWS, "contrast": PAPER_CONTRASTS}
"""Softmax heads and their classes."""
HEAD_NAMES = (*CLASSES, "body", "spacing")
UNKNOWN_CLASS = -1
"""Target of a softmax head that is masked; `body` and `spacing` are masked by NaN."""


@dataclass(frozen=True)
class Outputs:
    """What the network says of a batch; `logits` by head, `features` (N, fc_features) after the ReLU."""

    features: Tensor
    sequence: Tensor  # (N, 5) logits
    view: Tensor  # (N, 3) logits
    contrast: Tensor  # (N, 2) logits
    body: Tensor  # (N, 9) logits
    spacing: Tensor  # (N,) natural logarithm of the slice spacing in mm


@dataclass(frozen=True)
class Targets:
    """What the headers say of a batch."""

    sequence: Tensor  # (N,) class number, UNKNOWN_CLASS where masked
    view: Tensor
    contrast: Tensor
    body: Tensor  # (N, 9) 0, 1 or NaN
    spacing: Tensor  # (N,) slice spacing in mm, or NaN


class RadNet(nn.Module):
    """Encoder, fully connected layer and five heads: (N, 1, D, H, W) to Outputs."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.encoder = Encoder(network)
        self.fc = nn.Linear(self.encoder.channels[-1], network.fc_features)
        self.heads = nn.ModuleDict({
            "sequence": nn.Linear(network.fc_features, len(PAPER_SEQUENCES)),
            "view": nn.Linear(network.fc_features, len(PAPER_VIEWS)),
            "contrast": nn.Linear(network.fc_features, len(PAPER_CONTRASTS)),
            "body": nn.Linear(network.fc_features, len(PAPER_BODY)),
            "spacing": nn.Linear(network.fc_features, 1),
        })  # fmt: skip

    def forward(self, x: Tensor) -> Outputs:
        """Return logits and features; float32 whatever the precision of the encoder.

        PAPER: global average pooling, FC + ReLU, five linear heads.
        ASSUME: the body head applies the same two layers at every position of the last feature map and pools its
        logits by log-sum-exp, so that an organ counts where it is found; same parameters, see `pool_positions`.
        """
        deepest: Tensor = self.encoder(x)[-1].float()
        with torch.autocast(x.device.type, enabled=False):
            features = torch.relu(self.fc(deepest.mean((2, 3, 4))))
            by_position = torch.relu(self.fc(deepest.flatten(2).transpose(1, 2)))
            return Outputs(
                features=features,
                sequence=self.heads["sequence"](features),
                view=self.heads["view"](features),
                contrast=self.heads["contrast"](features),
                body=pool_positions(self.heads["body"](by_position)),
                spacing=self.heads["spacing"](features).squeeze(1),
            )


def pool_positions(logits: Tensor) -> Tensor:
    """Return (N, K) logits of "somewhere" from (N, positions, K) logits of "here".

    log-sum-exp minus log(positions): between the mean and the maximum, and equal to both where all positions agree.
    """
    return torch.logsumexp(logits, dim=1) - torch.log(torch.tensor(float(logits.shape[1])))


def head_losses(outputs: Outputs, targets: Targets) -> dict[str, Tensor]:
    """Return the mean loss of each head over its known targets; exactly 0, without a gradient, where none is known.

    Softmax heads: cross entropy. Body: binary cross entropy per organ. Spacing: smooth L1 of log mm (ASSUME).
    """
    losses = {}
    for head in CLASSES:
        target: Tensor = getattr(targets, head)
        known = target != UNKNOWN_CLASS
        each = functional.cross_entropy(getattr(outputs, head), target.clamp(min=0), reduction="none")
        losses[head] = masked_mean(each, known)
    known = ~torch.isnan(targets.body)
    each = functional.binary_cross_entropy_with_logits(
        outputs.body, torch.nan_to_num(targets.body, nan=0.0), reduction="none"
    )
    losses["body"] = masked_mean(each, known)
    known = targets.spacing > 0  # NaN is not
    log_mm = torch.log(torch.where(known, targets.spacing, 1.0))
    losses["spacing"] = masked_mean(functional.smooth_l1_loss(outputs.spacing, log_mm, reduction="none"), known)
    return losses


def masked_mean(values: Tensor, known: Tensor) -> Tensor:
    """Return the mean of `values` where `known`; 0 where nothing is known. Masked values get no gradient."""
    return torch.where(known, values, 0.0).sum() / known.sum().clamp(min=1)


def weighted_sum(losses: dict[str, Tensor], weights: LossWeights) -> Tensor:
    """Return the pretraining loss: each head's loss times its weight."""
    return torch.stack([losses[head] * float(getattr(weights, head)) for head in HEAD_NAMES]).sum()


def count_all(network: Network) -> tuple[int, int]:
    """Return (encoder, whole network) parameter counts, without allocating them."""
    with torch.device("meta"):
        model = RadNet(network)
    return count_parameters(model.encoder), count_parameters(model)
