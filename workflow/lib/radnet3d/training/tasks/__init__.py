"""What a fine-tuning is for: the interface of a task, its cases, head, loss and metric. One file a task lies beside this one."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import pandas as pd
import pandera.pandas as pa
import torch
from torch import nn

from radnet3d.models.checkpoint import Checkpoint
from radnet3d.runs import FinetuneRun
from radnet3d.training.loop import LossAt, Recipe


class Task(ABC):
    """One task, as one run has it. First weights, steps and rates are the machinery's: a task knows nothing of arms.

    Its cases are named by `case_id` in the tables `inputs.split` and `inputs.subsets` of the run's record. Whatever is
    drawn must depend on the run's `init_seed` and the step alone, so that all arms see the same.
    """

    metric: ClassVar[str]
    """The column of `evaluate`, higher is better, by whose mean learning rates are chosen and arms compared."""
    schema: ClassVar[pa.DataFrameSchema]
    """Of the rows of `evaluate`, with run_id."""

    def __init__(self, run: FinetuneRun) -> None:
        self.run = run

    @abstractmethod
    def build(self) -> nn.Module:
        """Return the network, weights still to be drawn: its `.encoder` is frozen unless `factors.trains` is "all"."""

    @abstractmethod
    def losses(self, model: nn.Module, case_ids: list[str], recipe: Recipe, device: torch.device) -> LossAt:
        """Return the function step -> named losses on these training cases; `fit` descends "loss"."""

    @abstractmethod
    def evaluate(self, model: nn.Module, case_ids: list[str], recipe: Recipe, device: torch.device) -> pd.DataFrame:
        """Return a row for each of these cases: case_id, the metric (NaN where it is undefined), whatever else there is."""

    def metrics(self, cases: pd.DataFrame) -> dict[str, Any]:
        """Return what metrics.json says of the rows of `evaluate`, beside the mean of the metric and the count of NaN."""
        return {}

    def other_networks(self) -> list[Checkpoint]:
        """Return trained networks that the task uses beside the encoder; they must not have seen its patients either."""
        return []

    def kept(self) -> dict[str, Any]:
        """Return further fields of the run's checkpoint, without which its network is of no use."""
        return {}
