"""The cases of a classification: one series a patient, dealt to roles and ranked so that classes are as even as they go."""

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from radnet3d.errors import SplitError
from radnet3d.params import TaskCases
from radnet3d.tables import SUBSETS, TASK_CASES, check_table
from radnet3d.training.tasks.classification import Classification
from radnet3d.volumes.choice import one_a_series

N_ROLES = 3  # test, validation, train: a class needs a patient in each


def labels_of_truth(task: type[Classification], truth: pd.DataFrame) -> pd.DataFrame:
    """Return tables.TASK_LABELS of the rows of tables.TRUTH that the task is about."""
    labels = truth[["SeriesInstanceUID"]].assign(label=[task.label_of(row) for _, row in truth.iterrows()])
    return labels[labels["label"] != ""]


def draw_cases(
    volumes: pd.DataFrame, patients: pd.DataFrame, labels: pd.DataFrame, settings: TaskCases
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return tables.TASK_CASES, tables.LIVER_SPLIT and tables.SUBSETS of one task.

    `volumes`: tables.VOLUMES, with `file`, the path of the array. `patients`: tables.PATIENT_SPLIT; those of the side
    "tasks" are used. `labels`: tables.TASK_LABELS. Raises SplitError saying how many patients each class has if they do
    not suffice.
    """
    generator = np.random.default_rng(settings.seed)
    own = patients.loc[patients["split"] == "tasks", "PatientID"]
    # a series that holds several volumes is of several phases, say, and has no one label
    single = one_a_series(volumes[volumes["volume_of"] == ""])
    series = single[single["PatientID"].isin(own)].merge(labels, on="SeriesInstanceUID")
    series = series[series["label"].isin(settings.classes)].sort_values("SeriesInstanceUID", ignore_index=True)
    chosen = one_a_patient(series, settings.classes, generator)
    check_numbers(chosen, settings)
    roles = deal_roles(chosen, {"test": settings.n_test, "validation": settings.n_validation}, generator)
    check_training(chosen, roles, settings)
    cases = chosen.rename(columns={"SeriesInstanceUID": "case_id", "path": "stored_path", "file": "path"})
    cases = check_table(cases[list(TASK_CASES.columns)], TASK_CASES, name="cases of the task")
    split = cases[["case_id", "PatientID"]].assign(role=roles)
    subsets = even_subsets(cases[split["role"] == "train"], settings.n_subsets)
    return cases, split, subsets


def one_a_patient(series: pd.DataFrame, classes: tuple[str, ...], generator: np.random.Generator) -> pd.DataFrame:
    """Return at most one row for each patient, so that classes are as even as they go.

    `series`: PatientID and label. Who has least choice comes first; each gives the class with fewest patients so far.
    """
    rows_of = {str(patient): rows for patient, rows in series.groupby("PatientID")}
    order = [list(rows_of)[place] for place in generator.permutation(len(rows_of))]
    n_chosen = Counter(dict.fromkeys(classes, 0))
    chosen = []
    for patient in sorted(order, key=lambda name: rows_of[name]["label"].nunique()):
        rows = rows_of[patient]
        label = min(sorted(rows["label"].unique(), key=classes.index), key=lambda name: n_chosen[name])
        n_chosen[label] += 1
        chosen.append(generator.choice(rows.index[rows["label"] == label]))
    return series.loc[sorted(chosen)].reset_index(drop=True)


def check_numbers(chosen: pd.DataFrame, settings: TaskCases) -> None:
    """Raise SplitError if a class lacks patients for one in each role."""
    found = {name: int((chosen["label"] == name).sum()) for name in settings.classes}
    few = [name for name, n in found.items() if n < N_ROLES]
    if few:
        raise SplitError(
            f"{few[0]}: found {found[few[0]]} patients, wanted at least {N_ROLES}, one each to test, validate and train on; "
            f"patients of each class: {found}. Take more patients, or leave the class out"
        )


def deal_roles(chosen: pd.DataFrame, wanted: dict[str, int], generator: np.random.Generator) -> list[str]:
    """Return the role of each row: test, validation, and train for the rest; each class alike as far as it goes.

    A class always keeps a row for each role that is still to be dealt.
    """
    left = {str(name): list(generator.permutation(rows.index)) for name, rows in chosen.groupby("label", sort=True)}
    role_of: dict[Any, str] = {}
    for n_dealt, (role, n) in enumerate(wanted.items()):
        n_kept = len(wanted) - n_dealt
        n_given = Counter(dict.fromkeys(left, 0))
        for _ in range(n):
            able = [name for name, rows in left.items() if len(rows) > n_kept]
            if not able:
                raise SplitError(f"{len(chosen)} patients, too few for {wanted} and one of each class for training")
            name = min(able, key=lambda name: (n_given[name], -len(left[name])))
            n_given[name] += 1
            role_of[left[name].pop()] = role
    return [role_of.get(place, "train") for place in chosen.index]


def check_training(chosen: pd.DataFrame, roles: list[str], settings: TaskCases) -> None:
    """Raise SplitError if fewer patients are left for training than the grid asks for."""
    n_left = roles.count("train")
    if n_left < max(settings.n_train):
        raise SplitError(
            f"{len(chosen)} patients leave {n_left} for training, n_train asks for {max(settings.n_train)}; "
            f"patients of each class: {chosen['label'].value_counts().to_dict()}"
        )


def even_subsets(training: pd.DataFrame, n_subsets: int) -> pd.DataFrame:
    """Return tables.SUBSETS: orders of the training cases in which classes take turns, so that every set is even.

    `training`: tables.TASK_CASES. A class that has no case left is passed over.
    """
    orders = []
    for seed in range(n_subsets):
        generator = np.random.default_rng([seed, len(training)])
        shuffled = training.iloc[generator.permutation(len(training))]
        first = {name: place for place, name in enumerate(generator.permutation(sorted(training["label"].unique())))}
        turns = shuffled.assign(turn=shuffled.groupby("label").cumcount(), place=shuffled["label"].map(first))
        names = turns.sort_values(["turn", "place"])["case_id"].tolist()
        orders.append(pd.DataFrame({"subset_seed": seed, "case_id": names, "rank": np.arange(len(names))}))
    return check_table(pd.concat(orders, ignore_index=True), SUBSETS, name="training sets of the task")
