"""What a segmenter or a probe needs of an encoder, whichever architecture it has."""

from torch import nn

Strides = tuple[int, int, int]


class LevelEncoder(nn.Module):
    """An encoder: (N, 1, D, H, W) to its features as a list of levels, fine to coarse: stem, stage 1 ... 4.

    The first level has the input's grid divided by `stride`, rounded up.
    """

    channels: tuple[int, ...]  # of the levels
    widths: tuple[int, ...]  # bottleneck channels of the stages: those of the decoder beside them
    stride: Strides  # of the first level


def freeze(encoder: LevelEncoder) -> None:
    """Keep the weights of `encoder` as they are. The statistics of its batch norms follow the data, as in every arm.

    With the statistics it was drawn with (mean 0, variance 1) a random encoder has dead channels: as the reference of a
    pretrained one it would be handicapped by more than its weights.
    """
    encoder.requires_grad_(requires_grad=False)
