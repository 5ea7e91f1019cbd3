"""The gate before training: nothing is shared between any two sides of the study.

The sides are those of pretraining (train, validation, test, tasks) and the roles of the liver cases (control, train, validation,
test); and the roles of each classification, whose cases are series of the side tasks, among themselves. Compared are patients, UIDs of studies and series where both sides have them, and the images themselves by digests of
their slices: one shared slice is a leak. What these digests do not find is said in `volumes.digests`. A PatientID is compared
as it is written: two institutions that gave one ID to two people stop the run, the patient known under two IDs is found by the
images only.

All arms read one split, so they share its test cases; `transfer collect` refuses runs that were tested on others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from radnet3d.errors import SplitError
from radnet3d.tables import LEAKAGE, rows_table

SLICE = "slice"
CHECKS = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", SLICE)
N_EXAMPLES = 3


@dataclass(frozen=True)
class Side:
    """One side of the study: a row for each series or case, with its `name`, its identifiers and slice_digests."""

    name: str
    rows: pd.DataFrame

    def values(self, check: str) -> np.ndarray[Any, Any]:
        """Return the different known values of one check, sorted; digests as numbers."""
        if check == SLICE:
            digests = bytes.fromhex(" ".join(self.rows["slice_digests"]))
            return np.unique(np.frombuffer(digests, dtype=">u8"))
        return np.unique(self.rows.loc[self.rows[check] != "", check].to_numpy(dtype=str))


class Drawn(NamedTuple):
    """The cases of a classification, which are series of the archive."""

    split: pd.DataFrame  # tables.LIVER_SPLIT, case_id a SeriesInstanceUID
    subsets: pd.DataFrame  # tables.SUBSETS


def audit(
    patients: pd.DataFrame,
    volumes: pd.DataFrame,
    cases: pd.DataFrame,
    subsets: pd.DataFrame,
    tasks: Mapping[str, Drawn] = MappingProxyType({}),
) -> pd.DataFrame:
    """Return tables.LEAKAGE: one row a check and pair of sides, those that found nothing included.

    `patients`: tables.PATIENT_SPLIT. `volumes`: tables.VOLUMES; volumes of other patients are not trained on. `cases`:
    tables.LIVER_CASES with `role`. `subsets`: tables.SUBSETS. `tasks`: the classifications by name.
    """
    series = volumes.merge(patients, on="PatientID")
    series["name"] = "series " + series["SeriesInstanceUID"]
    sides = [Side(f"pretrain {name}", series[series["split"] == name]) for name in pretrain_sides(patients)]
    named = cases.assign(name="case " + cases["case_id"])
    sides += [Side(role, named[named["role"] == role]) for role in ("control", "train", "validation", "test")]
    rows = [row for check in CHECKS for row in compare_sides(check, sides)]
    rows += compare_subsets(cases, subsets)
    for task, drawn in tasks.items():
        rows += audit_task(task, series, drawn)
    return rows_table(rows, LEAKAGE)


def audit_task(task: str, series: pd.DataFrame, drawn: Drawn) -> list[dict[str, Any]]:
    """Return the rows of one classification. `series`: volumes with the sides of their patients, and names."""
    roles = drawn.split.rename(columns={"case_id": "SeriesInstanceUID"})[["SeriesInstanceUID", "role"]]
    found = series.merge(roles, on="SeriesInstanceUID")
    sides = [Side(f"{task} {role}", found[found["role"] == role]) for role in ("train", "validation", "test")]
    rows = [row for check in CHECKS for row in compare_sides(check, sides)]
    return rows + compare_subsets(drawn.split, drawn.subsets, prefix=f"{task} ")


def compare_subsets(cases: pd.DataFrame, subsets: pd.DataFrame, prefix: str = "") -> list[dict[str, Any]]:
    """Return a row for each subset seed: whether its small training sets lie inside its larger ones."""
    training = set(cases.loc[cases["role"] == "train", "case_id"])
    return [
        compare_ranks(f"{prefix}subset {seed}", subset, training) for seed, subset in subsets.groupby("subset_seed")
    ]


def pretrain_sides(patients: pd.DataFrame) -> list[str]:
    """Return the sides of the pretraining patients; `tasks`, who take no part in pretraining, where there are any."""
    return ["train", "validation", "test", *(["tasks"] if (patients["split"] == "tasks").any() else [])]


def compare_sides(check: str, sides: list[Side]) -> list[dict[str, Any]]:
    """Return one row of tables.LEAKAGE for each pair of sides."""
    values = {side.name: side.values(check) for side in sides}
    rows = []
    for left, right in combinations(sides, 2):
        shared = np.intersect1d(values[left.name], values[right.name], assume_unique=True)
        examples = pairs_that_share(check, left, right, shared) if len(shared) else []
        rows.append({
            "check": check, "left": left.name, "right": right.name, "n_left": len(values[left.name]),
            "n_right": len(values[right.name]), "n_shared": len(shared), "examples": "; ".join(examples),
        })  # fmt: skip
    return rows


def pairs_that_share(check: str, left: Side, right: Side, shared: np.ndarray[Any, Any]) -> list[str]:
    """Return in words a few pairs of rows that have a value in common."""
    known = {f"{value:016x}" if check == SLICE else str(value) for value in shared}
    holding = [
        [(str(row["name"]), held) for row in side.rows.to_dict("records") if (held := held_by(row, check) & known)]
        for side in (left, right)
    ]
    found = []
    for left_name, left_held in holding[0]:
        for right_name, right_held in holding[1]:
            if common := left_held & right_held:
                what = f"{len(common)} slices" if check == SLICE else min(common)
                found.append(f"{left_name} and {right_name}: {what}")
                if len(found) == N_EXAMPLES:
                    return found
    return found


def held_by(row: dict[Any, Any], check: str) -> set[str]:
    """Return the values that one row has of a check."""
    return set(str(row["slice_digests"]).split()) if check == SLICE else {str(row[check])}


def compare_ranks(name: str, subset: pd.DataFrame, training: set[str]) -> dict[str, Any]:
    """Return the row of tables.LEAKAGE that says whether small sets of one subset seed lie inside its larger ones.

    They do where every training case, and no other, has one of the ranks 0, 1, 2 ...
    """
    n_ranks = len(training)
    is_good = subset["case_id"].isin(training) & subset["rank"].lt(n_ranks) & ~subset["rank"].duplicated(keep=False)
    wrong = [f"case {row.case_id}: rank {row.rank}" for row in subset[~is_good].itertuples()]
    wrong += [f"case {name}: no rank" for name in sorted(training - set(subset["case_id"]))]
    return {
        "check": "nested", "left": name, "right": "train", "n_left": len(subset), "n_right": n_ranks,
        "n_shared": len(wrong), "examples": "; ".join(wrong[:N_EXAMPLES]),
    }  # fmt: skip


def check_leakage(leakage: pd.DataFrame) -> None:
    """Raise SplitError naming each check of tables.LEAKAGE that failed, the number shared, and examples."""
    failed = leakage[leakage["n_shared"] > 0]
    if not len(failed):
        return
    lines = []
    for row in failed.itertuples():
        if row.check == "nested":
            lines.append(
                f"{row.left}: {row.n_shared} ranks that are not those of nested training sets ({row.examples})"
            )
        else:
            lines.append(f"{row.check}: {row.n_shared} shared by {row.left} and {row.right} ({row.examples})")
    raise SplitError(
        f"leakage: {len(failed)} of {len(leakage)} checks found what must not be shared, wanted none:\n  "
        + "\n  ".join(lines)
        + "\nleave these series out of the archive or these cases out of the folder; until then nothing is trained"
    )
