"""The pretrained network applied to volumes: predictions and features, as tables."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from radnet3d.models.checkpoint import Checkpoint, Precision, restore
from radnet3d.models.heads import CLASSES, HEAD_NAMES, Outputs, RadNet
from radnet3d.tables import PAPER_BODY, PREDICTIONS, empty_table
from radnet3d.training.inputs import input_range, scale
from radnet3d.training.loop import autocast, to_device

BATCH_SIZE = 16
Volumes = Callable[[NDArray[np.intp]], NDArray[np.float32]]
"""Places -> (n, D, H, W) network input."""


def predict(
    model: RadNet, volumes: Volumes, n: int, *, batch_size: int, precision: Precision, device: torch.device
) -> Outputs:
    """Return what `model` says of volumes 0 ... n - 1, on the CPU."""
    model.eval()
    parts = []
    with torch.inference_mode():
        for first in range(0, n, batch_size):
            batch = volumes(np.arange(first, min(first + batch_size, n)))
            with autocast(device, precision):
                parts.append(model(to_device(batch, device)))
    return concatenated(parts)


def concatenated(parts: Iterable[Outputs]) -> Outputs:
    """Return several batches' outputs as one, on the CPU."""
    parts = list(parts)
    joined = {name: torch.cat([getattr(p, name).cpu() for p in parts]) for name in ("features", *HEAD_NAMES)}
    return Outputs(**joined, coverage=())


def predictions_table(outputs: Outputs) -> pd.DataFrame:
    """Return one row a volume: each softmax head's word and probabilities, each organ's probability, the spacing.

    Columns: `sequence`, `p_sequence_CT` ... , `p_body_Liver` ..., `slice_spacing_mm` (of the network's input).
    """
    columns: dict[str, NDArray[np.generic]] = {}
    for head, classes in CLASSES.items():
        probabilities = torch.softmax(getattr(outputs, head), dim=1).numpy()
        columns[head] = np.array(classes)[probabilities.argmax(axis=1)]
        columns |= {f"p_{head}_{name}": probabilities[:, i] for i, name in enumerate(classes)}
    organs = torch.sigmoid(outputs.body).numpy()
    columns |= {f"p_body_{organ}": organs[:, i] for i, organ in enumerate(PAPER_BODY)}
    columns["slice_spacing_mm"] = torch.exp(outputs.spacing).numpy()
    return pd.DataFrame(columns)


def features_table(outputs: Outputs) -> pd.DataFrame:
    """Return one row a volume: `f000`, `f001`, ... the features before the heads."""
    values = outputs.features.numpy()
    return pd.DataFrame(values, columns=[f"f{i:03d}" for i in range(values.shape[1])])


def describe_volumes(
    table: pd.DataFrame, folder: Path, checkpoint: Checkpoint, *, device: torch.device
) -> pd.DataFrame:
    """Return tables.PREDICTIONS with features f000 ... of stored volumes.

    `table`: tables.VOLUMES whose arrays lie in `folder`, on the grid the checkpoint was trained on.
    """
    model = restore(RadNet(checkpoint.network), checkpoint)
    model = model.to(device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    ranges = [input_range(str(intensity), checkpoint.input) for intensity in table["intensity"]]
    paths = [folder / str(path) for path in table["path"]]

    def volumes(places: NDArray[np.intp]) -> NDArray[np.float32]:
        return np.stack([scale(np.load(paths[place]), *ranges[place]) for place in places])

    known = table[["SeriesInstanceUID", "PatientID", "Modality"]].reset_index(drop=True)
    if table.empty:
        return empty_table(PREDICTIONS)
    outputs = predict(model, volumes, len(table), batch_size=BATCH_SIZE, precision=checkpoint.precision, device=device)
    return pd.concat([known, predictions_table(outputs), features_table(outputs)], axis=1)
