"""MedicalNet's 3D ResNets as encoders, with the preprocessing their weights expect, and its files of weights.

Source: Chen, Ma and Zheng, Med3D, arXiv 1904.00625, and the layout of its public weights (github.com/Tencent/MedicalNet,
MIT; its code was read for facts, none was taken). Tensors are (N, C, D, H, W).
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from radnet3d.errors import CheckpointError
from radnet3d.models.checkpoint import TransferReport, copy_weights, read_plain
from radnet3d.models.levels import LevelEncoder
from radnet3d.models.resnet3d import Convolution
from radnet3d.params import MedicalNet

Shortcut = Literal["A", "B"]


class Layout(NamedTuple):
    """What a depth stands for."""

    n_blocks: tuple[int, int, int, int]
    has_bottlenecks: bool


LAYOUTS = {
    10: Layout((1, 1, 1, 1), has_bottlenecks=False),
    18: Layout((2, 2, 2, 2), has_bottlenecks=False),
    34: Layout((3, 4, 6, 3), has_bottlenecks=False),
    50: Layout((3, 4, 6, 3), has_bottlenecks=True),
    101: Layout((3, 4, 23, 3), has_bottlenecks=True),
    152: Layout((3, 8, 36, 3), has_bottlenecks=True),
    200: Layout((3, 24, 36, 3), has_bottlenecks=True),
}
WIDTHS = (64, 128, 256, 512)
EXPANSION = 4  # of a bottleneck
MIN_SLICES = 8
"""torch 2.13 on a CPU reads memory that is not there for the weight gradient of a convolution of seven over fewer."""
WANTED = "weights of MedicalNet (a .pth with tensors by name, or such a dict under `state_dict`)"


class PlainShortcut(nn.Module):
    """Shortcut A, without weights: every `stride`-th voxel, and channels of zeros after those there are.

    MedicalNet cut the gradient here; it flows in this version.
    """

    def __init__(self, n_added: int, stride: int) -> None:
        super().__init__()
        self.n_added, self.stride = n_added, stride

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C + n_added, D / stride, H / stride, W / stride), rounded up."""
        x = x[:, :, :: self.stride, :: self.stride, :: self.stride]
        return functional.pad(x, (0, 0, 0, 0, 0, 0, 0, self.n_added))


def convolution(channels_in: int, channels_out: int, stride: int, dilation: int) -> Convolution:
    """Return a 3 x 3 x 3 convolution whose output has the input's grid divided by `stride`, rounded up."""
    return Convolution(channels_in, channels_out, 3, stride=stride, padding=dilation, dilation=dilation, bias=False)


class BasicBlock(nn.Module):
    """Two 3 x 3 x 3 convolutions beside a shortcut; the first one strides, both are dilated."""

    def __init__(self, channels_in: int, width: int, stride: int, dilation: int, downsample: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = convolution(channels_in, width, stride, dilation)
        self.bn1 = nn.BatchNorm3d(width)
        self.conv2 = convolution(width, width, 1, dilation)
        self.bn2 = nn.BatchNorm3d(width)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """Return the rectified sum of both paths."""
        out = torch.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return torch.relu(out + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """A dilated 3 x 3 x 3 convolution, which strides, between two of 1 x 1 x 1, beside a shortcut."""

    def __init__(self, channels_in: int, width: int, stride: int, dilation: int, downsample: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(channels_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(width)
        self.conv2 = convolution(width, width, stride, dilation)
        self.bn2 = nn.BatchNorm3d(width)
        self.conv3 = nn.Conv3d(width, width * EXPANSION, 1, bias=False)
        self.bn3 = nn.BatchNorm3d(width * EXPANSION)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """Return the rectified sum of both paths."""
        out = torch.relu(self.bn1(self.conv1(x)))
        out = torch.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return torch.relu(out + (x if self.downsample is None else self.downsample(x)))


class MedicalNetEncoder(LevelEncoder):
    """MedicalNet without its segmentation head; the names of its tensors are those of the published files.

    Of the input's grid: stem 1/2, layer1 1/4, layer2 ... layer4 1/8.
    """

    def __init__(self, settings: MedicalNet) -> None:
        super().__init__()
        self.settings = settings
        layout = LAYOUTS[settings.depth]
        expansion = EXPANSION if layout.has_bottlenecks else 1
        self.conv1 = nn.Conv3d(1, WIDTHS[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm3d(WIDTHS[0])
        self.maxpool = nn.MaxPool3d(3, stride=2, padding=1)
        channels, strides, dilations = WIDTHS[0], (1, 2, 1, 1), (1, 1, *settings.dilations)
        stages = []
        for width, n_blocks, stride, dilation in zip(WIDTHS, layout.n_blocks, strides, dilations, strict=True):
            stages.append(stage(channels, width, n_blocks, stride, dilation, settings.shortcut, layout.has_bottlenecks))
            channels = width * expansion
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.channels = (WIDTHS[0], *(width * expansion for width in WIDTHS))
        self.widths = WIDTHS
        self.stride = (2, 2, 2)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return features from fine to coarse: stem (before the max-pool), layer1 ... layer4.

        `x`: network input, 0..1; it is brought to MedicalNet's own scale here, so that weights never come without it.
        """
        n_slices, x = x.shape[2], standardise(x)
        # zeros after the ends, as the convolution adds itself: below MIN_SLICES its weight gradient would be garbage
        x = functional.pad(x, (0, 0, 0, 0, 0, max(MIN_SLICES - n_slices, 0)))
        stem = self.conv1(x)[:, :, : (n_slices + 1) // 2]
        levels = [torch.relu(self.bn1(stem))]
        levels.append(self.layer1(self.maxpool(levels[0])))
        for layer in (self.layer2, self.layer3, self.layer4):
            levels.append(layer(levels[-1]))
        return levels


def stage(
    channels_in: int, width: int, n_blocks: int, stride: int, dilation: int, shortcut: Shortcut, has_bottlenecks: bool
) -> nn.Sequential:
    """Return one of layer1 ... layer4; the first block strides, and has a shortcut of its own where shapes differ."""
    block: type[BasicBlock | Bottleneck] = Bottleneck if has_bottlenecks else BasicBlock
    channels = width * EXPANSION if has_bottlenecks else width
    downsample: nn.Module | None = None
    if stride != 1 or channels_in != channels:
        downsample = PlainShortcut(channels - channels_in, stride)
        if shortcut == "B":
            projection = nn.Conv3d(channels_in, channels, 1, stride=stride, bias=False)
            downsample = nn.Sequential(projection, nn.BatchNorm3d(channels))
    first = block(channels_in, width, stride, dilation, downsample)
    return nn.Sequential(first, *(block(channels, width, 1, dilation, None) for _ in range(n_blocks - 1)))


def standardise(x: Tensor) -> Tensor:
    """Return each volume of (N, 1, D, H, W) less the mean of its voxels above the lowest, over their deviation.

    MedicalNet takes the voxels above 0. ASSUME: network input is clipped below at 0, air in a CT, so these are the voxels
    above the lowest value, and that holds under the gain and offset of augmentation too. ASSUME: air keeps its score;
    MedicalNet fills voxels of exactly 0 with noise, but air of a CT is not 0 there. A volume of one value becomes 0.
    """
    axes = (1, 2, 3, 4)
    above = x - x.amin(axes, keepdim=True)
    is_inside = above > 0
    n = is_inside.sum(axes, keepdim=True).clamp(min=1)
    mean = above.sum(axes, keepdim=True) / n
    variance = torch.where(is_inside, above - mean, 0).square().sum(axes, keepdim=True) / n
    return (above - mean) / torch.where(variance > 0, variance, 1).sqrt()


def transfer_medicalnet(model: nn.Module, path: Path, *, min_fraction: float) -> TransferReport:
    """Copy MedicalNet's weights at `path` into `model.encoder` and return what was copied and what was not.

    The file may be a dict of tensors or hold one as `state_dict`, `module.` before the names or not; the head `conv_seg`
    is skipped. Raises CheckpointError, leaving `model` as it was, if the file is not MedicalNet's, is of another depth or
    shortcut (and says which), or less than `min_fraction` of the encoder's parameters fit. Dilations leave no trace
    in weights, so that wrong ones cannot be seen here.
    """
    encoder = model.get_submodule("encoder")
    if not isinstance(encoder, MedicalNetEncoder):
        raise CheckpointError(f"{path}: {WANTED} for an encoder of the class {type(encoder).__name__}")
    weights = read_weights(path)
    found, wanted = architecture_of(weights), (encoder.settings.depth, encoder.settings.shortcut)
    if found is None:
        raise CheckpointError(f"{path}: found the tensors {summary(weights)}, wanted {WANTED}")
    if found != wanted:
        raise CheckpointError(
            f"{path}: these are the weights of depth {found[0]}, shortcut {found[1]}; "
            f"wanted depth {wanted[0]}, shortcut {wanted[1]}, as params.medicalnet says"
        )
    return copy_weights(encoder, weights, min_fraction=min_fraction, of=str(path))


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by name, `module.` taken off. Raises CheckpointError naming the file."""
    content: Any = read_plain(path, wanted=WANTED)
    held = content.get("state_dict", content) if isinstance(content, dict) else content
    if not isinstance(held, dict) or not held or not all(isinstance(tensor, Tensor) for tensor in held.values()):
        found = sorted(map(str, held))[:5] if isinstance(held, dict) else type(held).__name__
        raise CheckpointError(f"{path}: found {found}, wanted {WANTED}")
    return {str(name).removeprefix("module."): tensor for name, tensor in held.items()}


def architecture_of(weights: Mapping[str, Tensor]) -> tuple[int, Shortcut] | None:
    """Return depth and shortcut that these names and shapes stand for; None if they are not of MedicalNet."""
    first = weights.get("conv1.weight")
    if first is None or first.shape != (WIDTHS[0], 1, 7, 7, 7):
        return None
    places = {place.groups() for name in weights if (place := re.match(r"layer([1-4])\.(\d+)\.conv1\.weight$", name))}
    n_blocks = tuple(sum(layer == number for layer, _ in places) for number in "1234")
    has_bottlenecks = "layer1.0.conv3.weight" in weights
    for depth, layout in LAYOUTS.items():
        if layout == (n_blocks, has_bottlenecks):
            return depth, "B" if "layer2.0.downsample.0.weight" in weights else "A"
    return None


def summary(weights: Mapping[str, Tensor]) -> str:
    """Return the first names and shapes, and how many more there are."""
    said = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in list(weights.items())[:3])
    return f"{said}, {len(weights)} in all"
