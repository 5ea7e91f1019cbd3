"""The pretrained coverage head, slid along a scan, proposes the slices of the liver."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from radnet3d.liver.proposal import (
    SliceRange,
    liver_slices,
    overlap,
    propose_slices,
    window_centres_mm,
    window_slices,
)
from radnet3d.models.checkpoint import Checkpoint, restore
from radnet3d.models.heads import RadNet
from radnet3d.params import Proposal
from radnet3d.tables import LIVER_CASES, PAPER_BODY, read_table
from radnet3d.training.inputs import scale
from radnet3d.training.predicting import predict
from radnet3d.volumes.resample import resample

BATCH_SIZE = 16
LIVER = PAPER_BODY.index("Liver")


def propose_cases(cases_dir: Path, checkpoint: Checkpoint, settings: Proposal, *, device: torch.device) -> pd.DataFrame:
    """Return tables.PROPOSALS of all cases in a folder that `liver import` made."""
    cases = read_table(cases_dir / "cases.parquet", LIVER_CASES)
    model = load_proposer(checkpoint, device)
    rows = []
    for case in tqdm(cases.itertuples(), total=len(cases), desc="propose"):
        volume_hu = np.load(cases_dir / str(case.volume_path), mmap_mode="r")
        spacing_mm = float(str(case.spacing_zyx_mm).split(",")[0])
        found = propose(in_plane(volume_hu, checkpoint), spacing_mm, model, checkpoint, settings, device)
        true = liver_slices(np.load(cases_dir / str(case.segmentation_path), mmap_mode="r"))
        recall, n_extra = overlap(found, *true)
        rows.append({
            "case_id": case.case_id, "start_slice": found.start, "stop_slice": found.stop,
            "n_slices": len(volume_hu), "n_liver_slices": true[1] - true[0],
            "recall": recall, "n_extra_slices": n_extra, "fallback": found.fallback,
        })  # fmt: skip
    return pd.DataFrame(rows)


def load_proposer(checkpoint: Checkpoint, device: torch.device) -> RadNet:
    """Return the pretrained network of a checkpoint, ready to predict."""
    model = restore(RadNet(checkpoint.network), checkpoint)
    return model.to(device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload,no-any-return]


def in_plane(volume: NDArray[np.generic], checkpoint: Checkpoint) -> NDArray[np.float32]:
    """Return a scan resampled to the network's rows and columns, all slices kept: windows then cost little each."""
    _, height, width = checkpoint.volumes.shape_zyx
    return resample(volume, (len(volume), height, width))


def propose(
    slab_hu: NDArray[np.float32],
    slice_spacing_mm: float,
    model: RadNet,
    checkpoint: Checkpoint,
    settings: Proposal,
    device: torch.device,
) -> SliceRange:
    """Return the slices of a CT that the coverage head proposes. `slab_hu`: the scan as `in_plane` returns it."""
    n_slices = len(slab_hu)
    centres_mm = window_centres_mm(n_slices, slice_spacing_mm, settings)
    windows = [window_slices(float(centre), n_slices, slice_spacing_mm, settings) for centre in centres_mm]

    def volumes(places: NDArray[np.intp]) -> NDArray[np.float32]:
        crops = [resample(slab_hu[slice(*windows[place])], checkpoint.volumes.shape_zyx) for place in places]
        return scale(np.stack(crops), *checkpoint.input.ct_window_hu)

    outputs = predict(
        model, volumes, len(windows), batch_size=BATCH_SIZE, precision=checkpoint.precision, device=device
    )
    probabilities = torch.sigmoid(outputs.body[:, LIVER]).double().numpy()
    return propose_slices(probabilities, n_slices, slice_spacing_mm, settings)
