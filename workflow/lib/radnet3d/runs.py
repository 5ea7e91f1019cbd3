"""The record a training run starts from: everything it needs, in one JSON file that stays beside its checkpoint.

A record has four keys: `kind`, `factors` (what distinguishes this run from its neighbours), `settings` (sections of
params.yaml) and `inputs` (paths, relative to where the command runs).
"""

import json
import os
import platform
import resource
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

from pydantic import (
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from radnet3d import __version__
from radnet3d.errors import ParamsError
from radnet3d.params import (
    LIVER,
    MEDICALNET,
    ControlRecipe,
    Finetune,
    FinetuneRecipe,
    Head,
    Input,
    MedicalNet,
    Name,
    Network,
    PretrainRecipe,
    Proposal,
    Section,
    Task,
    TaskRecipe,
    Volumes,
    explain,
    finetune_of,
)


class PretrainFactors(Section):
    """One pretraining: the encoder's name, what it is trained on, and the seed of its weights and batches."""

    encoder: str
    labels: Literal["own", "shuffled"]  # shuffled: the same labels dealt to other patients
    heads: tuple[Head, ...]
    seed: NonNegativeInt


class PretrainSettings(Section):
    """Sections that decide what a pretraining is."""

    pretrain: PretrainRecipe
    network: Network
    input: Input
    volumes: Volumes


class PretrainInputs(Section):
    """Tables: tables.TARGETS, tables.PATIENT_SPLIT and one tables.VOLUMES a shard."""

    targets: Path
    split: Path
    volumes: Annotated[tuple[Path, ...], Field(min_length=1)]


class PretrainRun(Section):
    """Pretraining of the encoder on header labels."""

    kind: Literal["pretrain"]
    factors: PretrainFactors
    settings: PretrainSettings
    inputs: PretrainInputs


class ControlFactors(Section):
    """The positive control: the encoder of a liver segmenter of other patients."""

    encoder: Literal["control"]
    seed: NonNegativeInt


class ControlSettings(Section):
    """Sections that decide what the positive control is."""

    pretrain: PretrainRecipe  # n_steps_between_checkpoints
    finetune: ControlRecipe
    network: Network
    input: Input
    volumes: Volumes
    proposal: Proposal


class ControlInputs(Section):
    """Tables: tables.LIVER_CASES (arrays beside it) and tables.LIVER_SPLIT."""

    cases: Path
    split: Path


class ControlRun(Section):
    """Training of the segmenter whose encoder is the positive control."""

    kind: Literal["control"]
    factors: ControlFactors
    settings: ControlSettings
    inputs: ControlInputs


ARM_FACTORS = ("encoder", "network", "trains", "steps_times")
"""What the record of a fine-tuning says of its arm."""


class FinetuneFactors(Section):
    """One cell of the experiment: the task, the arm as it is declared, and where in the grid it is."""

    task: Name
    init: str  # the arm's name
    encoder: str | None
    network: Literal["radnet", "medicalnet"]
    trains: Literal["all", "decoder", "probe"]
    steps_times: PositiveInt
    n_train: PositiveInt
    subset_seed: NonNegativeInt
    init_seed: NonNegativeInt
    learning_rate: PositiveFloat
    evaluate_on: Literal["validation", "test"]
    largest_component: bool = False  # of liver segmentation: nothing else of a prediction is kept

    @property
    def run_id(self) -> str:
        """The run's name within its task, made of its factors."""
        name = f"init-{self.init}_ntrain-{self.n_train:03d}_subset-{self.subset_seed}_seed-{self.init_seed}"
        return name if self.evaluate_on == "test" else f"{name}_lr-{self.learning_rate:g}"


class FinetuneSettings(Section):
    """Sections that decide what a fine-tuning is: those that its task and its network use, and no others."""

    finetune: FinetuneRecipe
    network: Network
    medicalnet: MedicalNet | None = None  # of runs on that network
    input: Input
    volumes: Volumes
    proposal: Proposal | None = None  # of liver segmentation
    task: TaskRecipe | None = None  # of a classification

    @model_serializer(mode="wrap")
    def without_unused(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Return what a record holds: a section that is not used is not there."""
        return {name: section for name, section in serialise(self).items() if section is not None}

    @property
    def architecture(self) -> Network | MedicalNet:
        """What the encoder is built from."""
        return self.medicalnet or self.network


class FinetuneInputs(Section):
    """Tables of the task's cases, and the checkpoints of `pretrain train` and `pretrain control`."""

    cases: Path
    split: Path
    subsets: Path
    encoder: Path | None = None  # file the encoder starts from; none for random weights
    proposals: Path | None = None  # of liver segmentation: its slices
    proposer: Path | None = None  # the checkpoint whose coverage head made them; carried into the segmenter's own


class FinetuneRun(Section):
    """Fine-tuning for one task from one initialisation."""

    kind: Literal["finetune"]
    factors: FinetuneFactors
    settings: FinetuneSettings
    inputs: FinetuneInputs

    @model_validator(mode="after")
    def encoder_is_there(self) -> Self:
        """An arm starts from a file if it names an encoder, else from nothing."""
        if (self.factors.encoder is None) != (self.inputs.encoder is None):
            raise ValueError(f"inputs.encoder: found {self.inputs.encoder} for the encoder {self.factors.encoder}")
        return self

    @model_validator(mode="after")
    def network_is_described(self) -> Self:
        """The section medicalnet is there if the run's encoder is of that network, else not."""
        if (self.factors.network == MEDICALNET) != (self.settings.medicalnet is not None):
            found = "one" if self.settings.medicalnet else "none"
            raise ValueError(f"settings.medicalnet: found {found} for the network {self.factors.network}")
        return self


class FinetuneSections(Section):
    """The sections of params.yaml that decide what all fine-tuning runs are, whatever their task."""

    finetune: Finetune
    tasks: dict[Name, Task]
    network: Network
    medicalnet: MedicalNet
    input: Input
    volumes: Volumes
    proposal: Proposal

    @property
    def grids(self) -> dict[str, Finetune]:
        """The section finetune as each task has it, liver segmentation first."""
        return {task: finetune_of(self.finetune, self.tasks, task) for task in (LIVER, *self.tasks)}

    def settings(self, task: str, init: str) -> dict[str, Any]:
        """Return the `settings` of records of one task and arm: JSON values."""
        grid = finetune_of(self.finetune, self.tasks, task)
        sections: dict[str, Section] = {
            "finetune": grid, "network": self.network, "input": self.input, "volumes": self.volumes,
        }  # fmt: skip
        if grid.arms[init].network == MEDICALNET:
            sections["medicalnet"] = self.medicalnet
        sections |= {"proposal": self.proposal} if task == LIVER else {"task": self.tasks[task]}
        return settings_of(FinetuneRun, {name: part.model_dump(mode="json") for name, part in sections.items()})


Run = PretrainRun | ControlRun | FinetuneRun
RUNS: dict[str, type[Run]] = {"pretrain": PretrainRun, "control": ControlRun, "finetune": FinetuneRun}
R = TypeVar("R", bound=Section)


def make_run(kind: str, settings: dict[str, Any], factors: dict[str, Any], inputs: dict[str, Any]) -> Run:
    """Return the checked record. Sections and keys of `settings` that the kind does not use are left out.

    So the grid of runs is not in it, and a size or a seed added to the grid leaves all other runs as they are.

    `inputs.rate`, the file of `finetune choose-rate`, is resolved here into the factors `learning_rate` and
    `largest_component`: the record holds the choices. Raises ParamsError naming what is missing, unknown or out of range.
    """
    model = RUNS[kind]
    inputs = dict(inputs)
    if "rate" in inputs:
        path, task, init = Path(inputs.pop("rate")), str(factors.get("task")), str(factors.get("init"))
        factors = {**factors, **read_rate(path, task=task, init=init)}
    used = settings_of(model, settings)
    return check(model, {"kind": kind, "factors": factors, "settings": used, "inputs": inputs}, name="run")


def settings_of(model: type[Run], settings: dict[str, Any]) -> dict[str, Any]:
    """Return those sections of `settings`, and those keys of them, that records of this kind hold."""
    held: Any = model.model_fields["settings"].annotation
    sections = {name: section_of(field.annotation) for name, field in held.model_fields.items() if name in settings}
    return {
        name: {key: value for key, value in settings[name].items() if key in section.model_fields}
        for name, section in sections.items()
    }


def section_of(annotation: Any) -> type[Section]:
    """Return the section that a key holds, which may also be none."""
    parts: list[type[Section]] = [part for part in get_args(annotation) or (annotation,) if part is not NoneType]
    return parts[0]


def read_run(path: Path, model: type[R]) -> R:
    """Return the record at `path`. Raises ParamsError naming the file and each wrong key."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ParamsError(f"{path}: no such file, wanted the record of a run (see `radnet3d runs write`)") from error
    except json.JSONDecodeError as error:
        raise ParamsError(f"{path}: not JSON: {error}") from error
    return check(model, content, name=str(path))


def check(model: type[R], content: object, *, name: str) -> R:
    """Return `content` as a record; `name` is what the error calls it. Raises ParamsError."""
    try:
        return model.model_validate_json(json.dumps(content))
    except ValidationError as error:
        raise ParamsError(f"{name}: {explain(error)}") from error


def read_rate(path: Path, *, task: str, init: str) -> dict[str, Any]:
    """Return the factors chosen for an arm of a task on validation cases: `learning_rate`, `largest_component`.

    Raises ParamsError if the file is about another one.
    """
    try:
        chosen = json.loads(path.read_text(encoding="utf-8"))
        found = str(chosen["task"]), str(chosen["init"])
        factors = {
            "learning_rate": float(chosen["learning_rate"]),
            "largest_component": bool(chosen["largest_component"]),
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ParamsError(f"{path}: {error!r}, wanted the file `radnet3d finetune choose-rate` writes") from error
    if found != (task, init):
        raise ParamsError(f"{path}: learning rate of {' from '.join(found)}, wanted that of {task} from {init}")
    return factors


def environment(
    *, device: str, n_threads: int, seconds: float, is_resumed: bool, packages: tuple[str, ...]
) -> dict[str, Any]:
    """Return where and with what a run was made: content of environment.json.

    `seconds`: by the clock, which other processes on the same cores make longer. `cpu_seconds`, which they do not: of all
    threads of this process, its imports included. `is_resumed`: both are of the last part of a training only.
    """
    return {
        "commit": commit(),
        "radnet3d": __version__,
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
        "platform": f"{platform.system()} {platform.machine()}",
        "n_cores": os.cpu_count(),
        "device": device,
        "n_threads": n_threads,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(time.process_time(), 2),
        "is_resumed": is_resumed,
        "peak_memory_mb": peak_memory_mb(),
    }


def commit() -> str:
    """Return the commit this package's folder is at, with '+' if changed since; "" where git or its folder is absent."""
    try:
        said = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--exclude=*", "--abbrev=40"],
            cwd=Path(__file__).parent, capture_output=True, text=True, check=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return said.stdout.strip()


def peak_memory_mb() -> int:
    """Return the largest resident size of this process so far, in 10^6 bytes."""
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kibibytes on Linux
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6)
