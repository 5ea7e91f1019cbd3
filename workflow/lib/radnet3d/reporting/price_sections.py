"""What the page shows of prices: what arms cost, and what each way to find the liver's slices asks for."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from radnet3d.params import LIVER
from radnet3d.reporting.comparison_sections import Row, changes
from radnet3d.reporting.display import (
    Column,
    Display,
    display,
    ditto,
    duration,
    number,
    percent,
    significant,
    write_duration,
)
from radnet3d.reporting.sections import optional
from radnet3d.tables import (
    COSTS,
    PROPOSAL_STUDY,
)

Names = Mapping[str, str]
METHODS = {
    "coverage": "coverage head, as used", "coverage_tuned": "coverage head, setting chosen on validation cases",
    "classifier": "slice classifier, trained on n cases", "true_range": "true range", "whole_scan": "whole scan",
}  # fmt: skip


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


def proposal_study_table(results_dir: Path, names: Names) -> Display | None:
    """Return tables.PROPOSAL_STUDY: what each way to find slices finds, asks for and does to Dice."""
    frame = optional(results_dir / "transfer" / "proposals.csv", PROPOSAL_STUDY)
    if frame is None or frame.empty:
        return None
    frame = frame.assign(
        way=ditto(frame["method"].map(METHODS)),
        arm=frame["init"].map(lambda init: names.get(init, init)),
        dice=frame["dice_per_case_mean"],
        change=changes(frame),
        found=[f"{row['recall']:.3f} {ends_of(row)}".rstrip() for row in frame.to_dict("records")],
    )
    return display(frame, [
        Column("way", "slices found by"), number("n_train", "n"), Column("arm", "segmenter"),
        number("n_labels", "slices an expert\nlabelled for it"), Column("found", "liver slices\nfound", is_number=True),
        percent("whole", "cases found\nwhole"), number("extra_mm", "too much,\nmm", 0), number("dice", "Dice\nper case", 3),
        Column("change", "difference to\nthe true range", is_number=True), number("seconds_propose", "s a case\nto propose", 2),
        number("seconds_segment", "s a case\nto segment", 2),
    ])  # fmt: skip


def ends_of(row: Row) -> str:
    """Return the interval of the share of slices found, "" if there is none."""
    return "" if pd.isna(row["recall_low"]) else f"[{row['recall_low']:.3f}, {row['recall_high']:.3f}]"
