"""Head and neck: skull, brain with folds and ventricles, face with its air spaces, glands, and brain tumours."""

import numpy as np

from radnet3d.archive.phantom.body import spine_y
from radnet3d.archive.phantom.canvas import Canvas, smooth_path
from radnet3d.archive.phantom.patients import Patient
from radnet3d.archive.phantom.tissues import Label, is_any

CENTRE = np.array((0.0, -4.0, 768.0))
SCALP = np.array((80.0, 99.0, 81.0))
SPINE_TOP_Y = float(spine_y(680))
BRAIN = is_any((Label.GREY_MATTER, Label.WHITE_MATTER, Label.DEEP_GREY, Label.OEDEMA))
IN_FACE = is_any((Label.MUSCLE, Label.FAT, Label.SKIN))


def paint_head_outline(canvas: Canvas, patient: Patient) -> None:
    """Paint scalp, face and nose, as soft tissue under skin."""
    if not canvas.covers(585, 880):
        return
    empty = is_any((Label.AIR, Label.SKIN))
    fat = min(patient.fat_mm * 0.12, 4.0)
    for label, less, over in (
        (Label.SKIN, 0.0, is_any((Label.AIR,))),
        (Label.FAT, 2.2, empty),
        (Label.MUSCLE, 4.5 + fat, is_any((Label.AIR, Label.SKIN, Label.FAT))),
    ):
        canvas.ellipsoid(label, CENTRE, SCALP - less, over=over)
        canvas.ellipsoid(label, (0, -42, 690), np.array((64, 58, 78)) - less, (-8, 0, 0), over=over)
        canvas.ellipsoid(label, (0, -52, 640), np.array((50, 44, 30)) - less, over=over)
        canvas.tube(label, [(0, -92, 722), (0, -112, 698), (0, -96, 684)], [9, 11, 11], over=over, inset=less * 0.7)
    for side in (-1, 1):
        canvas.ellipsoid(Label.SKIN, (side * 80, 10, 715), (6, 18, 27), (0, 0, side * 20), over=is_any((Label.AIR,)))


def paint_head(canvas: Canvas, patient: Patient) -> None:
    """Paint everything inside head and neck."""
    if canvas.covers(560, 700):
        paint_neck(canvas, patient)
    if not canvas.covers(600, 880):
        return
    paint_skull(canvas)
    paint_face(canvas)
    paint_brain(canvas, patient)
    paint_brain_tumour(canvas, patient)


def paint_neck(canvas: Canvas, patient: Patient) -> None:
    """Paint fat planes between the neck's muscles, thyroid, salivary glands and lymph nodes."""
    rng = patient.rng("neck")
    muscle = is_any((Label.MUSCLE,))
    for side in (-1, 1):
        canvas.tube(
            Label.FAT, [(side * 34, 8, 575), (side * 37, 12, 650), (side * 40, 14, 680)], [15, 13, 10], over=muscle
        )
        canvas.tube(Label.FAT, [(side * 20, 52, 590), (side * 22, 54, 660)], [3, 3], over=muscle)
        canvas.tube(
            Label.MUSCLE,
            [(side * 18, -40, 560), (side * 36, -18, 600), (side * 46, 14, 668)],
            [9, 12, 11],
            over=is_any((Label.FAT,)),
        )
        canvas.ellipsoid(
            Label.THYROID,
            (side * 16, -14, 585),
            np.array((9, 11, 23)) * rng.uniform(0.85, 1.25),
            over=is_any((Label.MUSCLE, Label.FAT)),
        )
        canvas.ellipsoid(Label.SALIVARY_GLAND, (side * 56, -2, 676), (13, 22, 27), over=IN_FACE)
        canvas.ellipsoid(Label.SALIVARY_GLAND, (side * 32, -42, 640), (12, 18, 13), over=IN_FACE)
        if patient.has("lymph_nodes"):
            for _ in range(3):
                spot = (side * rng.uniform(34, 46), rng.uniform(-5, 25), rng.uniform(585, 660))
                canvas.ellipsoid(Label.LYMPH_NODE, spot, rng.uniform(4, 10, 3), over=is_any((Label.FAT, Label.MUSCLE)))
    z = np.array([596.0, 612, 626])
    ring = np.stack([0 * z, spine_y(z) - 36, z], 1)
    canvas.tube(Label.CARTILAGE, ring, [15, 18, 16], over=IN_FACE)


def paint_skull(canvas: Canvas) -> None:
    """Paint the vault in its three layers, the base with the petrous bones, and the jaws."""
    soft = is_any((Label.MUSCLE, Label.FAT, Label.SKIN))
    for label, radii in (
        (Label.CORTICAL_BONE, SCALP - 7.0),
        (Label.MARROW, SCALP - 9.0),
        (Label.CORTICAL_BONE, SCALP - 11.5),
    ):
        found = canvas.ellipsoid_radius(CENTRE, radii)
        if found is not None:
            box, radius = found
            high = canvas.z[box] > 700 + 0.16 * np.minimum(canvas.y[box], 0) * -1
            canvas.paint(box, (radius < 1) & high, label)
    canvas.ellipsoid(Label.CORTICAL_BONE, (0, -18, 706), (52, 46, 9), (10, 0, 0), over=soft)
    canvas.ellipsoid(Label.CORTICAL_BONE, (0, 48, 694), (56, 42, 14), over=soft)
    canvas.tube(Label.CORTICAL_BONE, [(0, -14, 712), (0, 12, 694)], [13, 10])
    for side in (-1, 1):
        canvas.tube(Label.CORTICAL_BONE, [(side * 24, 2, 706), (side * 60, 22, 702)], [9, 15])
        canvas.tube(Label.AIRWAY, [(side * 58, 22, 692), (side * 66, 32, 700)], [6, 7])
        canvas.tube(Label.MARROW, [(side * 62, 28, 688), (side * 64, 24, 676)], [8, 5])
        jaw = [(side * 52, -8, 700), (side * 50, -22, 652), (side * 34, -62, 640), (side * 12, -84, 640), (0, -88, 640)]
        canvas.tube(
            Label.CORTICAL_BONE,
            jaw,
            [7, 8, 8, 8.5, 9],
            over=is_any((*np.flatnonzero(soft).tolist(), Label.SALIVARY_GLAND)),
        )
        canvas.tube(Label.MARROW, jaw, [7, 8, 8, 8.5, 9], inset=4, over=is_any((Label.CORTICAL_BONE,)))
        canvas.tube(
            Label.CORTICAL_BONE,
            [(side * 62, 0, 704), (side * 60, -42, 704), (side * 42, -72, 704)],
            [5, 5, 8],
            over=soft,
        )


def paint_face(canvas: Canvas) -> None:
    """Paint eyes, nasal cavity, air sinuses, teeth, tongue and throat."""
    any_soft = is_any((Label.MUSCLE, Label.FAT, Label.SKIN, Label.CORTICAL_BONE, Label.MARROW))
    for side in (-1, 1):
        canvas.tube(Label.CORTICAL_BONE, [(side * 33, -78, 728), (side * 22, -40, 726)], [22, 12], over=any_soft)
        canvas.tube(Label.FAT, [(side * 33, -82, 728), (side * 22, -42, 726)], [20, 8])
        canvas.tube(Label.MUSCLE, [(side * 32, -72, 728), (side * 16, -36, 726)], [2.5, 2.5])
        canvas.ellipsoid(Label.EYE, (side * 33, -86, 728), (12.5, 12.5, 12.5))
        canvas.ellipsoid(Label.LENS, (side * 33, -95, 728), (5, 2.5, 5))
        canvas.ellipsoid(Label.CORTICAL_BONE, (side * 30, -62, 692), (19, 22, 20), over=any_soft)
        canvas.ellipsoid(Label.AIRWAY, (side * 30, -62, 692), (16, 19, 17))
        canvas.ellipsoid(Label.MUCOSA, (side * 9, -66, 690), (3.2, 26, 10))
        canvas.ellipsoid(Label.AIRWAY, (side * 5, -66, 696), (3.5, 30, 20))
        canvas.ellipsoid(Label.AIRWAY, (side * 8, -60, 718), (6, 20, 10))
        canvas.ellipsoid(
            Label.AIRWAY, (side * 14, -90, 752), (12, 5, 12), over=is_any((Label.CORTICAL_BONE, Label.MARROW))
        )
    canvas.ellipsoid(Label.AIRWAY, (0, -26, 708), (14, 11, 9))
    teeth = [(-27, -46, 664), (-22, -70, 664), (0, -82, 664), (22, -70, 664), (27, -46, 664)]
    canvas.tube(Label.CORTICAL_BONE, np.array(teeth) + np.array((0, 0, 8)), np.full(5, 8.0), over=any_soft)
    canvas.tube(Label.TEETH, teeth, np.full(5, 4.5))
    canvas.tube(Label.TEETH, np.array(teeth) - np.array((0, -2, 11)), np.full(5, 4.2))
    canvas.ellipsoid(Label.MUSCLE, (0, -42, 654), (21, 30, 16))
    canvas.tube(
        Label.MUCOSA, [(0, -22, 704), (0, -10, 670), (0, -8, 640), (0, -12, 612)], [12, 11, 11, 10], over=IN_FACE
    )
    canvas.tube(Label.AIRWAY, [(0, -24, 704), (0, -12, 670), (0, -10, 640), (0, -12, 608)], [8, 6, 7.5, 8])


def paint_brain(canvas: Canvas, patient: Patient) -> None:
    """Paint brain with a folded cortex, deep grey matter, ventricles, cerebellum, brain stem and sinuses."""
    rng = patient.rng("brain")
    atrophy = float(np.clip((patient.age_years - 45) / 60 + rng.normal(0, 0.15), 0, 1))
    inner = SCALP - 12.5
    found = canvas.ellipsoid_radius(CENTRE, inner)
    if found is None:
        return
    box, radius = found
    x, y, z = canvas.at(box)
    floor = np.where(y < 8, 716 - 0.10 * (y + 20), 722 - 0.18 * (y - 8))  # middle and anterior fossae; tentorium
    inside = (radius < 1) & (z > floor - np.where(y > 8, 40, 14) * (np.abs(x) < 62) * (np.abs(x) > 12 - 12 * (y < -10)))
    folds = patient.deformation.noise((x, y, z), 5.2, 31.7)
    depth = (1 - radius) * 78  # mm below the skull, about
    values = canvas.labels[box]
    values[inside] = Label.CSF
    sulcus = (np.abs(folds) < 0.13 + 0.16 * atrophy) & (depth < 19 + 6 * atrophy)
    brain = inside & (depth > 2 + 3.5 * atrophy) & ~sulcus & (np.abs(x) > 1.3 + 1.6 * (np.abs(y) > 40))
    values[brain] = Label.WHITE_MATTER
    ribbon = (depth < 7) | ((np.abs(folds) < 0.72) & (depth < 24)) | ((np.abs(x) < 6) & (depth < 45) & (np.abs(y) > 30))
    values[brain & ribbon] = Label.GREY_MATTER
    # falx and sagittal sinus
    values[inside & (np.abs(x) < 1.0) & (z > 760)] = Label.SINUS
    values[(radius < 1.03) & (radius > 0.93) & (np.abs(x) < 4.5) & (z > 735) & (y > -60)] = Label.SINUS
    canvas.labels[box] = values
    paint_deep_brain(canvas, patient, wide=(0.85 + 0.6 * atrophy) * (1.6 if patient.has("large_ventricles") else 1.0))
    paint_posterior_fossa(canvas, patient)


def paint_deep_brain(canvas: Canvas, patient: Patient, *, wide: float) -> None:
    """Paint thalami, basal ganglia, ventricles and the arteries below them."""
    for side in (-1, 1):
        canvas.ellipsoid(Label.DEEP_GREY, (side * 11, 10, 760), (9, 16, 11), over=BRAIN)
        canvas.ellipsoid(Label.DEEP_GREY, (side * 26, -10, 758), (7, 20, 12), (0, 0, side * 14), over=BRAIN)
        canvas.tube(
            Label.DEEP_GREY, [(side * 13, -30, 764), (side * 17, -6, 784), (side * 20, 14, 778)], [6, 4, 3], over=BRAIN
        )
        for label, extra in ((Label.WHITE_MATTER, 2.5), (Label.CSF, 0.0)):
            horn = smooth_path([(side * 12, -40, 764), (side * 8, -22, 780), (side * 11, 8, 788), (side * 20, 34, 776),
                                (side * 27, 42, 762), (side * 34, 22, 744), (side * 36, -6, 736)], 14)  # fmt: skip
            radii = np.interp(np.arange(14), [0, 3, 8, 10, 13], [5, 4.5, 6.5, 6.5, 2.5]) * wide + extra
            canvas.tube(label, horn, radii, over=is_any((*np.flatnonzero(BRAIN).tolist(), Label.CSF)))
        canvas.tube(Label.CSF, [(side * 26, 50, 762), (side * 22, 64, 766)], [5 * wide, 3 * wide], over=BRAIN)
        canvas.tube(Label.ARTERY, [(side * 8, -14, 716), (side * 26, -14, 722), (side * 44, -18, 732)], [2.6, 2.4, 2])
        canvas.tube(Label.ARTERY, [(side * 8, -16, 716), (side * 2, -36, 730)], [2.4, 2])
    canvas.ellipsoid(Label.CSF, (0, 4, 756), (1.6 + 2 * (wide - 0.8), 16, 12), over=BRAIN)
    canvas.ellipsoid(
        Label.WHITE_MATTER, (0, -6, 794), (9, 42, 4), over=is_any((*np.flatnonzero(BRAIN).tolist(), Label.CSF))
    )


def paint_posterior_fossa(canvas: Canvas, patient: Patient) -> None:
    """Paint cerebellum with its leaves, brain stem, fourth ventricle, pituitary gland and transverse sinuses."""
    for label, radii in ((Label.CSF, np.array((57, 38, 29))), (Label.GREY_MATTER, np.array((54, 35, 26)))):
        canvas.ellipsoid(
            label,
            (0, 46, 716),
            radii,
            (10, 0, 0),
            over=is_any((*np.flatnonzero(BRAIN).tolist(), Label.CSF, Label.CORTICAL_BONE, Label.MARROW, Label.MUSCLE)),
        )
    found = canvas.ellipsoid_radius((0, 44, 716), (54, 35, 26), (10, 0, 0))
    if found is not None:
        box, radius = found
        leaves = np.sin(canvas.z[box] * 0.85 + canvas.y[box] * 0.35)
        canvas.paint(
            box, (radius < 0.62) | ((radius < 0.86) & (leaves > 0.35)), Label.WHITE_MATTER, is_any((Label.GREY_MATTER,))
        )
    canvas.tube(
        Label.CSF,
        [(0, 6, 742), (0, 8, 718), (0, 16, 694), (0, SPINE_TOP_Y + 16, 676)],
        [17, 18, 13, 9],
        over=is_any((*np.flatnonzero(BRAIN).tolist(), Label.CORTICAL_BONE, Label.MARROW, Label.MUSCLE, Label.CSF)),
    )
    canvas.tube(
        Label.WHITE_MATTER,
        [(0, 12, 748), (0, 10, 722), (0, 18, 700), (0, SPINE_TOP_Y + 16, 674)],
        [13, 14, 9, 6],
    )
    canvas.ellipsoid(Label.CSF, (0, 27, 718), (7, 5, 12))
    canvas.ellipsoid(Label.PITUITARY, (0, -13, 717), (6, 5, 4))
    canvas.tube(Label.ARTERY, [(0, -6, 704), (0, -6, 728)], [2.2, 2.0])
    for side in (-1, 1):
        canvas.tube(
            Label.SINUS, [(0, 80, 738), (side * 48, 62, 728), (side * 58, 34, 712), (side * 34, 14, 694)], [4, 4, 4, 4]
        )


def paint_brain_tumour(canvas: Canvas, patient: Patient) -> None:
    """Paint a glioma with oedema, a meningioma on the dura, or an adenoma of the pituitary gland."""
    rng = patient.rng("brain_tumour")
    side = rng.choice([-1, 1])
    soft = is_any((*np.flatnonzero(BRAIN).tolist(), Label.CSF, Label.SINUS))
    if patient.has("brain_glioma"):
        centre = np.array((side * rng.uniform(18, 44), rng.uniform(-48, 40), rng.uniform(750, 800)))
        radii = rng.uniform(10, 26) * rng.uniform(0.8, 1.25, 3)
        canvas.ellipsoid(
            Label.OEDEMA, centre, radii * rng.uniform(1.4, 2.0), over=is_any((Label.WHITE_MATTER,)), wobble=0.3
        )
        canvas.ellipsoid(Label.GLIOMA_RIM, centre, radii, over=soft, wobble=0.2)
        canvas.ellipsoid(
            Label.GLIOMA_CORE, centre, radii * rng.uniform(0.5, 0.75), over=is_any((Label.GLIOMA_RIM,)), wobble=0.25
        )
    elif patient.has("brain_meningioma"):
        direction = np.array((side * rng.uniform(0.2, 1), rng.uniform(-0.9, 0.8), rng.uniform(0.1, 0.9)))
        direction /= np.linalg.norm(direction)
        radii = rng.uniform(10, 24) * rng.uniform(0.85, 1.15, 3)
        centre = CENTRE + direction * (SCALP - 13) - direction * radii * 0.75
        canvas.ellipsoid(Label.OEDEMA, centre, radii * 1.35, over=is_any((Label.WHITE_MATTER,)), wobble=0.25)
        canvas.ellipsoid(Label.MENINGIOMA, centre, radii, over=soft, wobble=0.06)
    elif patient.has("brain_pituitary_adenoma"):
        radii = rng.uniform(7, 17) * np.array((1.0, 0.9, rng.uniform(1.0, 1.4)))
        canvas.ellipsoid(Label.PITUITARY_ADENOMA, (0, -13, 715 + radii[2] * 0.7), radii, wobble=0.08)
