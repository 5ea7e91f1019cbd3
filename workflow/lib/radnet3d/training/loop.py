"""The one training loop: AdamW, one cycle, clipped gradients, autocast, exact resume. Every arm goes through it."""

import logging
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from radnet3d.atomic import replacing
from radnet3d.models.checkpoint import Precision

log = logging.getLogger(__name__)

LossAt = Callable[[int], dict[str, Tensor]]
Validate = Callable[[], dict[str, float]]

WARM_UP_FRACTION = 0.3  # ASSUME: of the steps, as in the usual one-cycle schedule
CLIP_NORM = 1.0  # ASSUME
N_REPORTS = 40  # points of the training curve


@dataclass(frozen=True)
class Recipe:
    """How weights are changed; the same for every arm of a comparison."""

    steps: int
    learning_rate: float  # peak
    weight_decay: float
    precision: Precision
    n_steps_between_checkpoints: int


@dataclass
class Progress:
    """How far a training is: all of its state beside weights and optimizer, in plain values."""

    n_done: int  # steps
    history: list[tuple[int, str, str, float]]  # rows of tables.HISTORY
    recent: list[dict[str, float]]  # losses since the last row


def choose_device(n_threads: int) -> torch.device:
    """Return the GPU if there is one, else the CPU with `n_threads` threads (results are exact for one number)."""
    torch.set_num_threads(n_threads)
    torch.set_flush_denormal(True)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def learning_rate_at(step: int, recipe: Recipe) -> float:
    """Return the one-cycle rate of `step` (0 ... steps - 1): cosine from peak/25 to peak and down to peak/10000."""
    peak = recipe.learning_rate
    last_up = max(WARM_UP_FRACTION * recipe.steps - 1, 0)
    if step < last_up:
        start, end, place = peak / 25, peak, step / last_up
    else:
        start, end, place = peak, peak / 1e4, (step - last_up) / max(recipe.steps - 1 - last_up, 1)
    return end + (start - end) * (1 + math.cos(math.pi * place)) / 2


def fit(
    model: nn.Module,
    loss_at: LossAt,
    recipe: Recipe,
    *,
    device: torch.device,
    state_path: Path | None = None,
    validate: Validate | None = None,
    name: str = "train",
) -> pd.DataFrame:
    """Train `model` in place and return tables.HISTORY.

    `loss_at`: step -> named losses of that step's batch, of which "loss" is descended. It must depend on the step
    alone, so that a run resumed from `state_path` (written every `n_steps_between_checkpoints`) continues as if it had
    never stopped: on the CPU its weights are equal to the bit. `validate`: named values, at every such step and the last.
    """
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
    )
    progress = Progress(0, [], [])
    if state_path and state_path.exists():
        progress = load_state(state_path, model, optimizer, device)
    n_between_reports = max(recipe.steps // N_REPORTS, 1)
    bar = tqdm(initial=progress.n_done, total=recipe.steps, desc=name, file=sys.stderr, mininterval=1.0)
    for step in range(progress.n_done, recipe.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(step, recipe)
        model.train()
        losses = loss_at(step)
        optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
        optimizer.step()
        progress.n_done = step + 1
        progress.recent.append({part: float(value.detach()) for part, value in losses.items()})
        is_last = progress.n_done == recipe.steps
        if progress.n_done % n_between_reports == 0 or is_last:
            progress.history += [(step + 1, "train", *mean) for mean in means(progress.recent)]
            progress.recent = []
        if progress.n_done % recipe.n_steps_between_checkpoints == 0 or is_last:
            if validate:
                model.eval()
                progress.history += [(step + 1, "validation", *value) for value in validate().items()]
            if state_path:
                save_state(state_path, model, optimizer, progress)
        bar.update()
    bar.close()
    model.eval()
    return pd.DataFrame(progress.history, columns=["step", "split", "name", "value"])


def means(records: list[dict[str, float]]) -> list[tuple[str, float]]:
    """Return the mean of each value over the records."""
    return [(part, float(np.mean([record[part] for record in records]))) for part in records[0]]


def save_state(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress) -> None:
    """Write what `load_state` continues from, as a whole or not at all."""
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "progress": vars(progress)}
    with replacing(path) as temporary:
        torch.save(state, temporary)


def load_state(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device) -> Progress:
    """Put `model` and `optimizer` where an interrupted training left them and return its progress."""
    state = torch.load(path, map_location=device, weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    progress = Progress(**state["progress"])
    log.info("%s: continued after step %d", path, progress.n_done)
    return progress


def drawn_places(n: int, step: int, batch_size: int, seed: int) -> NDArray[np.intp]:
    """Return the `batch_size` places in 0 ... n - 1 that `step` trains on: epoch after epoch, each in a new order."""
    wanted = np.arange(step * batch_size, (step + 1) * batch_size)
    epochs = range(wanted[0] // n, wanted[-1] // n + 1)
    orders = np.concatenate([np.random.default_rng([seed, epoch]).permutation(n) for epoch in epochs])
    return np.asarray(orders[wanted - epochs[0] * n])


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """Return the context of the forward pass."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def to_device(volumes: NDArray[np.float32], device: torch.device) -> Tensor:
    """Return (N, D, H, W) as a (N, 1, D, H, W) tensor in the memory layout that convolutions are fastest in."""
    tensor = torch.from_numpy(volumes)[:, None].to(device)
    return tensor.contiguous(memory_format=torch.channels_last_3d)
