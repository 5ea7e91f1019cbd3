"""What arms and encoders are called, in words made from how params.yaml declares them; and which arms belong together."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple, get_args

from radnet3d.params import (
    CONTROL,
    MEDICALNET,
    Arm,
    Comparison,
    Finetune,
    Head,
    Params,
    Pretrain,
    PretrainedEncoder,
    Section,
)

HEADS: tuple[str, ...] = get_args(Head)
FIRST = ("scratch", "pretrained", "shuffled", "control")
"""The arms that come first wherever arms are listed, and keep their looks in every study."""
N_MAIN = 6
"""More lines than these in one panel are not told apart."""
SCRATCH, RANDOM = "from scratch", "random"


class Study(Section):
    """The sections of params.yaml that say what was compared."""

    pretrain: Pretrain
    finetune: Finetune
    comparison: Comparison


class Ablated(NamedTuple):
    """An arm whose encoder was trained on a part of the heads."""

    init: str
    kind: Literal["without", "alone"]
    head: str  # left out, or alone


def study_of(params: Params) -> Study:
    """Return the sections of the parameters that say what was compared."""
    return Study(pretrain=params.pretrain, finetune=params.finetune, comparison=params.comparison)


def ordered(inits: Iterable[str]) -> list[str]:
    """Return arms, each once, those of FIRST first, the others as they come."""
    names = list(dict.fromkeys(inits))
    return [*(name for name in FIRST if name in names), *(name for name in names if name not in FIRST)]


def arm_names(study: Study) -> dict[str, str]:
    """Return the short name of every arm, in the order of `ordered`; no two are the same."""
    arms, encoders = study.finetune.arms, encoder_names(study.pretrain)
    return unlike({init: arm_name(arms[init], encoders) for init in ordered(arms)})


def arm_name(arm: Arm, encoders: Mapping[str, str]) -> str:
    """Return the short name of one arm: 'header labels, 3× steps', 'frozen, random'. `encoders`: `encoder_names`."""
    start = encoders[arm.encoder] if arm.encoder else SCRATCH if arm.trains == "all" else RANDOM
    trained = {"all": "", "decoder": "frozen, ", "probe": "probe, "}[arm.trains]
    network = ", MedicalNet’s network" if arm.network == MEDICALNET and arm.encoder is None else ""
    steps = f", {arm.steps_times}× steps" if arm.steps_times > 1 else ""
    return f"{trained}{start}{network}{steps}"


def encoder_names(pretrain: Pretrain) -> dict[str, str]:
    """Return the short name of every encoder that an arm may start from; no two are the same."""
    named = {name: encoder_name(encoder) for name, encoder in pretrain.encoders.items()}
    return unlike({**named, CONTROL: "positive control", MEDICALNET: "MedicalNet"})


def encoder_name(encoder: PretrainedEncoder) -> str:
    """Return what an encoder was trained on: 'header labels', 'without body', 'body alone', 'view + body'."""
    part = part_of(encoder)
    shuffled = encoder.labels == "shuffled"
    if part is None:
        return "shuffled labels" if shuffled else "header labels"
    return f"shuffled, {part}" if shuffled else part


def part_of(encoder: PretrainedEncoder) -> str | None:
    """Return in words which heads an encoder has, None for all of them."""
    left_out = [head for head in HEADS if head not in encoder.heads]
    if not left_out:
        return None
    if len(encoder.heads) == 1:
        return f"{encoder.heads[0]} alone"
    return f"without {left_out[0]}" if len(left_out) == 1 else " + ".join(encoder.heads)


def unlike(names: Mapping[str, str]) -> dict[str, str]:
    """Return the names; of those that several have, each with its key behind it."""
    times = Counter(names.values())
    return {key: name if times[name] == 1 else f"{name} ({key})" for key, name in names.items()}


def main_arms(finetune: Finetune) -> list[str]:
    """Return the arms of the main figures: those with more than half of the training-set sizes, at most N_MAIN of them."""
    n_sizes = len(finetune.n_train)
    return [init for init in ordered(finetune.arms) if 2 * len(finetune.sizes_of(init)) > n_sizes][:N_MAIN]


def other_arms(finetune: Finetune) -> list[str]:
    """Return the arms that the main figures do not show."""
    main = main_arms(finetune)
    return [init for init in ordered(finetune.arms) if init not in main]


def main_encoders(pretrain: Pretrain) -> list[str]:
    """Return the encoders with all heads, on own or shuffled labels."""
    return [name for name, encoder in pretrain.encoders.items() if part_of(encoder) is None]


def head_groups(pretrain: Pretrain) -> dict[str, str]:
    """Return encoder -> what stands for it where heads are scored: itself, or one name for all with a part of the heads."""
    return {
        name: name if part_of(encoder) is None else group_of(encoder) for name, encoder in pretrain.encoders.items()
    }


def group_of(encoder: PretrainedEncoder) -> str:
    """Return the name of encoders with a part of the heads, as one of those heads would call them."""
    part = "this head alone" if len(encoder.heads) == 1 else "another head left out"
    if 1 < len(encoder.heads) < len(HEADS) - 1:
        part = "several heads left out"
    return part if encoder.labels == "own" else f"shuffled, {part}"


def ablated_arms(study: Study) -> list[Ablated]:
    """Return the arms that start from an encoder with one head, or with all but one, on own labels, all else as `pretrained`."""
    return [
        found
        for init, arm in study.finetune.arms.items()
        if arm.encoder in study.pretrain.encoders and how_trained(arm) == how_trained(Arm())
        if (found := ablated(init, study.pretrain.encoders[arm.encoder]))
    ]


def ablated(init: str, encoder: PretrainedEncoder) -> Ablated | None:
    """Return which head the encoder of an arm lacks or has alone, None for any other encoder."""
    if encoder.labels != "own":
        return None
    if len(encoder.heads) == 1:
        return Ablated(init, "alone", encoder.heads[0])
    left_out = [head for head in HEADS if head not in encoder.heads]
    return Ablated(init, "without", left_out[0]) if len(left_out) == 1 else None


def longer_arms(finetune: Finetune) -> list[tuple[str, str]]:
    """Return (arm, the same arm with more steps) for each arm that is there with the steps of all and with more."""
    once = {(arm.encoder, how_trained(arm)): init for init, arm in finetune.arms.items() if arm.steps_times == 1}
    pairs = []
    for init in ordered(finetune.arms):
        arm = finetune.arms[init]
        same = (arm.encoder, how_trained(arm.model_copy(update={"steps_times": 1})))
        if arm.steps_times > 1 and same in once:
            pairs.append((once[same], init))
    return pairs


def how_trained(arm: Arm) -> tuple[str, str, int]:
    """Return network, trained part and steps: what may tell arms apart beside their first weights."""
    return arm.network, arm.trains, arm.steps_times
