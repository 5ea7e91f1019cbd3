"""The positive control: an encoder that has segmented livers, of patients nobody else trains or tests on."""

from pathlib import Path
from typing import Any

import pandas as pd
import torch

from radnet3d.errors import SplitError
from radnet3d.models.building import build_segmenter
from radnet3d.models.checkpoint import Checkpoint, patient_digests
from radnet3d.models.resnet3d import initialise
from radnet3d.runs import ControlRun
from radnet3d.splits import check_one_side
from radnet3d.tables import LIVER_SPLIT, read_table
from radnet3d.training.cases import Case, load_cases
from radnet3d.training.cost import training_cost
from radnet3d.training.loop import Recipe, choose_device, fit
from radnet3d.training.tasks.liver import Batches, segmentation_loss

OTHER_WEIGHTS = 1_000_000
"""Added to the seed of first weights, which fine-tuning draws from the seed itself."""


def train_control(run: ControlRun, *, state_path: Path | None) -> tuple[Checkpoint, pd.DataFrame, dict[str, Any]]:
    """Return the checkpoint of the segmenter, tables.HISTORY and the content of metrics.json, continuing from `state_path` if it is there.

    It has fine-tuning's recipe, but for `control_steps` and `control_learning_rate`, and draws its own first weights: an arm
    that starts from this encoder must not get the decoder back that the encoder was trained with.
    """
    pretrain, finetune, settings = run.settings.pretrain, run.settings.finetune, run.settings
    device = choose_device(finetune.n_threads)
    split = read_table(run.inputs.split, LIVER_SPLIT)
    check_one_side(split, "role")
    chosen = split[split["role"] == "control"].sort_values("case_id")
    if chosen.empty:
        raise SplitError(f"{run.inputs.split}: no cases of role 'control', wanted at least 1")
    model = build_segmenter(settings.network, trains="all")
    initialise(model, torch.Generator().manual_seed(OTHER_WEIGHTS + run.factors.seed))
    model = model.to(device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    cases = load_cases(run.inputs.cases, list(chosen["case_id"]), settings.volumes.shape_zyx)
    # no proposals here, so that the control does not wait for the pretrained network: crops reach up to half a window out
    half_mm = settings.proposal.window_mm / 2
    ranges = {case.case_id: widened(case, half_mm) for case in cases}
    batches = Batches(cases, ranges, finetune.batch_size, run.factors.seed, settings.volumes.shape_zyx, settings.input)
    recipe = Recipe(
        steps=finetune.control_steps,
        learning_rate=finetune.control_learning_rate,
        weight_decay=finetune.weight_decay,
        precision=finetune.precision,
        n_steps_between_checkpoints=pretrain.n_steps_between_checkpoints,
    )
    loss_at = segmentation_loss(model, batches, recipe, device)
    history = fit(model, loss_at, recipe, device=device, state_path=state_path, name="control")
    checkpoint = Checkpoint(
        kind="control",
        network=settings.network,
        input=settings.input,
        volumes=settings.volumes,
        precision=recipe.precision,
        patients=patient_digests(chosen["PatientID"]),
        weights=model.state_dict(),
    )
    cost = training_cost(model, settings.volumes.shape_zyx, steps=recipe.steps, batch_size=finetune.batch_size)
    return checkpoint, history, {**run.factors.model_dump(mode="json"), "steps": recipe.steps, **cost}


def widened(case: Case, margin_mm: float) -> tuple[int, int]:
    """Return the liver's slices and `margin_mm` more at either end, within the scan."""
    n_margin = round(margin_mm / case.spacing_zyx_mm[0])
    return max(case.liver[0] - n_margin, 0), min(case.liver[1] + n_margin, len(case.slab_hu))
