"""The anatomy: the same patient in any series, plausible organs, difficulty that matters."""

import numpy as np
import pytest

from radnet3d.archive.phantom.anatomy import paint_patient
from radnet3d.archive.phantom.canvas import Grid
from radnet3d.archive.phantom.patients import Patient, draw_patient, draw_pose, generator
from radnet3d.archive.phantom.tissues import LIVER_PARTS, LIVER_TUMOURS, Label, is_any

MM = np.diag([5.0, 4.0, 4.0])[:, [2, 1, 0]]  # slices up, rows to the back, columns to the left


def paint(patient: Patient, *, z_mm: tuple[float, float], prone: bool = False) -> np.ndarray:
    pose = draw_pose(generator(3, "pose", patient.number), patient, is_prone=prone, arms="up")
    low, high = (pose.to_lps(np.array([0.0, 0.0, z]))[2] for z in z_mm)
    shape = (int((high - low) / 5), 100, 110)
    centre = pose.to_lps(np.array([0.0, 0.0, np.mean(z_mm)]))
    origin = centre - (np.array(shape) - 1) / 2 @ MM
    return paint_patient(Grid(shape, origin, MM), pose, patient, with_table=False).labels


def millilitres(labels: np.ndarray, wanted: tuple[Label, ...]) -> float:
    return float(is_any(wanted)[labels].sum() * 5 * 4 * 4 / 1000)


@pytest.mark.parametrize("number", range(6))
def test_organs_are_as_large_as_in_adults(number: int) -> None:
    patient = draw_patient(5, "archive", number, 0.4)
    labels = paint(patient, z_mm=(150, 600))
    resected = patient.has("resected_left") or patient.has("resected_right")
    assert (500 if resected else 800) < millilitres(labels, LIVER_PARTS) < 2600
    assert 80 < millilitres(labels, (Label.SPLEEN,)) < 700
    assert 1800 < millilitres(labels, (Label.LUNG, Label.LUNG_VESSEL, Label.EFFUSION)) < 9000
    assert 120 < millilitres(labels, (Label.KIDNEY_CORTEX, Label.KIDNEY_MEDULLA)) < 550


def test_brain_is_as_large_as_in_adults() -> None:
    labels = paint(draw_patient(5, "archive", 1, 0.3), z_mm=(670, 870))
    assert 900 < millilitres(labels, (Label.GREY_MATTER, Label.WHITE_MATTER, Label.DEEP_GREY)) < 1900


def test_the_same_point_is_the_same_tissue_in_another_grid() -> None:
    patient = draw_patient(5, "archive", 2, 1.0)
    pose = draw_pose(generator(3, "pose", 2), patient, is_prone=False, arms="up")
    centre = pose.to_lps(np.array([-60.0, 0.0, 300.0]))
    axial = Grid((21, 41, 41), centre - np.array([20, 20, 10]) @ np.eye(3) * 4, np.diag([4.0] * 3)[:, [2, 1, 0]])
    sagittal = Grid((41, 41, 21), axial.origin_lps_mm, np.diag([4.0] * 3))  # slices to the left
    one = paint_patient(axial, pose, patient, with_table=False).labels
    two = paint_patient(sagittal, pose, patient, with_table=False).labels.transpose(2, 1, 0)
    assert (one == two).mean() > 0.97  # the deformation is interpolated from another lattice


def test_women_have_breasts_and_no_prostate() -> None:
    seen = set()
    for number in range(8):
        patient = draw_patient(6, "archive", number, 0.5)
        labels = set(np.unique(paint(patient, z_mm=(-20, 100)))) | set(np.unique(paint(patient, z_mm=(400, 480))))
        assert (Label.PROSTATE in labels) == (patient.sex == "M")
        assert patient.sex == "F" or not labels & {Label.BREAST_GLAND, Label.BREAST_TUMOUR, Label.UTERUS, Label.OVARY}
        seen.add(patient.sex)
    assert seen == {"F", "M"}


def test_lesions_lie_inside_the_liver() -> None:
    patients = (draw_patient(5, "archive", n, 1.0) for n in range(40))
    patient = next(p for p in patients if p.has("liver_metastases"))
    labels = paint(patient, z_mm=(180, 420))
    assert 0 < millilitres(labels, LIVER_TUMOURS) < 0.6 * millilitres(labels, LIVER_PARTS)


def test_difficulty_changes_the_patient() -> None:
    easy, hard = (draw_patient(5, "archive", 3, difficulty) for difficulty in (0.0, 1.0))
    assert max(hard.deformation.amplitudes_mm) > max(easy.deformation.amplitudes_mm)
    rare = {"ascites", "fatty_liver", "resected_left", "resected_right", "abdominal_mass"}
    assert not any(draw_patient(5, "archive", n, 0.0).findings & rare for n in range(60))
    assert any(draw_patient(5, "archive", n, 1.0).findings & rare for n in range(60))
    assert (paint(easy, z_mm=(250, 300)) != paint(hard, z_mm=(250, 300))).mean() > 0.02


def test_streams_hold_different_people() -> None:
    assert draw_patient(5, "archive", 0, 1.0) != draw_patient(5, "liver", 0, 1.0)
