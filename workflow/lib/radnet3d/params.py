"""params.yaml as frozen, validated models: meaning, unit and range live here, values only in YAML."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self, TypeVar

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
from radnet3d.vocabulary import CLASSES, TASK_CLASSES

Fraction = Annotated[float, Field(gt=0, lt=1)]
ShapeZyx = tuple[PositiveInt, PositiveInt, PositiveInt]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]

PROPOSER = "dicom"
"""The pretrained encoder whose coverage head proposes the liver's slices, for every arm."""
CONTROL, MEDICALNET = "control", "medicalnet"
"""Encoders that are not pretrained here on labels: of the positive control, of a file the user brings."""
LIVER, TRUTH = "liver", "truth"
"""The task whose grid is `finetune` itself; the labels that digital patients come with."""


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
    table: str | None = Field(
        description="table that decides roles and subsets (workflow/resources/splits); null: drawn from the seed"
    )


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
    heads: Literal["deepest", "levels"] = Field(
        description="what the heads look at: the last stage alone, as in the paper, or stages 2 to 4"
    )


class MedicalNet(Section):
    """MedicalNet's 3D ResNet, the encoder of arms with `network: medicalnet`; its weights are a file that the user brings.

    Published are shortcut B for the depths 10, 50, 101, 152 and 200, and A for 18 and 34.
    """

    weights: str | None = Field(description="a .pth as MedicalNet ships it; null: no arm may start from it")
    depth: Literal[10, 18, 34, 50, 101, 152, 200] = Field(description="which of its ResNets")
    shortcut: Literal["A", "B"] = Field(description="where shapes change. A: zeros, without weights; B: a projection")
    dilations: tuple[PositiveInt, PositiveInt] = Field(description="of layer3 and layer4; its weights had 2 and 4")


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


Head = Literal["sequence", "view", "contrast", "body", "spacing"]


class PretrainedEncoder(Section):
    """What one encoder is pretrained on."""

    labels: Literal["own", "shuffled"] = Field(description="each series' own labels, or those of another patient's")
    heads: tuple[Head, ...] = Field(min_length=1, description="heads that are trained; the others learn nothing")


class PretrainRecipe(Section):
    """How an encoder is pretrained on header labels: what a run's record holds, the same for every encoder."""

    seed: NonNegativeInt = Field(description="seed of the split; all else has the seed of the arm it is for")
    fraction_validation: Fraction = Field(description="patients held out for learning curves")
    fraction_test: Fraction = Field(description="patients held out for the reported accuracies")
    fraction_tasks: Annotated[float, Field(ge=0, lt=1)] = Field(
        description="patients kept out of pretraining altogether, for the classifications of `tasks`; 0 without any"
    )
    steps: PositiveInt = Field(description="optimiser steps")
    batch_size: Annotated[int, Field(ge=2)] = Field(description="volumes a step")
    learning_rate: PositiveFloat = Field(description="peak learning rate (AdamW, one cycle)")
    weight_decay: NonNegativeFloat = Field(description="AdamW weight decay")
    loss_weights: LossWeights
    precision: Literal["bf16", "fp32"] = Field(description="autocast type of the forward pass")
    n_threads: PositiveInt = Field(description="torch threads of one training process")
    n_steps_between_checkpoints: PositiveInt = Field(description="a killed run resumes from its last checkpoint")


class Pretrain(PretrainRecipe):
    """Pretraining on header labels: the encoders, one recipe."""

    encoders: dict[Name, PretrainedEncoder] = Field(
        description="encoders that arms may start from, by name; those of no arm are not made, except `dicom`"
    )

    @model_validator(mode="after")
    def has_proposer(self) -> Self:
        reserved = sorted({CONTROL, MEDICALNET} & set(self.encoders))
        if reserved:
            raise ValueError(f"encoders: found {reserved[0]!r}, a name that stands for an encoder not pretrained here")
        if PROPOSER not in self.encoders or "body" not in self.encoders[PROPOSER].heads:
            raise ValueError(f"encoders: wanted {PROPOSER!r} with the head body, which proposes the liver's slices")
        return self


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


Trains = Literal["all", "decoder", "probe"]


class Arm(Section):
    """One arm of the comparison: where its first weights come from, and what it is compared with.

    Keys left out have the values below: the arm `scratch` is `{}`.
    """

    encoder: Name | None = Field(
        default=None, description="encoder it starts from: of pretrain.encoders, control, or medicalnet; null: none"
    )
    network: Literal["radnet", "medicalnet"] = Field(default="radnet", description="architecture of its encoder")
    trains: Trains = Field(
        default="all", description="all weights; the decoder alone; or one linear layer on the encoder's features"
    )
    steps_times: PositiveInt = Field(default=1, description="steps, as a multiple of finetune.steps")
    against: tuple[Name, ...] = Field(default=(), description="arms it is compared with, the first one first")
    n_train: tuple[PositiveInt, ...] | None = Field(default=None, description="its sizes; null: all of the grid")
    init_seeds: tuple[NonNegativeInt, ...] | None = Field(default=None, description="its seeds; null: all of the grid")

    @model_validator(mode="after")
    def encoder_fits_network(self) -> Self:
        if self.encoder and (self.network == MEDICALNET) != (self.encoder == MEDICALNET):
            raise ValueError(f"encoder: found {self.encoder!r} for the network {self.network!r}")
        return self


class Cell(NamedTuple):
    """One run of the grid."""

    init: str
    n_train: int
    subset_seed: int
    init_seed: int


class Finetune(ControlRecipe):
    """Fine-tuning: arms x sizes x subsets x seeds, one recipe."""

    arms: dict[Name, Arm] = Field(
        min_length=2, description="arms by name; first weights, or what is named, are the only difference between them"
    )
    n_train: dict[PositiveInt, PositiveInt] = Field(
        min_length=1, description="training-set sizes, small sets inside larger ones, and how many subsets of each size"
    )
    init_seeds: tuple[NonNegativeInt, ...] = Field(
        min_length=1, description="seeds of first weights (of the encoder's pretraining too) and of batches"
    )
    learning_rates: tuple[PositiveFloat, ...] = Field(min_length=1, description="grid, the same for every arm")
    tune: Tune

    @property
    def n_subsets(self) -> int:
        """Draws of the training cases: subset seeds 0 ... n_subsets - 1."""
        return max(self.n_train.values())

    @property
    def against(self) -> dict[str, tuple[str, ...]]:
        """The arms each arm is compared with."""
        return {name: arm.against for name, arm in self.arms.items()}

    def sizes_of(self, init: str) -> tuple[int, ...]:
        """Return the training-set sizes of one arm."""
        return self.arms[init].n_train or tuple(self.n_train)

    def seeds_of(self, init: str) -> tuple[int, ...]:
        """Return the init seeds of one arm."""
        return self.arms[init].init_seeds or self.init_seeds

    def seeds_of_encoder(self, encoder: str) -> tuple[int, ...]:
        """Return the seeds with which an encoder is wanted: those of the arms that start from it, and of its tuning."""
        wanted = {seed for name, arm in self.arms.items() if arm.encoder == encoder for seed in self.seeds_of(name)}
        if wanted or encoder == PROPOSER:
            wanted.add(self.tune.init_seed)
        return tuple(sorted(wanted))

    def cells(self) -> list[Cell]:
        """Return every run of the grid: arm by arm, sizes and seeds ascending as they are declared."""
        return [
            Cell(init, n_train, subset_seed, init_seed)
            for init in self.arms
            for n_train in self.sizes_of(init)
            for subset_seed in range(self.n_train[n_train])
            for init_seed in self.seeds_of(init)
        ]

    @model_validator(mode="after")
    def arms_fit_the_grid(self) -> Self:
        for key in ("init_seeds", "learning_rates"):
            check_distinct(getattr(self, key), key=key)
        for name, arm in self.arms.items():
            check_distinct(arm.n_train or (), key=f"arms.{name}.n_train")
            check_part(arm.n_train or (), self.n_train, key=f"arms.{name}.n_train", whole="n_train")
            check_distinct(arm.init_seeds or (), key=f"arms.{name}.init_seeds")
            check_part(arm.init_seeds or (), self.init_seeds, key=f"arms.{name}.init_seeds", whole="init_seeds")
            check_part(arm.against, set(self.arms) - {name}, key=f"arms.{name}.against", whole="the other arms")
            for other in arm.against:
                check_part(
                    self.sizes_of(name), self.sizes_of(other), key=f"arms.{name}.n_train", whole=f"those of {other}"
                )
                check_part(
                    self.seeds_of(name), self.seeds_of(other), key=f"arms.{name}.init_seeds", whole=f"those of {other}"
                )
        if self.arms.get("scratch") != Arm():
            raise ValueError("arms: wanted `scratch: {}`, the arm from random weights at equal steps")
        return self

    @model_validator(mode="after")
    def tuning_is_of_the_grid(self) -> Self:
        check_part([self.tune.n_train], self.n_train, key="tune.n_train", whole="n_train")
        check_part([self.tune.subset_seed], range(self.n_subsets), key="tune.subset_seed", whole="subset seeds")
        check_part([self.tune.init_seed], self.init_seeds, key="tune.init_seed", whole="init_seeds")
        return self


class TaskRecipe(Section):
    """What decides how a classification is learnt, beside the recipe of `finetune`: held by a run's record."""

    classes: tuple[str, ...] = Field(min_length=2, description="classes that are told apart; others take no part")


class TaskCases(TaskRecipe):
    """What decides the cases of a classification: one series a patient of the side `tasks`, whom no pretraining sees."""

    labels: str = Field(
        description="`truth`: of the digital patients; or a csv with SeriesInstanceUID and label. Never labels of headers"
    )
    seed: NonNegativeInt = Field(description="seed of which series stands for a patient, and of the split")
    n_test: PositiveInt = Field(
        description="patients never used for any choice, of each class the same as far as it goes"
    )
    n_validation: PositiveInt = Field(description="patients on whom the learning rate is chosen")
    n_train: dict[PositiveInt, PositiveInt] = Field(
        min_length=1, description="training-set sizes, in patients, and how many subsets of each size"
    )

    @property
    def n_subsets(self) -> int:
        """Draws of the training cases."""
        return max(self.n_train.values())


class Task(TaskCases):
    """A classification of the archive's series, fine-tuned by the recipe and from arms of `finetune`."""

    arms: tuple[Name, ...] = Field(min_length=2, description="arms of finetune.arms, scratch among them")
    init_seeds: tuple[NonNegativeInt, ...] = Field(min_length=1, description="as in finetune")
    tune: Tune
    steps: PositiveInt = Field(description="optimiser steps of every run")
    margin: Fraction = Field(description="smallest difference of the fraction answered rightly called a difference")


def finetune_of(finetune: Finetune, tasks: Mapping[str, Task], task: str) -> Finetune:
    """Return the section `finetune` as one task has it: of a classification, its own arms, grid and steps.

    Raises ValidationError if they do not fit together, KeyError for a task or an arm that there is not.
    """
    if task == LIVER:
        return finetune
    own = tasks[task]
    arms = {name: finetune.arms[name] for name in own.arms}
    changed = {
        name: {"against": tuple(other for other in arm.against if other in arms), "n_train": None, "init_seeds": None}
        for name, arm in arms.items()
    }
    return Finetune.model_validate(
        {
            **dict(finetune),
            "arms": {name: arm.model_copy(update=changed[name]) for name, arm in arms.items()},
            "n_train": own.n_train,
            "init_seeds": own.init_seeds,
            "tune": own.tune,
            "steps": own.steps,
        }
    )


def check_task(name: str, task: Task, finetune: Finetune) -> None:
    """Raise ValueError naming the key if a task asks for classes or arms that there are not, or for a grid that does not fit."""
    key = f"tasks.{name}"
    check_part([name], TASK_CLASSES, key="tasks", whole="the tasks")
    check_distinct(task.classes, key=f"{key}.classes")
    check_part(task.classes, TASK_CLASSES[name], key=f"{key}.classes", whole="its classes")
    check_distinct(task.arms, key=f"{key}.arms")
    check_part(task.arms, finetune.arms, key=f"{key}.arms", whole="finetune.arms")
    for init in task.arms:
        if finetune.arms[init].trains == "decoder":
            raise ValueError(
                f"{key}.arms: {init} trains the decoder, and a classification has none; wanted one that trains a probe"
            )
    try:
        finetune_of(finetune, {name: task}, name)
    except ValidationError as error:
        raise ValueError(f"{key}: {explain(error)}") from None


def check_distinct(values: Collection[object], *, key: str) -> None:
    """Raise ValueError if one of `values` is there twice."""
    if len(set(values)) != len(values):
        raise ValueError(f"{key}: {list(values)} repeats a value")


def check_part(values: Collection[object], whole_values: Collection[object], *, key: str, whole: str) -> None:
    """Raise ValueError if one of `values` is not of the whole."""
    wrong = [value for value in values if value not in whole_values]
    if wrong:
        raise ValueError(f"{key}: found {wrong[0]!r}, wanted some of {whole}: {sorted(whole_values, key=str)}")


class Proposal(Section):
    """Liver slices proposed by a window that slides along the body, scored by the coverage head."""

    window_mm: PositiveFloat = Field(description="length of the window along the slice axis")
    step_mm: PositiveFloat = Field(description="distance between windows")
    threshold: Fraction = Field(description="probability of Liver above which a window's centre belongs to the range")
    margin_mm: NonNegativeFloat = Field(description="added at both ends of the range")


class SliceClassification(Section):
    """How a classifier of slices is trained from scratch, on an expert's slice labels."""

    steps: PositiveInt = Field(description="optimiser steps")
    batch_size: Annotated[int, Field(ge=2)] = Field(description="slices a step")
    learning_rate: PositiveFloat = Field(description="peak learning rate (AdamW, one cycle)")
    weight_decay: NonNegativeFloat = Field(description="AdamW weight decay")


class ProposalChoice(Section):
    """The grid from which each proposer's setting is chosen, on validation cases."""

    thresholds: tuple[Fraction, ...] = Field(
        min_length=1, description="probabilities of Liver from which on it is proposed"
    )
    margins_mm: tuple[NonNegativeFloat, ...] = Field(min_length=1, description="added at both ends of the range")


class ProposalStudy(Section):
    """Ways to find the liver's slices, compared on trained segmenters."""

    arms: tuple[Name, ...] = Field(min_length=1, description="arms whose segmenters are used, all seeds of them")
    n_train: tuple[PositiveInt, ...] = Field(
        min_length=1, description="sizes of the sets that classifiers and segmenters were trained on"
    )
    classifier: SliceClassification
    choice: ProposalChoice


class Comparison(Section):
    """The statistics of the comparison, fixed before the run."""

    n_bootstrap: Annotated[int, Field(ge=100)] = Field(description="resamples of cases and seeds")
    seed: NonNegativeInt = Field(description="seed of the resampling")
    confidence: Fraction = Field(description="level of every interval")
    margin_dice: PositiveFloat = Field(description="smallest difference of Dice per case called a difference")
    power: Fraction = Field(description="probability with which the smallest difference that could be shown is shown")


class Params(Section):
    """The whole of params.yaml."""

    archive: Archive
    liver: Liver
    volumes: Volumes
    network: Network
    medicalnet: MedicalNet
    input: Input
    pretrain: Pretrain
    finetune: Finetune
    tasks: dict[Name, Task] = Field(description="classifications that are fine-tuned too, by name; {}: none")
    proposal: Proposal
    proposal_study: ProposalStudy
    comparison: Comparison

    def seeds_of_encoder(self, encoder: str) -> tuple[int, ...]:
        """Return the seeds with which an encoder is wanted, of all tasks together."""
        seeds = set(self.finetune.seeds_of_encoder(encoder))
        for name in self.tasks:
            grid = finetune_of(self.finetune, self.tasks, name)
            if any(arm.encoder == encoder for arm in grid.arms.values()):
                seeds.update(grid.seeds_of_encoder(encoder))
        return tuple(sorted(seeds))

    @model_validator(mode="after")
    def tasks_fit(self) -> Self:
        for name, task in self.tasks.items():
            check_task(name, task, self.finetune)
            if task.labels == TRUTH and self.archive.source != "phantom":
                raise ValueError(
                    f"tasks.{name}.labels: found {TRUTH!r}, which only digital patients have; wanted a csv of your labels"
                )
        if bool(self.tasks) != (self.pretrain.fraction_tasks > 0):
            raise ValueError(
                f"pretrain.fraction_tasks: found {self.pretrain.fraction_tasks} for {len(self.tasks)} tasks, wanted "
                "patients kept for them if there are any, and none if not"
            )
        return self

    @model_validator(mode="after")
    def sections_fit(self) -> Self:
        split, finetune = self.liver.split, self.finetune
        known = {CONTROL, MEDICALNET, *self.pretrain.encoders}
        for name, arm in finetune.arms.items():
            if arm.encoder and arm.encoder not in known:
                raise ValueError(f"finetune.arms.{name}.encoder: found {arm.encoder!r}, wanted one of {sorted(known)}")
            if arm.encoder == MEDICALNET and self.medicalnet.weights is None:
                raise ValueError(
                    f"medicalnet.weights: found null, wanted a file of weights; finetune.arms.{name} starts from it"
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
        study = self.proposal_study
        check_part(study.arms, finetune.arms, key="proposal_study.arms", whole="finetune.arms")
        for name in study.arms:
            check_part(study.n_train, finetune.sizes_of(name), key="proposal_study.n_train", whole=f"those of {name}")
        pretrain = self.pretrain
        if pretrain.fraction_validation + pretrain.fraction_test + pretrain.fraction_tasks >= 1:
            raise ValueError(
                "pretrain.fraction_test: with fraction_validation and fraction_tasks it leaves no patients for training"
            )
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
