"""`radnet3d liver`: import liver cases, propose liver slices, segment a series."""

import logging
import math
from pathlib import Path
from typing import cast

import click
import pandas as pd

from radnet3d import __version__
from radnet3d.atomic import output_directory
from radnet3d.liver.frame import check_mask_path, read_scan, write_mask
from radnet3d.liver.importing import Layout, import_cases
from radnet3d.params import Proposal, parse_section
from radnet3d.tables import HISTORY, PROPOSAL_CASES, PROPOSAL_SCORES, PROPOSALS, PROPOSED, read_table, write_table

logger = logging.getLogger(__name__)

PATH = click.Path(path_type=Path)


@click.group("liver")
def commands() -> None:
    """Import liver cases, propose liver slices, segment a series."""


@commands.command("import")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("out_dir", type=click.Path(path_type=Path))
@click.option(
    "--layout",
    type=click.Choice(["lits", "chaos"]),
    default="lits",
    show_default=True,
    help="lits: volume-N.nii and segmentation-N.nii; chaos: a folder of slices beside a folder of PNG masks",
)
@click.option("--threads", default=1, show_default=True, type=click.IntRange(min=1), help="cases worked on at once")
def import_folder(folder: Path, out_dir: Path, layout: str, threads: int) -> None:
    """Check every case below DIR and write it to OUT_DIR in one frame, at its own spacing, with cases.parquet.

    Arrays run z up to the head, y to the back, x to the left; volumes are int16 HU, segmentations 0, 1 liver, 2 tumour.
    """
    logger.info("radnet3d %s liver import %s %s --layout %s", __version__, folder, out_dir, layout)
    with output_directory(out_dir, inputs=[folder]) as partial:
        n_cases = import_cases(folder, partial, layout=cast(Layout, layout), n_processes=threads)
    logger.info("%d cases read and kept", n_cases)


@commands.command("propose")
@click.argument("cases_dir", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("out_path", metavar="OUT.csv", type=click.Path(path_type=Path))
@click.option(
    "--checkpoint", "checkpoint_path", required=True, type=click.Path(path_type=Path), help="of `pretrain train`"
)
@click.option("--settings", required=True, help="JSON of params section proposal")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(min=1), help="threads that compute")
def propose(cases_dir: Path, out_path: Path, checkpoint_path: Path, settings: str, threads: int) -> None:
    """Propose the liver slices of every case in CASES_DIR (of `liver import`), beside how well that went."""
    logger.info("radnet3d %s liver propose %s", __version__, cases_dir)
    from radnet3d.models.checkpoint import load_checkpoint
    from radnet3d.training.loop import choose_device
    from radnet3d.training.proposing import propose_cases

    checkpoint = load_checkpoint(checkpoint_path, kinds=["pretrain"])
    rows = propose_cases(cases_dir, checkpoint, parse_section(Proposal, settings), device=choose_device(threads))
    write_table(rows, out_path, PROPOSALS)
    said = (len(rows), rows["recall"].mean(), int((rows["recall"] < 1).sum()), rows["n_extra_slices"].mean())
    logger.info("%d cases, mean recall %.3f, %d not whole, %.1f slices too many on average", *said)


@commands.command("segment")
@click.argument("scan_path", metavar="INPUT", type=click.Path(path_type=Path, exists=True))
@click.argument("out_path", metavar="OUT.nii.gz", type=click.Path(path_type=Path))
@click.option(
    "--checkpoint", "checkpoint_path", required=True, type=click.Path(path_type=Path), help="of `finetune train`"
)
@click.option("--threads", default=1, show_default=True, type=click.IntRange(min=1), help="threads that compute")
def segment(scan_path: Path, out_path: Path, checkpoint_path: Path, threads: int) -> None:
    """Write the liver (1, elsewhere 0) of a CT on the grid of INPUT: a folder of one DICOM series, or a NIfTI file.

    Nothing but the checkpoint is needed: it carries the network that finds the slices and the one that segments.
    """
    logger.info("radnet3d %s liver segment %s", __version__, scan_path)
    check_mask_path(out_path)
    from radnet3d.models.checkpoint import load_checkpoint
    from radnet3d.training.loop import choose_device
    from radnet3d.training.segmenting import segment_liver

    checkpoint = load_checkpoint(checkpoint_path, kinds=["finetune"])
    scan = read_scan(scan_path)
    mask = segment_liver(scan.volume_hu_zyx, scan.spacing_zyx_mm[0], checkpoint, device=choose_device(threads))
    write_mask(mask, scan, out_path)
    liver_ml = float(mask.sum()) * math.prod(scan.spacing_zyx_mm) / 1000
    logger.info("%d of %d slices hold liver, %.1f ml", mask.any(axis=(1, 2)).sum(), len(mask), liver_ml)


@commands.command("study-coverage")
@click.argument("cases_path", metavar="CASES.parquet", type=PATH)
@click.argument("split_path", metavar="SPLIT", type=PATH)
@click.argument("out_dir", type=PATH)
@click.option("--checkpoint", "checkpoint_path", required=True, type=PATH, help="of `pretrain train`")
@click.option("--settings", required=True, help="JSON of section proposal, and of choice of section proposal_study")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(min=1), help="threads that compute")
def study_coverage(
    cases_path: Path, split_path: Path, out_dir: Path, checkpoint_path: Path, settings: str, threads: int
) -> None:
    """Propose slices of the test cases by the coverage head: OUT_DIR/proposed.csv and scores.csv.

    Once as section proposal says, and once with the threshold and margin that are best on the validation cases of SPLIT.
    """
    logger.info("radnet3d %s liver study-coverage %s", __version__, checkpoint_path)
    from radnet3d.models.checkpoint import load_checkpoint
    from radnet3d.training.loop import choose_device
    from radnet3d.training.proposal_study import CoverageSettings, propose_by_coverage

    checkpoint = load_checkpoint(checkpoint_path, kinds=["pretrain"])
    asked = parse_section(CoverageSettings, settings)
    found = propose_by_coverage(cases_path, split_path, checkpoint, asked, device=choose_device(threads))
    write_proposed(found.ranges, found.scores, found.history, out_dir)


@commands.command("study-classifier")
@click.argument("cases_path", metavar="CASES.parquet", type=PATH)
@click.argument("split_path", metavar="SPLIT", type=PATH)
@click.argument("subsets_path", metavar="SUBSETS", type=PATH)
@click.argument("out_dir", type=PATH)
@click.option("--n-train", required=True, type=click.IntRange(min=1), help="size of the training set")
@click.option("--subset-seed", required=True, type=click.IntRange(min=0), help="which training set")
@click.option(
    "--settings", required=True, help="JSON of sections volumes, input, and of classifier, choice of proposal_study"
)
@click.option("--threads", default=1, show_default=True, type=click.IntRange(min=1), help="threads that compute")
def study_classifier(
    cases_path: Path,
    split_path: Path,
    subsets_path: Path,
    out_dir: Path,
    n_train: int,
    subset_seed: int,
    settings: str,
    threads: int,
) -> None:
    """Train a classifier of slices and propose slices of the test cases by it: proposed.csv, scores.csv, history.csv.

    It sees which slices of the training cases hold liver; threshold and margin are chosen on the validation cases of SPLIT.
    """
    logger.info("radnet3d %s liver study-classifier --n-train %d --subset-seed %d", __version__, n_train, subset_seed)
    from radnet3d.training.loop import choose_device
    from radnet3d.training.proposal_study import ClassifierSettings, propose_by_classifier

    found = propose_by_classifier(
        cases_path, split_path, subsets_path, parse_section(ClassifierSettings, settings),
        n_train=n_train, subset_seed=subset_seed, device=choose_device(threads),
    )  # fmt: skip
    write_proposed(found.ranges, found.scores, found.history, out_dir)


def write_proposed(ranges: pd.DataFrame, scores: pd.DataFrame, history: pd.DataFrame | None, out_dir: Path) -> None:
    """Write what one proposer leaves behind, and say how well it did."""
    write_table(ranges, out_dir / "proposed.csv", PROPOSED)
    write_table(scores, out_dir / "scores.csv", PROPOSAL_SCORES)
    if history is not None:
        write_table(history, out_dir / "history.csv", HISTORY)
    for method, rows in ranges.groupby("method", sort=False):
        said = (len(rows), rows["recall"].mean(), int((rows["recall"] < 1).sum()), rows["extra_mm"].mean())
        setting = rows[["threshold", "margin_mm"]].iloc[0].tolist()
        logger.info("%s, threshold %g, margin %g mm:", method, *setting)
        logger.info("%d cases, mean recall %.3f, %d not whole, %.0f mm too many on average", *said)


@commands.command("study-segmenters")
@click.argument("cases_path", metavar="CASES.parquet", type=PATH)
@click.argument("split_path", metavar="SPLIT", type=PATH)
@click.argument("run_dirs", metavar="RUN_DIR...", nargs=-1, required=True, type=PATH)
@click.argument("out_path", metavar="OUT.csv", type=PATH)
@click.option("--proposed", "proposed_paths", multiple=True, required=True, type=PATH, help="proposed.csv; repeatable")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(min=1), help="threads that compute")
def study_segmenters(
    cases_path: Path,
    split_path: Path,
    run_dirs: tuple[Path, ...],
    out_path: Path,
    proposed_paths: tuple[Path, ...],
    threads: int,
) -> None:
    """Segment the test cases of SPLIT by trained segmenters, under every proposal, the true range, and the whole scan.

    RUN_DIR: folders of `finetune train`. Nothing is trained; each run is paired with the classifier of its own training set.
    """
    logger.info("radnet3d %s liver study-segmenters, %d runs", __version__, len(run_dirs))
    from radnet3d.training.loop import choose_device
    from radnet3d.training.proposal_study import study_proposals

    proposed = pd.concat([read_table(path, PROPOSED) for path in proposed_paths], ignore_index=True)
    rows = study_proposals(cases_path, split_path, proposed, run_dirs, device=choose_device(threads))
    write_table(rows, out_path, PROPOSAL_CASES)
    for method, dice in rows.groupby("method", sort=False)["dice_per_case"]:
        logger.info("%s: Dice per case %.3f over %d masks", method, dice.mean(), len(dice))
