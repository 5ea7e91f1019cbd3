"""What each tissue is to the three modalities.

ASSUME: the paper used real scans. Values are textbook orders of magnitude (CT numbers and enhancement in HU, T1 and T2
at 1.5 T in ms), chosen so that organs look and behave as in clinical images, not for quantitative work.
"""

from collections.abc import Iterable
from enum import IntEnum, auto
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Label(IntEnum):
    """What is painted at a point of a digital patient."""

    AIR = 0
    SKIN = auto()
    FAT = auto()
    MUSCLE = auto()
    CORTICAL_BONE = auto()
    MARROW = auto()
    DISC = auto()
    CARTILAGE = auto()
    VISCERAL_FAT = auto()
    PERIRENAL_FAT = auto()
    MEDIASTINAL_FAT = auto()
    LUNG = auto()
    LUNG_VESSEL = auto()
    CONSOLIDATION = auto()
    LUNG_TUMOUR = auto()
    EFFUSION = auto()
    AIRWAY = auto()
    ARTERY = auto()
    PULMONARY_ARTERY = auto()
    VEIN = auto()
    MYOCARDIUM = auto()
    OESOPHAGUS = auto()
    LYMPH_NODE = auto()
    LIVER = auto()
    PORTAL_TRUNK = auto()
    PORTAL_VEIN = auto()
    HEPATIC_VEIN = auto()
    LIVER_CYST = auto()
    LIVER_FNH = auto()
    LIVER_FNH_SCAR = auto()
    LIVER_HCC = auto()
    LIVER_HCC_CAPSULE = auto()
    LIVER_HAEMANGIOMA_RIM = auto()
    LIVER_HAEMANGIOMA_CORE = auto()
    LIVER_METASTASIS = auto()
    BILE = auto()
    SPLEEN = auto()
    PANCREAS = auto()
    ADRENAL = auto()
    KIDNEY_CORTEX = auto()
    KIDNEY_MEDULLA = auto()
    KIDNEY_SINUS = auto()
    KIDNEY_CYST = auto()
    KIDNEY_TUMOUR = auto()
    GUT_WALL = auto()
    GUT_GAS = auto()
    GUT_FLUID = auto()
    GUT_FOOD = auto()
    GUT_CONTRAST = auto()
    ASCITES = auto()
    ABDOMINAL_MASS = auto()
    URINE = auto()
    BLADDER_WALL = auto()
    UTERUS = auto()
    ENDOMETRIUM = auto()
    OVARY = auto()
    PROSTATE = auto()
    PROSTATE_CENTRE = auto()
    BREAST_GLAND = auto()
    BREAST_TUMOUR = auto()
    THYROID = auto()
    SALIVARY_GLAND = auto()
    MUCOSA = auto()
    TEETH = auto()
    EYE = auto()
    LENS = auto()
    GREY_MATTER = auto()
    WHITE_MATTER = auto()
    DEEP_GREY = auto()
    CSF = auto()
    CORD = auto()
    SINUS = auto()
    PITUITARY = auto()
    GLIOMA_RIM = auto()
    GLIOMA_CORE = auto()
    OEDEMA = auto()
    MENINGIOMA = auto()
    PITUITARY_ADENOMA = auto()
    TABLE = auto()


class Tissue(NamedTuple):
    """Signal-giving properties of one tissue."""

    hu: float
    spread_hu: float  # texture inside the tissue, and half the spread between patients
    arterial_hu: float  # enhancement: added to `hu` in the phase
    portal_hu: float
    delayed_hu: float
    t1_ms: float
    t2_ms: float
    proton_density: float
    adc_um2_per_ms: float
    uptake_suv: float
    is_flowing: bool = False  # dark in spin echoes


def flowing(arterial_hu: float, portal_hu: float, delayed_hu: float) -> Tissue:
    """Return blood whose enhancement depends on the vessel."""
    return Tissue(42, 3, arterial_hu, portal_hu, delayed_hu, 1400, 180, 0.9, 2.5, 1.7, True)


L = Label
TISSUES: dict[Label, Tissue] = {
    L.AIR: Tissue(-1000, 0, 0, 0, 0, 1000, 10, 0.0, 0, 0.0),
    L.SKIN: Tissue(20, 10, 5, 10, 10, 400, 35, 0.6, 0.8, 0.4),
    L.FAT: Tissue(-102, 8, 0, 2, 2, 260, 75, 1.0, 0.1, 0.25),
    L.MUSCLE: Tissue(54, 6, 4, 10, 12, 900, 42, 0.80, 1.4, 0.7),
    L.CORTICAL_BONE: Tissue(750, 120, 0, 0, 0, 500, 4, 0.10, 0.2, 0.6),
    L.MARROW: Tissue(210, 45, 5, 15, 15, 420, 65, 0.75, 0.4, 1.3),
    L.DISC: Tissue(85, 12, 0, 0, 5, 1000, 70, 0.75, 1.6, 0.5),
    L.CARTILAGE: Tissue(120, 25, 0, 0, 5, 800, 30, 0.6, 1.2, 0.5),
    L.VISCERAL_FAT: Tissue(-98, 12, 0, 3, 3, 270, 72, 0.95, 0.2, 0.3),
    L.PERIRENAL_FAT: Tissue(-104, 8, 0, 2, 2, 260, 75, 1.0, 0.1, 0.25),
    L.MEDIASTINAL_FAT: Tissue(-85, 20, 2, 8, 8, 320, 70, 0.9, 0.4, 0.5),
    L.LUNG: Tissue(-845, 28, 5, 5, 5, 900, 8, 0.13, 0.5, 0.45),
    L.LUNG_VESSEL: Tissue(-130, 60, 120, 70, 40, 1300, 60, 0.35, 1.5, 1.0),
    L.CONSOLIDATION: Tissue(5, 35, 25, 45, 40, 1000, 90, 0.8, 1.6, 2.4),
    L.LUNG_TUMOUR: Tissue(42, 9, 20, 38, 35, 950, 85, 0.85, 1.1, 7.0),
    L.EFFUSION: Tissue(9, 4, 0, 0, 2, 2800, 600, 1.0, 2.8, 0.7),
    L.AIRWAY: Tissue(-995, 4, 0, 0, 0, 1000, 10, 0.0, 0, 0.1),
    L.ARTERY: flowing(255, 112, 68),
    L.PULMONARY_ARTERY: flowing(190, 105, 66),
    L.VEIN: flowing(35, 98, 72),
    L.MYOCARDIUM: Tissue(48, 6, 60, 58, 45, 950, 50, 0.85, 1.6, 3.2),
    L.OESOPHAGUS: Tissue(42, 8, 20, 35, 30, 900, 60, 0.8, 1.5, 1.3),
    L.LYMPH_NODE: Tissue(46, 6, 18, 36, 30, 950, 90, 0.85, 1.1, 1.6),
    L.LIVER: Tissue(57, 7, 12, 52, 36, 580, 46, 0.85, 1.1, 2.2),
    L.PORTAL_TRUNK: flowing(40, 122, 74),  # before it enters the liver
    L.PORTAL_VEIN: flowing(40, 122, 74),
    L.HEPATIC_VEIN: flowing(8, 112, 74),
    L.LIVER_CYST: Tissue(7, 3, 0, 0, 1, 2600, 500, 1.0, 2.8, 0.6),
    L.LIVER_FNH: Tissue(54, 5, 88, 58, 40, 620, 60, 0.87, 1.4, 2.3),
    L.LIVER_FNH_SCAR: Tissue(38, 4, 5, 30, 70, 900, 130, 0.9, 1.7, 1.5),
    L.LIVER_HCC: Tissue(45, 9, 72, 34, 14, 760, 80, 0.88, 1.0, 3.6),
    L.LIVER_HCC_CAPSULE: Tissue(42, 5, 15, 45, 62, 700, 60, 0.8, 1.1, 2.2),
    L.LIVER_HAEMANGIOMA_RIM: Tissue(40, 5, 165, 112, 70, 1150, 145, 0.95, 2.0, 1.9),
    L.LIVER_HAEMANGIOMA_CORE: Tissue(36, 5, 4, 32, 66, 1200, 155, 0.95, 2.1, 1.7),
    L.LIVER_METASTASIS: Tissue(36, 8, 12, 26, 32, 850, 90, 0.88, 0.95, 7.5),
    L.BILE: Tissue(9, 3, 0, 0, 0, 2200, 450, 1.0, 2.9, 0.6),
    L.SPLEEN: Tissue(48, 6, 66, 70, 48, 1050, 80, 0.88, 0.85, 1.9),
    L.PANCREAS: Tissue(40, 11, 66, 50, 30, 560, 58, 0.82, 1.4, 1.6),
    L.ADRENAL: Tissue(28, 7, 45, 50, 30, 700, 60, 0.8, 1.2, 1.6),
    L.KIDNEY_CORTEX: Tissue(34, 6, 125, 145, 105, 930, 85, 0.90, 2.1, 4.0),
    L.KIDNEY_MEDULLA: Tissue(32, 6, 28, 125, 115, 1350, 105, 0.92, 2.0, 5.0),
    L.KIDNEY_SINUS: Tissue(-40, 25, 5, 20, 160, 500, 120, 0.95, 1.5, 7.0),
    L.KIDNEY_CYST: Tissue(6, 3, 0, 0, 1, 2600, 480, 1.0, 2.8, 0.6),
    L.KIDNEY_TUMOUR: Tissue(36, 10, 95, 70, 42, 1100, 105, 0.9, 1.4, 4.0),
    L.GUT_WALL: Tissue(42, 9, 35, 52, 40, 850, 60, 0.82, 1.5, 1.6),
    L.GUT_GAS: Tissue(-960, 25, 0, 0, 0, 1000, 10, 0.0, 0, 0.2),
    L.GUT_FLUID: Tissue(16, 10, 0, 0, 0, 2200, 320, 0.98, 2.6, 0.9),
    L.GUT_FOOD: Tissue(10, 75, 0, 0, 0, 500, 90, 0.7, 1.2, 1.4),
    L.GUT_CONTRAST: Tissue(260, 60, 0, 0, 0, 700, 60, 0.8, 2.0, 0.9),
    L.ASCITES: Tissue(11, 4, 0, 0, 2, 2700, 550, 1.0, 2.8, 0.6),
    L.ABDOMINAL_MASS: Tissue(50, 9, 22, 50, 38, 800, 70, 0.87, 1.2, 6.0),
    L.URINE: Tissue(6, 3, 0, 5, 330, 2900, 700, 1.0, 2.9, 28.0),
    L.BLADDER_WALL: Tissue(38, 6, 12, 28, 30, 900, 60, 0.8, 1.5, 1.2),
    L.UTERUS: Tissue(46, 7, 35, 62, 55, 950, 75, 0.87, 1.4, 1.6),
    L.ENDOMETRIUM: Tissue(35, 6, 15, 30, 40, 1200, 150, 0.92, 1.4, 2.2),
    L.OVARY: Tissue(28, 9, 18, 35, 32, 1200, 130, 0.9, 1.7, 1.8),
    L.PROSTATE: Tissue(42, 6, 22, 42, 42, 1100, 110, 0.88, 1.7, 1.6),
    L.PROSTATE_CENTRE: Tissue(44, 7, 30, 48, 46, 1000, 75, 0.86, 1.3, 1.7),
    L.BREAST_GLAND: Tissue(38, 12, 10, 24, 28, 900, 60, 0.82, 1.7, 0.8),
    L.BREAST_TUMOUR: Tissue(48, 8, 75, 68, 52, 950, 80, 0.87, 0.95, 6.5),
    L.THYROID: Tissue(108, 10, 90, 70, 50, 1000, 75, 0.87, 1.6, 1.6),
    L.SALIVARY_GLAND: Tissue(15, 10, 30, 40, 35, 550, 60, 0.85, 1.1, 2.2),
    L.MUCOSA: Tissue(40, 15, 30, 40, 35, 900, 110, 0.9, 1.6, 1.6),
    L.TEETH: Tissue(2100, 350, 0, 0, 0, 500, 2, 0.03, 0.1, 0.6),
    L.EYE: Tissue(12, 3, 0, 0, 0, 3500, 900, 1.0, 2.8, 0.5),
    L.LENS: Tissue(75, 5, 0, 0, 0, 1000, 28, 0.7, 0.9, 0.5),
    L.GREY_MATTER: Tissue(37, 3, 4, 6, 5, 950, 98, 0.86, 0.85, 9.0),
    L.WHITE_MATTER: Tissue(28, 2, 2, 3, 3, 620, 76, 0.72, 0.72, 3.2),
    L.DEEP_GREY: Tissue(35, 2, 4, 6, 5, 850, 84, 0.82, 0.78, 10.0),
    L.CSF: Tissue(6, 3, 0, 0, 0, 4000, 1800, 1.0, 3.0, 0.6),
    L.CORD: Tissue(36, 4, 3, 5, 4, 850, 82, 0.8, 0.9, 1.8),
    L.SINUS: flowing(40, 110, 78),
    L.PITUITARY: Tissue(42, 5, 45, 60, 45, 700, 80, 0.85, 0.9, 2.0),
    L.GLIOMA_RIM: Tissue(38, 7, 30, 48, 58, 1200, 135, 0.92, 1.1, 9.5),
    L.GLIOMA_CORE: Tissue(18, 5, 0, 2, 6, 1900, 260, 0.96, 2.0, 1.5),
    L.OEDEMA: Tissue(20, 3, 1, 2, 3, 1250, 165, 0.93, 1.5, 2.4),
    L.MENINGIOMA: Tissue(46, 4, 62, 72, 66, 980, 95, 0.88, 0.9, 5.0),
    L.PITUITARY_ADENOMA: Tissue(42, 6, 28, 40, 44, 1050, 105, 0.9, 0.9, 5.5),
    L.TABLE: Tissue(-180, 40, 0, 0, 0, 1000, 1, 0.0, 0, 0.0),
}  # fmt: skip
"""Every label has its tissue (checked on import)."""

if set(TISSUES) != set(Label):
    raise AssertionError(f"tissues without a row: {sorted(label.name for label in set(Label) - set(TISSUES))}")

LIVER_TUMOURS = (
    L.LIVER_CYST, L.LIVER_FNH, L.LIVER_FNH_SCAR, L.LIVER_HCC, L.LIVER_HCC_CAPSULE, L.LIVER_HAEMANGIOMA_RIM,
    L.LIVER_HAEMANGIOMA_CORE, L.LIVER_METASTASIS,
)  # fmt: skip
LIVER_PARTS = (L.LIVER, L.PORTAL_VEIN, L.HEPATIC_VEIN, *LIVER_TUMOURS)
"""What an expert outlines as liver: the organ with its vessels and lesions."""


def column(name: str) -> NDArray[np.float32]:
    """Return one property of all tissues, indexed by label."""
    return np.array([getattr(TISSUES[label], name) for label in Label], dtype=np.float32)


def is_any(labels: Iterable[int]) -> NDArray[np.bool_]:
    """Return a lookup table, indexed by label: is it one of `labels`?"""
    table = np.zeros(len(Label), dtype=bool)
    table[list(labels)] = True
    return table
