"""Splits: made once, by patient, from a seed or by a committed table; every arm reads the same file."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from radnet3d.errors import SplitError
from radnet3d.params import LiverSplit, PretrainRecipe


def split_patients(patient_ids: Iterable[str], pretrain: PretrainRecipe) -> pd.DataFrame:
    """Return tables.PATIENT_SPLIT of the pretraining patients, sorted by PatientID.

    Held-out parts are rounded up, so that each has a patient; those of the side `tasks`, if there are any, take no part in
    pretraining at all. Raises SplitError if a part would be empty.
    """
    patients = sorted(set(patient_ids))
    n_test = int(np.ceil(pretrain.fraction_test * len(patients)))
    n_validation = int(np.ceil(pretrain.fraction_validation * len(patients)))
    n_tasks = int(np.ceil(pretrain.fraction_tasks * len(patients)))
    n_train = len(patients) - n_test - n_validation - n_tasks
    if n_train < 1:
        raise SplitError(f"{len(patients)} patients leave {n_train} for training, wanted at least 1")
    order = np.random.default_rng(pretrain.seed).permutation(len(patients))
    roles = np.repeat(["test", "validation", "tasks", "train"], [n_test, n_validation, n_tasks, n_train])
    split = pd.DataFrame({"PatientID": [patients[place] for place in order], "split": roles})
    return split.sort_values("PatientID", ignore_index=True)


def decide_split(
    cases: pd.DataFrame, split: LiverSplit, n_subsets: int, table: pd.DataFrame | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return tables.LIVER_SPLIT and tables.SUBSETS of `cases` (tables.LIVER_CASES), by a split table or by a draw.

    `table`: tables.SPLIT_TABLE at `split.table`; None: drawn from `split.seed`. Raises SplitError.
    """
    if table is not None:
        rows, subsets = read_split_table(table, cases, split, n_subsets)
    else:
        rows = split_liver_cases(cases, split)
        subsets = nested_subsets(rows, n_subsets)
    check_images(cases.merge(rows[["case_id", "role"]], on="case_id"))
    return rows, subsets


def split_liver_cases(cases: pd.DataFrame, split: LiverSplit) -> pd.DataFrame:
    """Return tables.LIVER_SPLIT: patients are dealt to test, validation, control, and the rest to train.

    `cases`: case_id and PatientID, as in tables.LIVER_CASES; a column `group`, where there is one, says which of them are
    alike: each role gets its share of every group. A patient's cases stay together, so a role may get some more cases than
    asked for. Raises SplitError if a role cannot be filled.
    """
    group_of = cases["group"] if "group" in cases else pd.Series("", index=cases.index)
    wanted = {"test": split.n_test, "validation": split.n_validation, "control": split.n_control}
    generator = np.random.default_rng(split.seed)
    role_of: dict[str, str] = {}
    for name, n_wanted in shares(wanted, group_of.value_counts().sort_index()).items():
        role_of |= deal_patients(cases.loc[group_of == name, "PatientID"], n_wanted, generator)
    rows = cases[["case_id", "PatientID"]].assign(role=cases["PatientID"].map(role_of))
    n_dealt = rows["role"].value_counts()
    if not n_dealt.get("train", 0) or any(n_dealt.get(role, 0) < n for role, n in wanted.items()):
        n_patients = cases["PatientID"].nunique()
        raise SplitError(f"{len(cases)} cases of {n_patients} patients, wanted {wanted} and at least 1 for training")
    return rows.sort_values("case_id", ignore_index=True)


def deal_patients(patients: pd.Series, n_wanted: dict[str, int], generator: np.random.Generator) -> dict[str, str]:
    """Return the role of each patient: roles are filled in their order, and who is left over is for training.

    `patients`: the PatientID of each case.
    """
    sizes = patients.value_counts().sort_index()
    role_of: dict[str, str] = {}
    n_dealt = dict.fromkeys([*n_wanted, "train"], 0)
    for place in generator.permutation(len(sizes)):
        role = next((name for name, n in n_wanted.items() if n_dealt[name] < n), "train")
        role_of[str(sizes.index[place])] = role
        n_dealt[role] += int(sizes.iloc[place])
    return role_of


def shares(wanted: dict[str, int], sizes: pd.Series) -> dict[str, dict[str, int]]:
    """Return how many cases of each group a role gets: in proportion to the groups' sizes, by the largest remainders."""
    given: dict[str, dict[str, int]] = {str(name): {} for name in sizes.index}
    for role, n in wanted.items():
        exact = n * sizes / sizes.sum()
        whole = np.floor(exact).astype(int)
        first = (exact - whole).sort_values(ascending=False, kind="stable").index[: n - whole.sum()]
        for name in sizes.index:
            given[str(name)][role] = int(whole[name]) + (name in first)
    return given


def nested_subsets(split: pd.DataFrame, n_subsets: int) -> pd.DataFrame:
    """Return tables.SUBSETS: for each seed 0, 1 ... an order of all training cases, so that small sets lie inside larger ones.

    `split`: tables.LIVER_SPLIT. A patient's cases follow each other.
    """
    training = split[split["role"] == "train"].sort_values("case_id")
    cases_of = [list(cases) for _, cases in training.groupby("PatientID", sort=False)["case_id"]]
    orders = []
    for seed in range(n_subsets):
        order = np.random.default_rng([seed, len(training)]).permutation(len(cases_of))
        names = [name for place in order for name in cases_of[place]]
        orders.append(pd.DataFrame({"subset_seed": seed, "case_id": names, "rank": np.arange(len(names))}))
    return pd.concat(orders, ignore_index=True)


def split_table(split: pd.DataFrame, subsets: pd.DataFrame) -> pd.DataFrame:
    """Return tables.SPLIT_TABLE, the roles and all subsets side by side, in the order of the cases' numbers."""
    ranks = subsets.pivot(index="case_id", columns="subset_seed", values="rank").astype("Int64").add_prefix("rank_")
    table = split[["case_id", "role"]].merge(ranks.reset_index(), on="case_id", how="left")
    return table.sort_values("case_id", key=lambda names: names.str.zfill(names.str.len().max()), ignore_index=True)


def read_split_table(
    table: pd.DataFrame, cases: pd.DataFrame, split: LiverSplit, n_subsets: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return tables.LIVER_SPLIT and tables.SUBSETS as a split table decides them.

    `table`: tables.SPLIT_TABLE, which may hold more subsets than wanted: all are returned. `cases`: tables.LIVER_CASES.
    Raises SplitError naming the file and what does not fit: cases that are not there or not named, roles of other sizes than
    `split` says, a patient in two roles, ranks that are not 0, 1, 2 ... of the training cases.
    """
    try:
        for names, said in (
            (set(cases["case_id"]) - set(table["case_id"]), "gives no role to"),
            (set(table["case_id"]) - set(cases["case_id"]), "names what was not found:"),
        ):
            if names:
                raise SplitError(f"{said} {len(names)} of the cases: {some(names)}; wanted one row for each case found")
        wanted = {"test": split.n_test, "validation": split.n_validation, "control": split.n_control}
        found = {role: int((table["role"] == role).sum()) for role in wanted}
        if found != wanted or not (table["role"] == "train").any():
            raise SplitError(f"found roles of {found} cases, wanted {wanted} as liver.split says, and some to train")
        rows = table[["case_id", "role"]].merge(cases[["case_id", "PatientID"]], on="case_id")
        check_one_side(rows, "role")
        subsets = table_subsets(table, n_subsets)
    except SplitError as error:
        raise SplitError(f"{split.table}: {error}") from None
    return rows[["case_id", "PatientID", "role"]].sort_values("case_id", ignore_index=True), subsets


def table_subsets(table: pd.DataFrame, n_subsets: int) -> pd.DataFrame:
    """Return tables.SUBSETS of a split table. Raises SplitError for a subset that is missing or whose ranks are broken."""
    is_train = table["role"] == "train"
    columns = [name for name in table.columns if name.startswith("rank_")]
    if columns != [f"rank_{seed}" for seed in range(len(columns))] or len(columns) < n_subsets:
        raise SplitError(f"found the subsets {columns}, wanted rank_0 to rank_{n_subsets - 1}, without a gap")
    subsets = []
    for seed, name in enumerate(columns):
        is_given = table[name].notna() & (table[name].astype(str) != "")
        if (is_given != is_train).any():
            wrong = table.loc[is_given != is_train, "case_id"]
            raise SplitError(f"{name}: cases {some(wrong)}: wanted a rank for each training case and for no other")
        places = pd.to_numeric(table.loc[is_train, name], errors="coerce")
        if sorted(places) != list(range(len(places))):
            doubtful = table.loc[
                places.index[places.duplicated(keep=False) | ~places.isin(range(len(places)))], "case_id"
            ]
            raise SplitError(f"{name}: ranks of cases {some(doubtful)}: wanted 0 to {len(places) - 1}, each once")
        order = places.sort_values().index
        subsets.append(
            pd.DataFrame({"subset_seed": seed, "case_id": table.loc[order, "case_id"], "rank": range(len(order))})
        )
    return pd.concat(subsets, ignore_index=True)


def some(names: Iterable[str]) -> str:
    """Return a few names, sorted, with how many more there are."""
    found = sorted(names)
    return ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")


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
