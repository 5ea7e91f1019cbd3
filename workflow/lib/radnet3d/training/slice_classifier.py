"""A small network trained from scratch on an expert's slice labels: liver in this slice or not."""

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from radnet3d.liver.proposal import SliceRange, propose_slices
from radnet3d.models.resnet3d import initialise
from radnet3d.params import Input, Proposal, SliceClassification
from radnet3d.training.cases import Case
from radnet3d.training.inputs import jittered_grid, jittered_intensity, moved, scale
from radnet3d.training.loop import Recipe, drawn_places, fit, to_device

N_SLICES = 3
"""Slices of a slab; the middle one is classified."""
CONTEXT_MM = 20.0
"""How far the outer two are from it (ASSUME): on validation cases better than the next slices."""
WIDTHS = (16, 32, 64)  # ASSUME
SMOOTHED_MM = 15.0
"""Length over which probabilities are averaged: a liver is longer, a slip of the classifier shorter (ASSUME)."""
BATCH_SIZE = 64  # of prediction

Array = NDArray[np.float32]


class SliceClassifier(nn.Module):
    """Thin slabs (N, 1, 3, H, W) to the logit of liver in their middle slices, (N,)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        kernel, channels_in = (N_SLICES, 5, 5), 1
        for width in WIDTHS:
            padding = (0, kernel[1] // 2, kernel[2] // 2)
            layers += [
                nn.Conv3d(channels_in, width, kernel, stride=(1, 2, 2), padding=padding, bias=False),
                nn.BatchNorm3d(width),
                nn.ReLU(),
            ]
            kernel, channels_in = (1, 3, 3), width
        self.features = nn.Sequential(*layers)
        self.logit = nn.Linear(2 * channels_in, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits; features enter by their mean and by their largest value."""
        features = self.features(x)
        axes = (2, 3, 4)
        return self.logit(torch.cat([features.mean(axes), features.amax(axes)], dim=1))[:, 0]  # type: ignore[no-any-return]


def slab_at(slab_hu: Array, place: int, slice_spacing_mm: float, settings: Input) -> Array:
    """Return the (3, H, W) network input around one slice; beyond the ends of a scan its last slice stands."""
    step = max(round(CONTEXT_MM / slice_spacing_mm), 1)
    places = np.clip([place - step, place, place + step], 0, len(slab_hu) - 1)
    return scale(slab_hu[places], *settings.ct_window_hu)


def train_classifier(
    cases: list[Case], settings: SliceClassification, input_settings: Input, *, seed: int, device: torch.device
) -> tuple[SliceClassifier, pd.DataFrame]:
    """Return a classifier of slices and its tables.HISTORY. `cases`: those whose slice labels it may see."""
    model = SliceClassifier()
    initialise(model, torch.Generator().manual_seed(seed))
    model = model.to(device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    slices = [(case, place) for case in cases for place in range(len(case.slab_hu))]

    def loss_at(step: int) -> dict[str, Tensor]:
        generator = np.random.default_rng([seed, 5, step])
        drawn = [slices[place] for place in drawn_places(len(slices), step, settings.batch_size, seed)]
        slabs = [
            augmented(slab_at(case.slab_hu, place, case.spacing_zyx_mm[0], input_settings), generator)
            for case, place in drawn
        ]
        labels = [case.liver[0] <= place < case.liver[1] for case, place in drawn]
        target = torch.tensor(labels, dtype=torch.float32, device=device)
        return {"loss": functional.binary_cross_entropy_with_logits(model(to_device(np.stack(slabs), device)), target)}

    recipe = Recipe(
        steps=settings.steps,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        precision="fp32",
        n_steps_between_checkpoints=settings.steps,
    )
    return model, fit(model, loss_at, recipe, device=device, name=f"slice classifier of {len(cases)} cases")


def augmented(slab: Array, generator: np.random.Generator) -> Array:
    """Return a slab moved and scaled in its plane, and changed in intensity, as every training here does."""
    rows, columns = jittered_grid(slab.shape[1:], generator)
    return jittered_intensity(moved(slab, (np.arange(len(slab)), rows, columns)), generator)


def slice_probabilities(
    model: SliceClassifier, slab_hu: Array, slice_spacing_mm: float, settings: Input, device: torch.device
) -> NDArray[np.float64]:
    """Return the probability of liver in each slice of a scan, averaged over SMOOTHED_MM."""
    model.eval()
    parts = []
    with torch.inference_mode():
        for first in range(0, len(slab_hu), BATCH_SIZE):
            places = range(first, min(first + BATCH_SIZE, len(slab_hu)))
            slabs = np.stack([slab_at(slab_hu, place, slice_spacing_mm, settings) for place in places])
            parts.append(torch.sigmoid(model(to_device(slabs, device))).double().cpu().numpy())
    half = round(SMOOTHED_MM / slice_spacing_mm / 2)
    padded = np.pad(np.concatenate(parts), half, mode="edge")
    return np.convolve(padded, np.full(2 * half + 1, 1 / (2 * half + 1)), mode="valid")


def range_of(probabilities: NDArray[np.float64], threshold: float) -> SliceRange:
    """Return the longest run of slices at or above `threshold`, without margin: every slice is a window of its own."""
    one_slice = Proposal(window_mm=1, step_mm=1, threshold=threshold, margin_mm=0)
    return propose_slices(probabilities, len(probabilities), 1.0, one_slice)
