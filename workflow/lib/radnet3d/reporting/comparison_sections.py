"""What the page shows of the comparison of arms: read from the tables of `radnet3d transfer`."""

from collections.abc import Collection, Hashable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from radnet3d.arms import Ablated, Study, ablated_arms, arm_names, longer_arms, main_arms
from radnet3d.reporting.answer import amount, amounts, interval, signed
from radnet3d.reporting.display import (
    Column,
    Display,
    display,
    ditto,
    number,
    p_value,
)
from radnet3d.reporting.sections import optional
from radnet3d.tables import (
    COMPARISON,
    LABELS_SAVED,
    POWER,
    SECONDARY,
    TASK_COMPARISON,
)

Names = Mapping[str, str]
Row = Mapping[Hashable, Any]


def read_comparison(results_dir: Path) -> pd.DataFrame | None:
    """Return tables.COMPARISON with what could have been shown beside it; None where nothing was compared."""
    frame = optional(results_dir / "transfer" / "comparison.csv", COMPARISON)
    if frame is None or frame.empty:
        return None
    power = optional(results_dir / "transfer" / "power.csv", POWER)
    keys = ["init", "reference", "n_train"]
    if power is None:
        return frame.assign(smallest_difference=float("nan"))
    return frame.merge(power[[*keys, "smallest_difference"]], on=keys, how="left", validate="one_to_one")


def first_references(comparison: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of each arm's first reference, or of an arm that is compared with none."""
    first = comparison.drop_duplicates("init").set_index("init")["reference"]
    return comparison[comparison["reference"] == comparison["init"].map(first)]


def main_table(comparison: pd.DataFrame | None, study: Study) -> Display | None:
    """Return the arms of the main figures against their first references."""
    if comparison is None:
        return None
    main = main_arms(study.finetune)
    rows = first_references(comparison[comparison["init"].isin(main)])
    return comparison_table(rows, arm_names(study))


def comparison_table(rows: pd.DataFrame, names: Names) -> Display | None:
    """Return rows of tables.COMPARISON, arms in the order of `names`, with intervals as text; None for no rows."""
    if rows.empty:
        return None
    places = {init: place for place, init in enumerate(names)}
    frame = rows.sort_values("init", key=lambda column: column.map(places), kind="stable").copy()
    frame["arm"], frame["than"] = frame["init"].map(names), frame["reference"].map({**names, "": ""})
    is_again = frame["init"].eq(frame["init"].shift()) & frame["reference"].eq(frame["reference"].shift())
    frame["arm"], frame["than"] = (
        frame["arm"].mask(is_again, "″"),
        frame["than"].mask(is_again & (frame["than"] != ""), "″"),
    )
    frame["interval"], frame["change"] = level_intervals(frame), changes(frame)
    frame["size"] = [f"{row['n_runs']} × {row['n_cases']}" for row in frame.to_dict("records")]
    frame["bad"] = [
        f"{row['n_failures']} / {row['n_empty']} / {row['n_undefined']}" for row in frame.to_dict("records")
    ]
    return display(frame, [
        Column("arm", "arm"), number("n_train", "n"), Column("size", "runs ×\ncases", is_number=True),
        number("dice_per_case_mean", "Dice\nper case", 3), Column("interval", "interval", is_number=True),
        Column("than", "compared\nwith"), Column("change", "difference,\npaired", is_number=True),
        number("smallest_difference", "could\nshow", 3), p_value("p_holm", "p\n(Holm)"), Column("verdict", "verdict"),
        Column("bad", "failed /\nempty /\nundefined", is_number=True),
    ])  # fmt: skip


def level_intervals(frame: pd.DataFrame, digits: int = 3) -> list[str]:
    """Return the interval of each row's mean as text."""
    return [
        "" if pd.isna(low) or pd.isna(high) else f"{low:.{digits}f} to {high:.{digits}f}"
        for low, high in zip(frame["low"], frame["high"], strict=True)
    ]


def changes(frame: pd.DataFrame) -> list[str]:
    """Return the difference of each row with its interval as text."""
    return [change(row) for row in frame.to_dict("records")]


def change(row: Row, digits: int = 3) -> str:
    """Return the difference of one row with its interval as text, "" if there is none."""
    if pd.isna(row["difference"]):
        return ""
    ends = interval(row["difference_low"], row["difference_high"], digits)
    return f"{signed(row['difference'], digits)} {ends}"


def fixed_sentence(comparison: pd.DataFrame | None, inits: Collection[str] | None = None) -> str:
    """Return at which sizes there is one training subset or one seed of arms (None: of all), "" if at none."""
    if comparison is None:
        return ""
    rows = comparison if inits is None else comparison[comparison["init"].isin(list(inits))]
    said = []
    for axis, words in (("subset_seed", "one training subset"), ("init_seed", "one seed, and so one pretraining")):
        sizes = sorted(rows.loc[rows["fixed"].str.contains(axis), "n_train"].unique())
        if len(sizes):
            said.append(f"{words}, at n = {', '.join(map(str, sizes))}")
    return f"There was {'; '.join(said)}: intervals and verdicts there say nothing of others." if said else ""


def saved_table(results_dir: Path, names: Names) -> Display | None:
    """Return tables.LABELS_SAVED in words."""
    frame = optional(results_dir / "transfer" / "labels_saved.csv", LABELS_SAVED)
    if frame is None or frame.empty:
        return None
    places = {init: place for place, init in enumerate(names)}
    frame = frame.sort_values("init", key=lambda column: column.map(places), kind="stable")
    rows = [
        {
            "arm": names[row["init"]],
            "n": row["n_train"],
            "than": names[row["reference"]],
            "equal": amount(row["n_equal"], row["n_equal_beyond"]),
            "interval": amounts(row),
        }
        for row in frame.to_dict("records")
    ]
    shown = pd.DataFrame(rows)
    shown["arm"] = ditto(shown["arm"])
    return display(shown, [
        Column("arm", "arm"), number("n", "n"), Column("than", "reaches what this arm reaches"),
        Column("equal", "with cases", is_number=True), Column("interval", "interval", is_number=True),
    ])  # fmt: skip


def steps_table(comparison: pd.DataFrame | None, study: Study) -> Display | None:
    """Return Dice at the steps of all arms and at more, side by side, and the differences at both; None without such arms."""
    pairs = longer_arms(study.finetune)
    if comparison is None or not pairs:
        return None
    names = arm_names(study)
    levels = comparison.drop_duplicates(["init", "n_train"]).set_index(["init", "n_train"])["dice_per_case_mean"]
    paired = {(row["init"], row["reference"], row["n_train"]): row for row in comparison.to_dict("records")}
    longer_of = dict(pairs)
    rows = []
    for once, longer in pairs:
        for n_train in sorted(study.finetune.sizes_of(longer)):
            row = {"arm": names[once], "n": n_train, "once": levels.get((once, n_train)),
                   "longer": levels.get((longer, n_train)), "steps": steps_of(study, longer)}  # fmt: skip
            for reference in study.finetune.arms[once].against:
                keys = (once, reference, n_train), (longer, longer_of.get(reference, ""), n_train)
                if all(key in paired for key in keys):
                    said = [change(paired[key]) for key in keys]
                    row |= {"than": names[reference], "change_once": said[0], "change_longer": said[1]}
                    row["verdicts"] = " / ".join(paired[key]["verdict"] for key in keys)
            rows.append(row)
    shown = pd.DataFrame(rows).reindex(
        columns=["arm", "n", "once", "longer", "steps", "than", "change_once", "change_longer", "verdicts"]
    )
    shown["arm"] = ditto(shown["arm"])
    return display(shown, [
        Column("arm", "arm"), number("n", "n"), number("once", f"Dice at\n{study.finetune.steps} steps", 3),
        number("longer", "Dice at\nmore steps", 3), number("steps", "steps"), Column("than", "compared with"),
        Column("change_once", f"difference at\n{study.finetune.steps} steps", is_number=True),
        Column("change_longer", "difference at\nmore steps", is_number=True), Column("verdicts", "verdicts"),
    ])  # fmt: skip


def steps_of(study: Study, init: str) -> int:
    """Return the optimiser steps of an arm."""
    return study.finetune.steps * study.finetune.arms[init].steps_times


DIGITS = {"nsd_2mm": 3, "hd95_mm": 1, "volume_error_percent": 1}


def secondary_table(
    results_dir: Path, comparison: pd.DataFrame | None, names: Names, inits: list[str]
) -> Display | None:
    """Return the metrics beside Dice of `inits`, differences to their first references below the means."""
    frame = optional(results_dir / "transfer" / "secondary.csv", SECONDARY)
    if frame is None or frame.empty or comparison is None:
        return None
    first = first_references(comparison[comparison["init"].isin(inits)])
    if first.empty:
        return None
    first = first.sort_values("init", key=lambda column: column.map(inits.index), kind="stable")
    cells = {
        (row["init"], row["reference"], row["n_train"], row["metric"]): secondary_cell(row)
        for row in frame.to_dict("records")
    }
    rows = [
        {
            "arm": names[row["init"]], "n": row["n_train"],
            **{metric: cells.get((row["init"], row["reference"], row["n_train"], metric), "") for metric in DIGITS},
            "failures": share_of(row["n_failures"], row), "empty": share_of(row["n_empty"], row),
        }
        for row in first.to_dict("records")
    ]  # fmt: skip
    shown = pd.DataFrame(rows)
    shown["arm"] = ditto(shown["arm"])
    return display(shown, [
        Column("arm", "arm"), number("n", "n"), Column("nsd_2mm", "NSD at 2 mm", is_number=True),
        Column("hd95_mm", "HD95, mm", is_number=True), Column("volume_error_percent", "volume error, %", is_number=True),
        Column("failures", "failures\n(Dice < 0.5)", is_number=True), Column("empty", "empty", is_number=True),
    ])  # fmt: skip


def secondary_cell(row: Row) -> str:
    """Return mean and difference of one metric as text of two lines, with how many values are undefined."""
    digits = DIGITS[str(row["metric"])]
    said = f"{row['mean']:.{digits}f}".replace("-", "−")
    if row["n_undefined"]:
        said += f" ({row['n_undefined']} undefined)"
    return f"{said}\n{change(row, digits)}".rstrip()


def share_of(n: int, row: Row) -> str:
    """Return a count of predictions and how many there are."""
    return f"{n} of {row['n_cases'] * row['n_runs']}"


def ablation_table(comparison: pd.DataFrame | None, study: Study) -> Display | None:
    """Return for each head what leaving it out costs and what it gives alone; None without such arms."""
    heads = ablated_arms(study)
    if comparison is None or not heads:
        return None
    paired = comparison.set_index(["init", "reference", "n_train"]).sort_index()
    sizes = sorted({n for one in heads for n in study.finetune.sizes_of(one.init)})
    rows = []
    for n_train in sizes:
        for head in dict.fromkeys(one.head for one in heads):
            row: dict[str, object] = {"head": head, "n": n_train}
            for one in heads:
                key = (one.init, {"without": "pretrained", "alone": "scratch"}[one.kind], n_train)
                if one.head == head and key in paired.index:
                    row |= ablation_cells(one, paired.loc[[key]])
            rows.append(row)
    columns = [f"{part}_{kind}" for kind in ("without", "alone") for part in ("dice", "change", "verdict")]
    shown = pd.DataFrame(rows).reindex(columns=["head", "n", *columns])
    return display(shown, [
        Column("head", "head"), number("n", "n"), number("dice_without", "left out:\nDice", 3),
        Column("change_without", "difference\nto all heads", is_number=True), Column("verdict_without", "verdict"),
        number("dice_alone", "alone:\nDice", 3), Column("change_alone", "difference\nto scratch", is_number=True),
        Column("verdict_alone", "verdict"),
    ])  # fmt: skip


def ablation_cells(one: Ablated, row: pd.DataFrame) -> dict[str, object]:
    """Return the cells of one arm of the ablation."""
    return {
        f"dice_{one.kind}": row["dice_per_case_mean"].iloc[0],
        f"change_{one.kind}": changes(row)[0],
        f"verdict_{one.kind}": row["verdict"].iloc[0],
    }


def tasks_table(results_dir: Path, names: Names) -> Display | None:
    """Return tables.TASK_COMPARISON; None without classifications."""
    frame = optional(results_dir / "transfer" / "task_comparison.csv", TASK_COMPARISON)
    if frame is None or frame.empty:
        return None
    frame = frame.assign(
        arm=frame["init"].map(names), than=frame["reference"].map({**names, "": ""}), interval=level_intervals(frame),
        change=changes(frame), name=frame["task"].str.replace("_", " "),
    )  # fmt: skip
    return display(frame, [
        Column("name", "task"), Column("arm", "arm"), number("n_train", "n"), number("n_runs", "runs"), number("n_cases", "patients"),
        number("mean", "answered\nrightly", 3), Column("interval", "interval", is_number=True),
        number("balanced_accuracy", "balanced\naccuracy", 3), Column("than", "compared\nwith"),
        Column("change", "difference,\npaired", is_number=True), p_value("p_holm", "p\n(Holm)"), Column("verdict", "verdict"),
    ])  # fmt: skip
