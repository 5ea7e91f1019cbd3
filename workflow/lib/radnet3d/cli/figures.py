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
from radnet3d.errors import TableError
from radnet3d.figures.style import ENCODERS, mark_synthetic, save_figure
from radnet3d.params import Comparison, Input, parse_section
from radnet3d.runs import FinetuneRun, read_run
from radnet3d.tables import (
    CENSUS,
    COMPARISON,
    FUNNEL,
    HEAD_SCORES,
    HISTORY,
    LABEL_SCORES,
    LABELS,
    LIVER_CASES,
    PROPOSALS,
    RUN_CASES,
    RUNS,
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


@click.group("figures")
def commands() -> None:
    """Draw one figure from result tables. OUT ends in .svg or .png; the same data give the same bytes."""


def finish(figure: Figure, out: Path, sources: tuple[str, ...]) -> None:
    """Mark the figure if its patients are digital and write it."""
    save_figure(mark_synthetic(figure) if "phantom" in sources else figure, out)
    log.info("radnet3d %s figures: wrote %s", __version__, out)


@commands.command()
@click.argument("comparison", type=PATH)
@click.argument("runs", type=PATH)
@OUT
@SOURCE
def dice(comparison: Path, runs: Path, out: Path, sources: tuple[str, ...]) -> None:
    """Dice per case against n, a line an init. COMPARISON and RUNS: tables of `transfer`."""
    from radnet3d.figures import dice as figure

    finish(figure.draw(read_table(comparison, COMPARISON), read_table(runs, RUNS)), out, sources)


@commands.command()
@click.argument("comparison", type=PATH)
@OUT
@click.option("--settings", required=True, help="JSON of params section comparison")
@SOURCE
def differences(comparison: Path, out: Path, settings: str, sources: tuple[str, ...]) -> None:
    """Paired differences to scratch with intervals and margin. COMPARISON: table of `transfer compare`."""
    from radnet3d.figures import differences as figure

    margin_dice = parse_section(Comparison, settings).margin_dice
    finish(figure.draw(read_table(comparison, COMPARISON), margin_dice), out, sources)


@commands.command()
@click.argument("heads_paths", metavar="HEADS...", nargs=-1, required=True, type=PATH)
@OUT
@SOURCE
def heads(heads_paths: tuple[Path, ...], out: Path, sources: tuple[str, ...]) -> None:
    """Scores of each pretraining head against chance. HEADS: heads.csv of pretrain/dicom, pretrain/shuffled, ...

    The folder a table lies in names the encoder: dicom, shuffled or control.
    """
    from radnet3d.figures import heads as figure

    finish(figure.draw({encoder_of(path): read_table(path, HEAD_SCORES) for path in heads_paths}), out, sources)


@commands.command()
@click.argument("history_paths", metavar="HISTORY...", nargs=-1, required=True, type=PATH)
@OUT
@SOURCE
def curves(history_paths: tuple[Path, ...], out: Path, sources: tuple[str, ...]) -> None:
    """Learning curves of pretraining. HISTORY: history.csv of pretrain/dicom, pretrain/shuffled, ...

    The folder a table lies in names the encoder: dicom, shuffled or control.
    """
    from radnet3d.figures import curves as figure

    finish(figure.draw({encoder_of(path): read_table(path, HISTORY) for path in history_paths}), out, sources)


def encoder_of(path: Path) -> str:
    """Return the encoder a pretraining result belongs to. Raises TableError if its folder names none."""
    if path.parent.name not in ENCODERS:
        raise TableError(f"{path}: its folder is called '{path.parent.name}', wanted an encoder of {list(ENCODERS)}")
    return path.parent.name


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


def true_range(path: Path) -> tuple[int, int]:
    """Return the first slice with liver and the one after the last, 0 and 0 without liver. `path`: (z, y, x) .npy."""
    slices = np.flatnonzero(np.load(path, mmap_mode="r").any(axis=(1, 2)))
    return (int(slices[0]), int(slices[-1]) + 1) if len(slices) else (0, 0)


@commands.command()
@click.argument("cases_path", metavar="LIVER_CASES", type=PATH)
@click.argument("run_dirs", metavar="RUN_DIR...", nargs=-1, required=True, type=PATH)
@OUT
@click.option("--settings", required=True, help="JSON of params section input")
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

    scores = {run_dir: read_table(run_dir / "cases.csv", RUN_CASES) for run_dir in run_dirs}
    places = figure.choose(pd.concat(scores.values()))
    case_rows = {str(row["case_id"]): row for row in read_table(cases_path, LIVER_CASES).to_dict("records")}
    shown = [
        overlay(place, case_id, case_rows[case_id], cases_path.parent, run_dir, scores[run_dir], threads)
        for place, case_id in places.items()
        for run_dir in run_dirs
    ]
    finish(figure.draw(shown, parse_section(Input, settings).ct_window_hu), out, sources)


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
