"""What the page shows of how the study was made: arms, rates, splits, the gate against leaks, what transfers loaded."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from radnet3d.arms import Study, arm_names, encoder_names, study_of
from radnet3d.params import CONTROL, MEDICALNET, Finetune, Params
from radnet3d.reporting.answer import listed, signed
from radnet3d.reporting.display import (
    Column,
    Display,
    display,
    number,
)
from radnet3d.reporting.sections import optional, read_object
from radnet3d.tables import (
    LEAKAGE,
    LIVER_SPLIT,
    PATIENT_SPLIT,
)

Names = Mapping[str, str]
MEANINGS = {
    "scratch": "random first weights; the reference",
    "pretrained": "what the study is about",
    "shuffled": "same series, same steps, but each series has the labels of another: compute without signal",
    "control": "what transfer can reach here",
}
TRAINED = {"all": "all", "decoder": "the decoder", "probe": "one linear layer on its features"}
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
        return (
            "weights of MedicalNet (Chen 2019), trained on public segmentations, livers among them: on whose, the gate "
            "against leaks cannot know"
        )
    own = study.pretrain.encoders[encoder]
    whose = {"own": "labels of headers", "shuffled": "labels of headers, dealt to other patients"}[own.labels]
    return f"{whose}: {', '.join(own.heads)}"


def read_rates(results_dir: Path) -> list[dict[str, Any]]:
    """Return what was chosen for each arm of liver segmentation on validation cases."""
    paths = sorted((results_dir / "finetune" / "rates" / "liver").glob("*.json"))
    return [chosen for chosen in map(read_object, paths) if chosen]


def rates_table(results_dir: Path, names: Names) -> Display | None:
    """Return validation Dice at each learning rate, and the rate chosen, by arm."""
    chosen = {one["init"]: one for one in read_rates(results_dir) if one["init"] in names}
    if not chosen:
        return None
    grid = sorted({rate for one in chosen.values() for rate in one["validation"]}, key=float)
    rows = [
        {"arm": name, "chosen": f"{chosen[init]['learning_rate']:g}", **chosen[init]["validation"]}
        for init, name in names.items()
        if init in chosen
    ]
    columns = [number(rate, f"{float(rate):g}", 3) for rate in grid]
    return display(pd.DataFrame(rows), [Column("arm", "arm"), *columns, Column("chosen", "chosen", is_number=True)])


def ends_of_grid_sentence(results_dir: Path, names: Names) -> str:
    """Return for which arms the best rate is the lowest or the highest that was tried, "" if for none."""
    chosen = {one["init"]: one for one in read_rates(results_dir) if one["init"] in names}
    said = []
    for word, end in (("lowest", min), ("highest", max)):
        at_end = [
            name
            for init, name in names.items()
            if init in chosen and chosen[init]["learning_rate"] == end(map(float, chosen[init]["validation"]))
        ]
        if at_end:
            said.append(f"the {word} of the grid ({listed(at_end)})")
    return f"The best rate is {'; '.join(said)}: whether one beyond is better was not tried." if said else ""


def largest_component_sentence(results_dir: Path) -> str:
    """Return whether only the largest component of a mask is kept, and by which difference that was chosen; "" if not known."""
    chosen = next(iter(read_rates(results_dir)), None)
    if chosen is None:
        return ""
    kept = "Only the largest component of a mask is kept" if chosen["largest_component"] else "Masks are kept whole"
    return (
        f"{kept}, in all arms: on these cases dropping the rest changes Dice by {signed(chosen['largest_component_gain'], 4)} "
        "in the mean over the main arms, each at its best rate."
    )


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
