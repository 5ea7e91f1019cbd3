"""Fine-tuning for any task: one recipe, in which the first weights are all that differs between arms."""

import time
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
import torch
from torch import nn

from radnet3d.errors import SplitError
from radnet3d.models.checkpoint import (
    Checkpoint,
    TransferReport,
    check_patients_unseen,
    load_checkpoint,
    patient_digests,
    transfer_encoder,
)
from radnet3d.models.medicalnet import transfer_medicalnet
from radnet3d.models.resnet3d import initialise
from radnet3d.params import CONTROL, MEDICALNET
from radnet3d.runs import FinetuneRun
from radnet3d.splits import check_one_side, training_cases
from radnet3d.tables import LIVER_SPLIT, SUBSETS, read_table
from radnet3d.training.cost import training_cost
from radnet3d.training.loop import Recipe, choose_device, fit
from radnet3d.training.tasks import Task


@dataclass(frozen=True)
class Finetuned:
    """What a fine-tuning leaves behind."""

    checkpoint: Checkpoint
    history: pd.DataFrame  # tables.HISTORY
    cases: pd.DataFrame  # as the task's schema says
    metrics: dict[str, Any]  # content of metrics.json
    transfer: TransferReport | None  # none for scratch


@dataclass(frozen=True)
class Sides:
    """The cases of one run, by name, and the patients of each side."""

    train_ids: list[str]
    evaluated_ids: list[str]
    train_patients: "pd.Series[str]"
    patients: "pd.Series[str]"  # of both


def finetune(run: FinetuneRun, task: Task) -> Finetuned:
    """Train and test one run. Raises SplitError if a patient is on two sides, CheckpointError if a transfer fails."""
    started = time.perf_counter()
    settings = run.settings
    device = choose_device(settings.finetune.n_threads)
    sides = sides_of(run)
    for network in task.other_networks():
        check_patients_unseen(network, sides.patients)
    model = task.build()
    transfer = start_weights(model, run, patients=sides.patients)
    model = model.to(device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    recipe = recipe_of(run)
    losses = task.losses(model, sides.train_ids, recipe, device)
    history = fit(model, losses, recipe, device=device, name=run.factors.run_id)
    cases = task.evaluate(model, sides.evaluated_ids, recipe, device)
    cases.insert(0, "run_id", run.factors.run_id)
    checkpoint = Checkpoint(
        kind="finetune",
        network=settings.network,
        input=settings.input,
        volumes=settings.volumes,
        precision=recipe.precision,
        patients=patient_digests(sides.train_patients),
        weights=model.state_dict(),
        medicalnet=settings.medicalnet,
        trains=run.factors.trains,
        **task.kept(),
    )
    metrics = {
        **metrics_of(cases, run, task, seconds=time.perf_counter() - started),
        **training_cost(model, settings.volumes.shape_zyx, steps=recipe.steps, batch_size=settings.finetune.batch_size),
        **({"transfer": asdict(transfer)} if transfer else {}),
    }
    return Finetuned(checkpoint, history, cases, metrics, transfer)


def sides_of(run: FinetuneRun) -> Sides:
    """Return the cases that a run trains on and those it is scored on. Raises SplitError."""
    split = read_table(run.inputs.split, LIVER_SPLIT)
    check_one_side(split, "role")
    factors = run.factors
    train_ids = training_cases(
        read_table(run.inputs.subsets, SUBSETS), subset_seed=factors.subset_seed, n_train=factors.n_train
    )
    evaluated_ids = sorted(split.loc[split["role"] == factors.evaluate_on, "case_id"])
    used = split[split["case_id"].isin([*train_ids, *evaluated_ids])]
    check_roles(used, train_ids)
    train_patients = split.loc[split["case_id"].isin(train_ids), "PatientID"]
    return Sides(train_ids, evaluated_ids, train_patients, used["PatientID"])


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


def start_weights(model: nn.Module, run: FinetuneRun, *, patients: "pd.Series[str]") -> TransferReport | None:
    """Give `model` its first weights: all from `init_seed`, then those of the arm's encoder over them."""
    initialise(model, torch.Generator().manual_seed(run.factors.init_seed))
    path, min_fraction = run.inputs.encoder, run.settings.finetune.min_fraction_loaded
    if path is None:
        return None
    if run.factors.encoder == MEDICALNET:
        return transfer_medicalnet(model, path, min_fraction=min_fraction)
    encoder = load_checkpoint(path, kinds=["control" if run.factors.encoder == CONTROL else "pretrain"])
    check_patients_unseen(encoder, patients)
    return transfer_encoder(model, encoder, min_fraction=min_fraction)


def recipe_of(run: FinetuneRun) -> Recipe:
    """Return how weights are changed in this run."""
    settings = run.settings.finetune
    steps = settings.steps * run.factors.steps_times
    return Recipe(
        steps=steps,
        learning_rate=run.factors.learning_rate,
        weight_decay=settings.weight_decay,
        precision=settings.precision,
        n_steps_between_checkpoints=steps,
    )


def metrics_of(cases: pd.DataFrame, run: FinetuneRun, task: Task, *, seconds: float) -> dict[str, Any]:
    """Return metrics.json: the run's factors and the mean of its task's metric; undefined cases are counted, not averaged."""
    values = cases[task.metric]
    return {
        **run.factors.model_dump(mode="json"),
        "run_id": run.factors.run_id,
        "steps": recipe_of(run).steps,
        "metric": task.metric,
        f"{task.metric}_mean": float(values.mean()) if values.notna().any() else None,
        "n_cases": len(cases),
        "n_undefined": int(values.isna().sum()),
        **task.metrics(cases),
        "seconds": round(seconds, 2),
    }
