"""Splits: made once, by patient, from a seed; every arm reads the same file."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from radnet3d.errors import SplitError
from radnet3d.params import LiverSplit, Pretrain


def split_patients(patient_ids: Iterable[str], pretrain: Pretrain) -> pd.DataFrame:
    """Return tables.PATIENT_SPLIT of the pretraining patients, sorted by PatientID.

    Held-out parts are rounded up, so that each has a patient. Raises SplitError if a part would be empty.
    """
    patients = sorted(set(patient_ids))
    n_test = int(np.ceil(pretrain.fraction_test * len(patients)))
    n_validation = int(np.ceil(pretrain.fraction_validation * len(patients)))
    n_train = len(patients) - n_test - n_validation
    if n_train < 1:
        raise SplitError(f"{len(patients)} patients leave {n_train} for training, wanted at least 1")
    order = np.random.default_rng(pretrain.seed).permutation(len(patients))
    roles = np.repeat(["test", "validation", "train"], [n_test, n_validation, n_train])
    split = pd.DataFrame({"PatientID": [patients[place] for place in order], "split": roles})
    return split.sort_values("PatientID", ignore_index=True)


def split_liver_cases(cases: pd.DataFrame, split: LiverSplit) -> pd.DataFrame:
    """Return tables.LIVER_SPLIT: patients are dealt to test, validation, control, and the rest to train.

    `cases`: tables.LIVER_CASES. A patient's cases stay together, so a role may get some more cases than asked for.
    Raises SplitError if a role cannot be filled.
    """
    sizes = cases.groupby("PatientID").size().sort_index()
    order = np.random.default_rng(split.seed).permutation(len(sizes))
    wanted = {"test": split.n_test, "validation": split.n_validation, "control": split.n_control}
    role_of: dict[str, str] = {}
    n_dealt = dict.fromkeys([*wanted, "train"], 0)
    for place in order:
        role = next((name for name, n in wanted.items() if n_dealt[name] < n), "train")
        role_of[str(sizes.index[place])] = role
        n_dealt[role] += int(sizes.iloc[place])
    if n_dealt["train"] < 1 or any(n_dealt[role] < n for role, n in wanted.items()):
        raise SplitError(f"{len(cases)} cases of {len(sizes)} patients, wanted {wanted} and at least 1 for training")
    rows = cases[["case_id", "PatientID"]].assign(role=cases["PatientID"].map(role_of))
    check_one_side(rows, "role")
    check_images(cases.assign(role=rows["role"].to_numpy()))
    return rows.sort_values("case_id", ignore_index=True)


def nested_subsets(split: pd.DataFrame, subset_seeds: Iterable[int]) -> pd.DataFrame:
    """Return tables.SUBSETS: for each seed an order of all training cases, so that small sets lie inside larger ones.

    `split`: tables.LIVER_SPLIT.
    """
    cases = np.array(sorted(split.loc[split["role"] == "train", "case_id"]))
    orders = []
    for seed in subset_seeds:
        order = np.random.default_rng([seed, len(cases)]).permutation(cases)
        orders.append(pd.DataFrame({"subset_seed": seed, "case_id": order, "rank": np.arange(len(cases))}))
    return pd.concat(orders, ignore_index=True)


def training_cases(subsets: pd.DataFrame, *, subset_seed: int, n_train: int) -> list[str]:
    """Return the case_ids of one training set, in the order of their ranks. Raises SplitError if there are too few."""
    chosen = subsets[(subsets["subset_seed"] == subset_seed) & (subsets["rank"] < n_train)].sort_values("rank")
    if len(chosen) < n_train:
        n_all = int((subsets["subset_seed"] == subset_seed).sum())
        raise SplitError(f"subset {subset_seed} has {n_all} training cases, wanted {n_train}")
    return [str(case) for case in chosen["case_id"]]


def check_one_side(rows: pd.DataFrame, column: str) -> None:
    """Raise SplitError if a PatientID has two values of `column`."""
    n_sides = rows.groupby("PatientID")[column].nunique()
    if (n_sides > 1).any():
        patient = str(n_sides.idxmax())
        sides = sorted(rows.loc[rows["PatientID"] == patient, column].unique())
        raise SplitError(f"patient {patient} is in {' and '.join(sides)}, wanted one side of the split")


def check_images(cases: pd.DataFrame) -> None:
    """Raise SplitError if one image is in two roles under two case numbers.

    `cases`: tables.LIVER_CASES with `role`.
    """
    n_roles = cases.groupby("image_sha256")["role"].nunique()
    if (n_roles > 1).any():
        twins = cases[cases["image_sha256"] == n_roles.idxmax()]
        said = ", ".join(f"{case} ({role})" for case, role in zip(twins["case_id"], twins["role"], strict=True))
        raise SplitError(f"cases {said} are the same image, wanted one of them: remove the others from the folder")
