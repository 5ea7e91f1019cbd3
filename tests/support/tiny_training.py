"""Tiny volumes, tables and records to train on in a second: what the phases before training would have written."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from radnet3d.atomic import write_json
from radnet3d.params import LiverSplit, Network
from radnet3d.runs import make_run
from radnet3d.splits import nested_subsets, split_liver_cases
from radnet3d.tables import (
    LIVER_CASES,
    LIVER_SPLIT,
    PAPER_BODY,
    PATIENT_SPLIT,
    PROPOSALS,
    SUBSETS,
    TARGETS,
    TASK_CASES,
    VOLUMES,
    write_table,
)

SHAPE = (16, 16, 16)
NETWORK = Network(
    n_blocks=(1, 1, 1, 1), widths=(4, 4, 8, 8), expansion=2, stem_kernel_zyx=(3, 7, 7), stem_stride_zyx=(1, 2, 2),
    fc_features=8, heads="deepest",
)  # fmt: skip
LEVELS_NETWORK = NETWORK.model_copy(update={"heads": "levels"})
PAPER_NETWORK = Network(
    n_blocks=(3, 4, 6, 3), widths=(64, 128, 256, 512), expansion=4, stem_kernel_zyx=(3, 7, 7),
    stem_stride_zyx=(1, 2, 2), fc_features=1000, heads="deepest",
)  # fmt: skip
SETTINGS: dict[str, Any] = {
    "network": NETWORK.model_dump(mode="json"),
    "volumes": {"shape_zyx": SHAPE, "correct_tilt": False, "n_per_series_max": 1},
    "input": {"ct_window_hu": [-200, 300]},
    "pretrain": {
        "seed": 0, "fraction_validation": 0.2, "fraction_test": 0.2, "fraction_tasks": 0.0, "steps": 6, "batch_size": 4,
        "learning_rate": 0.003, "weight_decay": 0.0001,
        "loss_weights": {"sequence": 1.0, "view": 1.0, "contrast": 1.0, "body": 1.0, "spacing": 0.3},
        "precision": "bf16", "n_threads": 1, "n_steps_between_checkpoints": 2,
    },
    "finetune": {
        "steps": 4, "batch_size": 2, "weight_decay": 0.0001, "min_fraction_loaded": 0.95, "precision": "bf16",
        "n_threads": 1, "control_steps": 4, "control_learning_rate": 0.01,
    },
    "proposal": {"window_mm": 60.0, "step_mm": 10.0, "threshold": 0.5, "margin_mm": 10.0},
    "comparison": {"n_bootstrap": 100, "seed": 0, "confidence": 0.95, "margin_dice": 0.02, "power": 0.8},
}  # fmt: skip
PRETRAIN_FACTORS = {
    "encoder": "dicom", "labels": "own", "heads": ["sequence", "view", "contrast", "body", "spacing"], "seed": 0,
}  # fmt: skip
FINETUNE_FACTORS = {
    "task": "liver", "init": "scratch", "encoder": None, "network": "radnet", "trains": "all", "steps_times": 1,
    "n_train": 2, "subset_seed": 0, "init_seed": 0, "learning_rate": 0.01, "evaluate_on": "test",
}  # fmt: skip
FACTORS: dict[str, dict[str, Any]] = {
    "pretrain": PRETRAIN_FACTORS,
    "control": {"encoder": "control", "seed": 0},
    "finetune": FINETUNE_FACTORS,
}
"""What `write_run` writes of factors that it is not given."""
LIVER_SPLIT_SETTINGS = LiverSplit(seed=0, n_test=3, n_validation=2, n_control=2, table=None)


def blob(shape: tuple[int, int, int], generator: np.random.Generator) -> NDArray[np.bool_]:
    """Return an ellipsoid somewhere in the middle."""
    grid = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    centre, radius = generator.uniform(-0.2, 0.2, 3), generator.uniform(0.35, 0.55, 3)
    distance = sum(((axis - c) / r) ** 2 for axis, c, r in zip(grid, centre, radius, strict=True))
    return np.asarray(distance < 1)


def write_series(folder: Path, n_patients: int = 10, n_series: int = 2, seed: int = 0) -> dict[str, Any]:
    """Write volumes, targets and split of CT (with a blob: Liver) and MR series; return `inputs` of a pretrain record."""
    generator = np.random.default_rng(seed)
    volumes, targets = [], []
    for number in range(n_patients * n_series):
        uid, patient, is_ct = f"1.2.{number}", f"P{number // n_series:02d}", number % 2 == 0
        array = generator.normal(0, 30, SHAPE) + (120 * blob(SHAPE, generator) if is_ct else 500)
        path = folder / "000" / f"{uid}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, array.astype(np.int16))
        volumes.append({
            "SeriesInstanceUID": uid, "StudyInstanceUID": "", "PatientID": patient, "Modality": "CT" if is_ct else "MR",
            "path": path.name, "slice_digests": "",
            "intensity": "hu" if is_ct else "robust_0_1000", "original_shape_zyx": "20,32,32",
            "volume": 0, "volume_of": "", "is_whole": True, "axes_lps": "S,P,L", "corrected_tilt_deg": 0.0,
            "original_spacing_zyx_mm": "3,2,2", "spacing_zyx_mm": "3.75,4,4",
        })  # fmt: skip
        targets.append({
            "SeriesInstanceUID": uid, "PatientID": patient, "Modality": "CT" if is_ct else "MR",
            "sequence": "CT" if is_ct else "T1-SE", "view": "AX" if number % 3 else "", "contrast": "yes" if is_ct else "",
            **{f"body_{organ}": float(is_ct) if organ == "Liver" else np.nan for organ in PAPER_BODY},
            "slice_spacing_mm": 3.0 + is_ct if number % 4 else np.nan,
        })  # fmt: skip
    write_table(pd.DataFrame(volumes), folder / "000" / "volumes.parquet", VOLUMES)
    write_table(pd.DataFrame(targets), folder / "targets.parquet", TARGETS)
    sides = ["test", "test", "validation", *["train"] * (n_patients - 3)]
    split = pd.DataFrame({"PatientID": [f"P{i:02d}" for i in range(n_patients)], "split": sides})
    write_table(split, folder / "split.csv", PATIENT_SPLIT)
    return {
        "targets": str(folder / "targets.parquet"),
        "split": str(folder / "split.csv"),
        "volumes": [str(folder / "000" / "volumes.parquet")],
    }


def write_cases(folder: Path, n_cases: int = 12, seed: int = 1) -> dict[str, Any]:
    """Write liver cases of different sizes with split, subsets and proposals; return `inputs` of a finetune record."""
    generator = np.random.default_rng(seed)
    rows, proposals = [], []
    (folder / "cases").mkdir(parents=True, exist_ok=True)
    for number in range(n_cases):
        shape = (int(generator.integers(18, 30)), 24, 26)
        liver = blob(shape, generator)
        volume = (generator.normal(0, 20, shape) + 150 * liver).astype(np.int16)
        np.save(folder / "cases" / f"volume-{number}.npy", volume)
        np.save(folder / "cases" / f"segmentation-{number}.npy", liver.astype(np.uint8))
        rows.append({
            "case_id": str(number), "PatientID": f"L{number:02d}", "volume_path": f"volume-{number}.npy",
            "segmentation_path": f"segmentation-{number}.npy", "shape_zyx": ",".join(map(str, shape)),
            "spacing_zyx_mm": "5,3,3", "liver_ml": liver.sum() * 0.045, "tumour_ml": 0.0, "image_sha256": f"{number:064x}",
            "SeriesInstanceUID": "", "StudyInstanceUID": "", "slice_digests": "",
        })  # fmt: skip
        proposals.append({
            "case_id": str(number), "start_slice": 1, "stop_slice": shape[0] - 1, "n_slices": shape[0],
            "n_liver_slices": int(liver.any((1, 2)).sum()), "recall": 1.0, "n_extra_slices": 3, "fallback": False,
        })  # fmt: skip
    cases = pd.DataFrame(rows)
    write_table(cases, folder / "cases" / "cases.parquet", LIVER_CASES)
    write_table(pd.DataFrame(proposals), folder / "proposals.csv", PROPOSALS)
    split = split_liver_cases(cases, LIVER_SPLIT_SETTINGS)
    write_table(split, folder / "split.csv", LIVER_SPLIT)
    write_table(nested_subsets(split, 2), folder / "subsets.csv", SUBSETS)
    return {
        "cases": str(folder / "cases" / "cases.parquet"),
        "split": str(folder / "split.csv"),
        "subsets": str(folder / "subsets.csv"),
        "proposals": str(folder / "proposals.csv"),
    }


def write_classified(folder: Path, classes: tuple[str, ...], n_cases: int = 24, seed: int = 2) -> dict[str, Any]:
    """Write series of one patient each, whose brightness is their class, with split and subsets; return `inputs`."""
    generator = np.random.default_rng(seed)
    rows = []
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(n_cases):
        place = number % len(classes)
        array = generator.normal(0, 20, SHAPE) + 400 * place / len(classes) - 150
        np.save(folder / f"{number}.npy", array.astype(np.int16))
        rows.append({
            "case_id": f"1.3.{number:02d}", "PatientID": f"T{number:02d}", "label": classes[place],
            "path": f"{number}.npy", "intensity": "hu",
        })  # fmt: skip
    cases = pd.DataFrame(rows)
    write_table(cases, folder / "cases.csv", TASK_CASES)
    n_held_out = n_cases // 3
    roles = ["test"] * n_held_out + ["validation"] * n_held_out + ["train"] * (n_cases - 2 * n_held_out)
    split = cases[["case_id", "PatientID"]].assign(role=roles)
    write_table(split, folder / "split.csv", LIVER_SPLIT)
    write_table(nested_subsets(split, 2), folder / "subsets.csv", SUBSETS)
    return {name: str(folder / f"{name}.csv") for name in ("cases", "split", "subsets")}


def write_run(path: Path, kind: str, factors: dict[str, Any], inputs: dict[str, Any], **changed: Any) -> Path:
    """Write the record of a run with the tiny settings, and those of FACTORS that `factors` leave out.

    An arm with the file of an encoder starts from the encoder `dicom`, if nothing else is said. `changed`: pretrain__steps=3 replaces settings.pretrain.steps; task={...} adds a section, proposal=None takes one away.
    """
    settings = json.loads(json.dumps(SETTINGS))
    for name, value in changed.items():
        section, _, key = name.partition("__")
        if key:
            settings[section][key] = value
        else:
            settings[section] = value
    settings = {name: section for name, section in settings.items() if section is not None}
    known = {**FACTORS[kind], **({"encoder": "dicom"} if "encoder" in inputs else {}), **factors}
    write_json(path, make_run(kind, settings, known, inputs).model_dump(mode="json"))
    return path
