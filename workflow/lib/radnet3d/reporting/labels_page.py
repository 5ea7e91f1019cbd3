"""The page on labels: one self-contained HTML file made from a results folder. Nothing on it is computed elsewhere."""

from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

import radnet3d
from radnet3d.errors import TableError
from radnet3d.reporting import census_sections, rated_sections
from radnet3d.reporting.answer import listed
from radnet3d.reporting.display import data_uri
from radnet3d.reporting.grids import count
from radnet3d.tables import HEADS

FIGURES = ("rated", "census", "witnesses", "funnel", "label_accuracy")


class Gold(NamedTuple):
    """The rated series in words."""

    n_series: str
    n_collections: str
    modalities: str


def build_label_page(results_dir: Path, gold_path: Path, *, is_synthetic: bool) -> str:
    """Return the page. What a run did not make is said in its place.

    `gold_path`: the rated series; `is_synthetic`: whether the patients of this run's own archive are digital.
    Raises TableError if `results_dir` is no folder or `gold_path` no table of rated series.
    """
    if not results_dir.is_dir():
        raise TableError(f"{results_dir}: no such folder, wanted the results of a run")
    environment = Environment(
        loader=PackageLoader("radnet3d.reporting", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=StrictUndefined,
    )  # fmt: skip
    shown = context(results_dir, gold_path) | {"is_synthetic": is_synthetic}
    return environment.get_template("labels.html").render(shown) + "\n"


def context(results_dir: Path, gold_path: Path) -> dict[str, Any]:
    """Return what the template shows: texts, tables and figures, None or empty where a run did not make them."""
    labels = results_dir / "labels"
    index, archive = labels / "census_index", labels / "census_archive"
    scores = rated_sections.rated_scores(labels / "gold")
    return {
        "version": radnet3d.__version__,
        "heads": HEADS,
        "figures": {name: data_uri(results_dir / "figures", name) for name in FIGURES},
        "gold": describe_gold(gold_path),
        "headline": rated_sections.headline(scores) if scores else None,
        "rated": rated_sections.rated_grid(scores) if scores else None,
        "rates": rated_sections.rates_grid(scores["rules"]) if scores else None,
        "confusions": rated_sections.confusions(labels / "gold" / "rules_confusion.csv"),
        "coverage": census_sections.coverage_grid(index),
        "evidence": census_sections.evidence_tables(index),
        "contradicted": census_sections.contradicted_grid(index),
        "pairs": census_sections.pairs_grids(index),
        "body_part": census_sections.body_part(index),
        "candidates": census_sections.candidates(index),
        "funnel": census_sections.funnel_grid(index),
        "classes": census_sections.classes_grid(index),
        "sample": census_sections.sample(index),
        "archive": {
            "rates": rated_sections.rates_grid(rated_sections.read_scores(labels / "accuracy.csv")),
            "confusions": rated_sections.confusions(labels / "accuracy_confusion.csv"),
            "witnesses": census_sections.witnesses_grid(archive),
            "contradicted": census_sections.contradicted_grid(archive),
            "pairs": census_sections.pairs_grids(archive),
            "funnel": census_sections.funnel_grid(archive),
            "sample": census_sections.sample(archive),
        },
    }


def describe_gold(path: Path) -> Gold:
    """Return how many series and collections were rated, and of which modalities. Raises TableError."""
    try:
        rated = pd.read_csv(path, dtype=str)
        modalities = rated["Modality"].value_counts()
        n_collections = rated["collection_id"].nunique()
    except (OSError, KeyError, ValueError) as error:
        raise TableError(f"{path}: found no table of rated series with Modality and collection_id: {error}") from error
    said = listed([f"{count(n)} {name}" for name, n in modalities.items()])
    return Gold(count(len(rated)), count(n_collections), said)
