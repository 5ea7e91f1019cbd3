"""The linear probe: what an encoder's features say by themselves, read by one linear layer."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from radnet3d.models.levels import LevelEncoder, freeze
from radnet3d.models.vnet import pad, unfold


class Probe(nn.Module):
    """Liver or not, for every voxel, from a frozen encoder: (N, 1, D, H, W) to (N, 1, D, H, W) logits, for any D, H, W.

    One linear function of all levels' features, raised to the first level's grid; its outputs at a position are the
    voxels that share it, as in the segmenter. The network input itself is not among the features.
    """

    def __init__(self, encoder: LevelEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        freeze(encoder)
        # ASSUME: standardised by the batch, without weights, so that levels of different scale count alike
        self.norms = nn.ModuleList(nn.BatchNorm3d(n, affine=False) for n in encoder.channels)
        # a linear layer on the concatenation is the sum of one on each level, which is cheaper raised than its input
        n_outputs = math.prod(encoder.stride)
        self.logits = nn.ModuleList(
            nn.Conv3d(n, n_outputs, 1, bias=level == 0) for level, n in enumerate(encoder.channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the logit of "liver" at the input's resolution, float32."""
        shape, stride = x.shape[2:], self.encoder.stride
        levels = self.encoder(pad(x, stride))
        grid = levels[0].shape[2:]
        parts = [
            functional.interpolate(linear(norm(level)).float(), size=grid, mode="nearest")
            for level, norm, linear in zip(levels, self.norms, self.logits, strict=True)
        ]
        return unfold(torch.stack(parts).sum(0), stride)[:, :, : shape[0], : shape[1], : shape[2]]
