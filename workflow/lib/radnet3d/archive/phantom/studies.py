"""Which studies and series a patient gets, and how they are acquired."""

from dataclasses import replace

import numpy as np

from radnet3d.archive.phantom.patients import draw_patient, draw_pose, generator
from radnet3d.archive.phantom.placing import place
from radnet3d.archive.phantom.protocols import Series
from radnet3d.archive.phantom.signals import Technique


def mr_technique(rng: np.random.Generator, sequence: str, protocol: str, field_t: float) -> Technique:
    """Return settings that give a sequence its weighting, as they vary between sites."""
    body = protocol not in ("brain", "head", "head_neck", "neck")
    fat_saturated = bool(body and rng.random() < 0.5)
    if sequence == "T1" and ((body and protocol != "pelvis") or rng.random() < 0.2):
        flip = rng.uniform(10, 15) if body else rng.uniform(18, 25)
        tr = rng.uniform(3.6, 6.0) if body else rng.uniform(7, 20)
        return Technique(
            "GRE", round(tr, 2), round(rng.uniform(1.6, 3.2), 2), 0, round(flip), 1, 0, fat_saturated, True, field_t
        )
    if sequence == "T1":
        return Technique(
            "SE",
            round(rng.uniform(420, 700)),
            round(rng.uniform(8, 16), 1),
            0,
            90,
            int(rng.choice([1, 1, 3])),
            0,
            fat_saturated,
            False,
            field_t,
        )
    if sequence == "T1_FLAIR":
        return Technique(
            "IR",
            round(rng.uniform(1800, 2500)),
            round(rng.uniform(9, 24), 1),
            round(rng.uniform(720, 900)),
            90,
            int(rng.integers(5, 10)),
            0,
            False,
            False,
            field_t,
        )
    if sequence == "FLAIR":
        return Technique(
            "IR",
            round(rng.uniform(8000, 10500)),
            round(rng.uniform(95, 140)),
            round(rng.uniform(2250, 2600)),
            90,
            int(rng.integers(14, 30)),
            0,
            False,
            False,
            field_t,
        )
    if sequence == "STIR":
        return Technique(
            "IR",
            round(rng.uniform(3500, 6000)),
            round(rng.uniform(30, 65)),
            round(rng.uniform(145, 180)),
            90,
            int(rng.integers(8, 18)),
            0,
            False,
            False,
            field_t,
        )
    if sequence == "PD":
        return Technique(
            "SE",
            round(rng.uniform(2200, 3500)),
            round(rng.uniform(12, 32)),
            0,
            90,
            int(rng.integers(4, 9)),
            0,
            fat_saturated,
            False,
            field_t,
        )
    if sequence in ("DWI", "ADC"):
        b_value = float(rng.choice([500, 800, 1000]))
        return Technique(
            "ADC" if sequence == "ADC" else "DWI",
            round(rng.uniform(4500, 9000)),
            round(rng.uniform(62, 95)),
            0,
            90,
            1,
            b_value,
            True,
            False,
            field_t,
        )
    if sequence == "SSFP":
        return Technique(
            "SSFP",
            round(rng.uniform(3.4, 5), 2),
            round(rng.uniform(1.5, 2.2), 2),
            0,
            round(rng.uniform(45, 65)),
            1,
            0,
            False,
            False,
            field_t,
        )
    if sequence == "T2STAR":
        return Technique(
            "T2STAR", round(rng.uniform(500, 800)), round(rng.uniform(15, 26)), 0, 20, 1, 0, False, False, field_t
        )
    return Technique(
        "SE",
        round(rng.uniform(2800, 6000)),
        round(rng.uniform(82, 115)),
        0,
        90,
        int(rng.integers(10, 32)),
        0,
        fat_saturated,
        False,
        field_t,
    )


STORIES = {
    "brain_mr": 0.24, "head_ct": 0.05, "neck": 0.07, "chest_ct": 0.12, "liver_ct": 0.12, "liver_mr": 0.09, "kidney": 0.07,
    "trunk_ct": 0.11, "pelvis_mr": 0.06, "breast_mr": 0.06, "pet": 0.07,
}  # fmt: skip
VENDORS = {
    "CT": {"GE": 0.33, "SIEMENS": 0.33, "PHILIPS": 0.15, "TOSHIBA": 0.14, "HITACHI": 0.05},
    "MR": {"GE": 0.32, "SIEMENS": 0.36, "PHILIPS": 0.22, "TOSHIBA": 0.05, "HITACHI": 0.05},
    "PT": {"GE": 0.45, "SIEMENS": 0.4, "PHILIPS": 0.15},
}

Wish = tuple[str, str, str, str]  # modality/sequence, protocol, plane, phase


def wishes_of(story: str, rng: np.random.Generator) -> list[Wish]:
    """Return series a story may contain, the most usual first; the study takes as many as its patient has."""
    plane = str(rng.choice(["axial", "coronal", "sagittal"], p=[0.5, 0.27, 0.23]))
    other = str(rng.choice(["coronal", "sagittal"]))
    t1 = "T1_FLAIR" if rng.random() < 0.5 else "T1"
    if story == "brain_mr":
        return [
            (t1, "brain", plane, "native"), ("FLAIR", "brain", "axial", "native"),
            ("T2", "brain", str(rng.choice(["axial", "axial", other])), "native"), (t1, "brain", plane, "delayed"),
            ("FLAIR", "brain", other, str(rng.choice(["native", "delayed"]))), ("T1", "brain", other, "delayed"),
            ("DWI", "brain", "axial", "native"), ("T2STAR", "brain", "axial", "native"),
        ]  # fmt: skip
    if story == "head_ct":
        return [("CT", "head", "axial", "native"), ("CT", "head", other, "native"), ("CT", "head", "axial", "portal"),
                ("CT", "head_neck", "axial", "arterial"), ("CT", "head_neck", other, "arterial")]  # fmt: skip
    if story == "neck":
        where = str(rng.choice(["neck", "head_neck"]))
        if rng.random() < 0.5:
            return [("CT", where, "axial", "portal"), ("CT", where, other, "portal"), ("CT", where, "axial", "native"),
                    ("CT", "chest", "axial", "portal"), ("CT", "chest", other, "portal")]  # fmt: skip
        return [("T2", where, plane, "native"), ("T1", where, "axial", "native"), ("T1", where, "axial", "delayed"),
                ("STIR", where, "coronal", "native"), ("T1", where, other, "delayed")]  # fmt: skip
    if story == "chest_ct":
        phase = str(rng.choice(["native", "native", "arterial", "portal"]))
        return [("CT", "chest", "axial", phase), ("CT", "chest", other, phase), ("CT", "chest", "axial", phase),
                ("CT", "chest", "sagittal" if other == "coronal" else "coronal", phase), ("CT", "chest_abdomen", "axial", "portal")]  # fmt: skip
    if story == "liver_ct":
        phases = ["portal", "arterial", "native", "delayed"]
        return [("CT", str(rng.choice(["liver", "abdomen", "abdomen_pelvis"])), "axial", phase) for phase in phases] + [
            ("CT", "abdomen_pelvis", other, "portal")
        ]
    if story == "liver_mr":
        where = str(rng.choice(["liver", "abdomen"]))
        return [("T1", where, "axial", "native"), ("T2", where, str(rng.choice(["axial", "coronal"])), "native"),
                ("T1", where, "axial", str(rng.choice(["arterial", "portal"]))), ("T1", where, "coronal", "delayed"),
                ("DWI", where, "axial", "native")]  # fmt: skip
    if story == "kidney":
        if rng.random() < 0.5:
            return [("CT", "kidney", "axial", "arterial"), ("CT", "kidney", "axial", "native"), ("CT", "abdomen_pelvis", "axial", "delayed"),
                    ("CT", "kidney", "coronal", "portal"), ("CT", "kidney", "sagittal", "portal")]  # fmt: skip
        return [("T2", "kidney", "coronal", "native"), ("T1", "kidney", "axial", "native"), ("T1", "kidney", "axial", "portal"),
                ("T2", "kidney", "axial", "native"), ("T1", "kidney", "coronal", "delayed")]  # fmt: skip
    if story == "trunk_ct":
        where, phase = str(rng.choice(["cap", "abdomen_pelvis"])), str(rng.choice(["portal", "portal", "native"]))
        return [("CT", where, "axial", phase), ("CT", where, "coronal", phase), ("CT", where, "sagittal", phase),
                ("CT", "chest", "axial", phase), ("CT", "pelvis", "axial", phase)]  # fmt: skip
    if story == "pelvis_mr":
        return [("T2", "pelvis", "sagittal", "native"), ("T2", "pelvis", "axial", "native"), ("T1", "pelvis", "axial", "native"),
                ("T1", "pelvis", plane, "delayed"), ("PD", "pelvis", "coronal", "native")]  # fmt: skip
    if story == "breast_mr":
        side = str(rng.choice(["axial", "axial", "sagittal"]))
        return [("T1", "breast", side, "native"), ("T1", "breast", side, "portal"), ("T2", "breast", "axial", "native"),
                ("STIR", "breast", side, "native"), ("T1", "breast", side, "delayed")]  # fmt: skip
    return [("CT", "wholebody", "axial", "native"), ("PET_AC", "wholebody", "axial", ""), ("PET_NAC", "wholebody", "axial", ""),
            ("PET_AC", "wholebody", "coronal", ""), ("CT", "wholebody", "coronal", "native")]  # fmt: skip


def plan_patient(
    seed: int, number: int, difficulty: float, n_series: tuple[int, int], *, stream: str = "archive"
) -> list[Series]:
    """Return all series of one archive patient, from the seed and the patient's number alone."""
    rng = generator(seed, f"{stream}/study", number)
    story = str(rng.choice(list(STORIES), p=np.array(list(STORIES.values())) / sum(STORIES.values())))
    patient = draw_patient(seed, stream, number, difficulty)
    edition = f"{seed}/{stream}/{difficulty:g}/{n_series[0]}-{n_series[1]}"
    if story == "breast_mr" and patient.sex != "F":
        story = "trunk_ct"
    n = int(rng.integers(n_series[0], n_series[1] + 1))
    wishes = wishes_of(story, rng)[:n]
    vendors = {modality: str(rng.choice(list(odds), p=list(odds.values()))) for modality, odds in VENDORS.items()}
    if story == "pet":
        vendors["CT"] = vendors["PT"]
    field_t = float(rng.choice([1.5, 3.0]))
    prone = story == "breast_mr" or rng.random() < 0.06 * difficulty
    arms = "down" if story in ("brain_mr", "head_ct", "neck") or rng.random() < 0.3 * difficulty else "up"
    pose = draw_pose(rng, patient, is_prone=prone, arms=arms)
    planned = []
    for k, (what, protocol, plane, phase) in enumerate(wishes):
        modality = "CT" if what == "CT" else "PT" if what.startswith("PET") else "MR"
        technique = Technique(what) if modality != "MR" else mr_technique(rng, what, protocol, field_t)
        series = Series(
            edition,
            patient,
            pose,
            k,
            0,
            modality,
            protocol,
            what,
            technique,
            vendors[modality],
            plane=plane,
            phase=phase,
        )
        planned.append(series)
    planned = [twist(series, planned, rng) for series in planned]
    return [place(series) for series in planned]


def twist(series: Series, study: list[Series], rng: np.random.Generator) -> Series:
    """Return the series, or what stands in its place: a localizer, something derived, a dynamic one, a faulty one."""
    draws = rng.random(4)
    last = series.number == len(study) - 1
    if last and draws[0] < 0.34 and series.modality != "PT":
        if series.modality == "CT":
            return replace(series, kind="localizer", plane="coronal", phase="native", technique=Technique("CT"))
        sequence = str(rng.choice(["SSFP", "T1", "T2"]))
        technique = mr_technique(rng, sequence, "abdomen", series.technique.field_t)
        technique = replace(technique, is_fat_saturated=False)
        return replace(series, kind="localizer", plane="multi", sequence=sequence, phase="native", technique=technique)
    if last and draws[1] < 0.42:
        return derive(series, rng)
    if (
        series.protocol in ("breast", "liver")
        and series.sequence == "T1"
        and series.contrast == "yes"
        and draws[2] < 0.25
    ):
        return replace(series, phases=("native", "arterial", "portal"))
    if series.modality != "PT" and draws[3] < 0.1:
        return replace(series, fault=str(rng.choice(["missing_slice", "duplicate_position", "irregular_spacing"])))
    if (
        series.modality == "CT"
        and series.protocol in ("head", "head_neck")
        and series.plane == "axial"
        and draws[3] > 0.6
    ):
        return replace(series, gantry_tilt_deg=round(float(rng.choice([-1, 1]) * rng.uniform(8, 20)), 1))
    return series


def derive(series: Series, rng: np.random.Generator) -> Series:
    """Return a computed series that belongs to the same study."""
    if series.modality == "MR" and series.contrast == "yes" and series.sequence == "T1":
        return replace(series, kind="derived", derived="subtraction")
    if series.modality == "MR" and series.sequence in ("DWI", "T2"):
        technique = mr_technique(rng, "ADC", series.protocol, series.technique.field_t)
        return replace(series, kind="derived", derived="adc", sequence="ADC", plane="axial", technique=technique)
    if series.modality == "CT" and rng.random() < 0.35:
        return replace(series, kind="derived", derived="screen", plane="unknown")
    return replace(series, kind="derived", derived="mip")
