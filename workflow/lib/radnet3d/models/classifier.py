"""A class for a whole volume, from an encoder's deepest features."""

import torch
from torch import Tensor, nn

from radnet3d.models.levels import LevelEncoder
from radnet3d.models.vnet import pad


class Classifier(nn.Module):
    """One class of several, for every volume: (N, 1, D, H, W) to (N, n_classes) logits, for any D, H, W.

    ASSUME: the mean of the encoder's deepest level over the volume and one linear layer, which is also what a probe is.
    """

    def __init__(self, encoder: LevelEncoder, n_classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.logits = nn.Linear(encoder.channels[-1], n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logit of each class, float32."""
        deepest = self.encoder(pad(x, self.encoder.stride))[-1]
        with torch.autocast(x.device.type, enabled=False):
            return torch.as_tensor(self.logits(deepest.float().mean(dim=(2, 3, 4))))
