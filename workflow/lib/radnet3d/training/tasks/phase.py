"""Phase: when after the injection of contrast a CT of the abdomen was made."""

from typing import Any

import pandas as pd

from radnet3d.training.tasks.classification import Classification
from radnet3d.vocabulary import TASK_CLASSES


class Phase(Classification):
    """CT series that show the abdomen (ASSUME: elsewhere little tells portal from delayed, and the region gives it away)."""

    @staticmethod
    def label_of(truth: "pd.Series[Any]") -> str:
        """Return the phase of a CT volume of one phase; "" of anything else."""
        is_of_task = truth["kind"] == "volume" and truth["sequence"] == "CT"
        shows_abdomen = "abdomen" in str(truth["regions"]).split(";")
        return str(truth["phase"]) if is_of_task and shows_abdomen and truth["phase"] in TASK_CLASSES["phase"] else ""
