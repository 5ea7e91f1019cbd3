"""Ways to find the liver's slices, compared by what they find, what they cost and what they do to trained segmenters."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from radnet3d.errors import SplitError
from radnet3d.liver.choosing import Scan, Setting, choose_setting, score_settings, widened
from radnet3d.liver.proposal import SliceRange, overlap
from radnet3d.models.building import build_segmenter
from radnet3d.models.checkpoint import Checkpoint, check_patients_unseen, load_checkpoint, restore
from radnet3d.params import Input, Proposal, ProposalChoice, Section, SliceClassification, Volumes
from radnet3d.runs import FinetuneRun, read_run
from radnet3d.splits import check_one_side, training_cases
from radnet3d.tables import LIVER_CASES, LIVER_SPLIT, SUBSETS, read_table
from radnet3d.training.case_metrics import dice, largest_component
from radnet3d.training.cases import Case, crop, load_cases, native_mask
from radnet3d.training.inputs import scale
from radnet3d.training.proposing import load_proposer, propose
from radnet3d.training.slice_classifier import range_of, slice_probabilities, train_classifier
from radnet3d.training.tasks.liver import BATCH_SIZE, liver_probabilities
from radnet3d.volumes.resample import resample

Array = NDArray[np.float32]
Find = Callable[[Array, float, Sequence[float]], list[SliceRange]]
"""(slab in HU, all slices on the network's rows and columns; slice spacing in mm; thresholds) -> a range a threshold."""


class CoverageSettings(Section):
    """Sections that decide what the coverage head proposes."""

    proposal: Proposal
    choice: ProposalChoice


class ClassifierSettings(Section):
    """Sections that decide what a slice classifier proposes."""

    classifier: SliceClassification
    choice: ProposalChoice
    volumes: Volumes
    input: Input


@dataclass(frozen=True)
class Sides:
    """The cases of the study: settings are chosen on `validation`, everything is reported on `test`."""

    validation: list[Case]
    test: list[Case]
    volume_paths: dict[str, Path]  # of the native scans of test cases


@dataclass(frozen=True)
class Proposed:
    """What one proposer leaves behind."""

    ranges: pd.DataFrame  # tables.PROPOSED, of test cases
    scores: pd.DataFrame  # tables.PROPOSAL_SCORES: every setting on validation cases, every margin on test cases
    history: pd.DataFrame | None = None  # tables.HISTORY


def propose_by_coverage(
    cases_path: Path, split_path: Path, checkpoint: Checkpoint, settings: CoverageSettings, *, device: torch.device
) -> Proposed:
    """Return what the pretrained coverage head proposes: as params.yaml says, and with a setting chosen on validation cases."""
    split = read_split(split_path)
    check_patients_unseen(checkpoint, split.loc[split["role"].isin(["validation", "test"]), "PatientID"])
    sides = load_sides(cases_path, split, checkpoint.volumes.shape_zyx)
    model = load_proposer(checkpoint, device)

    def find(slab_hu: Array, spacing_mm: float, thresholds: Sequence[float]) -> list[SliceRange]:
        asked = [settings.proposal.model_copy(update={"threshold": t, "margin_mm": 0.0}) for t in thresholds]
        return [propose(slab_hu, spacing_mm, model, checkpoint, one, device) for one in asked]

    def as_used(slab_hu: Array, spacing_mm: float, thresholds: Sequence[float]) -> list[SliceRange]:
        return [propose(slab_hu, spacing_mm, model, checkpoint, settings.proposal, device)]

    found, seconds = found_on_test(as_used, sides, settings.proposal.threshold)
    used = ranges_of(sides.test, found, Setting(settings.proposal.threshold, 0.0))  # its margin is in the ranges
    used = used.assign(
        method="coverage", margin_mm=settings.proposal.margin_mm, seconds=seconds, n_labels=0, **NOT_TRAINED
    )
    tuned, scores = choose_and_propose(find, sides, settings.choice)
    n_labels = count_slices(sides.validation)
    tuned = tuned.assign(method="coverage_tuned", n_labels=n_labels, **NOT_TRAINED)
    scores = scores.assign(method="coverage_tuned", n_train=0, subset_seed=0)
    return Proposed(pd.concat([used, tuned], ignore_index=True), scores)


NOT_TRAINED = {"n_train": 0, "subset_seed": 0, "n_labels_trained": 0}


def propose_by_classifier(
    cases_path: Path,
    split_path: Path,
    subsets_path: Path,
    settings: ClassifierSettings,
    *,
    n_train: int,
    subset_seed: int,
    device: torch.device,
) -> Proposed:
    """Return what a classifier proposes that was trained on the slice labels of one training set, from `subset_seed` alone."""
    split, shape = read_split(split_path), settings.volumes.shape_zyx
    train_ids = training_cases(read_table(subsets_path, SUBSETS), subset_seed=subset_seed, n_train=n_train)
    strange = sorted(set(train_ids) - set(split.loc[split["role"] == "train", "case_id"]))
    if strange:
        raise SplitError(f"{subsets_path}: training cases {strange[:5]}, wanted some of the role train in {split_path}")
    train_cases = load_cases(cases_path, train_ids, shape)
    sides = load_sides(cases_path, split, shape)
    model, history = train_classifier(train_cases, settings.classifier, settings.input, seed=subset_seed, device=device)

    def find(slab_hu: Array, spacing_mm: float, thresholds: Sequence[float]) -> list[SliceRange]:
        probabilities = slice_probabilities(model, slab_hu, spacing_mm, settings.input, device)
        return [range_of(probabilities, threshold) for threshold in thresholds]

    ranges, scores = choose_and_propose(find, sides, settings.choice)
    n_trained = count_slices(train_cases)
    n_labels = n_trained + count_slices(sides.validation)
    ranges, scores = (
        table.assign(method="classifier", n_train=n_train, subset_seed=subset_seed) for table in (ranges, scores)
    )
    return Proposed(ranges.assign(n_labels_trained=n_trained, n_labels=n_labels), scores, history)


def read_split(path: Path) -> pd.DataFrame:
    """Return tables.LIVER_SPLIT, each patient on one side. Raises SplitError."""
    split = read_table(path, LIVER_SPLIT)
    check_one_side(split, "role")
    return split


def load_sides(cases_path: Path, split: pd.DataFrame, shape_zyx: tuple[int, int, int]) -> Sides:
    """Return validation and test cases. Raises SplitError if there are none of either."""
    ids = {role: sorted(split.loc[split["role"] == role, "case_id"]) for role in ("validation", "test")}
    empty = [role for role, case_ids in ids.items() if not case_ids]
    if empty:
        raise SplitError(f"{cases_path}: no cases of the role {empty[0]}, wanted some to compare proposals on")
    table = read_table(cases_path, LIVER_CASES).set_index("case_id")["volume_path"]
    loaded = {role: load_cases(cases_path, case_ids, shape_zyx) for role, case_ids in ids.items()}
    paths = {case_id: cases_path.parent / str(table[case_id]) for case_id in ids["test"]}
    return Sides(loaded["validation"], loaded["test"], paths)


def scan_of(case: Case) -> Scan:
    """Return what the choice of a setting needs of a case."""
    return Scan(case.case_id, len(case.slab_hu), case.spacing_zyx_mm[0], case.liver)


def count_slices(cases: list[Case]) -> int:
    """Return how many slices an expert labelled."""
    return sum(len(case.slab_hu) for case in cases)


def choose_and_propose(find: Find, sides: Sides, choice: ProposalChoice) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return ranges of the test cases under the setting chosen on validation cases, and tables.PROPOSAL_SCORES.

    Scores of test cases, at the chosen threshold, are there to be looked at: nothing is chosen by them.
    """
    scans = [scan_of(case) for case in sides.validation]
    each = [find(case.slab_hu, case.spacing_zyx_mm[0], choice.thresholds) for case in sides.validation]
    found = dict(zip(choice.thresholds, [list(ranges) for ranges in zip(*each, strict=True)], strict=True))
    validation = score_settings(found, scans, choice.margins_mm)
    chosen = choose_setting(validation)
    bare, seconds = found_on_test(find, sides, chosen.threshold)
    test = score_settings({chosen.threshold: bare}, [scan_of(case) for case in sides.test], choice.margins_mm)
    ranges = ranges_of(sides.test, bare, chosen).assign(seconds=seconds)
    return ranges, pd.concat([validation.assign(role="validation"), test.assign(role="test")], ignore_index=True)


def found_on_test(find: Find, sides: Sides, threshold: float) -> tuple[list[SliceRange], list[float]]:
    """Return the range of each test case, without margin, and the seconds that took, from the scan in memory on."""
    found, seconds = [], []
    for case in sides.test:
        volume_hu = np.load(sides.volume_paths[case.case_id])
        started = time.perf_counter()
        slab_hu = resample(volume_hu, case.slab_hu.shape)
        found += find(slab_hu, case.spacing_zyx_mm[0], [threshold])
        seconds.append(time.perf_counter() - started)
    return found, seconds


def ranges_of(cases: list[Case], bare: list[SliceRange], setting: Setting) -> pd.DataFrame:
    """Return the columns of tables.PROPOSED that say what is proposed for each case, with the margin of a setting."""
    return pd.DataFrame([
        {**described(case, widened(found, setting.margin_mm, scan_of(case))), **setting._asdict()}
        for case, found in zip(cases, bare, strict=True)
    ])  # fmt: skip


def described(case: Case, found: SliceRange) -> dict[str, object]:
    """Return what is known of a proposal for a case."""
    recall, n_extra = overlap(found, *case.liver)
    return {
        "case_id": case.case_id, "start_slice": found.start, "stop_slice": found.stop,
        "n_slices": len(case.slab_hu), "n_liver_slices": case.liver[1] - case.liver[0], "recall": recall,
        "n_extra_slices": n_extra, "extra_mm": n_extra * case.spacing_zyx_mm[0], "fallback": found.fallback,
    }  # fmt: skip


def bounds(cases: list[Case]) -> pd.DataFrame:
    """Return tables.PROPOSED of the two ways that need no proposer: the true range, and the whole scan."""
    n_labels, nothing = count_slices(cases), float("nan")
    return pd.DataFrame([
        {**described(case, found), "method": method, "n_labels": n, "threshold": nothing, "margin_mm": nothing,
         "seconds": 0.0, **NOT_TRAINED}
        for case in cases
        for method, n, found in (
            ("true_range", n_labels, SliceRange(*(case.liver if case.liver != (0, 0) else (0, 1)), fallback=False)),
            ("whole_scan", 0, SliceRange(0, len(case.slab_hu), fallback=False)),
        )
    ])  # fmt: skip


@dataclass(frozen=True)
class Trained:
    """A segmenter of the comparison, ready to be used."""

    run: FinetuneRun
    checkpoint: Checkpoint
    model: torch.nn.Module


def load_run(run_dir: Path, device: torch.device) -> Trained:
    """Return the segmenter in the folder of a run. Raises SplitError if it is no liver run, or not tested on test cases."""
    run = read_run(run_dir / "run.json", FinetuneRun)
    if (run.factors.task, run.factors.evaluate_on) != ("liver", "test"):
        found = f"{run.factors.task}, scored on {run.factors.evaluate_on} cases"
        raise SplitError(f"{run_dir}: a run of the task {found}, wanted one of the liver, scored on test cases")
    checkpoint = load_checkpoint(run_dir / "checkpoint.pt", kinds=["finetune"])
    model = restore(build_segmenter(checkpoint.architecture, trains=checkpoint.trains), checkpoint)
    return Trained(run, checkpoint, model.to(device, memory_format=torch.channels_last_3d))  # type: ignore[call-overload]


def study_proposals(
    cases_path: Path, split_path: Path, proposed: pd.DataFrame, run_dirs: Sequence[Path], *, device: torch.device
) -> pd.DataFrame:
    """Return tables.PROPOSAL_CASES: every test case under every way to find its slices, segmented by every run.

    `proposed`: tables.PROPOSED of all proposers. A run is paired with the classifier of its own training set. Seconds of
    segmenting are those of the first run; of the others they are NaN. Raises SplitError if a proposal is missing.
    """
    split = read_split(split_path)
    test = split[split["role"] == "test"]
    rows, cases = [], dict[tuple[int, int, int], list[Case]]()
    for place, run_dir in enumerate(run_dirs):
        trained = load_run(run_dir, device)
        check_patients_unseen(trained.checkpoint, test["PatientID"])
        shape = trained.checkpoint.volumes.shape_zyx
        if shape not in cases:
            cases[shape] = load_cases(cases_path, sorted(test["case_id"]), shape)
        ways = proposals_for(trained.run, pd.concat([proposed, bounds(cases[shape])]), cases[shape])
        for ranges in ways:
            dice = dice_under(trained, cases[shape], ranges, device=device)
            seconds = seconds_under(trained, cases_path, ranges, device=device) if place == 0 else np.nan
            rows.append(ranges.merge(dice, on="case_id", validate="one_to_one").assign(seconds_segment=seconds))
    return pd.concat(rows, ignore_index=True)


def proposals_for(run: FinetuneRun, proposed: pd.DataFrame, cases: list[Case]) -> list[pd.DataFrame]:
    """Return tables.PROPOSED of each method for one run, with the run's factors: of classifiers the one of its own training set."""
    factors = run.factors
    own = (proposed["n_train"] == factors.n_train) & (proposed["subset_seed"] == factors.subset_seed)
    used = proposed[(proposed["method"] != "classifier") | own].rename(columns={"seconds": "seconds_propose"})
    used = used.assign(
        run_id=factors.run_id, task=factors.task, init=factors.init, n_train=factors.n_train,
        subset_seed=factors.subset_seed, init_seed=factors.init_seed,
    )  # fmt: skip
    ways = [rows.reset_index(drop=True) for _, rows in used.groupby("method", sort=False)]
    wanted = sorted(case.case_id for case in cases)
    for rows in ways:
        if sorted(rows["case_id"]) != wanted:
            raise SplitError(
                f"{rows['method'][0]}: proposals for {len(rows)} cases, wanted one for each of {len(wanted)}"
            )
    if "classifier" not in set(used["method"]):
        raise SplitError(f"{factors.run_id}: no proposals of a classifier trained on the same cases")
    return ways


def dice_under(trained: Trained, cases: list[Case], ranges: pd.DataFrame, *, device: torch.device) -> pd.DataFrame:
    """Return case_id, dice_per_case and is_empty of one run whose cases are cropped to `ranges` (tables.PROPOSED)."""
    known = ranges.set_index("case_id")
    shape, rows = trained.checkpoint.volumes.shape_zyx, []
    for first in range(0, len(cases), BATCH_SIZE):
        batch = cases[first : first + BATCH_SIZE]
        starts, stops = (known.loc[[case.case_id for case in batch], f"{end}_slice"] for end in ("start", "stop"))
        crops = [
            crop(case, start, stop, shape, trained.checkpoint.input)
            for case, start, stop in zip(batch, starts, stops, strict=True)
        ]
        probabilities = liver_probabilities(
            trained.model, np.stack(crops), precision=trained.checkpoint.precision, device=device
        )
        for case, start, stop, probability in zip(batch, starts, stops, probabilities, strict=True):
            truth = np.asarray(np.load(case.segmentation_path, mmap_mode="r")) >= 1
            predicted = np.zeros_like(truth)
            predicted[start:stop] = mask_of(probability, (stop - start, *truth.shape[1:]), trained.checkpoint)
            rows.append({
                "case_id": case.case_id, "dice_per_case": dice(predicted, truth), "is_empty": not predicted.any(),
            })  # fmt: skip
    return pd.DataFrame(rows)


def mask_of(probability: Array, shape_zyx: tuple[int, int, int], checkpoint: Checkpoint) -> NDArray[np.bool_]:
    """Return where the liver is on the scan's own grid, of it the largest component if the run was tested so."""
    found = native_mask(probability, shape_zyx)
    return largest_component(found) if checkpoint.largest_component else found


def seconds_under(
    trained: Trained, cases_path: Path, ranges: pd.DataFrame, *, device: torch.device
) -> "pd.Series[float]":
    """Return the seconds from a scan in memory, its slices known, to the mask of those slices, in the order of `ranges`.

    The steps are those of `liver segment`; the one batch holds the scan twice, because single volumes take a slow path.
    """
    paths = read_table(cases_path, LIVER_CASES).set_index("case_id")["volume_path"]
    seconds = []
    for case_id, start, stop in ranges[["case_id", "start_slice", "stop_slice"]].itertuples(index=False):
        volume_hu = np.load(cases_path.parent / str(paths[case_id]))
        started = time.perf_counter()
        cropped = resample(volume_hu[start:stop], trained.checkpoint.volumes.shape_zyx)
        volumes = np.repeat(scale(cropped, *trained.checkpoint.input.ct_window_hu)[None], 2, axis=0)
        probability = liver_probabilities(
            trained.model, volumes, precision=trained.checkpoint.precision, device=device
        )[0]
        mask_of(probability, (stop - start, *volume_hu.shape[1:]), trained.checkpoint)
        seconds.append(time.perf_counter() - started)
    return pd.Series(seconds, index=ranges.index, dtype=float)
