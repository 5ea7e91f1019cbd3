"""How well each head predicts header labels of patients never trained on."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from radnet3d.models.heads import CLASSES
from radnet3d.params import Comparison
from radnet3d.tables import PAPER_BODY

Values = NDArray[np.float64]
Metric = Callable[[Values, Values], float]


@dataclass(frozen=True)
class Score:
    """One metric of one head: the function, what it is applied to, and what no knowledge would reach."""

    head: str
    metric: str
    function: Metric
    target: Values  # known rows only
    predicted: Values
    patients: NDArray[np.str_]
    chance: float


def score_heads(predictions: pd.DataFrame, settings: Comparison) -> pd.DataFrame:
    """Return tables.HEAD_SCORES of tables.PREDICTIONS; intervals by bootstrap over patients.

    A metric that is undefined (nothing known, one class only) is NaN, and so are its limits. Every score is resampled
    with its own generator of the same seed, so that adding a head changes no other's interval.
    """
    rows = []
    for score in scores_of(predictions):
        value = score.function(score.target, score.predicted)
        low, high = bootstrap_interval(score, settings) if np.isfinite(value) else (np.nan, np.nan)
        rows.append({
            "head": score.head, "metric": score.metric, "value": value, "low": low, "high": high,
            "chance": score.chance, "n_series": len(score.target), "n_patients": len(np.unique(score.patients)),
        })  # fmt: skip
    return pd.DataFrame(rows)


def scores_of(predictions: pd.DataFrame) -> list[Score]:
    """Return every score a table of predictions allows, masked targets left out."""
    scores = []
    for head, classes in CLASSES.items():
        known = predictions[predictions[f"{head}_target"] != ""]
        target, predicted = (codes(known[column], classes) for column in (f"{head}_target", head))
        share = np.bincount(target.astype(int), minlength=len(classes)) / max(len(known), 1)
        n_classes = max(int((share > 0).sum()), 1)
        patients = known["PatientID"].to_numpy(str)
        chances = (float(share.max()), 1 / n_classes)
        for function, chance in zip((accuracy, balanced_accuracy), chances, strict=True):
            scores.append(Score(head, function.__name__, function, target, predicted, patients, chance))
    for organ in PAPER_BODY:
        known = predictions[predictions[f"body_{organ}_target"].notna()]
        target, predicted = known[f"body_{organ}_target"].to_numpy(float), known[f"p_body_{organ}"].to_numpy(float)
        patients = known["PatientID"].to_numpy(str)
        scores.append(Score(f"body_{organ}", "auc", auc, target, predicted, patients, 0.5))
    known = predictions[predictions["slice_spacing_mm_target"].notna()]
    target, predicted = known["slice_spacing_mm_target"].to_numpy(float), known["slice_spacing_mm"].to_numpy(float)
    patients = known["PatientID"].to_numpy(str)
    scores.append(Score("spacing", "pearson_r", pearson_r, target, predicted, patients, 0.0))
    guess = float(np.abs(target - np.median(target)).mean()) if len(target) else np.nan
    scores.append(
        Score("spacing", "mean_absolute_error_mm", mean_absolute_error_mm, target, predicted, patients, guess)
    )
    return scores


def codes(words: pd.Series, classes: tuple[str, ...]) -> Values:
    """Return class numbers of class names."""
    return np.array([classes.index(word) for word in words], float)


def bootstrap_interval(score: Score, settings: Comparison) -> tuple[float, float]:
    """Return the percentile interval of a metric over resampled patients; resamples that leave it undefined are void."""
    generator = np.random.default_rng(settings.seed)
    rows_of = [np.flatnonzero(score.patients == patient) for patient in np.unique(score.patients)]
    values = []
    for _ in range(settings.n_bootstrap):
        rows = np.concatenate([rows_of[i] for i in generator.integers(len(rows_of), size=len(rows_of))])
        values.append(score.function(score.target[rows], score.predicted[rows]))
    tail = (1 - settings.confidence) / 2
    low, high = np.nanquantile(values, [tail, 1 - tail])
    return float(low), float(high)


def accuracy(target: Values, predicted: Values) -> float:
    """Return the fraction of equal classes; NaN for no rows."""
    return float((target == predicted).mean()) if len(target) else np.nan


def balanced_accuracy(target: Values, predicted: Values) -> float:
    """Return the mean of the classes' accuracies over the classes that occur; NaN for no rows."""
    by_class = class_accuracies(target, predicted, n_classes=int(max(target, default=-1)) + 1)
    return float(np.nanmean(by_class)) if np.isfinite(by_class).any() else np.nan


def class_accuracies(target: Values, predicted: Values, *, n_classes: int) -> Values:
    """Return the accuracy within each class; NaN for a class that does not occur, 0 for one never hit.

    Each class is counted by itself: in the paper's public script a class without a hit keeps the value of the one before.
    """
    occurs = np.bincount(target.astype(int), minlength=n_classes).astype(float)
    hits = np.bincount(target[target == predicted].astype(int), minlength=n_classes)
    return np.asarray(np.divide(hits, occurs, out=np.full(n_classes, np.nan), where=occurs > 0))


def auc(target: Values, predicted: Values) -> float:
    """Return the area under the ROC curve (Mann-Whitney, ties count half); NaN if one class is absent."""
    n_positive = int(target.sum())
    n_negative = len(target) - n_positive
    if n_positive == 0 or n_negative == 0:
        return np.nan
    rank_sum = rankdata(predicted)[target == 1].sum()
    return float((rank_sum - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def pearson_r(target: Values, predicted: Values) -> float:
    """Return the linear correlation; NaN for fewer than two rows or a constant."""
    if len(target) < 2 or np.ptp(target) == 0 or np.ptp(predicted) == 0:
        return np.nan
    return float(np.corrcoef(target, predicted)[0, 1])


def mean_absolute_error_mm(target: Values, predicted: Values) -> float:
    """Return the mean absolute difference; NaN for no rows."""
    return float(np.abs(target - predicted).mean()) if len(target) else np.nan
