"""Liver with vessels and lesions, the other organs of the abdomen and the pelvis, and the gut between them.

Each organ may only take what is still visceral fat, so organs press against each other, the wall and the diaphragm.
"""

import numpy as np
from numpy.typing import NDArray

from radnet3d.archive.phantom.body import Torso
from radnet3d.archive.phantom.canvas import ANY_FAT, Canvas, smooth_path
from radnet3d.archive.phantom.patients import Patient
from radnet3d.archive.phantom.tissues import Label, is_any

Vector = NDArray[np.float64]
IN_LIVER = is_any((Label.LIVER, Label.PORTAL_VEIN, Label.HEPATIC_VEIN))
LIVER_CENTRE = np.array((-58.0, -6.0, 300.0))


def paint_abdomen(canvas: Canvas, torso: Torso, patient: Patient) -> None:
    """Paint everything between diaphragm and pelvis."""
    if not canvas.covers(-20, 400):
        return
    paint_vessels(canvas, patient)
    paint_kidneys(canvas, patient)
    liver = Liver(patient)
    liver.paint(canvas)
    paint_spleen_pancreas(canvas, patient)
    paint_stomach(canvas, patient)
    paint_pelvic_organs(canvas, patient)
    paint_masses(canvas, patient)
    paint_bowel(canvas, patient)
    if patient.has("ascites"):
        paint_ascites(canvas, torso, patient)


class Liver:
    """The liver of one patient: three overlapping parts, carved by its neighbours, with vessels and lesions."""

    def __init__(self, patient: Patient) -> None:
        self.patient = patient
        rng = self.rng = patient.rng("liver")
        d = patient.difficulty
        # organs differ less than bodies do
        body = float(np.prod(patient.scale_xyz)) ** (-1 / 6)
        self.size = body * float(np.clip(rng.normal(1.0, 0.05 + 0.04 * d), 0.84, 1.12))
        self.shift = rng.normal(0, 2 + 4 * d, 3)
        self.left_length = float(np.clip(rng.normal(1.0, 0.15 + 0.2 * d), 0.35, 1.5))
        self.right_tip = float(rng.normal(0, 8 + 14 * d))
        self.turn = rng.normal(0, 4 + 6 * d, 3)

    def place(self, x: float, y: float, z: float) -> Vector:
        """Return a point of the reference liver in this patient."""
        placed: Vector = LIVER_CENTRE + self.shift + (np.array((x, y, z)) - LIVER_CENTRE) * self.size
        return placed

    def paint(self, canvas: Canvas) -> None:
        """Paint the organ, then vessels and lesions inside it, then the gall bladder."""
        patient = self.patient
        resected = "right" if patient.has("resected_right") else "left" if patient.has("resected_left") else ""
        size, turn = self.size, self.turn
        parts = [
            (self.place(-66, 2, 300), np.array((82, 88, 88)) * size, turn),
            (self.place(-84, 12, 252 - self.right_tip), np.array((48, 60, 62)) * size, turn),
        ]
        if resected == "right":
            parts = [(self.place(-48, -22, 312), np.array((60, 62, 66)) * size, turn)]
        if resected != "left":
            length = self.left_length * (1.25 if resected == "right" else 1)
            parts.append(
                (
                    self.place(-4 + 20 * length, -44, 324),
                    np.array((74 * length, 42, 38)) * size,
                    np.array((8, 14, -8)) + turn,
                )
            )
        # the visceral surface: what the stomach, duodenum, kidney and pancreas keep free
        hollow = canvas.ellipsoid_radius(self.place(4, 12, 252), np.array((48, 66, 56)) * size, wobble=0.1)
        reserved = np.zeros(canvas.grid.shape, dtype=bool)
        if hollow is not None:
            reserved[hollow[0]] = hollow[1] < 1
        for centre, radii, degrees in parts:
            found = canvas.ellipsoid_radius(centre, radii, degrees, 0.05 + 0.05 * patient.difficulty)
            if found is not None:
                canvas.paint(found[0], (found[1] < 1) & ~reserved[found[0]], Label.LIVER, ANY_FAT)
        if not (canvas.labels == Label.LIVER).any():
            return
        self.paint_vessels(canvas)
        self.paint_lesions(canvas)
        if not patient.has("no_gall_bladder"):
            rng = patient.rng("gall_bladder")
            fill = rng.uniform(0.6, 1.25)
            centre = self.place(-42, -38, 244) + rng.normal(0, 5, 3)
            over = is_any((Label.VISCERAL_FAT, Label.LIVER))
            canvas.ellipsoid(Label.GUT_WALL, centre, np.array((16, 19, 32)) * fill + 2, (25, 0, 0), over=over)
            canvas.ellipsoid(Label.BILE, centre, np.array((16, 19, 32)) * fill, (25, 0, 0))

    def paint_vessels(self, canvas: Canvas) -> None:
        """Paint the hepatic veins that meet at the inferior vena cava and the branches of the portal vein."""
        rng = self.patient.rng("liver_vessels")
        top = np.array((-21.0, 6, 352))
        for x, y, z in ((-112, 18, 308), (-55, -52, 300), (30, -48, 330)):
            branch(canvas, rng, Label.HEPATIC_VEIN, top, self.place(x, y, z), radius_mm=6.0, depth=2)
        hilum = self.place(-20, -2, 282)
        for x, y, z in ((-100, 10, 262), (-92, -34, 318), (-100, 36, 312), (24, -46, 322)):
            branch(canvas, rng, Label.PORTAL_VEIN, hilum, self.place(x, y, z), radius_mm=5.5, depth=2)

    def paint_lesions(self, canvas: Canvas) -> None:
        """Paint the patient's liver lesions; each kind enhances in its own way."""
        rng = self.patient.rng("lesions")
        kinds = {name.removeprefix("liver_") for name in self.patient.findings if name.startswith("liver_")}
        for kind in sorted(kinds):
            n = {"metastases": int(rng.integers(3, 9)), "cyst": int(rng.integers(1, 5))}.get(
                kind, int(rng.integers(1, 3))
            )
            for _ in range(n):
                radius = float(np.clip(rng.gamma(3.0, 4.5), 5, 38))
                spot = self.place(rng.uniform(-118, -10), rng.uniform(-55, 50), rng.uniform(235, 360))
                paint_lesion(canvas, kind, spot, radius * rng.uniform(0.85, 1.15, 3))


def paint_lesion(canvas: Canvas, kind: str, centre: Vector, radii: Vector) -> None:
    """Paint one focal liver lesion inside the liver."""
    L, over = Label, IN_LIVER
    if kind == "cyst":
        canvas.ellipsoid(L.LIVER_CYST, centre, radii, over=over)
    elif kind == "metastases":
        canvas.ellipsoid(L.LIVER_METASTASIS, centre, radii, over=over, wobble=0.12)
    elif kind == "fnh":
        canvas.ellipsoid(L.LIVER_FNH, centre, radii, over=over, wobble=0.1)
        canvas.ellipsoid(
            L.LIVER_FNH_SCAR, centre, radii * (0.32, 0.14, 0.32), (20, 30, 40), over=is_any((L.LIVER_FNH,))
        )
    elif kind == "hcc":
        canvas.ellipsoid(L.LIVER_HCC_CAPSULE, centre, radii, over=over, wobble=0.1)
        canvas.ellipsoid(L.LIVER_HCC, centre, radii - 2.5, over=is_any((L.LIVER_HCC_CAPSULE,)), wobble=0.1)
    else:
        canvas.ellipsoid(L.LIVER_HAEMANGIOMA_RIM, centre, radii, over=over, wobble=0.1)
        canvas.ellipsoid(
            L.LIVER_HAEMANGIOMA_CORE, centre, radii * 0.62, over=is_any((L.LIVER_HAEMANGIOMA_RIM,)), wobble=0.3
        )


def branch(
    canvas: Canvas, rng: np.random.Generator, label: Label, start: Vector, stop: Vector, *, radius_mm: float, depth: int
) -> None:
    """Paint a vessel with smaller ones leaving it, inside the liver only."""
    middle = (start + stop) / 2 + rng.normal(0, 0.09, 3) * np.linalg.norm(stop - start)
    over = is_any((Label.LIVER, Label.PORTAL_VEIN, Label.HEPATIC_VEIN))
    canvas.tube(label, [start, middle, stop], [radius_mm, radius_mm * 0.75, radius_mm * 0.4], over=over)
    if depth:
        length = float(np.linalg.norm(stop - start))
        for origin in (middle, (middle + stop) / 2):
            direction = (stop - start) / length + rng.normal(0, 0.65, 3)
            tip = origin + direction / np.linalg.norm(direction) * length * rng.uniform(0.35, 0.6)
            branch(canvas, rng, label, origin, tip, radius_mm=radius_mm * 0.6, depth=depth - 1)


def paint_vessels(canvas: Canvas, patient: Patient) -> None:
    """Paint aortic branches, the inferior vena cava and the iliac vessels."""
    over = is_any((Label.VISCERAL_FAT, Label.MUSCLE, Label.FAT, Label.MEDIASTINAL_FAT))
    rng = patient.rng("vessels")
    wide = rng.uniform(0.85, 1.2)
    canvas.tube(
        Label.VEIN, [(-22, 12, 165), (-24, 14, 250), (-25, 14, 310), (-22, 6, 352), (-27, -14, 398)],
        np.array([10, 11, 12, 12, 12]) * wide, over=over,
    )  # fmt: skip
    canvas.tube(Label.ARTERY, [(7, 10, 285), (6, -12, 262), (2, -24, 190)], [4.5, 4, 3], over=over)
    canvas.tube(Label.PORTAL_TRUNK, [(-6, -12, 190), (-8, -8, 258), (-18, -4, 280)], [5.5, 6.5, 7], over=over)
    canvas.tube(Label.PORTAL_TRUNK, [(-8, -8, 258), (25, -2, 272), (68, 24, 300)], [6, 5, 4], over=over)
    for side in (-1, 1):
        canvas.tube(Label.ARTERY, [(4, 8, 170), (side * 26, 14, 125), (side * 58, -18, 60), (side * 66, -52, 10), (side * 62, -50, -120), (side * 66, -10, -400)],
                    [7, 6.5, 5.5, 5, 4.5, 4], over=over)  # fmt: skip
        canvas.tube(Label.VEIN, [(-20, 14, 168), (side * 28, 26, 125), (side * 56, -6, 60), (side * 58, -46, 10), (side * 54, -40, -120), (side * 60, 0, -400)],
                    [9, 8, 7, 6.5, 6, 5], over=over)  # fmt: skip
        canvas.tube(Label.ARTERY, [(side * 8, 14, 262), (side * 44, 34, 262)], [3.5, 3], over=over)
        canvas.tube(Label.VEIN, [(-18 if side < 0 else 2, 8, 258), (side * 44, 30, 258)], [5, 4.5], over=over)


def paint_kidneys(canvas: Canvas, patient: Patient) -> None:
    """Paint kidneys in their fat, with cortex, medulla and sinus; cysts and a tumour if there are any."""
    rng = patient.rng("kidneys")
    gone = int(rng.choice([-1, 1])) if patient.has("one_kidney") else 0
    for side, z0 in ((-1, 252), (1, 266)):
        size = rng.uniform(0.9, 1.1) * (1.15 if gone else 1.0)
        centre = np.array((side * 62, 42, z0)) + rng.normal(0, 3 + 3 * patient.difficulty, 3)
        turn = np.array((-14, side * 12, side * 38)) + rng.normal(0, 5, 3)
        fat = 6 + patient.fat_mm * 0.2
        if side == gone:
            continue
        inwards = np.array((-side * 0.72, -0.62, 0.0))
        canvas.ellipsoid(Label.PERIRENAL_FAT, centre, np.array((26, 31, 54)) * size + fat, turn, over=ANY_FAT)
        canvas.ellipsoid(
            Label.ADRENAL,
            centre + np.array((-side * 24, -14, 52)),
            (5, 16, 11),
            (0, 0, side * 30),
            over=is_any((Label.PERIRENAL_FAT, Label.VISCERAL_FAT)),
        )
        over = is_any((Label.PERIRENAL_FAT, Label.VISCERAL_FAT))
        canvas.ellipsoid(Label.KIDNEY_CORTEX, centre, np.array((26, 30, 54)) * size, turn, over=over, wobble=0.04)
        kidney = is_any((Label.KIDNEY_CORTEX, Label.KIDNEY_MEDULLA))
        for angle in np.linspace(0, 2 * np.pi, 8, endpoint=False):
            pyramid = (
                centre + np.array((side * 5, 4, 0)) * 0.6 + np.array((0.3 * side, 0.45, 0)) * 22 * np.cos(angle) * size
            )
            canvas.ellipsoid(
                Label.KIDNEY_MEDULLA,
                pyramid + np.array((0, 0, 35 * np.sin(angle) * size)),
                (8.5, 8.5, 8.5),
                over=kidney,
            )
        canvas.ellipsoid(Label.PERIRENAL_FAT, centre + inwards * 17, np.array((15, 13, 27)) * size, turn, over=kidney)
        canvas.ellipsoid(
            Label.KIDNEY_SINUS,
            centre + inwards * 20,
            np.array((8, 7, 15)) * size,
            turn,
            over=is_any((Label.KIDNEY_CORTEX, Label.KIDNEY_MEDULLA, Label.PERIRENAL_FAT)),
        )
        canvas.tube(
            Label.URINE,
            [centre + inwards * 24, (side * 42, 30, 190), (side * 38, 34, 110), (side * 20, 18, 40)],
            [4, 2.5, 2.5, 2.5],
            over=over,
        )
        for name, label, most in (("kidney_cyst", Label.KIDNEY_CYST, 26), ("kidney_tumour", Label.KIDNEY_TUMOUR, 34)):
            if patient.has(name) and rng.random() < 0.6:
                spot = centre + np.array((side * 20, rng.uniform(-8, 12), rng.uniform(-38, 38)))
                canvas.ellipsoid(label, spot, rng.uniform(8, most) * rng.uniform(0.9, 1.1, 3),
                                 over=is_any((*np.flatnonzero(over).tolist(), *np.flatnonzero(kidney).tolist())), wobble=0.08)  # fmt: skip


def paint_spleen_pancreas(canvas: Canvas, patient: Patient) -> None:
    """Paint spleen and pancreas."""
    rng = patient.rng("spleen")
    size = rng.uniform(0.85, 1.12) * (1.4 if patient.has("splenomegaly") else 1.0)
    canvas.ellipsoid(
        Label.SPLEEN, np.array((92, 36, 320)) + rng.normal(0, 4, 3), np.array((34, 48, 56)) * size,
        np.array((18, -12, 24)) + rng.normal(0, 8, 3), over=ANY_FAT, wobble=0.06,
    )  # fmt: skip
    rng = patient.rng("pancreas")
    path = np.array(
        [(-34, 2, 228), (-28, -6, 250), (-4, -16, 264), (26, -10, 278), (62, 18, 296), (76, 28, 300)], dtype=float
    )
    path[:, 2] += rng.normal(0, 4) + np.linspace(0, rng.normal(0, 12), len(path))
    canvas.tube(Label.PANCREAS, smooth_path(path, 12), np.linspace(15, 9, 12) * rng.uniform(0.8, 1.1), over=ANY_FAT)


def fill_gut(
    canvas: Canvas, path: Vector, radii: Vector, wall_mm: float, content: list[Label], *, layered: bool = False
) -> None:
    """Paint a piece of gut: wall, content segment by segment, and gas on top if `layered`."""
    canvas.tube(Label.GUT_WALL, path, radii, over=ANY_FAT)
    lumen = is_any((Label.GUT_WALL,))
    for n, label in enumerate(content):
        canvas.tube(label, path[n : n + 2], radii[n : n + 2], over=lumen, inset=wall_mm)
    if not layered:
        return
    box = canvas.box(path.min(0) - radii.max(), path.max(0) + radii.max())
    if box is not None:
        top = float(path[:, 1].mean()) - 8
        above = canvas.y[box] > 2 * -top if canvas.pose.is_prone else canvas.y[box] < top
        canvas.paint(box, above, Label.GUT_GAS, is_any((Label.GUT_FLUID, Label.GUT_CONTRAST)))


def paint_stomach(canvas: Canvas, patient: Patient) -> None:
    """Paint the stomach, filled more or less, with gas on top, and the duodenum."""
    rng = patient.rng("stomach")
    full = rng.uniform(0.6, 1.2)
    path = np.array([(56, 22, 346), (62, 4, 322), (60, -24, 296), (42, -52, 268), (6, -58, 248), (-24, -44, 250)])
    radii = np.array([36, 36, 32, 27, 19, 13]) * full
    content = Label.GUT_CONTRAST if patient.has("oral_contrast") else Label.GUT_FLUID
    food = int(rng.integers(0, 3))
    pieces = [Label.GUT_FOOD if food == 2 and n < 3 else content for n in range(len(path) - 1)]
    fill_gut(canvas, path + rng.normal(0, 3, 3), radii, 4.0, pieces, layered=True)
    duodenum = smooth_path([(-26, -42, 250), (-40, -18, 254), (-48, 6, 226), (-28, 12, 196), (20, 0, 204)], 9)
    fill_gut(canvas, duodenum, np.full(9, 12.0), 3.0, [Label.GUT_FLUID] * 8)


def paint_bowel(canvas: Canvas, patient: Patient) -> None:
    """Paint the colon as a frame and the small bowel as a long folded tube inside it."""
    rng = patient.rng("bowel")
    frame = smooth_path([
        (-92, 14, 62), (-106, 14, 120), (-108, 18, 190), (-98, -4, 222), (-60, -58, 205), (0, -72, 178 + rng.normal(0, 14)),
        (62, -60, 224), (100, -2, 280), (108, 26, 240), (106, 24, 160), (92, 16, 95), (62, -6, 70), (22, -12, 88),
        (6, 24, 72), (0, 52, 48), (0, 54, 16), (0, 46, -14),
    ], 64)  # fmt: skip
    frame[:-12] += rng.normal(0, 2.0, (52, 3))
    width = np.interp(np.arange(64), [0, 10, 30, 45, 63], [25, 22, 20, 15, 17]) * rng.uniform(0.75, 1.15)
    width = width * (1 + 0.13 * np.sin(np.arange(64) * 2.4))
    kinds = [Label.GUT_FOOD, Label.GUT_GAS, Label.GUT_FLUID]
    kinds += [Label.GUT_CONTRAST] if patient.has("oral_contrast") else []
    content = [Label.GUT_FOOD] * 63
    at = 0
    while at < 63:
        length = int(rng.integers(3, 11))
        content[at : at + length] = [kinds[int(rng.integers(len(kinds)))]] * len(content[at : at + length])
        at += length
    fill_gut(canvas, frame, width, 3.0, content)
    steps = rng.normal(0, 1, (90, 3))
    walk = np.cumsum(steps, axis=0)
    walk = (walk - walk.mean(0)) / walk.std(0)
    loops = np.array((0, -24, 142)) + np.tanh(walk * 0.7) * (84, 56, 84)
    path = smooth_path(loops + rng.normal(0, 9, loops.shape), 110)
    radii = np.full(110, 12.0) * rng.uniform(0.85, 1.2)
    inside = [Label.GUT_FLUID] * 109
    for n in range(109):
        draw = rng.random()
        inside[n] = (
            Label.GUT_GAS
            if draw < 0.08
            else kinds[-1]
            if draw < 0.35
            else Label.GUT_FLUID
            if draw < 0.7
            else Label.GUT_WALL
        )
    fill_gut(canvas, path, radii, 2.6, inside)


def paint_pelvic_organs(canvas: Canvas, patient: Patient) -> None:
    """Paint bladder, and uterus with ovaries or prostate."""
    if not canvas.covers(-40, 140):
        return
    rng = patient.rng("pelvis")
    fill = rng.uniform(0.65, 1.35)
    centre = np.array((rng.normal(0, 3), -24, 30 + 10 * fill))
    canvas.ellipsoid(Label.BLADDER_WALL, centre, np.array((36, 28, 28)) * fill + 4, over=ANY_FAT)
    canvas.ellipsoid(Label.URINE, centre, np.array((36, 28, 28)) * fill, over=is_any((Label.BLADDER_WALL,)))
    if patient.sex == "M":
        size = rng.uniform(0.8, 1.4)
        soft = is_any((Label.VISCERAL_FAT, Label.MUSCLE, Label.BLADDER_WALL, Label.URINE))
        canvas.ellipsoid(Label.PROSTATE, (0, 2, 0), np.array((24, 19, 19)) * size, over=soft)
        canvas.ellipsoid(
            Label.PROSTATE_CENTRE, (0, -3, 4), np.array((15, 11, 13)) * size, over=is_any((Label.PROSTATE,))
        )
        for side in (-1, 1):
            canvas.ellipsoid(Label.PROSTATE, (side * 16, 14, 24), (17, 6, 7), (0, side * 15, 0), over=ANY_FAT)
    elif not patient.has("uterus_absent"):
        lean = rng.uniform(-25, 40)
        canvas.ellipsoid(
            Label.UTERUS,
            (rng.normal(0, 5), 16, 66),
            np.array((28, 24, 42)) * rng.uniform(0.75, 1.15),
            (lean, 0, 0),
            over=ANY_FAT,
        )
        canvas.ellipsoid(Label.ENDOMETRIUM, (0, 16, 68), (12, 4, 24), (lean, 0, 0), over=is_any((Label.UTERUS,)))
        for side in (-1, 1):
            canvas.ellipsoid(Label.OVARY, (side * 46, 12, 62), rng.uniform(9, 16, 3), over=ANY_FAT)
    if patient.has("lymph_nodes"):
        for _ in range(6):
            spot = (rng.choice([-1, 1]) * rng.uniform(15, 60), rng.uniform(-5, 25), rng.uniform(60, 250))
            canvas.ellipsoid(Label.LYMPH_NODE, spot, rng.uniform(5, 12, 3), over=ANY_FAT)


def paint_masses(canvas: Canvas, patient: Patient) -> None:
    """Paint soft masses of about the liver's density elsewhere in the abdomen."""
    if not patient.has("abdominal_mass"):
        return
    rng = patient.rng("masses")
    for _ in range(int(rng.integers(1, 3))):
        spot = (rng.uniform(0, 90), rng.uniform(-50, 10), rng.uniform(110, 290))
        canvas.ellipsoid(
            Label.ABDOMINAL_MASS, spot, rng.uniform(18, 52) * rng.uniform(0.75, 1.25, 3), over=ANY_FAT, wobble=0.15
        )


def paint_ascites(canvas: Canvas, torso: Torso, patient: Patient) -> None:
    """Let fluid take the fat beside the wall, around the liver and deep in the pelvis."""
    much = patient.rng("ascites").uniform(0.06, 0.3)
    wet = (canvas.labels == Label.VISCERAL_FAT) & (canvas.z < 372)
    wet &= (torso.cavity_radius > 1 - much) | (canvas.z < 60 + 120 * much)
    canvas.labels[wet] = Label.ASCITES
