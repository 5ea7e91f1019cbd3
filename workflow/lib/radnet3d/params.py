"""params.yaml as frozen, validated models: meaning, unit and range live here, values only in YAML."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from radnet3d.errors import ParamsError
from radnet3d.vocabulary import CLASSES

Fraction = Annotated[float, Field(gt=0, lt=1)]
ShapeZyx = tuple[PositiveInt, PositiveInt, PositiveInt]


class Section(BaseModel):
    """Part of params.yaml: unknown keys are errors, nothing has a default, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


S = TypeVar("S", bound=Section)


class PhantomArchive(Section):
    """Digital patients with truth beside them; synthetic."""

    seed: NonNegativeInt = Field(
        description="seed of the whole archive; a series depends on it and its own number only"
    )
    n_patients: PositiveInt = Field(description="patients in the archive")
    n_series_per_patient: tuple[PositiveInt, PositiveInt] = Field(description="fewest, most series of one patient")
    difficulty: Annotated[float, Field(ge=0, le=1)] = Field(description="0: textbook anatomy; 1: clinical variation")


class FolderArchive(Section):
    """DICOM files the user already has."""

    dir: str = Field(description="folder searched for DICOM files of any name and depth")


class Balance(Section):
    """How many series of each class of one label are wanted; series of other classes are not taken."""

    head: str = Field(description="the label whose classes are balanced: one that has a single value a series")
    n_series: dict[str, PositiveInt] = Field(
        min_length=1, description="series wanted of each class; fewer are reported"
    )

    @model_validator(mode="after")
    def classes_exist(self) -> Self:
        if self.head == "regions":
            raise ValueError("head: a series may have several regions, so they cannot be balanced")
        check_classes(self.head, self.n_series, key="n_series")
        return self


class Choice(Section):
    """Which series of a public archive are taken. A limit only takes series away; none changes which of the rest are drawn first."""

    collections: tuple[str, ...] = Field(
        description="collections as the source names them; [] is every collection that does not leak into LiTS (idc only)"
    )
    modalities: tuple[Literal["CT", "MR", "PT"], ...] = Field(min_length=1, description="DICOM Modality")
    licences: tuple[str, ...] = Field(description="short names of licences; [] is any that permits this use")
    allow_non_commercial: bool = Field(description="whether series that must not be used commercially may be taken")
    body_parts: tuple[str, ...] = Field(description="BodyPartExamined as the header has it, in any case; [] is any")
    labels: dict[str, tuple[str, ...]] = Field(
        description="values that the catalogue label of a head may have, a region: among others; a head not named: any"
    )
    n_patients_max: PositiveInt | None = Field(description="at most this many patients; null: all")
    n_series_per_patient_max: PositiveInt | None = Field(
        description="at most this many series of one patient; null: all"
    )
    n_series_max: PositiveInt | None = Field(description="at most this many series in all; null: all")
    gb_max: PositiveFloat | None = Field(description="at most this many GB (1e9 bytes) in all; null: all")
    balance: Balance | None = Field(description="series wanted of each class of one label; null: as they come")
    seed: NonNegativeInt = Field(description="seed of the order in which patients and series are drawn")

    @model_validator(mode="after")
    def classes_exist(self) -> Self:
        for head, values in self.labels.items():
            check_classes(head, values, key=f"labels.{head}")
        return self


def check_classes(head: str, values: Collection[str], *, key: str) -> None:
    """Raise ValueError if there is no such head, or `values` are none, or hold a word that it does not answer."""
    if head not in CLASSES:
        raise ValueError(f"{key}: found the head {head!r}, wanted one of {list(CLASSES)}")
    wrong = sorted(set(values) - set(CLASSES[head]))
    if wrong or not values:
        raise ValueError(f"{key}: found {wrong[0] if wrong else 'nothing'!r}, wanted some of {list(CLASSES[head])}")


class IdcArchive(Section):
    """NCI Imaging Data Commons: chosen from its index, read from its public buckets."""

    endpoint_url: str = Field(description="S3 endpoint that serves the public buckets")
    index: str = Field(
        description="`idc-index`: the table of the installed package; or a parquet or csv file with its columns"
    )


class NbiaArchive(Section):
    """The Cancer Imaging Archive's own interface, NBIA version 4."""

    url: str = Field(description="address of the interface, up to its version")
    nlst_url: str = Field(description="the same for the collection NLST, which has a host of its own")


class Transfer(Section):
    """How series are fetched from a network source."""

    n_connections: PositiveInt = Field(description="connections that one shard's job keeps open")
    n_attempts: PositiveInt = Field(description="attempts at one request before the series is given up")
    wait_max_s: PositiveFloat = Field(description="longest pause between two attempts, whatever a server asks for")
    timeout_s: PositiveFloat = Field(description="longest wait without a byte")
    min_fraction_fetched: Annotated[float, Field(gt=0, le=1)] = Field(
        description="series of a shard that must arrive, as a fraction; fewer is an error, what arrived is kept"
    )


class Archive(Section):
    """Where DICOM series come from."""

    source: Literal["phantom", "folder", "idc", "nbia"] = Field(description="which of the sources below is used")
    n_shards: Annotated[int, Field(ge=1, le=1000)] = Field(description="series are worked on in this many groups")
    phantom: PhantomArchive
    folder: FolderArchive
    choice: Choice
    idc: IdcArchive
    nbia: NbiaArchive
    transfer: Transfer

    @model_validator(mode="after")
    def nbia_has_collections(self) -> Self:
        if self.source == "nbia" and not self.choice.collections:
            raise ValueError(
                "choice.collections: found none, wanted some; only the source idc has a table of all of them"
            )
        return self


class PhantomLiver(Section):
    """LiTS-like cases of digital patients, none of whom is in the archive; synthetic."""

    seed: NonNegativeInt = Field(description="seed of the cases; must differ from archive.phantom.seed")
    n_cases: PositiveInt = Field(description="cases, one a patient")
    difficulty: Annotated[float, Field(ge=0, le=1)] = Field(description="0: textbook anatomy; 1: clinical variation")


class LitsLiver(Section):
    """The LiTS folder the user brings (its licence forbids redistribution)."""

    dir: str = Field(description="folder with volume-N.nii and segmentation-N.nii")


class LiverSplit(Section):
    """One split of the liver cases by patient, made once, read by every arm."""

    seed: NonNegativeInt = Field(description="seed of the split")
    n_test: PositiveInt = Field(description="cases never used for any choice")
    n_validation: PositiveInt = Field(description="cases on which the learning rate is chosen")
    n_control: PositiveInt = Field(description="cases that train the positive control's encoder")


class Liver(Section):
    """Liver cases: CT volumes with expert (or, for digital patients, exact) segmentations."""

    source: Literal["phantom", "lits"] = Field(description="which of the sources below is used")
    phantom: PhantomLiver
    lits: LitsLiver
    split: LiverSplit


class Volumes(Section):
    """The common grid of pretraining volumes."""

    shape_zyx: ShapeZyx = Field(description="voxels along slices, rows, columns of the acquisition frame")
    correct_tilt: bool = Field(
        description="whether series of a tilted gantry are sheared upright; else they are left out"
    )
    n_per_series_max: PositiveInt = Field(description="at most this many volumes of a series that holds several")


class Network(Section):
    """The 3D ResNet encoder shared by pretraining and segmentation."""

    n_blocks: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = Field(description="residual units per stage")
    widths: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = Field(
        description="bottleneck channels per stage"
    )
    expansion: PositiveInt = Field(description="output channels of a unit = width x expansion")
    stem_kernel_zyx: ShapeZyx = Field(description="first convolution")
    stem_stride_zyx: ShapeZyx = Field(description="stride of the first convolution")
    fc_features: PositiveInt = Field(description="features of the fully connected layer before the heads")


class Input(Section):
    """How stored intensities become network input."""

    ct_window_hu: tuple[float, float] = Field(description="intensity clip of CT: lower, upper, HU; mapped to 0..1")

    @model_validator(mode="after")
    def lower_below_upper(self) -> Self:
        if self.ct_window_hu[0] >= self.ct_window_hu[1]:
            raise ValueError(f"ct_window_hu: lower {self.ct_window_hu[0]} must be below upper {self.ct_window_hu[1]}")
        return self


class LossWeights(Section):
    """Weight of each head in the pretraining loss; 0 leaves a head out."""

    sequence: NonNegativeFloat
    view: NonNegativeFloat
    contrast: NonNegativeFloat
    body: NonNegativeFloat
    spacing: NonNegativeFloat


class Pretrain(Section):
    """Pretraining on header labels."""

    seed: NonNegativeInt = Field(description="seed of split, weights and batches")
    fraction_validation: Fraction = Field(description="patients held out for learning curves")
    fraction_test: Fraction = Field(description="patients held out for the reported accuracies")
    steps: PositiveInt = Field(description="optimiser steps")
    batch_size: Annotated[int, Field(ge=2)] = Field(description="volumes a step")
    learning_rate: PositiveFloat = Field(description="peak learning rate (AdamW, one cycle)")
    weight_decay: NonNegativeFloat = Field(description="AdamW weight decay")
    loss_weights: LossWeights
    precision: Literal["bf16", "fp32"] = Field(description="autocast type of the forward pass")
    n_threads: PositiveInt = Field(description="torch threads of one training process")
    n_steps_between_checkpoints: PositiveInt = Field(description="a killed run resumes from its last checkpoint")


class Tune(Section):
    """The runs on which each initialisation's learning rate is chosen."""

    n_train: PositiveInt = Field(description="training-set size of the tuning runs")
    subset_seed: NonNegativeInt = Field(description="subset of the tuning runs")
    init_seed: NonNegativeInt = Field(description="seed of the tuning runs")


class FinetuneRecipe(Section):
    """How a liver segmenter is fine-tuned: what a run's record holds, the same for every run."""

    steps: PositiveInt = Field(description="optimiser steps of every run")
    batch_size: Annotated[int, Field(ge=2)] = Field(description="crops a step")
    weight_decay: NonNegativeFloat = Field(description="AdamW weight decay")
    min_fraction_loaded: Annotated[float, Field(gt=0, le=1)] = Field(
        description="encoder parameters that a transfer must load, as a fraction"
    )
    precision: Literal["bf16", "fp32"] = Field(description="autocast type of the forward pass")
    n_threads: PositiveInt = Field(description="torch threads of one training process")


class ControlRecipe(FinetuneRecipe):
    """How the segmenter is trained whose encoder is the positive control."""

    control_steps: PositiveInt = Field(description="steps of the segmenter that gives the positive control's encoder")
    control_learning_rate: PositiveFloat = Field(description="peak learning rate of that segmenter")


class Finetune(ControlRecipe):
    """Liver fine-tuning: sizes x initialisations x seeds, one recipe."""

    inits: tuple[Literal["scratch", "pretrained", "shuffled", "control"], ...] = Field(
        min_length=2, description="arms; their first weights are the only difference between them"
    )
    n_train: tuple[PositiveInt, ...] = Field(min_length=1, description="training-set sizes, nested subsets")
    subset_seeds: tuple[NonNegativeInt, ...] = Field(min_length=1, description="draws of the training cases")
    init_seeds: tuple[NonNegativeInt, ...] = Field(min_length=1, description="seeds of decoder weights and batches")
    learning_rates: tuple[PositiveFloat, ...] = Field(min_length=1, description="grid, the same for every arm")
    tune: Tune

    @model_validator(mode="after")
    def has_reference(self) -> Self:
        for name in ("inits", "n_train", "subset_seeds", "init_seeds", "learning_rates"):
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise ValueError(f"{name}: {list(values)} repeats a value")
        if "scratch" not in self.inits:
            raise ValueError(f"inits: {list(self.inits)} lacks 'scratch', the arm every other is compared with")
        return self


class Proposal(Section):
    """Liver slices proposed by a window that slides along the body, scored by the coverage head."""

    window_mm: PositiveFloat = Field(description="length of the window along the slice axis")
    step_mm: PositiveFloat = Field(description="distance between windows")
    threshold: Fraction = Field(description="probability of Liver above which a window's centre belongs to the range")
    margin_mm: NonNegativeFloat = Field(description="added at both ends of the range")


class Comparison(Section):
    """The statistics of the comparison, fixed before the run."""

    n_bootstrap: Annotated[int, Field(ge=100)] = Field(description="resamples of cases and seeds")
    seed: NonNegativeInt = Field(description="seed of the resampling")
    confidence: Fraction = Field(description="level of every interval")
    margin_dice: PositiveFloat = Field(description="smallest difference of Dice per case called a difference")


class Params(Section):
    """The whole of params.yaml."""

    archive: Archive
    liver: Liver
    volumes: Volumes
    network: Network
    input: Input
    pretrain: Pretrain
    finetune: Finetune
    proposal: Proposal
    comparison: Comparison

    @model_validator(mode="after")
    def sections_fit(self) -> Self:
        split, finetune = self.liver.split, self.finetune
        if finetune.tune.n_train not in finetune.n_train:
            raise ValueError(
                f"finetune.tune.n_train: {finetune.tune.n_train} is not in n_train {list(finetune.n_train)}"
            )
        if finetune.tune.subset_seed not in finetune.subset_seeds:
            raise ValueError(
                f"finetune.tune.subset_seed: {finetune.tune.subset_seed} is not in {list(finetune.subset_seeds)}"
            )
        if self.liver.source == "phantom":
            n_left = self.liver.phantom.n_cases - split.n_test - split.n_validation - split.n_control
            if n_left < max(finetune.n_train):
                raise ValueError(
                    f"liver.phantom.n_cases: {self.liver.phantom.n_cases} leaves {n_left} cases for training, "
                    f"finetune.n_train asks for {max(finetune.n_train)}"
                )
            if self.archive.source == "phantom" and self.archive.phantom.seed == self.liver.phantom.seed:
                raise ValueError("liver.phantom.seed: equals archive.phantom.seed, so patients would be in both")
        if self.pretrain.fraction_validation + self.pretrain.fraction_test >= 1:
            raise ValueError("pretrain.fraction_test: with fraction_validation it leaves no patients for training")
        return self


def load_params(path: Path) -> Params:
    """Return the checked content of a parameter file.

    Raises ParamsError naming the file, each wrong key, what was found and what is allowed.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ParamsError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise ParamsError(f"{path}: found {type(content).__name__}, wanted a mapping of sections")
    return check_params(content, name=str(path))


def check_params(content: dict[str, object], *, name: str) -> Params:
    """Return `content` as Params; `name` is what error messages call it. Raises ParamsError."""
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        raise ParamsError(f"{name}: {explain(error)}") from error


def parse_section(model: type[S], text: str) -> S:
    """Return one section from its JSON text, as a rule passes it to a command. Raises ParamsError."""
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise ParamsError(f"--settings: {explain(error)}") from error


def explain(error: ValidationError) -> str:
    """Return one line a wrong key: its dotted name, what is allowed, what was found."""
    lines = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"])
        found = "" if problem["type"] in ("missing", "extra_forbidden") else f" (found {problem['input']!r})"
        said = {"missing": "is missing", "extra_forbidden": "is not a known key"}.get(problem["type"], problem["msg"])
        lines.append(f"{key}: {said}{found}" if key else said)
    return "; ".join(lines)
