"""The paper's heads, derived from the labels through one committed table; what is unknown there is masked in the loss."""

from functools import cache
from typing import Literal

import numpy as np
import pandas as pd
import yaml
from pydantic import Field

from radnet3d.labels.rules import RULES_DIR, Data, WordLoader
from radnet3d.tables import PAPER_BODY, TARGETS

Organ = Literal["Brain", "Head", "Neck", "Lung", "Breast", "Liver", "Kidney", "Intestine", "Pelvis"]


class Coverage(Data):
    """What a scan of one region surely shows and surely does not."""

    present: tuple[Organ, ...]
    absent: tuple[Organ, ...]


class PaperHeads(Data):
    """Words of the label table -> words of the paper."""

    sequence: dict[str, str]
    view: dict[str, str]
    contrast: dict[str, str]
    body: dict[str, Coverage] = Field(description="region -> organs")


@cache
def load_paper_heads() -> PaperHeads:
    """Return the committed table."""
    content = yaml.load((RULES_DIR / "paper_heads.yaml").read_text(encoding="utf-8"), Loader=WordLoader)
    return PaperHeads.model_validate(content)


def make_targets(labels: pd.DataFrame) -> pd.DataFrame:
    """Return tables.TARGETS of the volumes of human subjects among `labels` (tables.LABELS)."""
    heads = load_paper_heads()
    kept = labels[(labels["kind"] == "volume") & (labels["subject"] == "human")]
    targets = kept[["SeriesInstanceUID", "PatientID", "Modality"]].copy()
    targets["sequence"] = kept["sequence"].map(heads.sequence).fillna("")
    targets["view"] = kept["plane"].map(heads.view).fillna("")
    targets["contrast"] = kept["contrast"].map(heads.contrast).fillna("")
    organs = np.array([organs_of(regions) for regions in kept["regions"]], float).reshape(-1, len(PAPER_BODY))
    for column, organ in enumerate(PAPER_BODY):
        targets[f"body_{organ}"] = organs[:, column]
    targets["slice_spacing_mm"] = kept["slice_spacing_mm"]
    return targets[list(TARGETS.columns)].reset_index(drop=True)


def organs_of(regions: str) -> tuple[float, ...]:
    """Return 1 (present), 0 (absent) or NaN (unknown) for each organ of PAPER_BODY in a scan of `regions`.

    `regions`: ';'-joined words of tables.REGIONS, or `unknown`. Present in one region is present; absent is only what
    every region leaves out.
    """
    covered = [load_paper_heads().body[region] for region in regions.split(";") if region != "unknown"]
    present = {organ for region in covered for organ in region.present}
    absent = {organ for organ in PAPER_BODY if covered and all(organ in region.absent for region in covered)}
    return tuple(1.0 if organ in present else 0.0 if organ in absent else float("nan") for organ in PAPER_BODY)
