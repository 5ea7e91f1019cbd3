"""What the page shows of the transfer study: its arms, comparisons, costs and checks, read from the results folder."""

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from radnet3d.arms import Ablated, Study, ablated_arms, arm_names, encoder_names, longer_arms, main_arms, study_of
from radnet3d.params import CONTROL, LIVER, MEDICALNET, Finetune, Params
from radnet3d.reporting.answer import amount, amounts, interval, signed
from radnet3d.reporting.display import (
    Column,
    Display,
    display,
    duration,
    number,
    p_value,
    percent,
    significant,
    write_duration,
)
from radnet3d.reporting.sections import optional, read_object
from radnet3d.tables import (
    COMPARISON,
    COSTS,
    LABELS_SAVED,
    LEAKAGE,
    LIVER_SPLIT,
    PATIENT_SPLIT,
    POWER,
    PROPOSAL_STUDY,
    SECONDARY,
    TASK_COMPARISON,
)

Names = Mapping[str, str]
Row = Mapping[Hashable, Any]
MEANINGS = {
    "scratch": "random first weights; the reference",
    "pretrained": "what the study is about",
    "shuffled": "same series, same steps, but each series has the labels of another: compute without signal",
    "control": "what transfer can reach here",
}
TRAINED = {"all": "all", "decoder": "the decoder", "probe": "one linear layer on its features"}
METHODS = {
    "coverage": "coverage head, as used", "coverage_tuned": "coverage head, setting chosen on validation cases",
    "classifier": "slice classifier, trained on n cases", "true_range": "true range", "whole_scan": "whole scan",
}  # fmt: skip
CHECKS = {
    "PatientID": "patients", "StudyInstanceUID": "studies", "SeriesInstanceUID": "series", "slice": "slices, by content",
    "nested": "ranks of nested training sets",
}  # fmt: skip


def arms_table(params: Params) -> Display:
    """Return the arms of the experiment, what each starts from, how it is trained, what it is compared with."""
    study, names, encoders = study_of(params), arm_names(study_of(params)), encoder_names(params.pretrain)
    rows = []
    for init, name in names.items():
        arm = params.finetune.arms[init]
        said = [
            MEANINGS.get(init, ""),
            "on MedicalNet’s network" if arm.network == MEDICALNET else "",
        ]
        rows.append({
            "arm": name, "key": init, "start": start_of(arm.encoder, study, encoders), "trained": TRAINED[arm.trains],
            "steps": params.finetune.steps * arm.steps_times, "sizes": sizes_said(params.finetune, init),
            "seeds": len(params.finetune.seeds_of(init)), "against": ", ".join(names[other] for other in arm.against),
            "meaning": "; ".join(part for part in said if part),
        })  # fmt: skip
    return display(pd.DataFrame(rows), [
        Column("arm", "arm"), Column("key", "in tables"), Column("start", "the encoder starts from"), Column("trained", "trained"),
        number("steps", "steps"), Column("sizes", "n"), number("seeds", "seeds"), Column("against", "compared with"),
        Column("meaning", "what for"),
    ])  # fmt: skip


def sizes_said(finetune: Finetune, init: str) -> str:
    """Return the training-set sizes of an arm as words."""
    sizes = finetune.sizes_of(init)
    return "all" if set(sizes) == set(finetune.n_train) else ", ".join(map(str, sizes))


def start_of(encoder: str | None, study: Study, encoders: Names) -> str:
    """Return in words what the encoder of an arm starts from."""
    if encoder is None:
        return "random weights"
    if encoder == CONTROL:
        return "a liver segmenter of other patients"
    if encoder == MEDICALNET:
        return "weights of MedicalNet (Chen 2019)"
    own = study.pretrain.encoders[encoder]
    whose = {"own": "labels of headers", "shuffled": "labels of headers, dealt to other patients"}[own.labels]
    return f"{whose}: {', '.join(own.heads)}"


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
    """Return the arms with all sizes against their first references."""
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


def fixed_sentence(comparison: pd.DataFrame | None) -> str:
    """Return at which sizes there is one training subset or one seed, "" if at none."""
    if comparison is None:
        return ""
    said = []
    for axis, words in (("subset_seed", "one training subset"), ("init_seed", "one seed")):
        sizes = sorted(comparison.loc[comparison["fixed"].str.contains(axis), "n_train"].unique())
        if len(sizes):
            said.append(f"{words} at n = {', '.join(map(str, sizes))}")
    return f"There was {' and '.join(said)}: intervals and verdicts there say nothing of others." if said else ""


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
    shown["arm"] = shown["arm"].mask(shown["arm"].eq(shown["arm"].shift()), "″")
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
    shown["arm"] = shown["arm"].mask(shown["arm"].eq(shown["arm"].shift()), "″")
    return display(shown, [
        Column("arm", "arm"), number("n", "n"), number("once", f"Dice at\n{study.finetune.steps} steps", 3),
        number("longer", "Dice at\nmore steps", 3), number("steps", "steps"), Column("than", "compared with"),
        Column("change_once", f"difference at\n{study.finetune.steps} steps", is_number=True),
        Column("change_longer", "difference at\nmore steps", is_number=True), Column("verdicts", "verdicts"),
    ])  # fmt: skip


def steps_of(study: Study, init: str) -> int:
    """Return the optimiser steps of an arm."""
    return study.finetune.steps * study.finetune.arms[init].steps_times


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
    shown["arm"] = shown["arm"].mask(shown["arm"].eq(shown["arm"].shift()), "″")
    return display(shown, [
        Column("arm", "arm"), number("n", "n"), Column("nsd_2mm", "NSD at 2 mm", is_number=True),
        Column("hd95_mm", "HD95, mm", is_number=True), Column("volume_error_percent", "volume error, %", is_number=True),
        Column("failures", "failures\n(Dice < 0.5)", is_number=True), Column("empty", "empty", is_number=True),
    ])  # fmt: skip


DIGITS = {"nsd_2mm": 3, "hd95_mm": 1, "volume_error_percent": 1}


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


def proposal_study_table(results_dir: Path, names: Names) -> Display | None:
    """Return tables.PROPOSAL_STUDY: what each way to find slices finds, asks for and does to Dice."""
    frame = optional(results_dir / "transfer" / "proposals.csv", PROPOSAL_STUDY)
    if frame is None or frame.empty:
        return None
    frame = frame.assign(
        way=frame["method"].map(METHODS).mask(frame["method"].eq(frame["method"].shift()), "″"),
        arm=frame["init"].map(lambda init: names.get(init, init)),
        dice=frame["dice_per_case_mean"],
        change=changes(frame),
        found=[
            f"{row['recall']:.3f} [{row['recall_low']:.3f}, {row['recall_high']:.3f}]"
            for row in frame.to_dict("records")
        ],
    )
    return display(frame, [
        Column("way", "slices found by"), number("n_train", "n"), Column("arm", "segmenter"),
        number("n_labels", "slices an expert\nlabelled for it"), Column("found", "liver slices\nfound", is_number=True),
        percent("whole", "cases found\nwhole"), number("extra_mm", "too much,\nmm", 0), number("dice", "Dice\nper case", 3),
        Column("change", "difference to\nthe true range", is_number=True), number("seconds_propose", "s a case\nto propose", 2),
        number("seconds_segment", "s a case\nto segment", 2),
    ])  # fmt: skip


def arm_costs_table(results_dir: Path, comparison: pd.DataFrame | None, names: Names) -> Display | None:
    """Return what one run of each arm costs, pretraining included, beside its Dice at the size most arms have."""
    frame = optional(results_dir / "transfer" / "costs.csv", COSTS)
    if frame is None or frame.empty:
        return None
    places = {init: place for place, init in enumerate(names)}
    frame = frame[frame["task"] == LIVER].sort_values("init", key=lambda column: column.map(places))
    columns = [
        Column("arm", "arm"), duration("pretraining_cpu_seconds", "pretraining:\nCPU time"), significant("pretraining_tflops", "TFLOP"),
        duration("finetuning_cpu_seconds", "fine-tuning:\nCPU time"), significant("finetuning_tflops", "TFLOP"),
        duration("total_cpu_seconds", "both:\nCPU time"), duration("total_seconds", "by the\nclock"), significant("total_tflops", "TFLOP"),
        number("total_n_samples", "samples"), number("times", "× scratch\n(TFLOP)", 1),
    ]  # fmt: skip
    scratch = frame.loc[frame["init"] == "scratch", "total_tflops"]
    times = frame["total_tflops"] / scratch.iloc[0] if len(scratch) and scratch.iloc[0] else float("nan")
    frame = frame.assign(arm=frame["init"].map(names), times=times)
    size = common_size(comparison)
    if comparison is not None and size is not None:
        at_size = comparison[comparison["n_train"] == size].drop_duplicates("init").set_index("init")
        frame["dice"] = frame["init"].map(at_size["dice_per_case_mean"])
        columns.append(number("dice", f"Dice at\nn = {size}", 3))
    columns += [number("n_encoders", "encoders"), number("n_runs", "runs")]
    return display(frame, [*columns, *([number("n_resumed", "resumed")] if frame["n_resumed"].any() else [])])


def cost_sentence(results_dir: Path) -> str:
    """Return how many fine-tunings one pretraining costs, "" where that is not known."""
    frame = optional(results_dir / "transfer" / "costs.csv", COSTS)
    if frame is None:
        return ""
    rows = {str(row["init"]): row for row in frame[frame["task"] == LIVER].to_dict("records")}
    if not {"scratch", "pretrained"} <= rows.keys():
        return ""
    before, once = rows["pretrained"], rows["scratch"]
    if pd.isna(before["pretraining_tflops"]) or not once["finetuning_tflops"] > 0:
        return ""
    return (
        f"One pretraining on header labels costs as many operations as "
        f"{before['pretraining_tflops'] / once['finetuning_tflops']:.3g} fine-tunings from scratch "
        f"({write_duration(before['pretraining_cpu_seconds'])} of CPU time against "
        f"{write_duration(once['finetuning_cpu_seconds'])})."
    )


def common_size(comparison: pd.DataFrame | None) -> int | None:
    """Return the training-set size that most arms have, of several the largest; None where nothing was compared."""
    if comparison is None:
        return None
    n_arms = comparison.groupby("n_train")["init"].nunique()
    return int(max(n_arms[n_arms == n_arms.max()].index))


def leakage_summary(results_dir: Path) -> Display | None:
    """Return each check of the gate: how many pairs of sides, how many could not be compared, how much was shared."""
    frame = optional(results_dir / "finetune" / "split" / "liver" / "leakage.csv", LEAKAGE)
    if frame is None or frame.empty:
        return None
    frame = frame.assign(unknown=(frame[["n_left", "n_right"]] == 0).any(axis=1))
    counted = frame.groupby("check", sort=False).agg(
        pairs=("check", "size"), unknown=("unknown", "sum"), most=("n_left", "max"), shared=("n_shared", "sum")
    )
    counted["verdict"] = ["found" if n else "passed" for n in counted["shared"]]
    counted.loc[counted["pairs"] == counted["unknown"], "verdict"] = "not known"
    counted["what"] = [CHECKS[str(check)] for check in counted.index]
    return display(counted, [
        Column("what", "what must not be shared"), number("pairs", "pairs of sides"), number("unknown", "of them not known on one side"),
        number("most", "most values on one side"), number("shared", "shared"), Column("verdict", "gate"),
    ])  # fmt: skip


def leakage_table(results_dir: Path) -> Display | None:
    """Return every row of tables.LEAKAGE."""
    frame = optional(results_dir / "finetune" / "split" / "liver" / "leakage.csv", LEAKAGE)
    if frame is None or frame.empty:
        return None
    return display(frame, [
        Column("check", "check"), Column("left", "of"), Column("right", "and"), number("n_left", "values of the first"),
        number("n_right", "of the second"), number("n_shared", "shared"),
    ])  # fmt: skip


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


def rates_table(results_dir: Path, names: Names) -> Display | None:
    """Return validation Dice at each learning rate, the rate chosen, and whether the largest component alone is kept, by arm."""
    found = [read_object(path) for path in sorted((results_dir / "finetune" / "rates" / "liver").glob("*.json"))]
    chosen = {rate["init"]: rate for rate in found if rate and rate["init"] in names}
    if not chosen:
        return None
    grid = sorted({rate for one in chosen.values() for rate in one["validation"]}, key=float)
    rows = [
        {
            "arm": name, "chosen": f"{chosen[init]['learning_rate']:g}",
            "largest": "yes" if chosen[init].get("largest_component") else "no", **chosen[init]["validation"],
        }
        for init, name in names.items() if init in chosen
    ]  # fmt: skip
    columns = [number(rate, f"{float(rate):g}", 3) for rate in grid]
    last = [Column("chosen", "chosen", is_number=True), Column("largest", "largest\ncomponent\nalone")]
    return display(pd.DataFrame(rows), [Column("arm", "arm"), *columns, *last])


def splits_table(results_dir: Path) -> Display | None:
    """Return how many patients and cases each side of each split holds."""
    liver = optional(results_dir / "finetune" / "split" / "liver" / "split.csv", LIVER_SPLIT)
    pretraining = optional(results_dir / "pretrain" / "split.csv", PATIENT_SPLIT)
    parts = []
    if pretraining is not None:
        counts = pretraining["split"].value_counts()
        parts += [
            {"of": "pretraining archive", "side": side, "patients": counts.get(side, 0)}
            for side in ("train", "validation", "test", "tasks")
            if side in counts or side != "tasks"
        ]
    if liver is not None:
        counts = liver.groupby("role")["PatientID"].nunique()
        parts += [
            {"of": "liver cases", "side": role, "patients": counts.get(role, 0)}
            for role in ("train", "validation", "test", "control")
        ]
    if not parts:
        return None
    return display(pd.DataFrame(parts), [Column("of", "data"), Column("side", "side"), number("patients", "patients")])


def transfers_table(results_dir: Path, names: Names) -> Display | None:
    """Return what each arm's transfer loaded, from the `transfer` entry of the runs' metrics.json."""
    rows = []
    for path in sorted((results_dir / "finetune" / "runs" / "liver").glob("*/metrics.json")):
        metrics = read_object(path) or {}
        if metrics.get("transfer"):
            rows.append({"init": metrics["init"], **metrics["transfer"]})
    if not rows:
        return None
    frame = pd.DataFrame(rows).map(lambda value: len(value) if isinstance(value, list) else value)
    places = {init: place for place, init in enumerate(names)}
    counts = frame.drop_duplicates().sort_values("init", key=lambda column: column.map(places))
    counts["arm"] = [names.get(init, init) for init in counts["init"]]
    columns = [
        number(name, name.replace("n_", "").replace("_", " ")) for name in counts.columns if name.startswith("n_")
    ]
    lists = [number(name, f"tensors {name}") for name in ("missing", "mismatched", "skipped") if name in counts]
    return display(counts, [Column("arm", "arm"), *columns, *lists])
