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
"""Target of a softmax head that is masked; all else is masked by NaN."""
LEVELS = (2, 3, 4)
"""Stages the heads look at where `network.heads` is "levels" (ASSUME)."""

SPACING_BETA = 0.1
"""Beyond this error of log mm the loss of the spacing is linear (ASSUME): squares of small errors teach nothing."""


@dataclass(frozen=True)
class Outputs:
    """What the network says of a batch; `features` (N, fc_features) after the ReLU."""

    features: Tensor
    sequence: Tensor  # (N, 5) logits
    view: Tensor  # (N, 3) logits
    contrast: Tensor  # (N, 2) logits
    body: Tensor  # (N, 9) logits of "anywhere", of the deepest level
    spacing: Tensor  # (N,) natural logarithm of the distance in mm between the slices of the network's input
    coverage: tuple[Tensor, ...] = ()  # of each level, (N, 9, d, h, w) logits of "here"


@dataclass(frozen=True)
class Targets:
    """What the headers say of a batch."""

    sequence: Tensor  # (N,) class number, UNKNOWN_CLASS where masked
    view: Tensor
    contrast: Tensor
    body: Tensor  # (N, 9) 0, 1 or NaN
    spacing: Tensor  # (N,) distance in mm between the slices of the network's input, or NaN
    coverage: Tensor | None = None  # (N, 9, places) 0, 1 or NaN at even places along the body; none: not asked
    axis: Tensor | None = None  # (N,) which of z, y, x runs along the body


class ScaledLinear(nn.Linear):
    """A linear layer whose weights are divided by the root of their number.

    One learning rate then suits it and the convolutions: an AdamW step changes every weight alike, and a sum over hundreds of
    features by hundreds of times as much. At rates that suit the encoder, plain heads learn nothing (ASSUME).
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., out) of (..., in)."""
        return functional.linear(x, self.weight * self.in_features**-0.5, self.bias)


class RadNet(nn.Module):
    """Encoder, fully connected layer and five heads: (N, 1, D, H, W) to Outputs.

    PAPER (`network.heads` "deepest"): global average pooling of the last stage, FC + ReLU, five linear heads. ASSUME: the
    body head applies the same two layers at every position and pools its logits (see `pool_positions`), so that an
    organ counts where it is found; same parameters.
    ASSUME ("levels"): mean and maximum of stages 2, 3 and 4 go to the FC, and coverage is answered at every position of each of
    these stages by a layer of its own, so that the features which a decoder takes as skips tell organs apart.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.encoder = Encoder(network)
        channels, n_features = self.encoder.channels, network.fc_features
        is_deepest = network.heads == "deepest"
        linear = nn.Linear if is_deepest else ScaledLinear
        n_pooled = channels[-1] if is_deepest else 2 * sum(channels[level] for level in LEVELS)
        self.fc = linear(n_pooled, n_features)
        self.heads = nn.ModuleDict({
            "sequence": linear(n_features, len(PAPER_SEQUENCES)),
            "view": linear(n_features, len(PAPER_VIEWS)),
            "contrast": linear(n_features, len(PAPER_CONTRASTS)),
            "body": linear(n_features, len(PAPER_BODY)),
            "spacing": linear(n_features, 1),
        })  # fmt: skip
        if not is_deepest:
            self.norms = nn.ModuleList(nn.BatchNorm3d(channels[level]) for level in LEVELS[:-1])
            self.pooled_norm = nn.BatchNorm1d(n_pooled)  # maxima are many times as large as means
            self.heads["body"] = nn.ModuleList(linear(channels[level], len(PAPER_BODY)) for level in LEVELS)

    def forward(self, x: Tensor) -> Outputs:
        """Return logits and features; float32 whatever the precision of the encoder."""
        levels = self.encoder(x)
        look = self.look_at_deepest if self.network.heads == "deepest" else self.look_at_levels
        with torch.autocast(x.device.type, enabled=False):
            pooled, coverage = look([level.float() for level in levels])
            features = torch.relu(self.fc(pooled))
            return Outputs(
                features=features,
                sequence=self.heads["sequence"](features),
                view=self.heads["view"](features),
                contrast=self.heads["contrast"](features),
                body=pool_positions(coverage[-1].flatten(1, 3)),
                spacing=self.heads["spacing"](features).squeeze(1),
                coverage=tuple(here.movedim(-1, 1) for here in coverage),
            )

    def look_at_deepest(self, levels: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return what goes to the FC, and (N, d, h, w, 9) coverage logits of the last stage."""
        deepest = levels[-1]
        return deepest.mean((2, 3, 4)), [self.heads["body"](torch.relu(self.fc(deepest.movedim(1, -1))))]

    def look_at_levels(self, levels: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Return what goes to the FC, and (N, d, h, w, 9) coverage logits of each of LEVELS."""
        stages = [levels[level] for level in LEVELS]  # the last one is normalised by the encoder
        stages[:-1] = [torch.relu(norm(stage)) for norm, stage in zip(self.norms, stages[:-1], strict=True)]
        pools = [pool(stage, (2, 3, 4)) for stage in stages for pool in (torch.mean, torch.amax)]
        coverage = [
            head(stage.movedim(1, -1)) for head, stage in zip(self.heads["body"].children(), stages, strict=True)
        ]
        return self.pooled_norm(torch.cat(pools, dim=1)), coverage


def pool_positions(logits: Tensor) -> Tensor:
    """Return (N, K) logits of "somewhere" from (N, positions, K) logits of "here".

    log-sum-exp minus log(positions): between the mean and the maximum, and equal to both where all positions agree.
    """
    return torch.logsumexp(logits, dim=1) - torch.log(torch.tensor(float(logits.shape[1])))


def head_losses(
    outputs: Outputs, targets: Targets, class_weights: dict[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Return the mean loss of each head over its known targets; exactly 0, without a gradient, where none is known.

    Softmax heads: cross entropy, a class weighted by `class_weights` (softmax head -> one a class; none: all alike).
    Spacing: smooth L1 of log mm. Body: binary cross entropy per organ, of what the volume shows anywhere plus, where
    `targets.coverage` says it, of what it shows at each place along the body; the mean over levels (ASSUME).
    """
    losses = {}
    for head in CLASSES:
        target: Tensor = getattr(targets, head)
        known = target != UNKNOWN_CLASS
        each = functional.cross_entropy(getattr(outputs, head), target.clamp(min=0), reduction="none")
        if class_weights:
            each = each * class_weights[head][target.clamp(min=0)]
        losses[head] = masked_mean(each, known)
    levels = [pool_positions(here.flatten(2).transpose(1, 2)) for here in outputs.coverage] or [outputs.body]
    losses["body"] = torch.stack([coverage_loss(logits, targets.body) for logits in levels]).mean()
    if targets.coverage is not None and targets.axis is not None:
        along = [along_the_body(here, targets.coverage, targets.axis) for here in outputs.coverage]
        losses["body"] = losses["body"] + torch.stack([coverage_loss(*level) for level in along]).mean()
    known = targets.spacing > 0  # NaN is not
    log_mm = torch.log(torch.where(known, targets.spacing, 1.0))
    each = functional.smooth_l1_loss(outputs.spacing, log_mm, reduction="none", beta=SPACING_BETA)
    losses["spacing"] = masked_mean(each, known)
    return losses


def coverage_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return the mean binary cross entropy over known targets, tensors of one shape."""
    each = functional.binary_cross_entropy_with_logits(logits, torch.nan_to_num(target, nan=0.0), reduction="none")
    return masked_mean(each, ~torch.isnan(target))


def along_the_body(here: Tensor, coverage: Tensor, axis: Tensor) -> tuple[Tensor, Tensor]:
    """Return logits of one level along the body, pooled across it, and their targets, both flat.

    `here`: (N, 9, d, h, w) logits; `coverage`: (N, 9, places) targets; `axis`: (N,), which of d, h, w runs along the body.
    A position of the level is known to be 1 or 0 only where all of its places are.
    """
    logits, targets = [], []
    for along in sorted(set(axis.tolist())):
        chosen = axis == along
        lines = here[chosen].movedim(along + 2, 1).flatten(3)  # (n, positions, 9, across)
        logits.append(pool_positions(lines.movedim(3, 2).flatten(0, 1)).flatten())
        known, n_positions = coverage[chosen], lines.shape[1]
        lowest = -functional.adaptive_max_pool1d(-torch.nan_to_num(known, nan=0.0), n_positions)
        highest = functional.adaptive_max_pool1d(torch.nan_to_num(known, nan=1.0), n_positions)
        targets.append(torch.where(lowest == highest, lowest, torch.nan).transpose(1, 2).flatten())
    return torch.cat(logits), torch.cat(targets)


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
