"""Classification of whole series: what all such tasks share; one of them is a name, its classes and its truth."""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from radnet3d.errors import ParamsError, SplitError, TableError
from radnet3d.models.building import build_classifier
from radnet3d.params import Input
from radnet3d.runs import FinetuneRun
from radnet3d.tables import CLASSIFIED, TASK_CASES, read_table
from radnet3d.training.inputs import input_range, jittered_grid, jittered_intensity, moved, scale
from radnet3d.training.loop import LossAt, Recipe, autocast, drawn_places, to_device
from radnet3d.training.series import HU_JITTER
from radnet3d.training.tasks import Task

BATCH_SIZE = 8  # of evaluation


class Classification(Task):
    """One class a series, of `settings.task.classes`; the head is one linear layer on the pooled features of the encoder."""

    metric = "correct"
    schema = CLASSIFIED

    @staticmethod
    @abstractmethod
    def label_of(truth: "pd.Series[Any]") -> str:
        """Return the class that a row of tables.TRUTH says the series has, or "" if the task is not about it."""

    def __init__(self, run: FinetuneRun) -> None:
        super().__init__(run)
        if run.settings.task is None:
            raise ParamsError(f"run: wanted settings.task with the classes of {run.factors.task}")
        self.classes = run.settings.task.classes

    def build(self) -> nn.Module:
        """Return the encoder with its head."""
        return build_classifier(
            self.run.settings.architecture, n_classes=len(self.classes), trains=self.run.factors.trains
        )

    def losses(self, model: nn.Module, case_ids: list[str], recipe: Recipe, device: torch.device) -> LossAt:
        """Return the cross entropy of each step's series, moved and brightened as in pretraining (ASSUME)."""
        cases, settings, seed = self.load(case_ids), self.run.settings, self.run.factors.init_seed
        weights = torch.tensor(class_weights([case.number for case in cases], len(self.classes)), device=device)

        def loss_at(step: int) -> dict[str, Tensor]:
            places = drawn_places(len(cases), step, settings.finetune.batch_size, seed)
            generator = np.random.default_rng([seed, 3, step])
            drawn = [drawn_volume(cases[place], generator) for place in places]
            target = torch.tensor([cases[place].number for place in places], device=device)
            with autocast(device, recipe.precision):
                logits = model(to_device(np.stack(drawn), device))
            return {"loss": functional.cross_entropy(logits, target, weights)}

        return loss_at

    def evaluate(self, model: nn.Module, case_ids: list[str], recipe: Recipe, device: torch.device) -> pd.DataFrame:
        """Return tables.CLASSIFIED (without run_id): the class with the largest probability, and whether it is right."""
        cases = self.load(case_ids)
        model.eval()
        numbers: list[int] = []
        for first in range(0, len(cases), BATCH_SIZE):
            volumes = np.stack([case.volume for case in cases[first : first + BATCH_SIZE]])
            with torch.inference_mode(), autocast(device, recipe.precision):
                numbers += model(to_device(volumes, device)).argmax(dim=1).tolist()
        rows = pd.DataFrame({"case_id": case_ids, "label": [self.classes[case.number] for case in cases]})
        rows["predicted"] = [self.classes[number] for number in numbers]
        rows["correct"] = (rows["label"] == rows["predicted"]).astype(float)
        return rows

    def metrics(self, cases: pd.DataFrame) -> dict[str, Any]:
        """Return the balanced accuracy over the classes that the cases have, and how many they are."""
        return {
            "balanced_accuracy": float(cases.groupby("label")["correct"].mean().mean()),
            "n_classes": int(cases["label"].nunique()),
        }

    def load(self, case_ids: list[str]) -> list["ClassifiedCase"]:
        """Return cases with their volumes and classes. Raises SplitError or TableError naming what does not fit."""
        path, shape = self.run.inputs.cases, self.run.settings.volumes.shape_zyx
        table = read_table(path, TASK_CASES).set_index("case_id")
        absent = sorted(set(case_ids) - set(table.index))
        if absent:
            raise SplitError(f"{path}: no cases {absent[:5]}, wanted all {len(case_ids)} of the split")
        unknown = sorted(set(table.loc[case_ids, "label"]) - set(self.classes))
        if unknown:
            raise TableError(f"{path}: found the label {unknown[0]!r}, wanted one of {list(self.classes)}")
        rows = table.loc[case_ids].to_dict("records")
        return [
            ClassifiedCase(
                read_volume(path.parent / row["path"], row["intensity"], self.run.settings.input, shape),
                self.classes.index(row["label"]),
                HU_JITTER if row["intensity"] == "hu" else 1.0,
            )
            for row in rows
        ]


@dataclass(frozen=True)
class ClassifiedCase:
    """One series as network input, and the number of its class."""

    volume: NDArray[np.float32]  # (D, H, W)
    number: int
    jitter: float  # of its intensities, as a multiple of what is usual


def class_weights(numbers: list[int], n_classes: int) -> NDArray[np.float32]:
    """Return the weight of each class in the loss: the rarer in this training set, the more (ASSUME); 1 where all are even.

    A class that is not in the set has weight 0.
    """
    counts = np.bincount(numbers, minlength=n_classes)
    share = counts / counts.sum() * np.count_nonzero(counts)
    weights: NDArray[np.float32] = np.divide(1, share, out=np.zeros(n_classes), where=counts > 0).astype(np.float32)
    return weights


def read_volume(path: Path, intensity: str, settings: Input, shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Return one stored volume as network input. Raises TableError if it is of another shape."""
    volume = np.load(path)
    if volume.shape != shape:
        raise TableError(f"{path}: found a volume of {volume.shape}, wanted {shape}")
    return scale(volume, *input_range(intensity, settings))


def drawn_volume(case: ClassifiedCase, generator: np.random.Generator) -> NDArray[np.float32]:
    """Return a case to train on: moved, scaled and brightened at random, as in pretraining."""
    volume = moved(case.volume, jittered_grid(case.volume.shape, generator))
    return jittered_intensity(volume, generator, times=case.jitter)
