"""Fine-tuning of the liver segmenter: one recipe, in which the first weights are all that differs between arms."""

import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from radnet3d.errors import SplitError
from radnet3d.models.checkpoint import (
    Checkpoint,
    Kind,
    Precision,
    TransferReport,
    check_patients_unseen,
    load_checkpoint,
    patient_digests,
    transfer_encoder,
)
from radnet3d.models.resnet3d import initialise
from radnet3d.models.vnet import Segmenter
from radnet3d.params import Input
from radnet3d.runs import FinetuneFactors, FinetuneRun
from radnet3d.splits import check_one_side, training_cases
from radnet3d.tables import LIVER_SPLIT, PROPOSALS, SUBSETS, read_table
from radnet3d.training.cases import Case, crop, drawn_crop, evaluate, load_cases
from radnet3d.training.loop import Recipe, autocast, choose_device, drawn_places, fit, to_device

Ranges = dict[str, tuple[int, int]]
"""case_id -> half-open range of slices."""
FAILURE_DICE = 0.5
BATCH_SIZE = 8  # of evaluation


@dataclass(frozen=True)
class Finetuned:
    """What a fine-tuning leaves behind."""

    checkpoint: Checkpoint
    history: pd.DataFrame  # tables.HISTORY
    cases: pd.DataFrame  # tables.RUN_CASES
    metrics: dict[str, Any]  # content of metrics.json
    transfer: TransferReport | None  # none for scratch


def finetune(run: FinetuneRun) -> Finetuned:
    """Train and test one run. Raises SplitError if a patient is on two sides, CheckpointError if a transfer fails."""
    started = time.perf_counter()
    factors, settings = run.factors, run.settings
    device = choose_device(settings.finetune.n_threads)
    split = read_table(run.inputs.split, LIVER_SPLIT)
    check_one_side(split, "role")
    train_ids = training_cases(
        read_table(run.inputs.subsets, SUBSETS), subset_seed=factors.subset_seed, n_train=factors.n_train
    )
    test_ids = sorted(split.loc[split["role"] == factors.evaluate_on, "case_id"])
    used = split[split["case_id"].isin([*train_ids, *test_ids])]
    check_roles(used, train_ids)
    proposer = load_checkpoint(run.inputs.proposer, kinds=["pretrain"])
    check_patients_unseen(proposer, used["PatientID"])

    shape = settings.volumes.shape_zyx
    model = Segmenter(settings.network)
    transfer = start_weights(model, run, patients=used["PatientID"])
    model = model.to(device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    recipe = Recipe(
        steps=settings.finetune.steps,
        learning_rate=factors.learning_rate,
        weight_decay=settings.finetune.weight_decay,
        precision=settings.finetune.precision,
        n_steps_between_checkpoints=settings.finetune.steps,
    )
    proposals = read_table(run.inputs.proposals, PROPOSALS).set_index("case_id")
    ranges = {str(case_id): (int(row["start_slice"]), int(row["stop_slice"])) for case_id, row in proposals.iterrows()}
    check_proposals(ranges, [*train_ids, *test_ids])
    train_cases = load_cases(run.inputs.cases, train_ids, shape)
    batches = Batches(train_cases, ranges, settings.finetune.batch_size, factors.init_seed, shape, settings.input)
    history = fit(model, segmentation_loss(model, batches, recipe, device), recipe, device=device, name=factors.run_id)

    test_cases = load_cases(run.inputs.cases, test_ids, shape)
    cases = segment_cases(
        model, test_cases, ranges, shape=shape, settings=settings.input, precision=recipe.precision, device=device
    )
    cases.insert(0, "run_id", factors.run_id)
    checkpoint = Checkpoint(
        kind="finetune",
        network=settings.network,
        input=settings.input,
        volumes=settings.volumes,
        precision=recipe.precision,
        patients=patient_digests(split.loc[split["case_id"].isin(train_ids), "PatientID"]),
        weights=model.state_dict(),
        proposal=settings.proposal,
        proposer=proposer,
    )
    metrics = metrics_of(cases, factors, steps=recipe.steps, seconds=time.perf_counter() - started)
    if transfer:
        metrics["transfer"] = asdict(transfer)
    return Finetuned(checkpoint, history, cases, metrics, transfer)


def check_roles(used: pd.DataFrame, train_ids: list[str]) -> None:
    """Raise SplitError if a training case has another role in the split, or nothing is left to evaluate on."""
    role_of = used.set_index("case_id")["role"]
    wrong = [case_id for case_id in train_ids if role_of.get(case_id) != "train"]
    if wrong:
        raise SplitError(
            f"training cases {wrong[:5]} have the roles {[role_of.get(c) for c in wrong[:5]]}, wanted train"
        )
    if len(used) == len(train_ids):
        raise SplitError(f"{len(used)} cases, none of them to evaluate on")


def check_proposals(ranges: Ranges, case_ids: list[str]) -> None:
    """Raise SplitError naming cases without a proposal."""
    absent = sorted(set(case_ids) - set(ranges))
    if absent:
        raise SplitError(f"no proposal for the cases {absent[:5]}, wanted one for each of {len(case_ids)}")


def start_weights(model: Segmenter, run: FinetuneRun, *, patients: "pd.Series[str]") -> TransferReport | None:
    """Give `model` its first weights: all from `init_seed`, then the encoder of the init's checkpoint over them."""
    initialise(model, torch.Generator().manual_seed(run.factors.init_seed))
    if run.inputs.encoder is None:
        return None
    kind: Kind = "control" if run.factors.init == "control" else "pretrain"
    encoder = load_checkpoint(run.inputs.encoder, kinds=[kind])
    check_patients_unseen(encoder, patients)
    return transfer_encoder(model, encoder, min_fraction=run.settings.finetune.min_fraction_loaded)


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


def segmentation_loss(model: Segmenter, batches: Batches, recipe: Recipe, device: torch.device) -> Any:
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
    model: Segmenter,
    cases: list[Case],
    ranges: Ranges,
    *,
    shape: tuple[int, int, int],
    settings: Input,
    precision: Precision,
    device: torch.device,
) -> pd.DataFrame:
    """Return tables.RUN_CASES (without run_id) of cases cropped to `ranges`: case_id -> half-open range of slices."""
    rows = []
    for first in range(0, len(cases), BATCH_SIZE):
        batch = cases[first : first + BATCH_SIZE]
        volumes = np.stack([crop(case, *ranges[case.case_id], shape, settings) for case in batch])
        probabilities = liver_probabilities(model, volumes, precision=precision, device=device)
        for case, probability in zip(batch, probabilities, strict=True):
            start, stop = ranges[case.case_id]
            rows.append(evaluate(case, start, probability, stop - start))
    return pd.DataFrame(rows)


def liver_probabilities(
    model: Segmenter, volumes: NDArray[np.float32], *, precision: Precision, device: torch.device
) -> NDArray[np.float32]:
    """Return (n, D, H, W) probabilities of liver of network input of the same shape."""
    model.eval()
    with torch.inference_mode(), autocast(device, precision):
        probabilities = torch.sigmoid(model(to_device(volumes, device)))
    return probabilities[:, 0].cpu().numpy()


def metrics_of(cases: pd.DataFrame, factors: FinetuneFactors, *, steps: int, seconds: float) -> dict[str, Any]:
    """Return metrics.json: the run's factors and its Dice per case; undefined cases are counted, not averaged."""
    dice = cases["dice_per_case"]
    return {
        **factors.model_dump(mode="json"),
        "run_id": factors.run_id,
        "steps": steps,
        "dice_per_case_mean": float(dice.mean()) if dice.notna().any() else None,
        "n_cases": len(cases),
        "n_failures": int((dice < FAILURE_DICE).sum()),
        "n_empty": int(cases["is_empty"].sum()),
        "n_undefined": int(dice.isna().sum()),
        "seconds": round(seconds, 2),
    }
