import numpy as np
import pandas as pd
import pytest

from radnet3d.models.heads import CLASSES
from radnet3d.params import Comparison
from radnet3d.tables import HEAD_SCORES, PAPER_BODY, check_table
from radnet3d.training.scoring import auc, balanced_accuracy, class_accuracies, pearson_r, score_heads
from support.tiny_training import SETTINGS

COMPARISON = Comparison.model_validate(SETTINGS["comparison"])


def test_a_class_never_hit_is_zero_and_an_absent_class_is_nan():
    """The paper's script leaves such a class with the accuracy of the one before."""
    found = class_accuracies(np.array([0.0, 0, 1, 1]), np.array([0.0, 0, 0, 0]), n_classes=3)
    np.testing.assert_array_equal(found, [1.0, 0.0, np.nan])
    assert balanced_accuracy(np.array([0.0, 0, 1, 1]), np.array([0.0, 0, 0, 0])) == 0.5
    assert np.isnan(balanced_accuracy(np.array([]), np.array([])))


def test_auc_counts_ties_half_and_is_nan_with_one_class():
    assert auc(np.array([0.0, 1]), np.array([0.1, 0.9])) == 1
    assert auc(np.array([0.0, 1]), np.array([0.5, 0.5])) == 0.5
    assert auc(np.array([1.0, 0, 1]), np.array([0.2, 0.3, 0.4])) == 0.5
    assert np.isnan(auc(np.array([1.0, 1]), np.array([0.5, 0.6])))


def test_correlation_of_a_constant_is_nan():
    assert np.isnan(pearson_r(np.array([3.0, 3]), np.array([1.0, 2])))
    assert pearson_r(np.array([1.0, 2, 3]), np.array([2.0, 4, 6])) == pytest.approx(1)


def predictions(n: int = 12) -> pd.DataFrame:
    frame = pd.DataFrame(
        {"SeriesInstanceUID": [f"1.{i}" for i in range(n)], "PatientID": [f"P{i % 4}" for i in range(n)]}
    )
    for head, classes in CLASSES.items():
        frame[head] = [classes[i % len(classes)] for i in range(n)]
        frame[f"{head}_target"] = frame[head]
    frame["contrast_target"] = ""
    for organ in PAPER_BODY:
        frame[f"p_body_{organ}"] = np.linspace(0, 1, n)
        frame[f"body_{organ}_target"] = (np.arange(n) >= n // 2).astype(float)
    frame["body_Brain_target"] = np.nan
    frame["slice_spacing_mm"] = np.arange(n) + 1.0
    return frame.assign(slice_spacing_mm_target=np.arange(n) + 2.0)


def test_scores_have_intervals_and_undefined_ones_are_nan():
    scores = check_table(score_heads(predictions(), COMPARISON), HEAD_SCORES, name="scores").set_index(
        ["head", "metric"]
    )
    assert scores.loc[("sequence", "accuracy"), ["value", "low", "high"]].tolist() == [1, 1, 1]
    assert scores.loc[("contrast", "accuracy"), ["value", "low", "high"]].isna().all()
    assert scores.loc[("contrast", "accuracy"), "n_series"] == 0
    assert np.isnan(scores.loc[("body_Brain", "auc"), "value"])
    assert scores.loc[("body_Liver", "auc"), "value"] == 1
    assert scores.loc[("spacing", "mean_absolute_error_mm"), "value"] == 1
    assert scores.loc[("spacing", "pearson_r"), "value"] == pytest.approx(1)


def test_the_patient_is_the_unit():
    frame = predictions(8)
    frame.loc[frame["PatientID"] == "P0", "view_target"] = "SAG"
    frame.loc[frame["PatientID"] == "P0", "view"] = "AX"
    scores = score_heads(frame, COMPARISON).set_index(["head", "metric"])
    row = scores.loc[("view", "accuracy")]
    assert row["n_patients"] == 4 and row["value"] == 0.75 and row["low"] <= 0.5 and row["high"] == 1
