"""What each section of the page shows, read from the results folder; None where a part was not made in this run."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pandera.pandas as pa
from pydantic import BaseModel

from radnet3d.arms import HEADS, encoder_names
from radnet3d.params import Params
from radnet3d.reporting.display import Column, Display, display, number, percent
from radnet3d.reporting.times import times
from radnet3d.tables import (
    ATTRIBUTION,
    EXCLUDED,
    FETCHED,
    HEAD_SCORES,
    HISTORY,
    PLAN_SUMMARY,
    PROPOSALS,
    VOLUMES,
    read_table,
)


def optional(path: Path, schema: pa.DataFrameSchema) -> pd.DataFrame | None:
    """Return the checked table at `path`, None if there is no such file. Raises TableError if it is another table."""
    return read_table(path, schema) if path.is_file() else None


def gathered(paths: list[Path], schema: pa.DataFrameSchema) -> pd.DataFrame | None:
    """Return the tables at `paths` as one, None if there are none."""
    return pd.concat([read_table(path, schema) for path in paths], ignore_index=True) if paths else None


def read_object(path: Path) -> dict[str, Any] | None:
    """Return the object in a JSON file, None if there is no such file."""
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


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


def heads_table(results_dir: Path, params: Params) -> Display | None:
    """Return scores of every pretraining head by encoder that trains it and seed."""
    names, scores = encoder_names(params.pretrain), []
    for encoder, seed, path in pretrained(results_dir, params, "heads.csv"):
        rows = read_table(path, HEAD_SCORES).assign(encoder=names[encoder], seed=seed)
        scores.append(rows[rows["head"].str.split("_").str[0].isin(params.pretrain.encoders[encoder].heads)])
    if not scores:
        return None
    frame = pd.concat(scores, ignore_index=True)
    frame["head"] = frame["head"].str.replace("body_", "body: ")
    frame["metric"] = frame["metric"].str.replace("_", " ")
    frame["interval"] = [
        "" if pd.isna(low) else f"{low:.3f} to {high:.3f}"
        for low, high in zip(frame["low"], frame["high"], strict=True)
    ]
    places = {head: place for place, head in enumerate(dict.fromkeys(frame["head"]))}
    frame = frame.sort_values(["head", "metric"], key=lambda s: s.map(places) if s.name == "head" else s, kind="stable")
    return display(frame, [
        Column("head", "head"), Column("metric", "metric"), Column("encoder", "labels"), number("seed", "seed"),
        number("value", "value", 3), Column("interval", "interval", is_number=True), number("chance", "chance", 3),
        number("n_series", "series"), number("n_patients", "patients"),
    ])  # fmt: skip


def encoders_table(results_dir: Path, params: Params) -> Display | None:
    """Return each pretrained encoder and seed with its last losses; what is not trained has none."""
    names, rows = encoder_names(params.pretrain), []
    for encoder, seed, path in pretrained(results_dir, params, "history.csv"):
        history = read_table(path, HISTORY)
        last = history.sort_values("step", kind="stable").groupby(["split", "name"])["value"].last()
        heads = params.pretrain.encoders[encoder].heads
        losses = {name: last.get(("validation", name)) for name in ("loss", *heads)}
        rows.append({
            "encoder": names[encoder], "heads": ", ".join(heads), "seed": seed, "steps": history["step"].max(),
            "train": last.get(("train", "loss")), **losses,
        })  # fmt: skip
    if not rows:
        return None
    frame = pd.DataFrame(rows)
    measured = [name for name in HEADS if name in frame and frame[name].notna().any()]
    return display(frame, [
        Column("encoder", "encoder"), Column("heads", "heads"), number("seed", "seed"), number("steps", "steps"),
        number("train", "training\nloss", 3), number("loss", "validation\nloss", 3),
        *(number(name, f"{name}\n(validation)", 3) for name in measured),
    ])  # fmt: skip


def pretrained(results_dir: Path, params: Params, name: str) -> list[tuple[str, int, Path]]:
    """Return (encoder, seed, path) of one file of every pretraining there is, in declared order."""
    found = [
        (encoder, seed, results_dir / "pretrain" / f"{encoder}_seed-{seed}" / name)
        for encoder in params.pretrain.encoders
        for seed in params.seeds_of_encoder(encoder)
    ]
    return [(encoder, seed, path) for encoder, seed, path in found if path.is_file()]


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
        elif isinstance(value, dict) and value and all(isinstance(one, BaseModel) for one in value.values()):
            rows += [(f"{prefix}{name}.{key}", shown(one), field.description or "") for key, one in value.items()]
        else:
            rows.append((prefix + name, shown(value), field.description or ""))
    return rows


def shown(value: object) -> str:
    """Return a value of the parameters as text; of a section that is one of several, what is not as it is by default."""
    if isinstance(value, BaseModel):
        value = value.model_dump(exclude_defaults=True)
    if isinstance(value, dict):
        return "; ".join(f"{key}: {shown(one)}" for key, one in value.items()) or "{}"
    return ", ".join(shown(one) for one in value) if isinstance(value, tuple | list) else str(value)


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
