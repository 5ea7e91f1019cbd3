"""The pre-activation bottleneck 3D ResNet of 3D-RADNet, at any size of `params.Network`.

Source: Du and Vardhanabhuti, MIDL 2020 (abstract, slides and the layout of their public networks; no code was taken).
Tensors are (N, C, D, H, W).
"""

import torch
from torch import Tensor, nn

from radnet3d.models.levels import LevelEncoder
from radnet3d.params import Network


class Convolution(nn.Conv3d):
    """A 3D convolution that leaves bfloat16 where PyTorch's CPU kernel is wrong.

    Over exactly two slices, with a kernel of three, the weight gradient of torch 2.13 on a CPU in bfloat16 is
    uninitialised memory (other depths agree with float32; see tests/unit/test_resnet3d.py). Such levels are tiny.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution, in float32 where it must be."""
        if x.shape[2] != 2 or self.kernel_size[0] == 1:
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


class Unit(nn.Module):
    """One pre-activation bottleneck: (N, in, D, H, W) to (N, width x expansion, D, H, W)."""

    def __init__(self, channels_in: int, width: int, channels_out: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm3d(channels_in)
        self.squeeze = nn.Conv3d(channels_in, width, 1, bias=False)
        self.norm2 = nn.BatchNorm3d(width)
        self.convolve = Convolution(width, width, 3, padding=1, bias=False)
        self.norm3 = nn.BatchNorm3d(width)
        self.expand = nn.Conv3d(width, channels_out, 1, bias=False)
        # PAPER: a projection on every unit, also where the channels already agree.
        self.project = nn.Conv3d(channels_in, channels_out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of the residual and the projected path."""
        active = torch.relu(self.norm1(x))
        residual = self.squeeze(active)
        residual = self.convolve(torch.relu(self.norm2(residual)))
        residual = self.expand(torch.relu(self.norm3(residual)))
        return torch.add(residual, self.project(active))


class Encoder(LevelEncoder):
    """Stem and four stages; every level's features are returned, because the segmenter's decoder needs them."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        depth, height, width = network.stem_kernel_zyx
        stem = network.widths[0]
        self.stem = Convolution(
            1,
            stem,
            network.stem_kernel_zyx,
            stride=network.stem_stride_zyx,
            padding=(depth // 2, height // 2, width // 2),
            bias=False,
        )
        self.norm = nn.BatchNorm3d(stem)
        # PAPER: max-pool 2 before every stage, no strided convolution in a unit.
        # ASSUME: a last odd slice is pooled by itself; the paper's sizes are all even.
        self.pool = nn.MaxPool3d(2, ceil_mode=True)
        stages, channels = [], stem
        for n_units, width in zip(network.n_blocks, network.widths, strict=True):
            units = []
            for _ in range(n_units):
                units.append(Unit(channels, width, width * network.expansion))
                channels = width * network.expansion
            stages.append(nn.Sequential(*units))
        self.stages = nn.ModuleList(stages)
        self.final_norm = nn.BatchNorm3d(channels)
        self.channels = (stem, *(width * network.expansion for width in network.widths))
        self.widths = network.widths
        self.stride = network.stem_stride_zyx

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return features from fine to coarse: stem, stage 1 ... 4 (the last one after norm and ReLU)."""
        levels = [torch.relu(self.norm(self.stem(x)))]
        for stage in self.stages:
            levels.append(stage(self.pool(levels[-1])))
        levels[-1] = torch.relu(self.final_norm(levels[-1]))
        return levels


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Draw every weight of `module` anew from `generator`, in the order of its parameters' names.

    ASSUME: He initialisation (fan out, ReLU) for convolutions, 1/sqrt(fan in) for linear layers, 0 for biases.
    """
    for _, part in sorted(module.named_modules()):
        if isinstance(part, nn.Conv3d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        elif isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=part.in_features**-0.5, generator=generator)
        elif isinstance(part, nn.BatchNorm3d) and part.affine:
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
        bias = getattr(part, "bias", None)
        if isinstance(part, nn.Conv3d | nn.Linear) and bias is not None:
            nn.init.zeros_(bias)


def count_parameters(module: nn.Module) -> int:
    """Return the number of trainable values."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
