"""Who the digital patients are: everything about a patient that does not depend on a scan."""

from dataclasses import dataclass
from functools import cached_property
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from radnet3d.archive.phantom.canvas import Deformation, Floats, Pose, noise_tile, rotation
from radnet3d.archive.phantom.tissues import Label, column


def generator(seed: int, stream: str, *numbers: int) -> np.random.Generator:
    """Return the generator of one named thing; no draw of another thing changes it."""
    return np.random.default_rng([seed, crc32(stream.encode()), *numbers])


@dataclass(frozen=True)
class Patient:
    """A digital patient. Organs are drawn from generators named after them, so they are the same in every series."""

    seed: int
    stream: str  # "archive" or "liver": patients of different streams are different people
    number: int
    difficulty: float  # 0: a textbook; 1: the variation seen in clinics
    sex: str  # "F" or "M"
    age_years: int
    height_cm: int
    scale_xyz: tuple[float, float, float]  # size against the reference adult
    fat_mm: float  # subcutaneous, at the belly
    findings: frozenset[str]

    def rng(self, name: str) -> np.random.Generator:
        """Return the generator of the part of the patient called `name`."""
        return generator(self.seed, f"{self.stream}/{name}", self.number)

    def has(self, finding: str) -> bool:
        """Return whether the patient has this finding."""
        return finding in self.findings

    @property
    def weight_kg(self) -> int:
        """Body weight that goes with size and fat."""
        x, y, _ = self.scale_xyz
        return round(0.0245 * self.height_cm**2 / 10 * x * y * (0.78 + self.fat_mm / 90))

    @cached_property
    def deformation(self) -> Deformation:
        """The patient's own shape: a coarse and a fine smooth displacement."""
        rng = self.rng("deformation")
        d = self.difficulty
        return Deformation(noise_tile(rng), (34.0, 15.0 - 3 * d), (3.0 + 3.5 * d, 0.6 + 1.1 * d))

    @cached_property
    def hu_shift(self) -> Floats:
        """HU by which this patient's tissues differ from the table, by label."""
        spread = column("spread_hu") * (0.35 + 0.5 * self.difficulty)
        shift = np.clip(self.rng("tissues").standard_normal(len(spread)), -2, 2).astype(np.float32) * spread
        shift[[Label.AIR, Label.AIRWAY, Label.TEETH, Label.CORTICAL_BONE]] = 0
        if self.has("fatty_liver"):
            shift[Label.LIVER] -= self.rng("fatty_liver").uniform(8, 40)
        return np.asarray(shift, dtype=np.float32)


def draw_patient(seed: int, stream: str, number: int, difficulty: float) -> Patient:
    """Return patient `number` of a stream; depends on nothing else."""
    rng = generator(seed, f"{stream}/patient", number)
    sex = str(rng.choice(["F", "M"]))
    age = int(np.clip(rng.normal(58, 15), 19, 91))
    height = int(np.clip(rng.normal(178 if sex == "M" else 165, 7), 148, 204))
    overall = height / 172
    girth = float(np.clip(rng.normal(1.0, 0.03 + 0.05 * difficulty), 0.84, 1.18))
    scale = (
        overall * girth * float(rng.normal(1, 0.02)),
        overall * girth * float(rng.normal(1, 0.03 + 0.02 * difficulty)),
        overall * float(rng.normal(1, 0.015)),
    )
    fat = float(np.clip(rng.gamma(3.2, 5.5) + (5 if sex == "F" else 2), 5, 48)) * (0.5 + 0.5 * difficulty) + 8 * (
        1 - difficulty
    )
    return Patient(
        seed, stream, number, difficulty, sex, age, height, scale, fat, draw_findings(rng, sex, age, difficulty)
    )


def draw_findings(rng: np.random.Generator, sex: str, age: int, difficulty: float) -> frozenset[str]:
    """Return what is unusual about a patient; most of it becomes commoner with `difficulty`."""
    chances = {
        "fatty_liver": 0.25 * difficulty,
        "ascites": 0.14 * difficulty,
        "resected_left": 0.05 * difficulty,
        "resected_right": 0.06 * difficulty,
        "splenomegaly": 0.14 * difficulty,
        "abdominal_mass": 0.28 * difficulty,
        "effusion_left": 0.12 * difficulty,
        "effusion_right": 0.12 * difficulty,
        "scoliosis": 0.2 * difficulty,
        "no_gall_bladder": 0.12 * difficulty,
        "one_kidney": 0.04 * difficulty,
        "kidney_cyst": 0.3,
        "kidney_tumour": 0.12,
        "lung_tumour": 0.2,
        "lymph_nodes": 0.25,
        "breast_tumour": 0.55 * (sex == "F"),
        "uterus_absent": 0.15 * (sex == "F"),
        "oral_contrast": 0.3,
        "large_ventricles": 0.1 + 0.003 * max(0, age - 50),
    }
    draws = rng.random(len(chances))
    found = {name for (name, chance), draw in zip(chances.items(), draws, strict=True) if draw < chance}
    lesion = str(
        rng.choice(["none", "cyst", "fnh", "hcc", "haemangioma", "metastases"], p=[0.22, 0.16, 0.14, 0.18, 0.14, 0.16])
    )
    tumour = str(rng.choice(["none", "glioma", "meningioma", "pituitary_adenoma"], p=[0.25, 0.3, 0.25, 0.2]))
    found |= {f"liver_{lesion}", f"brain_{tumour}"} - {"liver_none", "brain_none"}
    return frozenset(found)


def draw_pose(rng: np.random.Generator, patient: Patient, *, is_prone: bool, arms: str) -> Pose:
    """Return how the patient lies in one study: tilt grows with difficulty."""
    tilt = rng.normal(0, 1, 3) * np.array([2.0, 2.5, 4.5]) * (0.35 + 0.65 * patient.difficulty)
    matrix = np.diag(1 / np.array(patient.scale_xyz)) @ rotation(np.clip(tilt, -9, 9))
    origin: NDArray[np.float64] = np.array([rng.normal(0, 6), rng.normal(-10, 12), rng.uniform(-900, 200)]).round(1)
    return Pose(matrix, origin, is_prone, arms)
