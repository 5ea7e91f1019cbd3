import pytest
import torch

from radnet3d.errors import CheckpointError, SplitError
from radnet3d.models.building import build_segmenter
from radnet3d.models.checkpoint import (
    Checkpoint,
    check_patients_unseen,
    load_checkpoint,
    patient_digests,
    restore,
    save_checkpoint,
    transfer_encoder,
)
from radnet3d.models.heads import RadNet
from radnet3d.models.resnet3d import initialise
from radnet3d.params import Input, Network, Volumes
from support.tiny_training import NETWORK, SHAPE


def checkpoint(network: Network = NETWORK, seed: int = 5, **changed) -> Checkpoint:
    model = RadNet(network)
    initialise(model, torch.Generator().manual_seed(seed))
    return Checkpoint(**{
        "kind": "pretrain", "network": network, "input": Input(ct_window_hu=(-200, 300)),
        "volumes": Volumes(shape_zyx=SHAPE, correct_tilt=False, n_per_series_max=1), "precision": "bf16", "patients": patient_digests(["P1", "P2"]),
        "weights": model.state_dict(), **changed,
    })  # fmt: skip


def test_the_whole_encoder_arrives_in_the_segmenter():
    source, model = checkpoint(), build_segmenter(NETWORK, trains="all")
    decoder = model.ups[0].squeeze.weight.clone()
    report = transfer_encoder(model, source, min_fraction=1.0)
    assert report.fraction_loaded == 1 and report.missing == report.mismatched == report.skipped == ()
    for name, tensor in model.encoder.state_dict().items():
        assert torch.equal(tensor, source.weights[f"encoder.{name}"]), name
    assert torch.equal(model.ups[0].squeeze.weight, decoder)


def test_another_architecture_is_refused_and_nothing_is_changed():
    wider = NETWORK.model_copy(update={"widths": (8, 8, 8, 8)})
    model = build_segmenter(NETWORK, trains="all")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=r"of another shape.*wanted at least 95\.0%"):
        transfer_encoder(model, checkpoint(wider), min_fraction=0.95)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_keys_with_a_foreign_prefix_load_nothing_and_say_so():
    """A prefix such as `module.` with strict=False loads nothing, silently."""
    source = checkpoint()
    renamed = checkpoint(weights={f"module.{name}": tensor for name, tensor in source.weights.items()})
    with pytest.raises(CheckpointError, match=r"0 tensors, 0 of \d+ parameters \(0\.0%\) loaded"):
        transfer_encoder(build_segmenter(NETWORK, trains="all"), renamed, min_fraction=0.01)


def test_a_part_is_reported_tensor_by_tensor():
    weights = dict(checkpoint().weights)
    lost = weights.pop("encoder.stages.0.0.convolve.weight")
    weights["encoder.extra.weight"] = lost
    report = transfer_encoder(build_segmenter(NETWORK, trains="all"), checkpoint(weights=weights), min_fraction=0.1)
    assert report.missing == ("stages.0.0.convolve.weight",) and report.skipped == ("extra.weight",)
    assert report.n_parameters - report.n_parameters_loaded == lost.numel()


def test_a_checkpoint_survives_its_file(tmp_path):
    carried = checkpoint(kind="finetune", proposer=checkpoint())
    save_checkpoint(carried, tmp_path / "c.pt")
    loaded = load_checkpoint(tmp_path / "c.pt", kinds=["finetune"])
    assert (loaded.network, loaded.input, loaded.volumes) == (carried.network, carried.input, carried.volumes)
    assert loaded.proposer is not None and loaded.proposer.kind == "pretrain"
    assert all(torch.equal(tensor, carried.weights[name]) for name, tensor in loaded.weights.items())
    assert not list(tmp_path.glob(".*")), "no temporary file is left"


def test_unreadable_files_are_named(tmp_path):
    path = tmp_path / "c.pt"
    with pytest.raises(CheckpointError, match=r"c\.pt: no such file"):
        load_checkpoint(path, kinds=["pretrain"])
    save_checkpoint(checkpoint(), path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"c\.pt: not readable as a checkpoint"):
        load_checkpoint(path, kinds=["pretrain"])
    path.write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"c\.pt: not readable as a checkpoint"):
        load_checkpoint(path, kinds=["pretrain"])
    torch.save({"state_dict": {}}, path)
    with pytest.raises(CheckpointError, match="found format None"):
        load_checkpoint(path, kinds=["pretrain"])


def test_another_kind_is_refused(tmp_path):
    save_checkpoint(checkpoint(), tmp_path / "c.pt")
    with pytest.raises(CheckpointError, match="kind 'pretrain', wanted finetune"):
        load_checkpoint(tmp_path / "c.pt", kinds=["finetune"])


def test_restore_refuses_weights_of_another_network():
    with pytest.raises(CheckpointError, match="does not fit RadNet"):
        restore(RadNet(NETWORK.model_copy(update={"fc_features": 16})), checkpoint())


def test_a_known_patient_is_a_leak():
    check_patients_unseen(checkpoint(), ["P3", "P4"])
    with pytest.raises(SplitError, match="P2"):
        check_patients_unseen(checkpoint(), ["P3", "P2"])
