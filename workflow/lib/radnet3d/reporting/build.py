"""The page: one self-contained HTML file made from a results folder. Nothing on it is computed elsewhere."""

from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

import radnet3d
from radnet3d.arms import ablated_arms, arm_names, longer_arms, main_arms, other_arms, study_of
from radnet3d.errors import TableError
from radnet3d.params import Params
from radnet3d.reporting import comparison_sections, design_sections, price_sections, sections
from radnet3d.reporting.answer import ablation_sentences, answer, power_sentences, saved_sentences
from radnet3d.reporting.display import data_uri
from radnet3d.reporting.notes import collect_notes
from radnet3d.tables import LABELS_SAVED, POWER, TASK_COMPARISON

FIGURES = (
    "dice", "differences", "other_arms", "ablation", "labels_saved", "tasks", "overlays", "proposals",
    "proposal_study", "heads", "curves", "label_accuracy", "census", "contact_sheet",
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
    return {
        "version": radnet3d.__version__,
        "params": params,
        "synthetic": {"archive": params.archive.source == "phantom", "liver": params.liver.source == "phantom"},
        "figures": {name: data_uri(results_dir / "figures", name) for name in FIGURES},
        **study_context(results_dir, params),
        "proposals": sections.proposals_table(results_dir),
        "heads": sections.heads_table(results_dir, params),
        "encoders": sections.encoders_table(results_dir, params),
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


def study_context(results_dir: Path, params: Params) -> dict[str, Any]:
    """Return what the template shows of the comparison of arms."""
    study = study_of(params)
    names = arm_names(study)
    comparison = comparison_sections.read_comparison(results_dir)
    nothing = pd.DataFrame(columns=["init", "reference"])
    compared = nothing if comparison is None else comparison
    return {
        "has": {
            "others": bool(other_arms(study.finetune)), "ablation": bool(ablated_arms(study)), "tasks": bool(params.tasks),
            "shuffled": "shuffled" in params.finetune.against.get("pretrained", ()), "longer": bool(longer_arms(study.finetune)),
        },
        **words(results_dir, comparison, params),
        "comparison": comparison_sections.main_table(comparison, study),
        "against_shuffled": comparison_sections.comparison_table(
            compared[(compared["init"] == "pretrained") & (compared["reference"] == "shuffled")], names
        ),
        "all_comparisons": comparison_sections.comparison_table(compared, names),
        "saved": comparison_sections.saved_table(results_dir, names),
        "longer": comparison_sections.steps_table(comparison, study),
        "ablation": comparison_sections.ablation_table(comparison, study),
        "secondary": comparison_sections.secondary_table(results_dir, comparison, names, main_arms(study.finetune)),
        "secondary_others": comparison_sections.secondary_table(
            results_dir, comparison, names, other_arms(study.finetune)
        ),
        "arms": design_sections.arms_table(params),
        "rates": design_sections.rates_table(results_dir, names),
        "ends_of_grid": design_sections.ends_of_grid_sentence(results_dir, names),
        "largest_component": design_sections.largest_component_sentence(results_dir),
        "splits": design_sections.splits_table(results_dir),
        "leakage": design_sections.leakage_table(results_dir),
        "leakage_summary": design_sections.leakage_summary(results_dir),
        "transfers": design_sections.transfers_table(results_dir, names),
        "proposal_study": price_sections.proposal_study_table(results_dir, names),
        "arm_costs": price_sections.arm_costs_table(results_dir, comparison, names),
        "tasks": comparison_sections.tasks_table(results_dir, names),
    }  # fmt: skip


def words(results_dir: Path, comparison: pd.DataFrame | None, params: Params) -> dict[str, Any]:
    """Return what is said of the comparison in words: the answer, what could have been shown, labels saved."""
    margin = params.comparison.margin_dice
    power = sections.optional(results_dir / "transfer" / "power.csv", POWER)
    saved = sections.optional(results_dir / "transfer" / "labels_saved.csv", LABELS_SAVED)
    return {
        "answer": None if comparison is None else answer(comparison, margin),
        "power": [] if power is None else power_sentences(power, margin),
        "saved_words": [] if saved is None else saved_sentences(saved),
        "ablation_words": [] if comparison is None else ablation_sentences(comparison, ablated_arms(study_of(params))),
        "cost_words": price_sections.cost_sentence(results_dir),
        "fixed": fixed_sentences(results_dir, comparison, params),
    }


def fixed_sentences(results_dir: Path, comparison: pd.DataFrame | None, params: Params) -> dict[str, str]:
    """Return of which seeds and subsets there was one, for each section of the page that shows intervals."""
    inits = {
        "main": main_arms(params.finetune),
        "ablation": [one.init for one in ablated_arms(study_of(params))],
        "others": other_arms(params.finetune),
    }
    tasks = sections.optional(results_dir / "transfer" / "task_comparison.csv", TASK_COMPARISON)
    of_liver = {name: comparison_sections.fixed_sentence(comparison, arms) for name, arms in inits.items()}
    return {**of_liver, "tasks": comparison_sections.fixed_sentence(tasks)}
