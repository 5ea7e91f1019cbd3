"""Checkpoints: weights with the architecture they belong to and what is needed to feed them; transfer of an encoder."""

import hashlib
import pickle
import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from radnet3d.atomic import replacing
from radnet3d.errors import CheckpointError, SplitError
from radnet3d.params import Input, MedicalNet, Network, Proposal, Trains, Volumes, explain

FORMAT = "radnet3d checkpoint 1"
DAMAGED = (
    pickle.UnpicklingError, struct.error, OSError, RuntimeError, EOFError, LookupError, TypeError, ValueError, AssertionError,
)  # fmt: skip
"""What torch.load raises on files that torch.save did not write, or did not finish."""
Kind = Literal["pretrain", "control", "finetune"]
Precision = Literal["bf16", "fp32"]
M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Checkpoint:
    """A trained network as it lies in a file.

    `patients` are digests of the PatientIDs of its training's data, all sides of the split (see `patient_digests`). A fine-tuned
    segmenter carries in `proposer` the pretrained network that finds its slices, and in `proposal` how; `medicalnet`, where
    its encoder is that and not `network`'s; in `trains` what of it was trained, which decides how it is built; and in
    `largest_component` whether nothing else of its masks is kept.
    """

    kind: Kind
    network: Network
    input: Input
    volumes: Volumes
    precision: Precision  # of the forward pass, in training and in use
    patients: tuple[str, ...]
    weights: dict[str, Tensor]
    proposal: Proposal | None = None
    proposer: "Checkpoint | None" = None
    medicalnet: MedicalNet | None = None
    trains: Trains = "all"
    largest_component: bool = False

    @property
    def architecture(self) -> Network | MedicalNet:
        """What the encoder is."""
        return self.medicalnet or self.network


@dataclass(frozen=True)
class TransferReport:
    """What a transfer did to the encoder, tensor by tensor."""

    n_tensors_loaded: int
    n_parameters_loaded: int
    n_parameters: int  # values of the encoder's weights, without statistics
    missing: tuple[str, ...]  # tensors the checkpoint lacks: they keep their first values
    mismatched: tuple[str, ...]  # of another shape: not loaded
    skipped: tuple[str, ...]  # tensors of the checkpoint's encoder that the model does not have

    @property
    def fraction_loaded(self) -> float:
        """Loaded trainable values as a fraction of the encoder's."""
        return self.n_parameters_loaded / self.n_parameters

    def __str__(self) -> str:
        return (
            f"{self.n_tensors_loaded} tensors, {self.n_parameters_loaded} of {self.n_parameters} parameters "
            f"({self.fraction_loaded:.1%}) loaded; {len(self.missing)} missing, {len(self.mismatched)} of another "
            f"shape, {len(self.skipped)} skipped"
        )


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write `checkpoint` to `path`, as a whole or not at all."""
    with replacing(path) as temporary:
        torch.save(to_plain(checkpoint), temporary)


def load_checkpoint(path: Path, *, kinds: Iterable[Kind]) -> Checkpoint:
    """Return the checkpoint at `path`, on the CPU. No code in the file is run.

    Raises CheckpointError naming the file if it is no checkpoint of ours, is cut short, or is not of `kinds`.
    """
    content = read_plain(path, wanted="a checkpoint")
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else type(content).__name__
        raise CheckpointError(f"{path}: found format {found!r}, wanted {FORMAT!r}")
    try:
        checkpoint = from_plain(content)
    except ValidationError as error:
        raise CheckpointError(f"{path}: {explain(error)}") from error
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: lacks {error}") from error
    if checkpoint.kind not in tuple(kinds):
        raise CheckpointError(f"{path}: found a checkpoint of kind '{checkpoint.kind}', wanted {' or '.join(kinds)}")
    return checkpoint


def read_plain(path: Path, *, wanted: str) -> Any:
    """Return what torch.save wrote to `path`, on the CPU: tensors and plain values. No code in the file is run.

    Raises CheckpointError naming the file, and `wanted`, if it cannot be read or holds anything else.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such file, wanted {wanted}") from error
    except DAMAGED as error:
        said = " ".join(str(error).split())
        held = re.search(r"Unsupported global: GLOBAL (\S+)", said)
        why = (
            f"it holds code ({held[1]}), and only tensors are read" if held else f"{type(error).__name__}: {said[:200]}"
        )
        raise CheckpointError(f"{path}: not readable as {wanted}: {why}") from error


def to_plain(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return what a file holds: only numbers, text, tensors, lists and dicts."""
    return {
        "format": FORMAT,
        "kind": checkpoint.kind,
        "network": checkpoint.network.model_dump(mode="json"),
        "input": checkpoint.input.model_dump(mode="json"),
        "volumes": checkpoint.volumes.model_dump(mode="json"),
        "precision": checkpoint.precision,
        "patients": list(checkpoint.patients),
        "weights": {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.weights.items()},
        "proposal": checkpoint.proposal.model_dump(mode="json") if checkpoint.proposal else None,
        "proposer": to_plain(checkpoint.proposer) if checkpoint.proposer else None,
        "medicalnet": checkpoint.medicalnet.model_dump(mode="json") if checkpoint.medicalnet else None,
        "trains": checkpoint.trains,
        "largest_component": checkpoint.largest_component,
    }


def from_plain(content: dict[str, Any]) -> Checkpoint:
    """Return the checkpoint of a file's content. Raises KeyError or ValidationError where it is not one."""
    return Checkpoint(
        kind=content["kind"],
        network=Network.model_validate(content["network"]),
        input=Input.model_validate(content["input"]),
        volumes=Volumes.model_validate(content["volumes"]),
        precision=content["precision"],
        patients=tuple(content["patients"]),
        weights=content["weights"],
        proposal=Proposal.model_validate(content["proposal"]) if content["proposal"] else None,
        proposer=from_plain(content["proposer"]) if content["proposer"] else None,
        # the first files lack these three
        medicalnet=MedicalNet.model_validate(content["medicalnet"]) if content.get("medicalnet") else None,
        trains=content.get("trains", "all"),
        largest_component=content.get("largest_component", False),
    )


def restore(model: M, checkpoint: Checkpoint) -> M:
    """Return `model`, in evaluation mode, with all weights of `checkpoint`. Raises CheckpointError if any differs."""
    try:
        model.load_state_dict(checkpoint.weights)
    except RuntimeError as error:
        raise CheckpointError(
            f"checkpoint of kind '{checkpoint.kind}' with {checkpoint.architecture!r} does not fit {type(model).__name__}: "
            f"{' '.join(str(error).split())[:300]}"
        ) from error
    return model.eval()


def transfer_encoder(model: nn.Module, checkpoint: Checkpoint, *, min_fraction: float) -> TransferReport:
    """Copy the encoder of `checkpoint` into `model.encoder` and return what was copied and what was not.

    Raises CheckpointError, leaving `model` as it was, if less than `min_fraction` of the encoder's parameters fit:
    loading nothing and saying nothing is how a "pretrained" arm becomes a scratch arm.
    """
    prefix = "encoder."
    source = {name.removeprefix(prefix): t for name, t in checkpoint.weights.items() if name.startswith(prefix)}
    of = f"a '{checkpoint.kind}' encoder"
    return copy_weights(model.get_submodule("encoder"), source, min_fraction=min_fraction, of=of)


def copy_weights(encoder: nn.Module, source: Mapping[str, Tensor], *, min_fraction: float, of: str) -> TransferReport:
    """Copy those tensors of `source` into `encoder` that have its names and shapes; `of`: what an error calls them.

    Batch norm's counters of batches may be missing: nothing reads them, and old files lack them. Raises CheckpointError
    as `transfer_encoder` does.
    """
    target = encoder.state_dict()
    fitting = {name: t for name, t in source.items() if name in target and target[name].shape == t.shape}
    n_values = {name: p.numel() for name, p in encoder.named_parameters()}
    missing = {name for name in target.keys() - source.keys() if not name.endswith(".num_batches_tracked")}
    report = TransferReport(
        n_tensors_loaded=len(fitting),
        n_parameters_loaded=sum(n_values.get(name, 0) for name in fitting),
        n_parameters=sum(n_values.values()),
        missing=tuple(sorted(missing)),
        mismatched=tuple(sorted(name for name in source.keys() & target.keys() if name not in fitting)),
        skipped=tuple(sorted(source.keys() - target.keys())),
    )
    if report.fraction_loaded < min_fraction:
        raise CheckpointError(f"transfer of {of}: {report}; wanted at least {min_fraction:.1%}")
    encoder.load_state_dict(fitting, strict=False)
    return report


def patient_digests(patient_ids: Iterable[str]) -> tuple[str, ...]:
    """Return sorted digests of PatientIDs: enough to see that a patient is known, not who it is."""
    return tuple(sorted(hashlib.sha256(patient.encode()).hexdigest()[:24] for patient in set(patient_ids)))


def check_patients_unseen(checkpoint: Checkpoint, patient_ids: Iterable[str]) -> None:
    """Raise SplitError if one of these patients was among the data the checkpoint was made with."""
    seen = set(checkpoint.patients)
    known = sorted(patient for patient in set(patient_ids) if seen.intersection(patient_digests([patient])))
    if known:
        raise SplitError(
            f"{len(known)} patients of this run were also among the data of the '{checkpoint.kind}' checkpoint, wanted none: {known[:5]}"
        )
