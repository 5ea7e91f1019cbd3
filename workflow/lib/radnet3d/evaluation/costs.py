"""What each arm costs, its pretraining included, so that a gain can be held against its price."""

from pathlib import Path
from typing import Any

import pandas as pd

from radnet3d.errors import TableError
from radnet3d.evaluation.collection import read_json
from radnet3d.params import MEDICALNET

MEASURES = ["seconds", "cpu_seconds", "n_samples", "tflops"]


def sum_costs(run_dirs: list[Path], encoder_dirs: list[Path]) -> pd.DataFrame:
    """Return tables.COSTS: one pretraining and one fine-tuning of every arm, and both, in the order of the runs.

    `run_dirs`: folders of `finetune train`; `encoder_dirs`: of `pretrain train` and `pretrain control`, of every seed.
    What the seeds of an encoder cost, and the runs of an arm, is averaged. Not in it, because every arm has the same: the
    choice of learning rates, the network that proposes slices, the making of volumes and labels. Weights that a user
    brings cost nobody knows what: NaN. Raises TableError if there is no folder of an arm's encoder.
    """
    runs = pd.DataFrame([read_cost(folder, ["task", "init", "encoder"]) for folder in run_dirs])
    trained = [read_cost(folder, ["encoder"]) for folder in encoder_dirs]
    encoders = pd.DataFrame(trained, columns=["encoder", *MEASURES, "is_resumed"])
    return pd.DataFrame([arm_cost(rows, encoders) for _, rows in runs.groupby(["task", "init"], sort=False)])


def arm_cost(runs: pd.DataFrame, encoders: pd.DataFrame) -> dict[str, Any]:
    """Return the row of one arm: `runs` are all of it, `encoders` those of all arms."""
    task, init, encoder = runs.iloc[0][["task", "init", "encoder"]]
    own = encoders[encoders["encoder"] == encoder]
    if encoder not in ("", MEDICALNET) and own.empty:
        raise TableError(f"no folder of the encoder {encoder!r}, which the arm {init!r} of {task} starts from")
    before = own[MEASURES].astype(float).mean() if encoder else pd.Series(0.0, index=MEASURES)
    after = runs[MEASURES].astype(float).mean()
    return {
        "task": task,
        "init": init,
        "encoder": encoder,
        **before.add_prefix("pretraining_"),
        **after.add_prefix("finetuning_"),
        **(before + after).add_prefix("total_"),
        "n_encoders": len(own),
        "n_runs": len(runs),
        "n_resumed": int(own["is_resumed"].sum()) + int(runs["is_resumed"].sum()),
    }


def read_cost(folder: Path, names: list[str]) -> dict[str, Any]:
    """Return the cost of the training that left `folder`, and these texts of its metrics.json, "" for null.

    Seconds are those of environment.json, in which loading and writing are included. Raises TableError.
    """
    found = {**read_json(folder / "metrics.json"), **read_json(folder / "environment.json")}
    wanted = [*names, *MEASURES, "is_resumed"]
    lacking = [name for name in wanted if name not in found]
    if lacking:
        raise TableError(f"{folder}: metrics.json and environment.json lack {lacking}")
    return {name: "" if found[name] is None else found[name] for name in wanted}
