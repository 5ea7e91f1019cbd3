"""Pretraining of the encoder on header labels."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from radnet3d.models.checkpoint import Checkpoint, patient_digests
from radnet3d.models.heads import CLASSES, HEAD_NAMES, RadNet, head_losses, weighted_sum
from radnet3d.models.resnet3d import initialise
from radnet3d.params import LossWeights, PretrainRecipe
from radnet3d.runs import PretrainRun
from radnet3d.training.cost import training_cost
from radnet3d.training.loop import Recipe, autocast, choose_device, drawn_places, fit, to_device
from radnet3d.training.predicting import predict, predictions_table
from radnet3d.training.series import Series, deal_to_others, load_series


@dataclass(frozen=True)
class Pretrained:
    """What a pretraining leaves behind."""

    checkpoint: Checkpoint
    history: pd.DataFrame  # tables.HISTORY
    predictions: pd.DataFrame  # tables.PREDICTIONS of the test patients
    metrics: dict[str, Any]  # content of metrics.json


def pretrain(run: PretrainRun, *, state_path: Path | None) -> Pretrained:
    """Train as `run` says, continuing from `state_path` if it is there.

    Weights, batches, augmentation and the dealing of shuffled labels have their own generators, all seeded from
    the run's `seed`: encoders of one seed start equal and see the same volumes in the same order.
    """
    settings, recipe, seed = run.settings.pretrain, recipe_of(run.settings.pretrain), run.factors.seed
    weights = weights_of(settings.loss_weights, run.factors.heads)
    device = choose_device(settings.n_threads)
    sides = load_series(run.inputs, run.settings.input, run.settings.volumes.shape_zyx)
    if run.factors.labels == "shuffled":
        sides["train"] = deal_to_others(sides["train"], np.random.default_rng([seed, 1]))
    class_weights = sides["train"].class_weights(device)
    model = RadNet(run.settings.network)
    initialise(model, torch.Generator().manual_seed(seed))
    model = model.to(device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def loss_at(step: int) -> dict[str, torch.Tensor]:
        places = drawn_places(len(sides["train"]), step, settings.batch_size, seed)
        generator = np.random.default_rng([seed, 2, step])
        volumes, targets = sides["train"].drawn(places, generator, device)
        with autocast(device, settings.precision):
            outputs = model(to_device(volumes, device))
        losses = head_losses(outputs, targets, class_weights)
        return {"loss": weighted_sum(losses, weights), **losses}

    def validate() -> dict[str, float]:
        return validation_values(model, sides["validation"], settings, weights, device)

    history = fit(
        model, loss_at, recipe, device=device, state_path=state_path, validate=validate, name=run.factors.encoder
    )
    checkpoint = Checkpoint(
        kind="pretrain",
        network=run.settings.network,
        input=run.settings.input,
        volumes=run.settings.volumes,
        precision=recipe.precision,
        patients=patient_digests(pd.concat([side.table["PatientID"] for side in sides.values()])),
        weights=model.state_dict(),
    )
    cost = training_cost(model, run.settings.volumes.shape_zyx, steps=recipe.steps, batch_size=settings.batch_size)
    metrics = {**run.factors.model_dump(mode="json"), "steps": recipe.steps, **cost}
    return Pretrained(checkpoint, history, held_out_predictions(model, sides["test"], settings, device), metrics)


def weights_of(weights: LossWeights, heads: Collection[str]) -> LossWeights:
    """Return the loss weights with those of heads that are not trained set to 0."""
    return weights.model_copy(update={head: 0.0 for head in HEAD_NAMES if head not in heads})


def recipe_of(settings: PretrainRecipe) -> Recipe:
    """Return the part of the settings that the training loop needs."""
    return Recipe(
        steps=settings.steps,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        precision=settings.precision,
        n_steps_between_checkpoints=settings.n_steps_between_checkpoints,
    )


def validation_values(
    model: RadNet, series: Series, settings: PretrainRecipe, weights: LossWeights, device: torch.device
) -> dict[str, float]:
    """Return the loss, each head's loss, and each softmax head's accuracy over known targets (left out if none)."""
    outputs = predict(
        model, series.volumes, len(series), batch_size=settings.batch_size, precision=settings.precision, device=device
    )
    targets = series.targets_at(np.arange(len(series)), torch.device("cpu"))
    losses = head_losses(outputs, targets)
    values = {"loss": float(weighted_sum(losses, weights)), **{h: float(v) for h, v in losses.items()}}
    for head in CLASSES:
        target = getattr(targets, head)
        known = target >= 0
        if known.any():
            hit = getattr(outputs, head).argmax(dim=1)[known] == target[known]
            values[f"{head}_accuracy"] = float(hit.float().mean())
    return values


def held_out_predictions(model: RadNet, series: Series, settings: PretrainRecipe, device: torch.device) -> pd.DataFrame:
    """Return tables.PREDICTIONS: predictions beside targets (`<column>_target`) of patients never trained on."""
    outputs = predict(
        model, series.volumes, len(series), batch_size=settings.batch_size, precision=settings.precision, device=device
    )
    known = series.table[["SeriesInstanceUID", "PatientID", "Modality"]]
    columns = [*CLASSES, *(name for name in series.table if str(name).startswith("body_"))]
    targets = series.table[columns].assign(slice_spacing_mm=series.targets["spacing"]).add_suffix("_target")
    return pd.concat([known, predictions_table(outputs), targets], axis=1)
