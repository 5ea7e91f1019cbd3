"""The fine-tuned segmenter applied to one scan it has never seen: propose slices, segment, back to the scan's grid."""

import numpy as np
import torch
from numpy.typing import NDArray

from radnet3d.errors import CheckpointError
from radnet3d.models.building import build_segmenter
from radnet3d.models.checkpoint import Checkpoint, restore
from radnet3d.training.case_metrics import largest_component
from radnet3d.training.cases import native_mask
from radnet3d.training.inputs import scale
from radnet3d.training.proposing import in_plane, load_proposer, propose
from radnet3d.training.tasks.liver import liver_probabilities
from radnet3d.volumes.resample import resample


def segment_liver(
    volume_hu: NDArray[np.generic],
    slice_spacing_mm: float,
    checkpoint: Checkpoint,
    *,
    device: torch.device,
) -> NDArray[np.uint8]:
    """Return 1 where the liver is, 0 elsewhere, on the grid of `volume_hu`.

    `volume_hu`: CT, (z, y, x), z towards the head, y towards the back, x towards the patient's left. The same steps as
    on a test case of the comparison. Raises CheckpointError if the checkpoint lacks its proposer.
    """
    if checkpoint.proposer is None or checkpoint.proposal is None:
        raise CheckpointError(
            f"checkpoint of kind '{checkpoint.kind}' carries no proposer, wanted one of `finetune train`"
        )
    proposer = load_proposer(checkpoint.proposer, device)
    slab_hu = in_plane(volume_hu, checkpoint.proposer)
    found = propose(slab_hu, slice_spacing_mm, proposer, checkpoint.proposer, checkpoint.proposal, device)
    model = restore(build_segmenter(checkpoint.architecture, trains=checkpoint.trains), checkpoint)
    model = model.to(device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    shape_zyx = checkpoint.volumes.shape_zyx
    crop = resample(volume_hu[found.start : found.stop], shape_zyx)
    volumes = scale(crop, *checkpoint.input.ct_window_hu)[None]
    # a batch of two: convolutions of single volumes take a slow path
    probability = liver_probabilities(
        model, np.repeat(volumes, 2, axis=0), precision=checkpoint.precision, device=device
    )[0]
    liver = native_mask(probability, (found.stop - found.start, *volume_hu.shape[1:]))
    mask = np.zeros(volume_hu.shape, np.uint8)
    mask[found.start : found.stop] = largest_component(liver) if checkpoint.largest_component else liver
    return mask
