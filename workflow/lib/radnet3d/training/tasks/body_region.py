"""Body region: which part of the body a scan was made of."""

from typing import Any

import pandas as pd

from radnet3d.training.tasks.classification import Classification

# ASSUME: a scan of the neck may reach into the head, one of a single part is of that part, and any other is of none
CLASS_OF_REGIONS = {
    "head": "head",
    "neck": "neck",
    "head;neck": "neck",
    "chest": "chest",
    "abdomen": "abdomen",
    "pelvis": "pelvis",
}


class BodyRegion(Classification):
    """Series of any modality, by what they cover."""

    @staticmethod
    def label_of(truth: "pd.Series[Any]") -> str:
        """Return the part of the body that a volume covers; "" of several parts, of the breast and of the whole body."""
        return CLASS_OF_REGIONS.get(str(truth["regions"]), "") if truth["kind"] == "volume" else ""
