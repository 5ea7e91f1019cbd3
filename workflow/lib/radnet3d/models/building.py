"""A network as a task and an arm of the comparison want it: on which encoder, and how much of it is trained."""

from radnet3d.models.classifier import Classifier
from radnet3d.models.levels import LevelEncoder, freeze
from radnet3d.models.medicalnet import MedicalNetEncoder
from radnet3d.models.probe import Probe
from radnet3d.models.resnet3d import Encoder
from radnet3d.models.vnet import Segmenter
from radnet3d.params import MedicalNet, Network, Trains


def build_segmenter(network: Network | MedicalNet, *, trains: Trains) -> Segmenter | Probe:
    """Return a segmenter on an encoder of `network`, all of it with weights still to be drawn or loaded.

    `trains`: "all" of it; the "decoder", on a frozen encoder; or a "probe", one linear layer on a frozen encoder.
    """
    encoder = build_encoder(network)
    if trains == "probe":
        return Probe(encoder)
    if trains == "decoder":
        freeze(encoder)
    return Segmenter(encoder)


def build_classifier(network: Network | MedicalNet, *, n_classes: int, trains: Trains) -> Classifier:
    """Return a classifier on an encoder of `network`, likewise. Its head is linear: on a frozen encoder it is a probe."""
    encoder = build_encoder(network)
    if trains != "all":
        freeze(encoder)
    return Classifier(encoder, n_classes)


def build_encoder(network: Network | MedicalNet) -> LevelEncoder:
    """Return an encoder of this architecture."""
    return MedicalNetEncoder(network) if isinstance(network, MedicalNet) else Encoder(network)
