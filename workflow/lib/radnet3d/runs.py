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
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, ValidationError, model_validator

from radnet3d import __version__
from radnet3d.errors import ParamsError
from radnet3d.params import (
    ControlRecipe,
    FinetuneRecipe,
    Input,
    Network,
    Pretrain,
    Proposal,
    Section,
    Volumes,
    explain,
)

Init = Literal["scratch", "pretrained", "shuffled", "control"]


class PretrainFactors(Section):
    """dicom: header labels; shuffled: the same labels dealt to other patients."""

    encoder: Literal["dicom", "shuffled"]


class PretrainSettings(Section):
    """Sections that decide what a pretraining is."""

    pretrain: Pretrain
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


class ControlSettings(Section):
    """Sections that decide what the positive control is."""

    pretrain: Pretrain  # seed and n_steps_between_checkpoints
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


class FinetuneFactors(Section):
    """One cell of the experiment."""

    init: Init
    n_train: PositiveInt
    subset_seed: NonNegativeInt
    init_seed: NonNegativeInt
    learning_rate: PositiveFloat
    evaluate_on: Literal["validation", "test"]

    @property
    def run_id(self) -> str:
        """The run's name, made of its factors."""
        name = f"init-{self.init}_ntrain-{self.n_train:03d}_subset-{self.subset_seed}_seed-{self.init_seed}"
        return name if self.evaluate_on == "test" else f"{name}_lr-{self.learning_rate:g}"


class FinetuneSettings(Section):
    """Sections that decide what a fine-tuning is."""

    finetune: FinetuneRecipe
    network: Network
    input: Input
    volumes: Volumes
    proposal: Proposal


class FinetuneInputs(Section):
    """Tables of the liver cases, and the checkpoints of `pretrain train` and `pretrain control`."""

    cases: Path
    split: Path
    subsets: Path
    proposals: Path
    proposer: Path  # checkpoint whose coverage head made `proposals`; carried into the segmenter's own checkpoint
    encoder: Path | None = None  # checkpoint the encoder starts from; none for scratch


class FinetuneRun(Section):
    """Fine-tuning of the liver segmenter from one initialisation."""

    kind: Literal["finetune"]
    factors: FinetuneFactors
    settings: FinetuneSettings
    inputs: FinetuneInputs

    @model_validator(mode="after")
    def encoder_fits_init(self) -> Self:
        """Scratch starts from nothing, every other init from a checkpoint."""
        if (self.factors.init == "scratch") != (self.inputs.encoder is None):
            raise ValueError(f"inputs.encoder: found {self.inputs.encoder} for init '{self.factors.init}'")
        return self


Run = PretrainRun | ControlRun | FinetuneRun
RUNS: dict[str, type[Run]] = {"pretrain": PretrainRun, "control": ControlRun, "finetune": FinetuneRun}
R = TypeVar("R", bound=Section)


def make_run(kind: str, settings: dict[str, Any], factors: dict[str, Any], inputs: dict[str, Any]) -> Run:
    """Return the checked record. Sections and keys of `settings` that the kind does not use are left out.

    So the grid of runs is not in it, and a size or a seed added to the grid leaves all other runs as they are.

    `inputs.rate`, the file of `finetune choose-rate`, is resolved here into the factor `learning_rate`: the record
    holds the number. Raises ParamsError naming what is missing, unknown or out of range.
    """
    model = RUNS[kind]
    inputs = dict(inputs)
    if "rate" in inputs:
        factors = {**factors, "learning_rate": read_rate(Path(inputs.pop("rate")), init=str(factors.get("init")))}
    used = settings_of(model, settings)
    return check(model, {"kind": kind, "factors": factors, "settings": used, "inputs": inputs}, name="run")


def settings_of(model: type[Run], settings: dict[str, Any]) -> dict[str, Any]:
    """Return those sections of `settings`, and those keys of them, that records of this kind hold."""
    held: Any = model.model_fields["settings"].annotation
    sections = {name: field.annotation for name, field in held.model_fields.items() if name in settings}
    return {
        name: {key: value for key, value in settings[name].items() if key in section.model_fields}
        for name, section in sections.items()
    }


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


def read_rate(path: Path, *, init: str) -> float:
    """Return the learning rate chosen for `init`. Raises ParamsError if the file is about another init."""
    try:
        chosen = json.loads(path.read_text(encoding="utf-8"))
        found, rate = str(chosen["init"]), float(chosen["learning_rate"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ParamsError(f"{path}: {error!r}, wanted the file `radnet3d finetune choose-rate` writes") from error
    if found != init:
        raise ParamsError(f"{path}: learning rate of init '{found}', wanted that of '{init}'")
    return rate


def environment(*, device: str, n_threads: int, seconds: float, packages: tuple[str, ...]) -> dict[str, Any]:
    """Return where and with what a run was made: content of environment.json."""
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
