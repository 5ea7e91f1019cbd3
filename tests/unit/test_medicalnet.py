import warnings

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn

from radnet3d.errors import CheckpointError, ParamsError
from radnet3d.models.building import build_segmenter
from radnet3d.models.checkpoint import Checkpoint, load_checkpoint, restore, save_checkpoint
from radnet3d.models.medicalnet import (
    LAYOUTS,
    MedicalNetEncoder,
    architecture_of,
    read_weights,
    standardise,
    transfer_medicalnet,
)
from radnet3d.models.resnet3d import initialise
from radnet3d.params import Input, MedicalNet, Volumes, check_params
from support.tiny_training import NETWORK

pytestmark = pytest.mark.usefixtures("one_thread")

PUBLISHED = {10: "B", 18: "A", 34: "A", 50: "B", 101: "B", 152: "B", 200: "B"}
"""Shortcuts of the published weights."""
MILLIONS = {10: 14.36, 18: 32.99, 34: 63.31, 50: 46.21, 101: 85.31, 152: 117.51, 200: 126.74}
"""Parameters, in millions, as the README of github.com/Tencent/MedicalNet tells them; batch norm's statistics count."""


def settings(depth: int = 10, shortcut: str = "B", dilations: tuple[int, int] = (2, 4)) -> MedicalNet:
    return MedicalNet(weights=None, depth=depth, shortcut=shortcut, dilations=dilations)


def on_meta(depth: int, shortcut: str) -> MedicalNetEncoder:
    with torch.device("meta"):
        return MedicalNetEncoder(settings(depth, shortcut))


def published(depth: int = 10, shortcut: str = "B", seed: int = 1) -> dict[str, Tensor]:
    """The tensors of a file as it is published: `module.` before each name, no counters of batches."""
    encoder = MedicalNetEncoder(settings(depth, shortcut))
    initialise(encoder, torch.Generator().manual_seed(seed))
    encoder.bn1.running_mean.fill_(0.25)
    return {f"module.{n}": t for n, t in encoder.state_dict().items() if not n.endswith("num_batches_tracked")}


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    return published()


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return build_segmenter(settings(), trains="all")


@pytest.mark.parametrize("depth", LAYOUTS)
def test_parameters_are_as_many_as_published(depth):
    state = on_meta(depth, PUBLISHED[depth]).state_dict()
    n = sum(tensor.numel() for name, tensor in state.items() if not name.endswith("num_batches_tracked"))
    assert n / 1e6 == pytest.approx(MILLIONS[depth], abs=0.005)


@pytest.mark.parametrize("depth", LAYOUTS)
@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_architecture_is_read_from_names_and_shapes(depth, shortcut):
    assert architecture_of(on_meta(depth, shortcut).state_dict()) == (depth, shortcut)


def test_names_and_shapes_are_those_of_the_published_files():
    shallow = {name: tuple(t.shape) for name, t in on_meta(10, "B").state_dict().items()}
    assert shallow.items() >= {
        "conv1.weight": (64, 1, 7, 7, 7), "bn1.running_var": (64,), "layer1.0.conv1.weight": (64, 64, 3, 3, 3),
        "layer2.0.conv1.weight": (128, 64, 3, 3, 3), "layer2.0.downsample.0.weight": (128, 64, 1, 1, 1),
        "layer2.0.downsample.1.bias": (128,), "layer4.0.conv2.weight": (512, 512, 3, 3, 3), "layer4.0.bn2.weight": (512,),
    }.items()  # fmt: skip
    assert not any(name.startswith("layer1.0.downsample") for name in shallow), "shapes agree there"
    deep = {name: tuple(t.shape) for name, t in on_meta(50, "B").state_dict().items()}
    assert deep.items() >= {
        "layer1.0.conv1.weight": (64, 64, 1, 1, 1), "layer1.0.conv2.weight": (64, 64, 3, 3, 3),
        "layer1.0.conv3.weight": (256, 64, 1, 1, 1), "layer1.0.downsample.0.weight": (256, 64, 1, 1, 1),
        "layer2.0.downsample.0.weight": (512, 256, 1, 1, 1), "layer3.5.conv1.weight": (256, 1024, 1, 1, 1),
    }.items()  # fmt: skip
    assert not any("downsample" in name for name in on_meta(18, "A").state_dict())


@pytest.mark.parametrize(("depth", "expansion"), [(10, 1), (50, 4)])
def test_the_last_two_stages_are_dilated_and_not_strided(depth, expansion):
    encoder = on_meta(depth, PUBLISHED[depth])
    levels = encoder(torch.empty(1, 1, 64, 96, 80, device="meta"))
    assert [tuple(level.shape[1:]) for level in levels] == [
        (64, 32, 48, 40), (64 * expansion, 16, 24, 20), (128 * expansion, 8, 12, 10),
        (256 * expansion, 8, 12, 10), (512 * expansion, 8, 12, 10),
    ]  # fmt: skip
    assert encoder.channels == tuple(level.shape[1] for level in levels)
    for layer, dilation in (("layer1", 1), ("layer2", 1), ("layer3", 2), ("layer4", 4)):
        convolutions = [m for m in encoder.get_submodule(layer).modules() if isinstance(m, nn.Conv3d)]
        spread = {conv.dilation for conv in convolutions if conv.kernel_size == (3, 3, 3)}
        assert spread == {(dilation,) * 3}, layer


def test_one_block_is_what_it_is_described_to_be():
    """Depth 10's layer2 with shortcut A, by hand."""
    torch.manual_seed(0)
    encoder = MedicalNetEncoder(settings(10, "A")).eval()
    block, x = encoder.layer2[0], torch.rand(2, 64, 5, 6, 7)
    conv, norm = nn.functional.conv3d, lambda v, bn: v / (1 + bn.eps) ** 0.5
    out = torch.relu(norm(conv(x, block.conv1.weight, stride=2, padding=1), block.bn1))
    out = norm(conv(out, block.conv2.weight, padding=1), block.bn2)
    pooled = nn.functional.avg_pool3d(x, kernel_size=1, stride=2)
    wanted = torch.relu(out + torch.cat([pooled, torch.zeros_like(pooled)], dim=1))
    torch.testing.assert_close(block(x), wanted)


@pytest.mark.parametrize("shape", [(16, 16, 16), (9, 11, 13), (1, 2, 3)])
def test_output_has_the_input_s_grid(model, shape):
    assert model.eval()(torch.rand(2, 1, *shape)).shape == (2, 1, *shape)


def test_a_probe_stands_on_it_too():
    assert build_segmenter(settings(), trains="probe").eval()(torch.rand(2, 1, 16, 15, 14)).shape == (2, 1, 16, 15, 14)


@pytest.mark.parametrize("is_bf16", [True, False])
@pytest.mark.parametrize("depth", [1, 3, 4, 6, 8])
def test_gradients_of_few_slices_are_those_of_float64(depth, is_bf16):
    """torch 2.13 on a CPU: garbage, or the end of the process, for some depths below eight."""
    encoder = MedicalNetEncoder(settings())
    initialise(encoder, torch.Generator().manual_seed(0))
    encoder.layer1 = encoder.layer2 = encoder.layer3 = encoder.layer4 = nn.Identity()
    volume = torch.rand(2, 1, depth, 16, 16, generator=torch.Generator().manual_seed(1))
    gradients = []
    for dtype in (torch.float32, torch.float64):
        encoder.zero_grad()
        encoder, x = encoder.to(dtype, memory_format=torch.channels_last_3d), volume.to(dtype)
        stale = [torch.full((2**n,), torch.nan) for n in range(4, 20)]  # what uninitialised memory would hold
        del stale
        with torch.autocast("cpu", torch.bfloat16, enabled=is_bf16 and dtype == torch.float32):
            stem = encoder(x.contiguous(memory_format=torch.channels_last_3d))[0]
        stem.to(dtype).square().mean().backward()
        gradients.append(encoder.conv1.weight.grad.double().clone())
    assert float((gradients[0] - gradients[1]).norm() / gradients[1].norm()) < (0.02 if is_bf16 else 1e-4)


@pytest.mark.parametrize("depth", [1, 3, 7])
def test_few_slices_have_the_features_of_the_plain_convolution(depth):
    encoder = MedicalNetEncoder(settings()).eval()
    x = torch.rand(2, 1, depth, 16, 16)
    plain = torch.relu(encoder.bn1(encoder.conv1(standardise(x))))
    torch.testing.assert_close(encoder(x)[0], plain, rtol=1e-4, atol=1e-5)


def test_voxels_above_the_lowest_get_mean_0_and_deviation_1():
    x = torch.rand(3, 1, 8, 8, 8) * torch.tensor([0.1, 0.5, 1.0]).view(3, 1, 1, 1, 1)
    is_air = torch.rand(x.shape) < 0.3
    x[is_air] = 0
    scaled = standardise(x)
    for volume, inside in zip(scaled, ~is_air, strict=True):
        assert float(volume[inside].mean()) == pytest.approx(0, abs=1e-4)
        assert float(volume[inside].std(unbiased=False)) == pytest.approx(1, abs=1e-4)
    assert (scaled[is_air] < -1).all(), "air keeps its score"


def test_gain_and_offset_do_not_change_what_the_network_sees():
    x = torch.rand(2, 1, 8, 8, 8).clamp(min=0.3) - 0.3
    torch.testing.assert_close(standardise(1.1 * x + 0.05), standardise(x), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("value", [0.0, 0.7, -0.05])
def test_a_volume_of_one_value_becomes_zero(value):
    assert standardise(torch.full((2, 1, 4, 4, 4), value)).abs().max() == 0


@pytest.mark.parametrize("is_legacy", [True, False])
@pytest.mark.parametrize("is_bare", [True, False])
def test_a_published_file_arrives_whole(tmp_path, weights, model, is_legacy, is_bare):
    head = {"module.conv_seg.0.weight": torch.zeros(512, 32, 2, 2, 2)}
    content = weights | head if is_bare else {"state_dict": weights | head}
    torch.save(content, tmp_path / "resnet_10.pth", _use_new_zipfile_serialization=not is_legacy)
    initialise(model, torch.Generator().manual_seed(2))
    decoder = model.logits.weight.clone()
    report = transfer_medicalnet(model, tmp_path / "resnet_10.pth", min_fraction=1.0)
    assert (report.n_tensors_loaded, report.fraction_loaded) == (len(weights), 1)
    assert report.missing == report.mismatched == () and report.skipped == ("conv_seg.0.weight",)
    for name, tensor in weights.items():
        assert torch.equal(model.encoder.state_dict()[name.removeprefix("module.")], tensor), name
    assert torch.equal(model.logits.weight, decoder)


@pytest.mark.parametrize(("depth", "shortcut"), [(18, "A"), (10, "A"), (50, "B")])
def test_weights_of_another_architecture_say_which(tmp_path, model, depth, shortcut):
    state = on_meta(depth, shortcut).state_dict()
    small = {f"module.{name}": torch.zeros(()).expand(tensor.shape) for name, tensor in state.items()}
    torch.save({"state_dict": small}, tmp_path / "w.pth")
    before = model.encoder.conv1.weight.clone()
    with pytest.raises(
        CheckpointError,
        match=rf"w\.pth: these are the weights of depth {depth}, shortcut {shortcut}; wanted depth 10, shortcut B",
    ):
        transfer_medicalnet(model, tmp_path / "w.pth", min_fraction=0.01)
    assert torch.equal(model.encoder.conv1.weight, before)


def test_too_little_is_refused_and_a_part_is_reported(tmp_path, weights, model):
    lost = "module.layer4.0.conv2.weight"
    torch.save({"state_dict": {n: t for n, t in weights.items() if n != lost}}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=rf"w\.pth: {len(weights) - 1} tensors.*wanted at least 95\.0%"):
        transfer_medicalnet(model, tmp_path / "w.pth", min_fraction=0.95)
    report = transfer_medicalnet(model, tmp_path / "w.pth", min_fraction=0.4)
    assert report.missing == ("layer4.0.conv2.weight",)
    assert report.n_parameters - report.n_parameters_loaded == weights[lost].numel()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"state_dict": {"conv1.weight": torch.zeros(64, 3, 7, 7, 7)}},
            r"found the tensors conv1\.weight \(64, 3, 7, 7, 7\)",
        ),
        ({"encoder.stem.weight": torch.zeros(2)}, r"found the tensors encoder\.stem\.weight \(2,\), 1 in all"),
        ({"format": "radnet3d checkpoint 1", "kind": "pretrain"}, r"found \['format', 'kind'\]"),
        ({"state_dict": {}}, r"found \[\]"),
        (torch.zeros(3), "found Tensor"),
        ([1, 2], "found list"),
    ],
)
def test_files_of_other_networks_are_refused(tmp_path, model, content, message):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=rf"w\.pth: {message}.*wanted weights of MedicalNet"):
        transfer_medicalnet(model, tmp_path / "w.pth", min_fraction=0.01)


def test_files_that_cannot_be_read_are_named(tmp_path, weights, model):
    path = tmp_path / "w.pth"
    with pytest.raises(CheckpointError, match=r"w\.pth: no such file, wanted weights of MedicalNet"):
        transfer_medicalnet(model, path, min_fraction=0.5)
    torch.save(nn.Linear(2, 2), path)
    with pytest.raises(
        CheckpointError, match=r"holds code \(torch\.nn\.modules\.linear\.Linear\), and only tensors are read"
    ):
        transfer_medicalnet(model, path, min_fraction=0.5)
    part = {name: tensor for name, tensor in weights.items() if name.startswith("module.layer1")}
    for is_zip in (True, False):
        torch.save({"state_dict": part}, path, _use_new_zipfile_serialization=is_zip)
        whole = path.read_bytes()
        for end in (0, 1, 3, 100, 1000, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:end])
            with pytest.raises(CheckpointError, match=r"w\.pth: "):
                transfer_medicalnet(model, path, min_fraction=0.5)
    path.write_bytes(b"<!DOCTYPE html><html>not found</html>")
    with pytest.raises(CheckpointError, match=r"w\.pth: not readable as weights of MedicalNet"):
        transfer_medicalnet(model, path, min_fraction=0.5)
    with pytest.raises(CheckpointError, match="not readable"):
        transfer_medicalnet(model, tmp_path, min_fraction=0.5)


@pytest.mark.parametrize("is_legacy", [True, False])
def test_a_damaged_file_is_read_or_refused(tmp_path, is_legacy):
    path, generator = tmp_path / "w.pth", np.random.default_rng(0)
    torch.save({"state_dict": {"module.bn1.bias": torch.rand(30)}}, path, _use_new_zipfile_serialization=not is_legacy)
    whole, n_refused = path.read_bytes(), 0
    for _ in range(150):
        damaged = np.frombuffer(whole, np.uint8).copy()
        damaged[generator.integers(0, min(len(whole), 600), 3)] = generator.integers(0, 256, 3)
        path.write_bytes(damaged.tobytes())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                read_weights(path)
            except CheckpointError:
                n_refused += 1
    assert n_refused > 75


def test_another_encoder_does_not_take_them(tmp_path):
    with pytest.raises(CheckpointError, match="encoder of the class Encoder"):
        transfer_medicalnet(build_segmenter(NETWORK, trains="all"), tmp_path / "w.pth", min_fraction=0.5)


def test_an_arm_that_starts_from_it_needs_its_file(repository):
    content = yaml.safe_load((repository / "tests" / "params.tiny.yaml").read_text())
    arms = content["finetune"]["arms"]
    arms["medicalnet_scratch"] = {"network": "medicalnet"}
    assert check_params(content, name="p").finetune.arms["medicalnet_scratch"].network == "medicalnet"
    arms["medicalnet"] = {"network": "medicalnet", "encoder": "medicalnet", "against": ["medicalnet_scratch"]}
    with pytest.raises(
        ParamsError, match=r"p: .*medicalnet\.weights: found null, wanted a file of weights; finetune\.arms\.medicalnet"
    ):
        check_params(content, name="p")
    content["medicalnet"]["weights"] = "data/resnet_10.pth"
    check_params(content, name="p")


def test_a_checkpoint_rebuilds_what_was_trained(tmp_path):
    probe = build_segmenter(settings(), trains="probe")
    initialise(probe, torch.Generator().manual_seed(0))
    checkpoint = Checkpoint(
        kind="finetune", network=NETWORK, input=Input(ct_window_hu=(-200, 300)),
        volumes=Volumes(shape_zyx=(16, 16, 16), correct_tilt=False, n_per_series_max=1), precision="bf16", patients=(),
        weights=probe.state_dict(), medicalnet=settings(), trains="probe",
    )  # fmt: skip
    save_checkpoint(checkpoint, tmp_path / "c.pt")
    loaded = load_checkpoint(tmp_path / "c.pt", kinds=["finetune"])
    rebuilt = restore(build_segmenter(loaded.architecture, trains=loaded.trains), loaded)
    x = torch.rand(1, 1, 8, 8, 8)
    assert torch.equal(rebuilt(x), probe.eval()(x))
