"""Outline, fat, muscle, body cavities, skeleton and limbs.

Horizontal sections are squarish ellipses whose half-widths follow the height; nested ones give skin, fat, muscle wall and
cavity. Bones repeat along the spine by their own phase.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from radnet3d.archive.phantom.canvas import Canvas, Floats
from radnet3d.archive.phantom.patients import Patient
from radnet3d.archive.phantom.tissues import Label, is_any

Z_LOW, Z_HIGH = -500, 950
HEAD_Z = 672.0
"""Above this the head's own outline takes over."""

# height z, half width, half depth to the front, to the back, of muscle and bone without fat (mm)
LEAN = np.array([
    (-60, 120, 60, 60), (-30, 150, 82, 88), (40, 166, 88, 98), (110, 156, 86, 95), (170, 141, 86, 86), (220, 133, 89, 83),
    (280, 138, 96, 87), (340, 146, 101, 93), (400, 150, 103, 97), (460, 151, 98, 97), (510, 153, 88, 92),
    (540, 165, 70, 84), (562, 150, 54, 74), (578, 98, 48, 66), (594, 66, 50, 60), (612, 57, 53, 57), (645, 55, 56, 58),
    (672, 56, 56, 60), (700, 50, 40, 56),
], dtype=float)  # fmt: skip
# the same of the inside of ribs and abdominal wall
CAVITY = np.array([
    (-14, 8, 8, 14), (0, 40, 30, 40), (30, 62, 56, 62), (80, 88, 74, 66), (130, 112, 76, 62), (175, 122, 76, 58),
    (220, 120, 78, 60), (280, 125, 84, 70), (340, 132, 88, 77), (400, 135, 89, 80), (460, 132, 84, 79),
    (505, 118, 72, 74), (535, 92, 56, 66), (560, 64, 40, 54), (582, 30, 18, 32), (592, 4, 2, 4),
], dtype=float)  # fmt: skip
# thickness of subcutaneous fat against the belly's: side, front, back
FAT = np.array([
    (-200, 0.9, 0.9, 0.9), (20, 1.35, 0.9, 1.3), (110, 1.15, 1.15, 1.1), (200, 1.0, 1.25, 0.9), (300, 0.75, 0.85, 0.7),
    (420, 0.65, 0.55, 0.6), (530, 0.5, 0.4, 0.55), (580, 0.4, 0.3, 0.6), (640, 0.35, 0.25, 0.5), (700, 0.15, 0.1, 0.2),
], dtype=float)  # fmt: skip
SPINE_Y = np.array([
    (-40, 82), (30, 88), (75, 78), (110, 50), (145, 40), (215, 40), (280, 47), (340, 58), (420, 68), (480, 67), (540, 50),
    (575, 33), (620, 22), (690, 22),
], dtype=float)  # fmt: skip
CENTRE_Y = np.array([(-100, 0), (540, 0), (600, 8), (680, 8), (760, 8)], dtype=float)
# tops of the vertebrae L5 ... C1, from below
VERTEBRA_TOPS = np.concatenate([
    [112, 146, 180, 214, 247, 279], np.cumsum(np.linspace(28, 20, 12)) + 279, np.cumsum(np.full(7, 15.6)) + 567,
])  # fmt: skip

BONE = (Label.CORTICAL_BONE, Label.MARROW)
SOFT = is_any((Label.MUSCLE, Label.FAT, Label.VISCERAL_FAT, Label.SKIN, Label.MEDIASTINAL_FAT, Label.LUNG))


def profile(knots: NDArray[np.float64], column: int) -> Floats:
    """Return one column of a table over height, at every mm from Z_LOW to Z_HIGH."""
    at = np.arange(Z_LOW, Z_HIGH + 1)
    return np.interp(at, knots[:, 0], knots[:, column]).astype(np.float32)


def spine_y(z: ArrayLike) -> NDArray[np.float64]:
    """Return where the centres of the vertebral bodies lie, front to back, at height z."""
    return np.asarray(np.interp(np.asarray(z, dtype=float), SPINE_Y[:, 0], SPINE_Y[:, 1]))


@dataclass
class Torso:
    """Fields over the whole canvas that several organs need."""

    row: NDArray[np.int32]  # index of each point's height in a profile
    cavity_radius: Floats  # < 1 inside ribs and abdominal wall
    lean_radius: Floats  # < 1 inside the subcutaneous fat
    behind_spine: Floats  # y minus that of the vertebral bodies
    beside_spine: Floats  # x minus that of the vertebral bodies


def squarish_radius(u: Floats, v: Floats, squareness: float) -> Floats:
    """Return the normalised radius of a rounded rectangle: `squareness` 2 is an ellipse, less is squarer.

    Destroys `u` and `v`.
    """
    u *= u
    v *= v
    fourth = u * v
    fourth *= np.float32(squareness)
    u *= u
    v *= v
    fourth += u
    fourth += v
    np.sqrt(fourth, out=fourth)
    np.sqrt(fourth, out=fourth)
    return fourth


@dataclass
class Sections:
    """Every grid point's place in the horizontal section of the body at its height."""

    x: Floats
    y: Floats  # from the section's centre
    row: NDArray[np.int32]
    row_front_back: NDArray[np.int32]  # row of a table whose second half is for points behind the centre

    def radius(self, half: list[Floats]) -> Floats:
        """Return the normalised radius in the section whose half width, front and back depth are profiles."""
        width, front, back = (1 / profile for profile in half)
        u = self.x * np.take(width, self.row)
        v = self.y * np.take(np.concatenate([front, back]), self.row_front_back)
        return squarish_radius(u, v, 1.35)


def sections_of(canvas: Canvas) -> Sections:
    """Return the sections of a canvas."""
    row = np.clip(np.rint(canvas.z) - Z_LOW, 0, Z_HIGH - Z_LOW).astype(np.int32)
    y = canvas.y - np.take(profile(CENTRE_Y, 1), row)
    return Sections(canvas.x, y, row, row + (Z_HIGH - Z_LOW + 1) * (y >= 0).astype(np.int32))


def paint_body(canvas: Canvas, patient: Patient) -> Torso:
    """Paint skin, fat, muscle and the abdominal cavity; return the fields other parts are placed by."""
    rng = patient.rng("outline")
    sections = sections_of(canvas)
    row = sections.row
    lean = [profile(LEAN, n + 1) for n in range(3)]
    fat = [profile(FAT, n + 1) * patient.fat_mm for n in range(3)]
    fat[1] = fat[1] * rng.uniform(0.7, 1.3)
    visceral = np.float32(np.clip(rng.normal(0, 5) + (patient.fat_mm - 18) * 0.25, -5, 12))
    belly = np.exp(-(((np.arange(Z_LOW, Z_HIGH + 1) - 190) / 85.0) ** 2)).astype(np.float32) * visceral
    lean[1], lean[0] = lean[1] + belly, lean[0] + belly * np.float32(0.5)
    cavity = [profile(CAVITY, n + 1) for n in range(3)]
    cavity[1], cavity[0] = cavity[1] + belly, cavity[0] + belly * np.float32(0.5)
    # the chest of women is narrower, their pelvis wider
    if patient.sex == "F":
        shape = np.interp(np.arange(Z_LOW, Z_HIGH + 1), [0, 120, 300, 550], [1.05, 1.05, 0.97, 0.92]).astype(np.float32)
        lean, cavity = [lean[0] * shape, *lean[1:]], [cavity[0] * shape, *cavity[1:]]

    outer_radius = sections.radius([inner + skin for inner, skin in zip(lean, fat, strict=True)])
    lean_radius = sections.radius(lean)
    cavity_radius = sections.radius(cavity)
    torso = (canvas.z > -60) & (canvas.z < 690)
    labels = canvas.labels
    labels[torso & (outer_radius < 1)] = Label.SKIN
    labels[torso & (outer_radius < 1 - 2.2 / 160)] = Label.FAT
    labels[torso & (lean_radius < 1)] = Label.MUSCLE
    paint_legs(canvas, patient)
    # thin fat between wall muscles, then the cavity
    labels[(cavity_radius < 1) & (canvas.z < 592) & (canvas.z > -14)] = Label.VISCERAL_FAT
    scoliosis = (rng.uniform(8, 16) if patient.has("scoliosis") else rng.uniform(0, 3)) * rng.choice([-1, 1])
    heights = np.arange(Z_LOW, Z_HIGH + 1)
    sway = (scoliosis * np.sin((heights - 110) / 470 * np.pi * 2) * ((heights > 100) & (heights < 580))).astype(
        np.float32
    )
    return Torso(row, cavity_radius, lean_radius, canvas.y - profile(SPINE_Y, 1)[row], canvas.x - sway[row])


def paint_legs(canvas: Canvas, patient: Patient) -> None:
    """Paint the thighs: fat around muscle; the bone comes with the skeleton."""
    if not canvas.covers(-500, 40):
        return
    not_lean = is_any((Label.AIR, Label.SKIN, Label.FAT))
    for side in (-1, 1):
        path = [(side * 84, 2, 20), (side * 84, 2, -60), (side * 80, 8, -420)]
        fat = patient.fat_mm * 0.8
        canvas.tube(Label.SKIN, path, [78 + fat, 79 + fat, 58 + fat], over=is_any((Label.AIR,)))
        canvas.tube(Label.FAT, path, [76 + fat, 77 + fat, 56 + fat], over=is_any((Label.AIR, Label.SKIN)))
        canvas.tube(Label.MUSCLE, path, [72, 74, 54], over=not_lean)
        # septa of fat between the muscle groups
        canvas.tube(Label.FAT, [(side * 78, -12, -80), (side * 76, 0, -420)], [7, 6])


def paint_skeleton(canvas: Canvas, torso: Torso, patient: Patient) -> None:
    """Paint back muscles, spine, ribs, sternum, pelvis, femora and the shoulder girdle."""
    paint_back(canvas, torso)
    paint_ribs(canvas, torso, patient)
    paint_spine(canvas, torso)
    if canvas.covers(-500, 215):
        paint_pelvis(canvas)
    if canvas.covers(420, 620):
        paint_shoulders(canvas)


def paint_back(canvas: Canvas, torso: Torso) -> None:
    """Paint the muscles along the spine and the psoas."""
    y, x = torso.behind_spine, np.abs(torso.beside_spine)
    back = (torso.cavity_radius < 1) & (((x - 26) / 34) ** 2 + ((y - 36) / 30) ** 2 < 1) & (canvas.z > 20)
    canvas.labels[back] = Label.MUSCLE
    for side in (-1, 1):
        canvas.tube(
            Label.MUSCLE,
            [
                (side * 24, 42, 292),
                (side * 36, 34, 215),
                (side * 46, 28, 150),
                (side * 62, 5, 90),
                (side * 82, -14, 30),
            ],
            [8, 17, 21, 19, 15],
            over=is_any((Label.VISCERAL_FAT,)),
        )


def paint_ribs(canvas: Canvas, torso: Torso, patient: Patient) -> None:
    """Paint twelve pairs of ribs in the shell around the chest, falling to the front, ending in cartilage."""
    if not canvas.covers(190, 600):
        return
    shell = (torso.cavity_radius >= 1.0) & (torso.cavity_radius < 1.11) & (canvas.z > 195) & (canvas.z < 590)
    shell &= canvas.labels == Label.MUSCLE
    x, y, z = canvas.x[shell], torso.behind_spine[shell], canvas.z[shell]
    angle = np.arctan2(np.abs(x), y + 45)  # 0 at the back, pi in front
    gap = np.float32(24.5)
    height = z + np.float32(32) * angle - np.float32(9) * np.maximum(angle - 1.9, 0) ** 2 * 6
    phase = (height - 300) / gap
    number = np.floor(phase)  # 0: the twelfth rib
    distance = np.abs(phase - number - 0.5) * gap
    radial = np.abs(torso.cavity_radius[shell] - 1.05) / 0.045
    reach = np.where(number < 2, 0.9 + 0.35 * number, 2.75 - np.clip(5 - number, 0, 3) * 0.12)
    is_rib = (distance / 6.3) ** 2 + radial**2 < 1
    is_rib &= (number >= 0) & (number <= 11.5) & (angle < reach)
    marrow = (distance / 4.0) ** 2 + (radial / 0.6) ** 2 < 1
    kind = np.where(angle > 2.2, Label.CARTILAGE, np.where(marrow, Label.MARROW, Label.CORTICAL_BONE))
    values = canvas.labels[shell]
    values[is_rib] = kind[is_rib]
    canvas.labels[shell] = values
    canvas.tube(Label.CORTICAL_BONE, [(0, -90, 395), (0, -91, 440), (0, -80, 500), (0, -69, 535)], [6, 9, 11, 13])
    canvas.tube(Label.MARROW, [(0, -90, 395), (0, -91, 440), (0, -80, 500), (0, -69, 535)], [6, 9, 11, 13], inset=3.2)


def paint_spine(canvas: Canvas, torso: Torso) -> None:
    """Paint vertebral bodies, discs, arches, processes, the canal with the cord, and the sacrum."""
    if not canvas.covers(-60, 690):
        return
    heights = np.arange(Z_LOW, Z_HIGH + 1)
    number = np.clip(np.searchsorted(VERTEBRA_TOPS, heights), 0, len(VERTEBRA_TOPS) - 1)
    tops, bottoms = VERTEBRA_TOPS[number], np.concatenate([[70.0], VERTEBRA_TOPS])[number]
    phase = ((heights - bottoms) / (tops - bottoms)).astype(np.float32)  # 0 at the lower, 1 at the upper edge
    width = np.interp(heights, [60, 112, 280, 420, 560, 600, 680], [26, 27, 23, 17, 15, 12, 12]).astype(np.float32)
    depth = np.interp(heights, [60, 112, 280, 420, 560, 600, 680], [17, 18, 17, 15, 10, 9, 9]).astype(np.float32)
    near = np.abs(torso.beside_spine) < 48
    near &= (torso.behind_spine > -24) & (torso.behind_spine < 66) & (canvas.z > 60) & (canvas.z < 686)
    row, x, y = torso.row[near], torso.beside_spine[near], torso.behind_spine[near]
    p, w, d = phase[row], width[row], depth[row]
    values = canvas.labels[near]
    side = np.abs(x)
    canal_y = y - d - 8
    spinous = (side < 3.5) & (canal_y > 5) & (canal_y < 34) & (np.abs(p - 0.35) < 0.27)
    transverse = (np.abs(canal_y + 1) < 5.5) & (side < w + 17) & (np.abs(p - 0.6) < 0.2)
    arch = (side / 16) ** 2 + (canal_y / 13) ** 2 < 1
    facet = (((side - 14) / 9) ** 2 + ((canal_y - 5) / 8) ** 2 < 1) & (np.abs(p - 0.1) < 0.25)
    values[spinous | transverse | facet] = Label.CORTICAL_BONE
    values[arch & ((np.abs(p - 0.5) < 0.36) | (canal_y > 3))] = Label.CORTICAL_BONE
    body = (x / w) ** 2 + (y / d) ** 2
    values[body < 1] = Label.CORTICAL_BONE
    values[body < 0.80] = Label.MARROW
    is_disc = (p < 0.11) | (p > 0.89)
    values[(body < 1) & is_disc] = Label.DISC
    values[(body < 0.86) & (np.abs(np.abs(p - 0.5) - 0.37) < 0.03)] = Label.CORTICAL_BONE  # end plates
    canal = (x / 10.5) ** 2 + (canal_y / 8.5) ** 2
    values[canal < 1] = Label.CSF
    values[((x / 6) ** 2 + (canal_y / 4.5) ** 2 < 1) & (canvas.z[near] > 262)] = Label.CORD
    canvas.labels[near] = values
    canvas.ellipsoid(Label.CORTICAL_BONE, (0, 72, 72), (54, 15, 52), (-28, 0, 0))
    canvas.ellipsoid(Label.MARROW, (0, 72, 72), (50, 11, 48), (-28, 0, 0))
    canvas.tube(Label.CSF, [(0, 66, 112), (0, 84, 70)], [8, 5])
    canvas.tube(Label.CORTICAL_BONE, [(0, 88, 30), (0, 78, -4)], [10, 5])


def paint_pelvis(canvas: Canvas) -> None:
    """Paint iliac wings, hip joints, pubis, ischium and the femora."""
    for side in (-1, 1):
        turn = (0, -side * 16, side * 52)
        for label, grow in ((Label.CORTICAL_BONE, 0.0), (Label.MARROW, 3.0)):
            canvas.ellipsoid(label, (side * 92, 26, 128), (66 - grow, 9.5 - grow, 58 - grow), turn)
            canvas.tube(label, [(side * 90, 10, 78), (side * 92, 4, 40)], [17, 32], inset=grow)
            canvas.tube(
                label, [(side * 78, -14, 26), (side * 42, -44, 18), (side * 8, -50, 2)], [11, 10, 11], inset=grow
            )
            canvas.tube(label, [(side * 86, 26, 26), (side * 66, 40, -26)], [17, 14], inset=grow)
            canvas.tube(label, [(side * 62, 38, -24), (side * 14, -38, -14)], [9, 8], inset=grow)
        canvas.tube(Label.CARTILAGE, [(side * 94, 2, 33), (side * 95, 2, 33)], [27, 27])
        femur = [
            (side * 94, 2, 33),
            (side * 116, 10, 16),
            (side * 130, 16, -6),
            (side * 122, 12, -50),
            (side * 92, 8, -440),
        ]
        canvas.tube(Label.CORTICAL_BONE, femur, [24, 16, 19, 15, 13.5])
        canvas.tube(Label.MARROW, femur, [24, 16, 19, 12, 10], inset=3.0)
    canvas.tube(Label.CARTILAGE, [(-4, -50, 2), (4, -50, 2)], [10, 10])


def paint_shoulders(canvas: Canvas) -> None:
    """Paint collar bones and shoulder blades."""
    over = is_any((Label.MUSCLE, Label.FAT))
    for side in (-1, 1):
        for label, grow in ((Label.CORTICAL_BONE, 0.0), (Label.MARROW, 2.8)):
            canvas.tube(
                label, [(side * 16, -62, 546), (side * 70, -52, 558), (side * 138, -8, 566)], [8, 6.5, 7], inset=grow
            )
        canvas.ellipsoid(
            Label.CORTICAL_BONE, (side * 108, 76, 496), (46, 4.5, 62), (0, side * 8, -side * 32), over=over
        )
        canvas.tube(Label.CORTICAL_BONE, [(side * 78, 84, 540), (side * 142, 42, 562)], [6, 8], over=over)


def paint_arms(canvas: Canvas, patient: Patient) -> None:
    """Paint the arms beside the body or raised beside the head."""
    fat = patient.fat_mm * 0.35
    empty = is_any((Label.AIR, Label.SKIN, Label.FAT))
    for side in (-1, 1):
        if canvas.pose.arms == "down":
            path = np.array(
                [(152, 10, 548), (192, 22, 480), (218, 30, 260), (216, -6, 30), (206, -14, -90)], dtype=float
            )
            path += np.outer([0, 0, 1, 1, 1], [0.77 * patient.fat_mm, 0, 0])
            radii = np.array([44, 42, 34, 22, 24], dtype=float)
        else:
            path = np.array([(148, 10, 545), (150, 14, 590), (138, 0, 800), (110, -20, 1000)], dtype=float)
            radii = np.array([44, 46, 36, 30], dtype=float)
        path[:, 0] *= side
        canvas.tube(Label.SKIN, path, radii + fat, over=is_any((Label.AIR,)))
        canvas.tube(Label.FAT, path, radii + fat, inset=2.2, over=is_any((Label.AIR, Label.SKIN)))
        canvas.tube(Label.MUSCLE, path, radii, over=empty)
        canvas.tube(Label.CORTICAL_BONE, path, [24, *([12.5] * (len(path) - 2)), 9])
        canvas.tube(Label.MARROW, path, [24, *([12.5] * (len(path) - 2)), 9], inset=3.5)
