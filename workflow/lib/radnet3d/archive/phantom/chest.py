"""Lungs, airway, heart, great vessels, breasts, and what may be wrong with them."""

import numpy as np

from radnet3d.archive.phantom.body import Torso, spine_y
from radnet3d.archive.phantom.canvas import Canvas, Floats, smooth_path
from radnet3d.archive.phantom.patients import Patient
from radnet3d.archive.phantom.tissues import Label, is_any

IN_CHEST = is_any((Label.LUNG, Label.LUNG_VESSEL, Label.MEDIASTINAL_FAT, Label.VISCERAL_FAT, Label.EFFUSION))
IN_MEDIASTINUM = is_any((Label.MEDIASTINAL_FAT, Label.VISCERAL_FAT, Label.LUNG, Label.LUNG_VESSEL, Label.MYOCARDIUM))
AORTA = np.array([
    (8, -22, 432), (-14, -34, 462), (-14, -28, 492), (2, -12, 514), (20, 14, 512), (27, 38, 490), (26, 44, 440),
    (18, 38, 390), (10, 27, 330), (7, 17, 270), (6, 10, 215), (4, 8, 168),
], dtype=float)  # fmt: skip


def diaphragm_height(canvas: Canvas, patient: Patient) -> Floats:
    """Return the height of the diaphragm above each grid point's place: two domes and the heart's bed between."""
    rng = patient.rng("diaphragm")
    domes = [
        (-68 + rng.normal(0, 4), -12, 382 + rng.normal(0, 7)),
        (68 + rng.normal(0, 4), -8, 368 + rng.normal(0, 7)),
        (8, -30, 352 + rng.normal(0, 4)),
    ]
    height: Floats = np.full(canvas.x.shape, -1e3, dtype=np.float32)
    for x0, y0, z0 in domes:
        squared = (canvas.x - np.float32(x0)) ** 2 + np.float32(0.8) * (canvas.y - np.float32(y0)) ** 2
        np.maximum(height, np.float32(z0) - squared * np.float32(0.0042) - squared**2 * np.float32(6.5e-7), out=height)
    return height


def paint_lungs(canvas: Canvas, torso: Torso, patient: Patient) -> None:
    """Fill the cavity above the diaphragm with lung, draw its vessels, and a rim of diaphragm muscle."""
    if not canvas.covers(215, 600):
        return
    height = canvas.z - diaphragm_height(canvas, patient)
    cavity = canvas.labels == Label.VISCERAL_FAT
    canvas.labels[cavity & (height > 0)] = Label.LUNG
    canvas.labels[cavity & (np.abs(height + 2) < 2.0) & (canvas.z > 250)] = Label.MUSCLE
    lung = np.nonzero(canvas.labels == Label.LUNG)
    points = (canvas.x[lung], canvas.y[lung], canvas.z[lung])
    # a vessel is where two noise fields are both near zero: the crossing of two surfaces is a curve
    deep = np.clip(1.05 - torso.cavity_radius[lung], 0, 1)
    first = patient.deformation.noise(points, 9.0, 11.3)
    second = patient.deformation.noise(points, 9.0, 23.9)
    values = canvas.labels[lung]
    values[first**2 + second**2 < 0.012 + 0.10 * deep**1.5] = Label.LUNG_VESSEL
    canvas.labels[lung] = values
    paint_lung_findings(canvas, torso, patient, height)


def paint_lung_findings(canvas: Canvas, torso: Torso, patient: Patient, above_diaphragm: Floats) -> None:
    """Paint effusions that follow gravity, and lung tumours."""
    down = -1.0 if canvas.pose.is_prone else 1.0
    for side, name in ((-1, "effusion_right"), (1, "effusion_left")):
        if patient.has(name):
            level = patient.rng(name).uniform(5, 55)
            level_z = patient.rng(name + "/height").uniform(380, 470)
            wet = (canvas.labels == Label.LUNG) & (canvas.x * side > 0) & (canvas.y * down > level)
            wet |= (canvas.labels == Label.LUNG) & (canvas.x * side > 0) & (above_diaphragm < 14)
            canvas.labels[wet & (canvas.z < level_z)] = Label.EFFUSION
    if patient.has("lung_tumour"):
        rng = patient.rng("lung_tumour")
        for _ in range(int(rng.integers(1, 4))):
            centre = (rng.choice([-1, 1]) * rng.uniform(45, 105), rng.uniform(-45, 45), rng.uniform(410, 540))
            canvas.ellipsoid(
                Label.LUNG_TUMOUR, centre, rng.uniform(7, 24) * rng.uniform(0.8, 1.2, 3),
                over=is_any((Label.LUNG, Label.LUNG_VESSEL)), wobble=0.15,
            )  # fmt: skip


def paint_mediastinum(canvas: Canvas, patient: Patient) -> None:
    """Paint heart, great vessels, airway, gullet and what surrounds them."""
    if not canvas.covers(300, 700):
        return
    rng = patient.rng("heart")
    size = rng.uniform(0.9, 1.1 + 0.12 * patient.difficulty)
    shift = rng.normal(0, 3, 3)
    fat, heart = Label.MEDIASTINAL_FAT, Label.MYOCARDIUM
    canvas.ellipsoid(fat, np.array((20, -30, 412)) + shift, np.array((68, 54, 64)) * size, (0, 18, -28), over=IN_CHEST)
    canvas.ellipsoid(fat, (0, 12, 480), (30, 62, 92), over=IN_CHEST)
    canvas.ellipsoid(fat, (0, -64, 470), (16, 34, 80), over=IN_CHEST)
    canvas.ellipsoid(fat, (4, 38, 380), (28, 34, 75), over=IN_CHEST)
    canvas.ellipsoid(
        heart, np.array((38, -30, 406)) + shift, np.array((47, 36, 50)) * size, (0, 22, -35), over=IN_MEDIASTINUM
    )
    canvas.ellipsoid(
        heart, np.array((8, -48, 406)) + shift, np.array((46, 27, 45)) * size, (0, 12, -28), over=IN_MEDIASTINUM
    )
    blood = IN_MEDIASTINUM
    canvas.ellipsoid(
        Label.ARTERY, np.array((41, -31, 409)) + shift, np.array((31, 22, 35)) * size, (0, 22, -35), over=blood
    )
    canvas.ellipsoid(
        Label.PULMONARY_ARTERY, np.array((6, -50, 408)) + shift, np.array((39, 20, 38)) * size, (0, 12, -28), over=blood
    )
    canvas.ellipsoid(Label.ARTERY, np.array((12, 8, 440)) + shift, np.array((36, 22, 25)) * size, over=blood)
    canvas.ellipsoid(Label.VEIN, np.array((-32, -22, 420)) + shift, np.array((24, 26, 36)) * size, over=blood)
    paint_great_vessels(canvas, patient)
    paint_airway(canvas)
    if patient.has("lymph_nodes"):
        for _ in range(5):
            centre = (rng.uniform(-30, 30), rng.uniform(-30, 30), rng.uniform(450, 535))
            canvas.ellipsoid(Label.LYMPH_NODE, centre, rng.uniform(5, 11, 3), over=is_any((Label.MEDIASTINAL_FAT,)))


def paint_great_vessels(canvas: Canvas, patient: Patient) -> None:
    """Paint pulmonary arteries, aorta, caval veins and the vessels of the neck."""
    rng = patient.rng("great_vessels")
    wide = rng.uniform(0.9, 1.2)
    vessel = is_any(
        (
            Label.MEDIASTINAL_FAT,
            Label.VISCERAL_FAT,
            Label.LUNG,
            Label.LUNG_VESSEL,
            Label.EFFUSION,
            Label.MUSCLE,
            Label.FAT,
        )
    )
    lung_artery = Label.PULMONARY_ARTERY
    canvas.tube(lung_artery, [(22, -48, 438), (20, -30, 468), (10, -4, 478)], [14, 14, 13], over=vessel)
    canvas.tube(
        lung_artery, [(10, -4, 478), (-24, 4, 474), (-58, 12, 462), (-74, 22, 430)], [13, 12, 9, 6], over=vessel
    )
    canvas.tube(lung_artery, [(10, -4, 478), (38, 8, 478), (58, 20, 462), (72, 30, 430)], [13, 12, 9, 6], over=vessel)
    canvas.tube(Label.ARTERY, [(-20, 12, 440), (-58, 18, 436)], [9, 5], over=vessel)
    canvas.tube(Label.ARTERY, [(42, 14, 440), (66, 22, 434)], [9, 5], over=vessel)
    path = smooth_path(AORTA, 34)
    radii = np.interp(path[:, 2], [168, 260, 400, 500], [7.5, 9.5, 11.5, 13.0]) * wide
    canvas.tube(Label.ARTERY, path, radii, over=is_any((*np.flatnonzero(vessel).tolist(), Label.MYOCARDIUM)))
    canvas.tube(Label.VEIN, [(-26, -18, 420), (-25, -14, 500), (-24, -22, 535)], [11, 10, 9], over=vessel)
    canvas.tube(Label.VEIN, [(-24, -24, 534), (30, -30, 548)], [8, 7], over=vessel)
    canvas.tube(Label.ARTERY, [(-4, -12, 516), (-20, -4, 556)], [7, 6], over=vessel)
    for side in (-1, 1):
        canvas.tube(Label.ARTERY, [(side * 14, -6, 520), (side * 20, 4, 560), (side * 24, 6, 640), (side * 22, 4, 690)],
                    [5, 4.5, 4, 3], over=vessel)  # fmt: skip
        canvas.tube(Label.VEIN, [(side * 26, -24, 540), (side * 32, -4, 580), (side * 33, 6, 640), (side * 28, 10, 684)],
                    [7, 6.5, 6, 4], over=vessel)  # fmt: skip
        canvas.tube(
            Label.ARTERY, [(side * 18, 0, 545), (side * 60, -16, 566), (side * 130, 6, 552)], [5, 4.5, 4], over=vessel
        )
        canvas.tube(
            Label.VEIN, [(side * 26, -26, 542), (side * 70, -34, 554), (side * 130, -6, 548)], [6, 5, 4.5], over=vessel
        )


def paint_airway(canvas: Canvas) -> None:
    """Paint trachea and main bronchi with their walls, and the gullet behind them."""
    z = np.array([640.0, 600, 570, 540, 510, 486])
    trachea = np.stack([0 * z, spine_y(z) - np.array([34, 34, 32, 31, 34, 38]), z], 1)
    bronchi = [
        [(0, trachea[-1, 1], 486), (-24, 30, 466), (-48, 30, 452), (-66, 36, 420)],
        [(0, trachea[-1, 1], 486), (30, 30, 462), (54, 34, 448), (68, 42, 418)],
    ]
    over = is_any(
        (Label.MEDIASTINAL_FAT, Label.LUNG, Label.LUNG_VESSEL, Label.MUSCLE, Label.VISCERAL_FAT, Label.PULMONARY_ARTERY,
         Label.ARTERY, Label.FAT, Label.MUCOSA)
    )  # fmt: skip
    for label, inset in ((Label.MUCOSA, 0.0), (Label.AIRWAY, 2.4)):
        canvas.tube(label, trachea, np.full(len(z), 11.0), over=over, inset=inset)
        for path in bronchi:
            canvas.tube(label, path, [9.5, 8.5, 7.0, 5.0], over=over, inset=inset)
    z = np.array([600.0, 560, 500, 450, 400, 362])
    gullet = np.stack([np.array([4.0, 6, 3, 4, 8, 16]), spine_y(z) - np.array([15, 17, 22, 25, 26, 32]), z], 1)
    canvas.tube(Label.OESOPHAGUS, gullet, np.full(len(z), 7.5), over=over)
    canvas.tube(Label.GUT_GAS, gullet[1:4], np.full(3, 2.5))


def paint_breasts(canvas: Canvas, patient: Patient) -> None:
    """Paint the breasts of women, hanging when prone, and a tumour if there is one."""
    if patient.sex != "F" or not canvas.covers(370, 520):
        return
    rng = patient.rng("breasts")
    size = rng.uniform(0.78, 1.05) + patient.fat_mm / 110
    density = rng.uniform(-0.6, 0.9)
    front = -98 - patient.fat_mm * 0.55
    hang = 1.45 if canvas.pose.is_prone else 0.8
    fill = is_any((Label.AIR, Label.SKIN, Label.FAT))
    for side in (-1, 1):
        centre = np.array((side * 76 * (1.0 if canvas.pose.is_prone else 1.12), front - 6 * hang, 440))
        radii = np.array((58, 50 * hang, 58)) * size
        canvas.ellipsoid(Label.SKIN, centre, radii, over=is_any((Label.AIR,)))
        canvas.ellipsoid(Label.FAT, centre, radii - 2.2, over=is_any((Label.AIR, Label.SKIN)))
        found = canvas.ellipsoid_radius(centre - (0, 6 * hang, 0), radii * 0.74)
        if found is not None:
            box, radius = found
            strands = patient.deformation.noise(canvas.at(box), 7.0, 3.7)
            canvas.paint(box, (radius < 1) & (strands + density > 1.6 * radius - 0.6), Label.BREAST_GLAND, fill)
        canvas.tube(Label.SKIN, [centre - (0, radii[1] - 3, 0), centre - (0, radii[1] + 3, 0)], [6, 5])
    if patient.has("breast_tumour"):
        offset = rng.uniform(-0.45, 0.45, 3) * (55, 42 * hang, 50) * size
        centre = np.array((rng.choice([-1, 1]) * 78, front - 12 * hang, 440)) + offset
        canvas.ellipsoid(
            Label.BREAST_TUMOUR, centre, rng.uniform(7, 19) * rng.uniform(0.8, 1.2, 3),
            over=is_any((Label.FAT, Label.BREAST_GLAND)), wobble=0.2,
        )  # fmt: skip
