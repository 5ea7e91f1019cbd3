"""Liver segmentation: slices around the liver to a mask, scored by Dice on each case's own grid."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from radnet3d.errors import ParamsError, SplitError
from radnet3d.models.building import build_segmenter
from radnet3d.models.checkpoint import Checkpoint, Precision, load_checkpoint
from radnet3d.params import Input
from radnet3d.runs import FinetuneRun
from radnet3d.tables import PROPOSALS, RUN_CASES, read_table
from radnet3d.training.cases import Case, crop, drawn_crop, evaluate, load_cases
from radnet3d.training.loop import LossAt, Recipe, autocast, drawn_places, to_device
from radnet3d.training.tasks import Task

Ranges = dict[str, tuple[int, int]]
"""case_id -> half-open range of slices."""
BATCH_SIZE = 8  # of evaluation


class Liver(Task):
    """Segmentation of the liver, in the slices that the proposer found. Needs `inputs.proposals` and `inputs.proposer`."""

    metric = "dice_per_case"
    schema = RUN_CASES

    def __init__(self, run: FinetuneRun) -> None:
        super().__init__(run)
        if run.inputs.proposals is None or run.inputs.proposer is None or run.settings.proposal is None:
            raise ParamsError(
                "run: wanted inputs.proposals, inputs.proposer and settings.proposal, as the liver needs them"
            )
        self.proposer = load_checkpoint(run.inputs.proposer, kinds=["pretrain"])
        table = read_table(run.inputs.proposals, PROPOSALS).set_index("case_id")
        self.ranges = {str(case): (int(row["start_slice"]), int(row["stop_slice"])) for case, row in table.iterrows()}

    def build(self) -> nn.Module:
        """Return the segmenter, or the probe, that the arm wants."""
        return build_segmenter(self.run.settings.architecture, trains=self.run.factors.trains)

    def losses(self, model: nn.Module, case_ids: list[str], recipe: Recipe, device: torch.device) -> LossAt:
        """Return the losses of training crops."""
        settings = self.run.settings
        cases = self.load(case_ids)
        batches = Batches(
            cases,
            self.ranges,
            settings.finetune.batch_size,
            self.run.factors.init_seed,
            settings.volumes.shape_zyx,
            settings.input,
        )
        return segmentation_loss(model, batches, recipe, device)

    def evaluate(self, model: nn.Module, case_ids: list[str], recipe: Recipe, device: torch.device) -> pd.DataFrame:
        """Return the scores of each case."""
        settings = self.run.settings
        return segment_cases(
            model,
            self.load(case_ids),
            self.ranges,
            shape=settings.volumes.shape_zyx,
            settings=settings.input,
            precision=recipe.precision,
            device=device,
            largest_only=self.run.factors.largest_component,
        )

    def load(self, case_ids: list[str]) -> list[Case]:
        """Return cases with their slabs. Raises SplitError for one without a proposal."""
        check_proposals(self.ranges, case_ids)
        return load_cases(self.run.inputs.cases, case_ids, self.run.settings.volumes.shape_zyx)

    def metrics(self, cases: pd.DataFrame) -> dict[str, Any]:
        """Return the count of empty predictions, and what Dice is with the largest component only."""
        dice = cases["dice_largest_component"]
        return {
            "n_empty": int(cases["is_empty"].sum()),
            "dice_largest_component_mean": float(dice.mean()) if dice.notna().any() else None,
        }

    def other_networks(self) -> list[Checkpoint]:
        """Return the network that proposed the slices."""
        return [self.proposer]

    def kept(self) -> dict[str, Any]:
        """Return the proposer, how it proposes, and what of a prediction is kept."""
        return {
            "proposal": self.run.settings.proposal,
            "proposer": self.proposer,
            "largest_component": self.run.factors.largest_component,
        }


def check_proposals(ranges: Ranges, case_ids: list[str]) -> None:
    """Raise SplitError naming cases without a proposal."""
    absent = sorted(set(case_ids) - set(ranges))
    if absent:
        raise SplitError(f"no proposal for the cases {absent[:5]}, wanted one for each of {len(case_ids)}")


@dataclass(frozen=True)
class Batches:
    """The training crops of every step, from the seed alone: all arms see the same."""

    cases: list[Case]
    ranges: Ranges  # proposed slices
    batch_size: int
    seed: int
    shape_zyx: tuple[int, int, int]
    input: Input

    def at(self, step: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return (n, D, H, W) network input and liver fractions of one step."""
        places = drawn_places(len(self.cases), step, self.batch_size, self.seed)
        generator = np.random.default_rng([self.seed, 3, step])
        cases = [self.cases[place] for place in places]
        drawn = [drawn_crop(c, self.ranges[c.case_id], self.shape_zyx, self.input, generator) for c in cases]
        volumes, livers = zip(*drawn, strict=True)
        return np.stack(volumes), np.stack(livers)


def segmentation_loss(model: nn.Module, batches: Batches, recipe: Recipe, device: torch.device) -> LossAt:
    """Return the function step -> losses that `fit` descends: soft Dice plus binary cross entropy (ASSUME)."""

    def loss_at(step: int) -> dict[str, Tensor]:
        volumes, livers = batches.at(step)
        target = to_device(livers, device)
        with autocast(device, recipe.precision):
            logits = model(to_device(volumes, device))
        dice = soft_dice_loss(logits, target)
        entropy = functional.binary_cross_entropy_with_logits(logits, target)
        return {"loss": dice + entropy, "dice_loss": dice, "cross_entropy": entropy}

    return loss_at


def soft_dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return 1 - soft Dice, the mean over the batch; (N, 1, D, H, W), targets 0..1. 0 where both are empty."""
    probability = torch.sigmoid(logits)
    axes = (1, 2, 3, 4)
    both = (probability * target).sum(axes)
    return (1 - (2 * both + 1) / (probability.sum(axes) + target.sum(axes) + 1)).mean()


def segment_cases(
    model: nn.Module,
    cases: list[Case],
    ranges: Ranges,
    *,
    shape: tuple[int, int, int],
    settings: Input,
    precision: Precision,
    device: torch.device,
    largest_only: bool,
) -> pd.DataFrame:
    """Return tables.RUN_CASES (without run_id) of cases cropped to `ranges`: case_id -> half-open range of slices."""
    rows = []
    for first in range(0, len(cases), BATCH_SIZE):
        batch = cases[first : first + BATCH_SIZE]
        volumes = np.stack([crop(case, *ranges[case.case_id], shape, settings) for case in batch])
        probabilities = liver_probabilities(model, volumes, precision=precision, device=device)
        for case, probability in zip(batch, probabilities, strict=True):
            start, stop = ranges[case.case_id]
            rows.append(evaluate(case, start, probability, stop - start, largest_only=largest_only))
    return pd.DataFrame(rows)


def liver_probabilities(
    model: nn.Module, volumes: NDArray[np.float32], *, precision: Precision, device: torch.device
) -> NDArray[np.float32]:
    """Return (n, D, H, W) probabilities of liver of network input of the same shape."""
    model.eval()
    with torch.inference_mode(), autocast(device, precision):
        probabilities = torch.sigmoid(model(to_device(volumes, device)))
    return np.asarray(probabilities[:, 0].cpu().numpy())
