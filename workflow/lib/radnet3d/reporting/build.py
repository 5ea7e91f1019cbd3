"""The page: one self-contained HTML file made from a results folder. Nothing on it is computed elsewhere."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

import radnet3d
from radnet3d.errors import TableError
from radnet3d.params import Params
from radnet3d.reporting import sections
from radnet3d.reporting.answer import Answer, answer
from radnet3d.reporting.display import data_uri
from radnet3d.reporting.notes import collect_notes
from radnet3d.tables import COMPARISON

FIGURES = (
    "dice", "differences", "overlays", "proposals", "heads", "curves", "label_accuracy", "census", "contact_sheet",
)  # fmt: skip


def build_page(results_dir: Path, params: Params, note_files: tuple[Path, ...]) -> str:
    """Return the page. What a run did not make is said in its place. Raises TableError if `results_dir` is no folder."""
    if not results_dir.is_dir():
        raise TableError(f"{results_dir}: no such folder, wanted the results of a run")
    environment = Environment(
        loader=PackageLoader("radnet3d.reporting", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=StrictUndefined,
    )  # fmt: skip
    return environment.get_template("page.html").render(context(results_dir, params, note_files)) + "\n"


def context(results_dir: Path, params: Params, note_files: tuple[Path, ...]) -> dict[str, Any]:
    """Return what the template shows: texts, tables and figures, None where a run did not make them."""
    package = Path(radnet3d.__file__).parent
    transfer = results_dir / "transfer"
    return {
        "version": radnet3d.__version__,
        "params": params,
        "synthetic": {"archive": params.archive.source == "phantom", "liver": params.liver.source == "phantom"},
        "answer": answer_of(results_dir, params),
        "figures": {name: data_uri(results_dir / "figures", name) for name in FIGURES},
        "comparison": sections.comparison_table(transfer / "comparison.csv"),
        "against_shuffled": sections.comparison_table(transfer / "against_shuffled.csv"),
        "arms": sections.arms_table(params),
        "rates": sections.rates_table(results_dir),
        "splits": sections.splits_table(results_dir),
        "transfers": sections.transfers_table(results_dir),
        "proposals": sections.proposals_table(results_dir),
        "heads": sections.heads_table(results_dir),
        "collections": sections.collections_table(results_dir),
        "classes": sections.classes_table(results_dir),
        "missing_series": sections.missing_table(results_dir),
        "volumes": sections.volumes_table(results_dir),
        "exclusions": sections.exclusions_table(results_dir),
        "cost": sections.cost_table(results_dir),
        "parameters": sections.parameters_table(params),
        "provenance": sections.provenance_table(results_dir),
        "notes": collect_notes(package, note_files),
    }


def answer_of(results_dir: Path, params: Params) -> Answer | None:
    """Return the answer, None where no comparison with the pretrained arm was made."""
    comparison = sections.optional(results_dir / "transfer" / "comparison.csv", COMPARISON)
    if comparison is None or not (comparison["init"] == "pretrained").any():
        return None
    shuffled = sections.optional(results_dir / "transfer" / "against_shuffled.csv", COMPARISON)
    return answer(comparison, shuffled, params.comparison.margin_dice)
