"""What each section of the page shows, read from the results folder; None where a part was not made in this run."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pandera.pandas as pa
from pydantic import BaseModel

from radnet3d.params import Params
from radnet3d.reporting.answer import interval, signed
from radnet3d.reporting.display import Column, Display, display, number, p_value, percent
from radnet3d.reporting.times import times
from radnet3d.tables import (
    ATTRIBUTION,
    COMPARISON,
    EXCLUDED,
    FETCHED,
    HEAD_SCORES,
    LIVER_SPLIT,
    PATIENT_SPLIT,
    PLAN_SUMMARY,
    PROPOSALS,
    VOLUMES,
    read_table,
)

ARM_NAMES = {
    "scratch": "from scratch",
    "pretrained": "header labels",
    "shuffled": "shuffled labels",
    "control": "positive control",
}
ARM_MEANINGS = {
    "scratch": "random first weights; the reference",
    "pretrained": "encoder pretrained on labels read from DICOM headers",
    "shuffled": "same series, same steps, but each series has the labels of another: compute without signal",
    "control": "encoder of a liver segmenter trained on other patients: what transfer can reach here",
}


def optional(path: Path, schema: pa.DataFrameSchema) -> pd.DataFrame | None:
    """Return the checked table at `path`, None if there is no such file. Raises TableError if it is another table."""
    return read_table(path, schema) if path.is_file() else None


def gathered(paths: list[Path], schema: pa.DataFrameSchema) -> pd.DataFrame | None:
    """Return the tables at `paths` as one, None if there are none."""
    return pd.concat([read_table(path, schema) for path in paths], ignore_index=True) if paths else None


def read_object(path: Path) -> dict[str, Any] | None:
    """Return the object in a JSON file, None if there is no such file."""
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def comparison_table(path: Path) -> Display | None:
    """Return tables.COMPARISON with intervals as text."""
    frame = optional(path, COMPARISON)
    if frame is None or frame.empty:
        return None
    frame["arm"] = frame["init"].map(ARM_NAMES).mask(frame["init"].eq(frame["init"].shift()), "″")
    frame["interval"] = [
        "" if pd.isna(low) else f"{low:.3f} to {high:.3f}"
        for low, high in zip(frame["low"], frame["high"], strict=True)
    ]
    frame["change"] = [
        "" if pd.isna(row["difference"]) else
        f"{signed(row['difference'])} {interval(row['difference_low'], row['difference_high'])}"
        for row in frame.to_dict("records")
    ]  # fmt: skip
    return display(frame, [
        Column("arm", "encoder\nstarts from"), number("n_train", "n"), number("n_runs", "runs"), number("n_cases", "test\ncases"),
        number("dice_per_case_mean", "Dice\nper case", 3), Column("interval", "interval", is_number=True),
        Column("change", "difference,\npaired", is_number=True), p_value("p_holm", "p\n(Holm)"), Column("verdict", "verdict"),
        number("n_failures", "Dice\n< 0.5"), number("n_empty", "empty"), number("n_undefined", "un-\ndefined"),
    ])  # fmt: skip


def arms_table(params: Params) -> Display:
    """Return the arms of the experiment and what they mean."""
    rows = [{"arm": ARM_NAMES[init], "meaning": ARM_MEANINGS[init]} for init in params.finetune.inits]
    return display(pd.DataFrame(rows), [Column("arm", "arm"), Column("meaning", "first weights of the encoder")])


def rates_table(results_dir: Path) -> Display | None:
    """Return validation Dice at each learning rate, and the rate chosen, by arm."""
    found = [read_object(path) for path in sorted((results_dir / "finetune" / "rates").glob("*.json"))]
    chosen = [rate for rate in found if rate]
    if not chosen:
        return None
    grid = sorted({rate for one in chosen for rate in one["validation"]}, key=float)
    order = list(ARM_NAMES)
    rows = [
        {"arm": ARM_NAMES[one["init"]], "chosen": f"{one['learning_rate']:g}", **one["validation"]}
        for one in sorted(chosen, key=lambda one: order.index(one["init"]))
    ]
    columns = [number(rate, f"{float(rate):g}", 3) for rate in grid]
    return display(pd.DataFrame(rows), [Column("arm", "arm"), *columns, Column("chosen", "chosen", is_number=True)])


def splits_table(results_dir: Path) -> Display | None:
    """Return how many patients and cases each side of each split holds."""
    liver = optional(results_dir / "finetune" / "split" / "split.csv", LIVER_SPLIT)
    pretraining = optional(results_dir / "pretrain" / "split.csv", PATIENT_SPLIT)
    parts = []
    if pretraining is not None:
        counts = pretraining["split"].value_counts()
        parts += [
            {"of": "pretraining archive", "side": side, "patients": counts.get(side, 0)}
            for side in ("train", "validation", "test")
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


def transfers_table(results_dir: Path) -> Display | None:
    """Return what each arm's transfer loaded, from the `transfer` entry of the runs' metrics.json."""
    rows = []
    for path in sorted((results_dir / "finetune" / "runs").glob("*/metrics.json")):
        metrics = read_object(path) or {}
        if metrics.get("transfer"):
            rows.append({"arm": ARM_NAMES[metrics["init"]], **metrics["transfer"]})
    if not rows:
        return None
    frame = pd.DataFrame(rows).map(lambda value: len(value) if isinstance(value, list) else value)
    counts = frame.drop_duplicates().sort_values("arm")
    columns = [
        number(name, name.replace("n_", "").replace("_", " ")) for name in counts.columns if name.startswith("n_")
    ]
    lists = [number(name, f"tensors {name}") for name in ("missing", "mismatched", "skipped") if name in counts]
    return display(counts, [Column("arm", "arm"), *columns, *lists])


def proposals_table(results_dir: Path) -> Display | None:
    """Return how well liver slices were proposed, over all cases."""
    frame = optional(results_dir / "liver" / "proposals.csv", PROPOSALS)
    if frame is None:
        return None
    kept = (frame["stop_slice"] - frame["start_slice"]).sum() / frame["n_slices"].sum()
    row = {
        "cases": len(frame), "recall": frame["recall"].mean(), "worst": frame["recall"].min(),
        "complete": int((frame["recall"] >= 1).sum()), "kept": kept, "fallback": int(frame["fallback"].sum()),
    }  # fmt: skip
    return display(pd.DataFrame([row]), [
        number("cases", "cases"), percent("recall", "liver slices found, mean"), percent("worst", "worst case"),
        number("complete", "cases found whole"), percent("kept", "of all slices kept"),
        number("fallback", "no window passed: whole scan"),
    ])  # fmt: skip


def heads_table(results_dir: Path) -> Display | None:
    """Return scores of every pretraining head by encoder."""
    paths = sorted((results_dir / "pretrain").glob("*/heads.csv"))
    if not paths:
        return None
    frame = pd.concat([read_table(path, HEAD_SCORES).assign(encoder=path.parent.name) for path in paths])
    frame["head"] = frame["head"].str.replace("body_", "body: ")
    frame["metric"] = frame["metric"].str.replace("_", " ")
    frame["interval"] = [
        "" if pd.isna(low) else f"{low:.3f} to {high:.3f}"
        for low, high in zip(frame["low"], frame["high"], strict=True)
    ]
    order = {head: place for place, head in enumerate(dict.fromkeys(frame["head"]))}
    frame = frame.sort_values(["head", "metric", "encoder"], key=lambda s: s.map(order) if s.name == "head" else s)
    return display(frame, [
        Column("head", "head"), Column("metric", "metric"), Column("encoder", "labels"), number("value", "value", 3),
        Column("interval", "interval", is_number=True), number("chance", "chance", 3), number("n_series", "series"),
        number("n_patients", "patients"),
    ])  # fmt: skip


def collections_table(results_dir: Path) -> Display | None:
    """Return the collections whose images were used, the largest first, with licence and DOI; their sum comes before them."""
    frame = optional(results_dir / "raw" / "attribution.csv", ATTRIBUTION)
    if frame is None or frame.empty:
        return None
    frame = frame.sort_values("n_series", ascending=False)
    n_collections = frame["collection_id"].nunique()
    total = {"collection_id": f"{n_collections} collections", **frame[["n_series", "n_bytes"]].sum()}
    frame = pd.concat([pd.DataFrame([total]), frame], ignore_index=True)
    frame["gb"] = frame["n_bytes"] / 1e9
    return display(frame, [
        Column("collection_id", "collection"), number("n_series", "series"), number("n_patients", "patients"),
        number("gb", "GB", 1), Column("licence", "licence"), Column("source_DOI", "DOI"),
    ])  # fmt: skip


def classes_table(results_dir: Path) -> Display | None:
    """Return how many series of each balanced class were wanted and found; None if no class was wanted."""
    frame = optional(results_dir / "raw" / "summary.csv", PLAN_SUMMARY)
    wanted = frame[frame["n_wanted"].notna()] if frame is not None else pd.DataFrame()
    if wanted.empty:
        return None
    return display(wanted, [
        Column("what", "label"), Column("value", "class"), number("n_wanted", "series\nwanted"),
        number("n_series", "series\nplanned"), number("n_patients", "patients"),
    ])  # fmt: skip


def missing_table(results_dir: Path) -> Display | None:
    """Return how many planned series could not be had, by reason, with one example; None if all were."""
    frame = optional(results_dir / "raw" / "missing.csv", FETCHED)
    if frame is None or frame.empty:
        return None
    counted = frame.groupby("reason").agg(series=("reason", "size"), detail=("detail", "first")).reset_index()
    return display(counted.sort_values("series", ascending=False), [
        Column("reason", "reason"), number("series", "series"), Column("detail", "for example"),
    ])  # fmt: skip


def volumes_table(results_dir: Path) -> Display | None:
    """Return how many volumes were made, by modality and kind of intensity."""
    frame = gathered(sorted((results_dir / "volumes").glob("*/volumes.parquet")), VOLUMES)
    if frame is None or frame.empty:
        return None
    counted = frame.groupby(["Modality", "intensity"]).agg(
        volumes=("SeriesInstanceUID", "size"),
        series=("SeriesInstanceUID", "nunique"),
        patients=("PatientID", "nunique"),
    )
    return display(counted.reset_index(), [
        Column("Modality", "modality"), Column("intensity", "stored as"), number("volumes", "volumes"),
        number("series", "series"), number("patients", "patients"),
    ])  # fmt: skip


def exclusions_table(results_dir: Path) -> Display | None:
    """Return how many files and series became no volume, by reason, with one example.

    The tables of the volumes hold what reading headers left out, too.
    """
    frame = gathered(sorted((results_dir / "volumes").glob("*/excluded.csv")), EXCLUDED)
    if frame is None or frame.empty:
        return None
    counted = frame.groupby("reason", sort=True).agg(rows=("reason", "size"), detail=("detail", "first")).reset_index()
    return display(counted.sort_values("rows", ascending=False), [
        Column("reason", "reason"), number("rows", "files or series"), Column("detail", "for example"),
    ])  # fmt: skip


def cost_table(results_dir: Path) -> Display | None:
    """Return jobs, seconds and memory by rule, and their sum."""
    frame = times(results_dir)
    if frame.empty:
        return None
    total = {"rule": "all rules", "n_jobs": frame["n_jobs"].sum(), "seconds": frame["seconds"].sum()}
    return display(pd.concat([frame, pd.DataFrame([total])]), [
        Column("rule", "rule"), number("n_jobs", "jobs"), number("seconds", "seconds, summed", 1),
        number("seconds_longest", "longest job, s", 1), number("memory_mb_largest", "most memory, MB"),
    ])  # fmt: skip


def parameters_table(params: Params) -> Display:
    """Return every parameter with its value and meaning."""
    rows = [{"key": key, "value": value, "meaning": meaning} for key, value, meaning in flat_values(params)]
    return display(pd.DataFrame(rows), [Column("key", "key"), Column("value", "value"), Column("meaning", "meaning")])


def flat_values(section: BaseModel, prefix: str = "") -> list[tuple[str, str, str]]:
    """Return (dotted key, value, meaning) of every value of `section`."""
    rows: list[tuple[str, str, str]] = []
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            rows += flat_values(value, f"{prefix}{name}.")
        else:
            shown = ", ".join(str(one) for one in value) if isinstance(value, tuple) else str(value)
            rows.append((prefix + name, shown, field.description or ""))
    return rows


def provenance_table(results_dir: Path) -> Display | None:
    """Return each distinct environment that trained something, with how many runs and hours it was used for."""
    found = [read_object(path) for path in sorted(results_dir.glob("**/environment.json"))]
    environments = [one for one in found if one]
    if not environments:
        return None
    rows = [{
        "commit": str(one.get("commit", ""))[:12] or "not in git", "radnet3d": one.get("radnet3d", ""),
        "python": one.get("python", ""), "packages": ", ".join(f"{k} {v}" for k, v in one.get("packages", {}).items()),
        "platform": one.get("platform", ""), "device": f"{one.get('device', '')}, {one.get('n_threads', '?')} thread(s)",
        "seconds": one.get("seconds", float("nan")),
    } for one in environments]  # fmt: skip
    keys = ["commit", "radnet3d", "python", "packages", "platform", "device"]
    counted = pd.DataFrame(rows).groupby(keys, as_index=False).agg(runs=("seconds", "size"), seconds=("seconds", "sum"))
    return display(
        counted, [*(Column(key, key) for key in keys), number("runs", "trainings"), number("seconds", "seconds", 0)]
    )
