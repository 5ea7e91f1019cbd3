"""`radnet3d figures`: one verb a figure; tables in, one .svg or .png out."""

import logging
from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from radnet3d import __version__
from radnet3d.arms import (
    Study,
    ablated_arms,
    arm_names,
    encoder_names,
    head_groups,
    main_arms,
    main_encoders,
    other_arms,
)
from radnet3d.errors import ParamsError, TableError
from radnet3d.figures.style import KEPT_ENCODERS, Look, looks, mark_synthetic, save_figure
from radnet3d.params import LIVER, Input, Pretrain, parse_section
from radnet3d.runs import FinetuneRun, read_run
from radnet3d.tables import (
    CENSUS,
    COMPARISON,
    FUNNEL,
    HEAD_SCORES,
    HISTORY,
    LABEL_SCORES,
    LABELS,
    LABELS_SAVED,
    LIVER_CASES,
    PROPOSAL_SCORES,
    PROPOSAL_STUDY,
    PROPOSALS,
    RUN_CASES,
    RUNS,
    TASK_COMPARISON,
    VOLUMES,
    WITNESS_USE,
    read_table,
)
from radnet3d.volumes.choice import one_a_series

if TYPE_CHECKING:
    from radnet3d.figures.overlays import Overlay

log = logging.getLogger(__name__)

PATH = click.Path(path_type=Path)
OUT = click.argument("out", metavar="OUT", type=PATH)
SOURCE = click.option(
    "--source", "sources", multiple=True, type=click.Choice(["phantom", "folder", "idc", "nbia", "lits"]), required=True,
    help="where the data come from (archive.source, liver.source); a figure with phantom among them is marked synthetic",
)  # fmt: skip
STUDY = click.option("--settings", required=True, help="JSON of params sections pretrain, finetune, comparison")


@click.group("figures")
def commands() -> None:
    """Draw one figure from result tables. OUT ends in .svg or .png; the same data give the same bytes."""


def finish(figure: Figure, out: Path, sources: tuple[str, ...]) -> None:
    """Mark the figure if its patients are digital and write it."""
    save_figure(mark_synthetic(figure) if "phantom" in sources else figure, out)
    log.info("radnet3d %s figures: wrote %s", __version__, out)


def read_study(settings: str) -> tuple[Study, dict[str, Look]]:
    """Return what was compared, and how each arm is named and drawn."""
    study = parse_section(Study, settings)
    return study, looks(arm_names(study))


@commands.command()
@click.argument("comparison", type=PATH)
@click.argument("runs", type=PATH)
@OUT
@STUDY
@SOURCE
def dice(comparison: Path, runs: Path, out: Path, settings: str, sources: tuple[str, ...]) -> None:
    """Dice per case against n, a line an arm with most sizes. COMPARISON and RUNS: tables of `transfer`."""
    from radnet3d.figures import dice as figure

    study, arms = read_study(settings)
    shown = {init: arms[init] for init in main_arms(study.finetune)}
    of_runs = read_table(runs, RUNS)
    finish(figure.draw(read_table(comparison, COMPARISON), of_runs[of_runs["task"] == LIVER], shown), out, sources)


@commands.command()
@click.argument("comparison", type=PATH)
@OUT
@STUDY
@SOURCE
def differences(comparison: Path, out: Path, settings: str, sources: tuple[str, ...]) -> None:
    """Paired differences with intervals and margin, of arms with several sizes. COMPARISON: table of `transfer compare`."""
    from radnet3d.figures import differences as figure

    study, arms = read_study(settings)
    rows, margin = read_table(comparison, COMPARISON), study.comparison.margin_dice
    finish(figure.draw(rows, margin, arms, main_arms(study.finetune)), out, sources)


@commands.command("other-arms")
@click.argument("comparison", type=PATH)
@OUT
@STUDY
@SOURCE
def arms_of_few_sizes(comparison: Path, out: Path, settings: str, sources: tuple[str, ...]) -> None:
    """Dice and paired differences of the arms that `dice` does not show. COMPARISON: table of `transfer compare`."""
    from radnet3d.figures import other_arms as figure

    study, arms = read_study(settings)
    others = other_arms(study.finetune)
    if not others:
        raise ParamsError("--settings: finetune.arms: found no arm beside those with most sizes, wanted one")
    rows, margin = read_table(comparison, COMPARISON), study.comparison.margin_dice
    finish(figure.draw(rows, margin, arms, others), out, sources)


@commands.command()
@click.argument("comparison", type=PATH)
@OUT
@STUDY
@SOURCE
def ablation(comparison: Path, out: Path, settings: str, sources: tuple[str, ...]) -> None:
    """Each head left out and each head alone, by paired differences. COMPARISON: table of `transfer compare`."""
    from radnet3d.figures import ablation as figure

    study, arms = read_study(settings)
    heads = {one.init: (one.kind, one.head) for one in ablated_arms(study)}
    if not heads:
        raise ParamsError("--settings: finetune.arms: found no arm whose encoder has one head, or all but one")
    finish(figure.draw(read_table(comparison, COMPARISON), heads, study.comparison.margin_dice, arms), out, sources)


@commands.command("labels-saved")
@click.argument("saved", metavar="LABELS_SAVED", type=PATH)
@OUT
@STUDY
@SOURCE
def labels_saved(saved: Path, out: Path, settings: str, sources: tuple[str, ...]) -> None:
    """Cases that the arm from scratch needs to reach what others reach with n. LABELS_SAVED: of `transfer compare`."""
    from radnet3d.figures import labels_saved as figure

    study, arms = read_study(settings)
    sizes = sorted(study.finetune.n_train)
    finish(figure.draw(read_table(saved, LABELS_SAVED), sizes, arms, main_arms(study.finetune)), out, sources)


@commands.command()
@click.argument("comparison", metavar="TASK_COMPARISON", type=PATH)
@click.argument("runs", type=PATH)
@OUT
@STUDY
@SOURCE
def tasks(comparison: Path, runs: Path, out: Path, settings: str, sources: tuple[str, ...]) -> None:
    """The classifications: answered rightly against n, a panel a task. Tables of `transfer compare` and `collect`."""
    from radnet3d.figures import tasks as figure

    rows = read_table(comparison, TASK_COMPARISON)
    if rows.empty:
        raise TableError(f"{comparison}: found no rows, wanted those of one classification at least")
    finish(figure.draw(rows, read_table(runs, RUNS), read_study(settings)[1]), out, sources)


@commands.command()
@click.argument("heads_paths", metavar="HEADS...", nargs=-1, required=True, type=PATH)
@OUT
@click.option("--settings", required=True, help="JSON of params section pretrain")
@SOURCE
def heads(heads_paths: tuple[Path, ...], out: Path, settings: str, sources: tuple[str, ...]) -> None:
    """Scores of each pretraining head against chance, of encoders that train it.

    HEADS: heads.csv of pretrain/dicom_seed-0, pretrain/shuffled_seed-0, ...: the folder names encoder and seed. Seeds are
    drawn together, and so are encoders with a part of the heads.
    """
    from radnet3d.figures import heads as figure

    pretrain = parse_section(Pretrain, settings)
    groups, names = head_groups(pretrain), encoder_names(pretrain)
    scores = []
    for path in heads_paths:
        encoder, _ = encoder_of(path, pretrain)
        rows = read_table(path, HEAD_SCORES).assign(group=groups[encoder])
        scores.append(rows[rows["head"].str.split("_").str[0].isin(pretrain.encoders[encoder].heads)])
    drawn = looks({group: names.get(group, group) for group in groups.values()}, KEPT_ENCODERS)
    finish(figure.draw(pd.concat(scores, ignore_index=True), drawn), out, sources)


@commands.command()
@click.argument("history_paths", metavar="HISTORY...", nargs=-1, required=True, type=PATH)
@OUT
@click.option("--settings", required=True, help="JSON of params section pretrain")
@SOURCE
def curves(history_paths: tuple[Path, ...], out: Path, settings: str, sources: tuple[str, ...]) -> None:
    """Learning curves of pretraining, of encoders with all heads.

    HISTORY: history.csv of pretrain/dicom_seed-0, pretrain/shuffled_seed-0, ...: the folder names encoder and seed. Those of
    encoders with a part of the heads are left out.
    """
    from radnet3d.figures import curves as figure

    pretrain = parse_section(Pretrain, settings)
    main, names = main_encoders(pretrain), encoder_names(pretrain)
    found = [(path, *encoder_of(path, pretrain)) for path in history_paths]
    histories = [
        read_table(path, HISTORY).assign(encoder=encoder, seed=seed) for path, encoder, seed in found if encoder in main
    ]
    if not histories:
        raise TableError(f"{history_paths[0]}: found no history of an encoder with all heads, wanted one of {main}")
    drawn = looks({encoder: names[encoder] for encoder in main}, KEPT_ENCODERS)
    finish(figure.draw(pd.concat(histories, ignore_index=True), drawn), out, sources)


def encoder_of(path: Path, pretrain: Pretrain) -> tuple[str, int]:
    """Return encoder and seed of a pretraining result, as its folder is called. Raises TableError if it names none."""
    encoder, _, seed = path.parent.name.rpartition("_seed-")
    if encoder not in pretrain.encoders or not seed.isdecimal():
        raise TableError(
            f"{path}: its folder is called '{path.parent.name}', wanted ENCODER_seed-N of {list(pretrain.encoders)}"
        )
    return encoder, int(seed)


@commands.command("label-accuracy")
@click.argument("accuracy", type=PATH)
@OUT
@SOURCE
def label_accuracy(accuracy: Path, out: Path, sources: tuple[str, ...]) -> None:
    """Precision, coverage and over-answering a head. ACCURACY: table of `labels evaluate`."""
    from radnet3d.figures import label_accuracy as figure

    finish(figure.draw(read_table(accuracy, LABEL_SCORES)), out, sources)


@commands.command()
@click.argument("census_path", metavar="CENSUS", type=PATH)
@OUT
@SOURCE
def census(census_path: Path, out: Path, sources: tuple[str, ...]) -> None:
    """Fraction of catalogue series answered, by head and modality. CENSUS: table of `labels census`."""
    from radnet3d.figures import census as figure

    finish(figure.draw(read_table(census_path, CENSUS)), out, sources)


@commands.command()
@click.argument("scores_paths", metavar="SCORES...", nargs=-1, required=True, type=PATH)
@OUT
@SOURCE
def rated(scores_paths: tuple[Path, ...], out: Path, sources: tuple[str, ...]) -> None:
    """Labels against rated series, a mark a labeller. SCORES: tables of `labels evaluate`.

    The name of a table says whose labels they are: rules, regex or body-part-examined.
    """
    from radnet3d.figures import rated as figure

    strange = [path for path in scores_paths if path.stem not in figure.LABELLERS]
    if strange:
        raise TableError(f"{strange[0]}: wanted a table named after one of {list(figure.LABELLERS)}")
    finish(figure.draw({path.stem: read_table(path, LABEL_SCORES) for path in scores_paths}), out, sources)


@commands.command()
@click.argument("use_path", metavar="WITNESS_USE", type=PATH)
@OUT
@SOURCE
def witnesses(use_path: Path, out: Path, sources: tuple[str, ...]) -> None:
    """What decided each head: texts, tags, nothing. WITNESS_USE: table of `labels census`."""
    from radnet3d.figures import witnesses as figure

    finish(figure.draw(read_table(use_path, WITNESS_USE)), out, sources)


@commands.command()
@click.argument("funnel_path", metavar="FUNNEL", type=PATH)
@OUT
@SOURCE
def funnel(funnel_path: Path, out: Path, sources: tuple[str, ...]) -> None:
    """What could be pretrained on, step by step, beside the paper's numbers. FUNNEL: table of `labels census`."""
    from radnet3d.figures import funnel as figure

    finish(figure.draw(read_table(funnel_path, FUNNEL)), out, sources)


@commands.command("contact-sheet")
@click.argument("labels_path", metavar="LABELS", type=PATH)
@click.argument("volumes_dirs", metavar="VOLUMES_DIR...", nargs=-1, required=True, type=PATH)
@OUT
@click.option("--settings", required=True, help="JSON of params section input")
@click.option("--n", "n_volumes", type=click.IntRange(min=1), default=40, show_default=True, help="volumes shown")
@SOURCE
def contact_sheet(
    labels_path: Path,
    volumes_dirs: tuple[Path, ...],
    out: Path,
    settings: str,
    n_volumes: int,
    sources: tuple[str, ...],
) -> None:
    """Central slices of volumes with their labels. LABELS: label table; VOLUMES_DIR: folders of `volumes resample`."""
    from radnet3d.figures import contact_sheet as figure

    folders = [read_table(folder / "volumes.parquet", VOLUMES).assign(folder=str(folder)) for folder in volumes_dirs]
    volumes = one_a_series(pd.concat(folders))[["SeriesInstanceUID", "path", "intensity", "folder"]]
    chosen = figure.choose(read_table(labels_path, LABELS).merge(volumes, on="SeriesInstanceUID"), n_volumes)
    paths = [Path(folder, path) for folder, path in zip(chosen["folder"], chosen["path"], strict=True)]
    arrays = [np.load(path, mmap_mode="r") for path in paths]
    slices = [np.asarray(array[array.shape[0] // 2]) for array in arrays]
    finish(figure.draw(slices, chosen, parse_section(Input, settings).ct_window_hu), out, sources)


@commands.command()
@click.argument("proposals_path", metavar="PROPOSALS", type=PATH)
@click.argument("cases_path", metavar="LIVER_CASES", type=PATH)
@OUT
@SOURCE
def proposals(proposals_path: Path, cases_path: Path, out: Path, sources: tuple[str, ...]) -> None:
    """Proposed and true liver slices a case. PROPOSALS: `liver propose`; LIVER_CASES: cases.parquet of `liver import`."""
    from radnet3d.figures import proposals as figure

    table = read_table(proposals_path, PROPOSALS)
    cases = read_table(cases_path, LIVER_CASES)
    cases = cases[cases["case_id"].isin(table["case_id"])]
    ranges = [true_range(cases_path.parent / str(path)) for path in cases["segmentation_path"]]
    true_ranges = pd.DataFrame(ranges, columns=["true_start_slice", "true_stop_slice"], index=cases.index)
    spacing = cases["spacing_zyx_mm"].str.split(",").str[0].astype(float)
    finish(figure.draw(table, true_ranges.assign(case_id=cases["case_id"], slice_spacing_mm=spacing)), out, sources)


@commands.command("proposal-study")
@click.argument("study_path", metavar="STUDY", type=PATH)
@click.argument("scores_paths", metavar="SCORES...", nargs=-1, required=True, type=PATH)
@OUT
@STUDY
@SOURCE
def proposal_study(
    study_path: Path, scores_paths: tuple[Path, ...], out: Path, settings: str, sources: tuple[str, ...]
) -> None:
    """Ways to find the liver's slices. STUDY: `transfer compare-proposals`; SCORES: scores.csv of their proposers."""
    from radnet3d.figures import proposal_study as figure

    scores = pd.concat([read_table(path, PROPOSAL_SCORES) for path in scores_paths], ignore_index=True)
    finish(figure.draw(read_table(study_path, PROPOSAL_STUDY), scores, read_study(settings)[1]), out, sources)


def true_range(path: Path) -> tuple[int, int]:
    """Return the first slice with liver and the one after the last, 0 and 0 without liver. `path`: (z, y, x) .npy."""
    slices = np.flatnonzero(np.load(path, mmap_mode="r").any(axis=(1, 2)))
    return (int(slices[0]), int(slices[-1]) + 1) if len(slices) else (0, 0)


@commands.command()
@click.argument("cases_path", metavar="LIVER_CASES", type=PATH)
@click.argument("run_dirs", metavar="RUN_DIR...", nargs=-1, required=True, type=PATH)
@OUT
@click.option("--settings", required=True, help="JSON of params sections pretrain, finetune, comparison, input")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(min=1), help="threads that compute")
@SOURCE
def overlays(
    cases_path: Path, run_dirs: tuple[Path, ...], out: Path, settings: str, threads: int, sources: tuple[str, ...]
) -> None:
    """Best, median and worst test case with truth and prediction, a pair of columns a run. OUT should end in .png.

    LIVER_CASES: cases.parquet of `liver import`. RUN_DIR: folders of `finetune train`, one an init, in order of columns;
    their checkpoints segment the three cases anew (imports torch), their cases.csv ranks them.
    """
    from radnet3d.figures import overlays as figure

    wanted = parse_section(Shown, settings)
    scores = {run_dir: read_table(run_dir / "cases.csv", RUN_CASES) for run_dir in run_dirs}
    places = figure.choose(pd.concat(scores.values()))
    case_rows = {str(row["case_id"]): row for row in read_table(cases_path, LIVER_CASES).to_dict("records")}
    shown = [
        overlay(place, case_id, case_rows[case_id], cases_path.parent, run_dir, scores[run_dir], threads)
        for place, case_id in places.items()
        for run_dir in run_dirs
    ]
    finish(figure.draw(shown, wanted.input.ct_window_hu, looks(arm_names(wanted))), out, sources)


class Shown(Study):
    """What was compared, and how its scans are shown."""

    input: Input


def overlay(
    place: str,
    case_id: str,
    row: dict[Hashable, Any],
    folder: Path,
    run_dir: Path,
    scores: pd.DataFrame,
    threads: int,
) -> "Overlay":
    """Return one case segmented anew by the network of one run. `row`: the case's, of tables.LIVER_CASES in `folder`."""
    from radnet3d.figures.overlays import Overlay
    from radnet3d.models.checkpoint import load_checkpoint
    from radnet3d.training.loop import choose_device
    from radnet3d.training.segmenting import segment_liver

    volume_hu = np.load(folder / row["volume_path"])
    depth, height, width = (float(size) for size in row["spacing_zyx_mm"].split(","))
    checkpoint = load_checkpoint(run_dir / "checkpoint.pt", kinds=["finetune"])
    mask = segment_liver(volume_hu, depth, checkpoint, device=choose_device(threads))
    return Overlay(
        case_id=case_id,
        place=place,
        init=read_run(run_dir / "run.json", FinetuneRun).factors.init,
        dice=float(scores.loc[scores["case_id"] == case_id, "dice_per_case"].iloc[0]),
        volume_hu=volume_hu,
        truth=np.load(folder / row["segmentation_path"]) >= 1,
        predicted=mask.astype(bool),
        spacing_zyx_mm=(depth, height, width),
    )
