"""The segmenter: an encoder with a mirrored decoder, as in V-Net."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from radnet3d.models.levels import LevelEncoder, Strides
from radnet3d.models.resnet3d import Convolution


class UpBlock(nn.Module):
    """From a coarse level to the next finer one: upsample, concatenate the skip, convolve, normalise."""

    def __init__(self, channels_coarse: int, channels_skip: int, channels_out: int) -> None:
        super().__init__()
        channels_raised = max(channels_out // 2, 1)
        self.squeeze = nn.Conv3d(channels_coarse, channels_raised, 1, bias=False)
        self.norm1 = nn.BatchNorm3d(channels_raised)
        self.convolve = Convolution(channels_raised + channels_skip, channels_out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm3d(channels_out)

    def forward(self, coarse: Tensor, skip: Tensor) -> Tensor:
        """Return (N, channels_out, D, H, W) on the grid of `skip`."""
        # Norm + leaky ReLU at every upsampling: without them some runs collapse to predicting nothing.
        coarse = functional.leaky_relu(self.norm1(self.squeeze(coarse)), 0.01)
        raised = functional.interpolate(coarse, size=skip.shape[2:], mode="nearest")
        return functional.leaky_relu(self.norm2(self.convolve(torch.cat([raised, skip], dim=1))), 0.01)


class Segmenter(nn.Module):
    """Liver or not, for every voxel: (N, 1, D, H, W) to (N, 1, D, H, W) logits, for any D, H, W.

    PAPER: the encoder of pretraining, mirrored decoder, upsampling and concatenated skips.
    ASSUME: the decoder has the encoder's bottleneck widths, half of them for what comes from below. The stem's stride is undone by folding: the voxels that
    share a position of the stem are channels of the last skip, and of the logits (a quarter of the work of a level
    at full resolution, with the same voxels seen and answered).
    """

    def __init__(self, encoder: LevelEncoder) -> None:
        super().__init__()
        self.encoder = encoder
        n_folded = math.prod(encoder.stride)
        stem, *stages = encoder.channels
        skips = (*reversed(stages[:-1]), stem + n_folded)
        widths = (*reversed(encoder.widths[:-1]), encoder.widths[0])
        ups, channels = [], stages[-1]
        for skip, width in zip(skips, widths, strict=True):
            ups.append(UpBlock(channels, skip, width))
            channels = width
        self.ups = nn.ModuleList(ups)
        self.logits = nn.Conv3d(channels, n_folded, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logit of "liver" at the input's resolution, float32."""
        shape, stride = x.shape[2:], self.encoder.stride
        x = pad(x, stride)
        stem, *skips, deepest = self.encoder(x)
        skips = [torch.cat([stem, fold(x, stride).to(stem.dtype)], dim=1), *skips]
        for up, skip in zip(self.ups, reversed(skips), strict=True):
            deepest = up(deepest, skip)
        return unfold(self.logits(deepest).float(), stride)[:, :, : shape[0], : shape[1], : shape[2]]


def pad(x: Tensor, stride: Strides) -> Tensor:
    """Return (N, C, D, H, W) with zeros after its ends, so that D, H and W are multiples of `stride`."""
    depth, height, width = (-size % step for size, step in zip(x.shape[2:], stride, strict=True))
    return functional.pad(x, (0, width, 0, height, 0, depth), value=0.0)


def fold(x: Tensor, stride: Strides) -> Tensor:
    """Return (N, 1, D, H, W) as (N, a b c, D/a, H/b, W/c) for stride (a, b, c)."""
    n, _, depth, height, width = x.shape
    a, b, c = stride
    x = x.reshape(n, depth // a, a, height // b, b, width // c, c)
    return x.permute(0, 2, 4, 6, 1, 3, 5).reshape(n, a * b * c, depth // a, height // b, width // c)


def unfold(x: Tensor, stride: Strides) -> Tensor:
    """Return (N, a b c, D, H, W) as (N, 1, D a, H b, W c) for stride (a, b, c): the inverse of `fold`."""
    n, _, depth, height, width = x.shape
    a, b, c = stride
    x = x.reshape(n, a, b, c, depth, height, width)
    return x.permute(0, 4, 1, 5, 2, 6, 3).reshape(n, 1, depth * a, height * b, width * c)
