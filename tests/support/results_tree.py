"""Result tables with made-up numbers, for tests of what reads them: TEST DATA, no measurement is behind them."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from radnet3d.atomic import write_json
from radnet3d.evaluation.comparison import flat_metrics
from radnet3d.evaluation.proposals import compare_proposals
from radnet3d.labels.scoring import confusion, joined, score
from radnet3d.params import LIVER, Comparison, Params, load_params
from radnet3d.runs import FinetuneSections
from radnet3d.tables import (
    CLASSIFIED,
    COMPARISON,
    EXCLUDED,
    HEAD_SCORES,
    HEADS,
    HISTORY,
    LABEL_CONFUSION,
    LABEL_SCORES,
    LABELS,
    LIVER_CASES,
    LIVER_SPLIT,
    PAPER_BODY,
    PROPOSAL_SCORES,
    PROPOSAL_STUDY,
    PROPOSALS,
    RUN_CASES,
    RUNS,
    TRUTH,
    VOLUMES,
    read_table,
    write_table,
)  # fmt: skip
from support.catalogue import write_catalogue_labels
from support.made_up_study import write_leakage, write_study
from support.proposal_cases import made_up_proposal_cases, made_up_proposal_scores

REPOSITORY = Path(__file__).resolve().parents[2]


def comparison_settings(**changed: float) -> Comparison:
    """The comparison section with few resamples."""
    return Comparison.model_validate(
        {"n_bootstrap": 400, "seed": 5, "confidence": 0.95, "margin_dice": 0.02, "power": 0.8, **changed}
    )


def made_up_cases(
    rng: np.random.Generator,
    *,
    effects: dict[str, float],
    n_train: tuple[int, ...] = (1, 4, 16),
    n_subsets: int = 3,
    n_inits: int = 1,
    n_cases: int = 30,
    sd_seed: float = 0.01,
    sd_case: float = 0.02,
    sd_rest: float = 0.04,
) -> pd.DataFrame:
    """Rows of tables.CASES: Dice rises with n, cases differ, an arm adds its effect, its seeds and its noise."""
    ease = rng.normal(0, 0.08, n_cases)
    rows = []
    for init, n in product(effects, n_train):
        seeds = rng.normal(0, sd_seed, (n_subsets, n_inits))
        cases = ease + rng.normal(0, sd_case, n_cases) + 0.6 + 0.05 * np.log2(n) + effects[init]
        for subset, seed, case in product(range(n_subsets), range(n_inits), range(n_cases)):
            dice = float(np.clip(cases[case] + seeds[subset, seed] + rng.normal(0, sd_rest), 0, 1))
            rows.append({
                "run_id": f"init-{init}_ntrain-{n:03d}_subset-{subset}_seed-{seed}", "case_id": f"case-{case:03d}",
                "dice_per_case": dice, "predicted_ml": 1500 * dice, "true_ml": 1500.0, "is_empty": dice == 0,
                "task": "liver", "init": init, "n_train": n, "subset_seed": subset, "init_seed": seed,
            })  # fmt: skip
    return pd.DataFrame(rows)


def write_results(root: Path, params: Params | None = None) -> Path:
    """Write `root`/results with every table the report reads, and its parameters; all numbers are made up."""
    rng = np.random.default_rng(2026)
    results = root / "results"
    params = params or load_params(REPOSITORY / "params.yaml")
    write_transfer(results, rng, params)
    write_pretraining(results, rng, params)
    write_proposal_study(results)
    write_labels(results, rng)
    write_volumes(results, rng)
    write_benchmarks(results, rng)
    return results


def write_transfer(results: Path, rng: np.random.Generator, params: Params) -> None:
    """Runs, cases, what is made of them, the chosen learning rates, the split, the gate, and the runs' own folders."""
    cases = write_study(results / "transfer", rng, params, comparison_settings())
    comparison = read_table(results / "transfer" / "comparison.csv", COMPARISON)
    write_json(results / "transfer" / "metrics.json", flat_metrics(comparison))
    sections = FinetuneSections.model_validate(params.model_dump(include=set(FinetuneSections.model_fields)))
    rates = params.finetune.learning_rates
    for task, grid in sections.grids.items():
        for init in grid.arms:
            rate = {
                "task": task, "init": init, "learning_rate": rates[0], "largest_component": False,
                "validation": dict(zip((f"{rate:g}" for rate in rates), (0.68, 0.66, 0.61), strict=False)),
                "largest_component_gain": -0.01,
            }  # fmt: skip
            write_json(results / "finetune" / "rates" / task / f"{init}.json", rate)
    split = pd.DataFrame({"case_id": [f"case-{n:03d}" for n in range(122)]})
    split["PatientID"], split["role"] = split["case_id"].str.replace("case", "L"), "train"
    split.loc[:89, "role"] = np.repeat(["test", "validation", "control"], [30, 20, 40])
    write_table(split, results / "finetune" / "split" / "liver" / "split.csv", LIVER_SPLIT)
    write_leakage(results / "finetune" / "split" / "liver" / "leakage.csv")
    for row in read_table(results / "transfer" / "runs.csv", RUNS).to_dict("records"):
        of_run = cases[(cases["run_id"] == row["run_id"]) & (cases["task"] == row["task"])]
        write_run_dir(results / "finetune" / "runs" / row["task"] / row["run_id"], row, of_run, sections)


def write_run_dir(run_dir: Path, row: dict[Any, Any], cases: pd.DataFrame, sections: FinetuneSections) -> None:
    """One finished fine-tuning run, without its checkpoint."""
    task, init = row["task"], row["init"]
    arm = sections.grids[task].arms[init]
    names = ("cases", "split", "subsets", *(("proposals", "proposer") if task == LIVER else ()))
    inputs = {name: f"{name}.csv" for name in names}
    if arm.encoder:
        inputs["encoder"] = "checkpoint.pt"
    factors = {
        **{name: row[name] for name in ("task", "init", "n_train", "subset_seed", "init_seed", "learning_rate")},
        **arm.model_dump(include={"encoder", "network", "trains", "steps_times"}),
        "evaluate_on": "test", "largest_component": False,
    }  # fmt: skip
    settings = sections.settings(task, init)
    write_json(run_dir / "run.json", {"kind": "finetune", "factors": factors, "settings": settings, "inputs": inputs})
    transfer = {"n_tensors_loaded": 60, "n_parameters_loaded": 400000, "n_parameters": 400000, "missing": [],
                "mismatched": [], "skipped": ["fc.weight"]}  # fmt: skip
    metric = row["metric"]
    write_json(run_dir / "metrics.json", {
        **factors, "metric": metric, f"{metric}_mean": row[f"{metric}_mean"], "n_samples": 320, "tflops": 9.0,
        "balanced_accuracy": row["correct_mean"] if task != LIVER else None, **({"transfer": transfer} if arm.encoder else {}),
    })  # fmt: skip
    write_json(run_dir / "environment.json", environment())
    schema = RUN_CASES if task == LIVER else CLASSIFIED
    cases[list(schema.columns)].to_csv(run_dir / "cases.csv", index=False)  # checked when read: a check takes 0.1 s


def environment() -> dict[str, Any]:
    """What environment.json holds."""
    return {
        "commit": "0123456789abcdef", "radnet3d": "0.0.0", "python": "3.11.0", "packages": {"torch": "2.0.0"},
        "platform": "Linux x86_64", "n_cores": 2, "device": "cpu", "n_threads": 1, "seconds": 14.2, "cpu_seconds": 20.0, "is_resumed": False, "peak_memory_mb": 900,
    }  # fmt: skip


def write_pretraining(results: Path, rng: np.random.Generator, params: Params) -> None:
    """Scores and histories of every encoder, and proposals."""
    encoders = params.pretrain.encoders
    for encoder, seed in [(name, seed) for name in encoders for seed in params.seeds_of_encoder(name)]:
        skill = 0.8 if encoders[encoder].labels == "own" else 0.02
        folder = results / "pretrain" / f"{encoder}_seed-{seed}"
        write_table(head_scores(rng, skill), folder / "heads.csv", HEAD_SCORES)
        rows = [
            {
                "step": step,
                "split": split,
                "name": name,
                "value": level * np.exp(-skill * step / 600) + rng.normal(0, 0.02),
            }
            for step in range(0, 1601, 100)
            for split in ("train", "validation")
            for name, level in (("loss", 3.0), ("sequence", 1.2), ("view", 1.0), ("body", 0.6))
        ]
        write_table(pd.DataFrame(rows), folder / "history.csv", HISTORY)
        write_json(folder / "environment.json", environment())
    n_slices = rng.integers(60, 200, 122)
    start = (n_slices * rng.uniform(0.2, 0.4, 122)).astype(int)
    proposals = pd.DataFrame({
        "case_id": [f"case-{n:03d}" for n in range(122)], "start_slice": start, "stop_slice": start + n_slices // 2,
        "n_slices": n_slices, "n_liver_slices": n_slices // 3, "recall": rng.choice([1.0, 1.0, 1.0, 0.9], 122),
        "n_extra_slices": n_slices // 6, "fallback": rng.random(122) < 0.03,
    })  # fmt: skip
    write_table(proposals, results / "liver" / "proposals.csv", PROPOSALS)
    spacing = rng.uniform(1.5, 5, 122)
    for n in range(122):
        mask = np.zeros((n_slices[n], 2, 2), np.uint8)
        mask[start[n] + 3 : start[n] + n_slices[n] // 2 - 5] = 1
        path = results / "liver" / "cases" / f"segmentation-{n}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, mask)
    cases = pd.DataFrame({
        "case_id": proposals["case_id"], "PatientID": proposals["case_id"], "liver_ml": 1500.0, "tumour_ml": 0.0,
        "volume_path": [f"volume-{n}.npy" for n in range(122)],
        "segmentation_path": [f"segmentation-{n}.npy" for n in range(122)], "shape_zyx": [f"{n},2,2" for n in n_slices],
        "spacing_zyx_mm": [f"{mm:.3f},1,1" for mm in spacing], "image_sha256": "0" * 64,
        "SeriesInstanceUID": "", "StudyInstanceUID": "", "slice_digests": "",
    })  # fmt: skip
    write_table(cases, results / "liver" / "cases" / "cases.parquet", LIVER_CASES)


def write_proposal_study(results: Path) -> None:
    """What was found by each way to find the liver's slices, and what it did to Dice."""
    cases = made_up_proposal_cases(np.random.default_rng(2027))
    write_table(compare_proposals(cases, comparison_settings()), results / "transfer" / "proposals.csv", PROPOSAL_STUDY)
    write_table(made_up_proposal_scores(), results / "proposals" / "scores.csv", PROPOSAL_SCORES)


def head_scores(rng: np.random.Generator, skill: float) -> pd.DataFrame:
    """Rows of tables.HEAD_SCORES: chance plus `skill` of what is left."""
    chances = [("sequence", "accuracy", 0.46), ("view", "accuracy", 0.55), ("contrast", "accuracy", 0.6)]
    chances += [(f"body_{organ}", "auc", 0.5) for organ in PAPER_BODY] + [("spacing", "pearson_r", 0.0)]
    rows = []
    for head, metric, chance in chances:
        value = float(np.clip(chance + skill * (1 - chance) * rng.uniform(0.5, 1.1), 0, 0.99))
        rows.append({
            "head": head, "metric": metric, "value": value, "low": value - 0.05, "high": min(value + 0.05, 1.0),
            "chance": chance, "n_series": 120, "n_patients": 30,
        })  # fmt: skip
    rows.append({**rows[-1], "metric": "mean_absolute_error_mm", "value": 1.1, "low": 0.9, "high": 1.3, "chance": 1.9})
    return pd.DataFrame(rows)


def write_labels(results: Path, rng: np.random.Generator) -> None:
    """Labels and truth of a small archive, accuracy, labels of a small catalogue, exclusions."""
    n = 48
    labels = pd.DataFrame({
        "SeriesInstanceUID": [f"1.2.3.{i}" for i in range(n)], "StudyInstanceUID": [f"1.2.{i // 4}" for i in range(n)],
        "PatientID": [f"P{i // 4:03d}" for i in range(n)], "collection_id": "phantom", "Modality": rng.choice(["CT", "MR"], n),
        "subject": "human", "kind": "volume", "contrast": rng.choice(["yes", "no", "unknown"], n),
        "plane": rng.choice(["axial", "coronal", "sagittal"], n), "regions": rng.choice(["head", "abdomen", "abdomen;chest"], n),
        "n_slices": 40.0, "slice_spacing_mm": 3.0, "obliquity_deg": 0.5, "gantry_tilt_deg": 0.0, "PatientPosition": "HFS",
        "phase": "unknown", "kernel": "unknown", "disagreements": "",
        "geometry": "regular", **{f"{head}_evidence": f"rule {head}-1: SeriesDescription 'TEST DATA'" for head in HEADS},
    })  # fmt: skip
    labels["sequence"] = np.where(labels["Modality"] == "CT", "CT", rng.choice(["T1", "T2", "FLAIR", "unknown"], n))
    write_table(labels, results / "labels" / "labels.parquet", LABELS)
    truth = labels.assign(phase="", lie="")
    truth.loc[truth["sequence"] == "unknown", "sequence"] = "T1"
    write_table(truth[list(TRUTH.columns)], results / "raw" / "truth.parquet", TRUTH)
    pairs = joined(truth, labels, name="TEST DATA")
    write_table(score(pairs), results / "labels" / "accuracy.csv", LABEL_SCORES)
    write_table(confusion(pairs), results / "labels" / "accuracy_confusion.csv", LABEL_CONFUSION)
    write_catalogue_labels(results)
    excluded = pd.DataFrame({"path": ["P001/a", "P002/b", "P002/c"], "SeriesInstanceUID": ["1.2.3.900", "1.2.3.901", ""],
                             "reason": ["missing_slice", "gantry_tilt", "not_dicom"], "detail": "TEST DATA"})  # fmt: skip
    write_table(excluded, results / "series" / "000" / "excluded.csv", EXCLUDED)
    write_table(excluded.iloc[:1], results / "volumes" / "000" / "excluded.csv", EXCLUDED)


def write_volumes(results: Path, rng: np.random.Generator) -> None:
    """One 48^3 volume a label row: a bright ellipsoid in noise."""
    labels = pd.read_parquet(results / "labels" / "labels.parquet")
    folder = results / "volumes" / "000"
    folder.mkdir(parents=True, exist_ok=True)
    z, y, x = np.mgrid[-1:1:48j, -1:1:48j, -1:1:48j]
    for uid in labels["SeriesInstanceUID"]:
        body = (x / rng.uniform(0.5, 0.9)) ** 2 + (y / rng.uniform(0.4, 0.8)) ** 2 + (z / 1.5) ** 2 < 1
        np.save(folder / f"{uid}.npy", (np.where(body, 60, -900) + rng.normal(0, 30, body.shape)).astype(np.int16))
    volumes = labels[["SeriesInstanceUID", "StudyInstanceUID", "PatientID", "Modality"]].assign(
        path=labels["SeriesInstanceUID"] + ".npy", original_shape_zyx="40,256,256", original_spacing_zyx_mm="3,1,1",
        volume=0, volume_of="", is_whole=True, axes_lps="S,P,L", corrected_tilt_deg=0.0, slice_digests="",
        spacing_zyx_mm="2.5,5,5", intensity=np.where(labels["Modality"] == "CT", "hu", "robust_0_1000"),
    )  # fmt: skip
    write_table(volumes, folder / "volumes.parquet", VOLUMES)


def write_benchmarks(results: Path, rng: np.random.Generator) -> None:
    """Benchmark files as Snakemake writes them."""
    rules = {"fetch_archive": 8, "extract_headers": 8, "label_series": 8, "resample_volumes": 8, "train_encoder": 2,
             "finetune": 36, "compare": 1}  # fmt: skip
    for rule, n in rules.items():
        for number in range(n):
            path = results / "benchmarks" / rule / f"{number:03d}.tsv"
            path.parent.mkdir(parents=True, exist_ok=True)
            row = {
                "s": rng.uniform(3, 20),
                "h:m:s": "0:00:10",
                "max_rss": rng.uniform(100, 900),
                "cpu_time": rng.uniform(3, 20),
            }
            pd.DataFrame([row]).to_csv(path, sep="\t", index=False)
