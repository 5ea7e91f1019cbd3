"""Where scans go, and one series as it will be acquired: the truth, before any header is written."""

from dataclasses import dataclass, field

import numpy as np

from radnet3d.archive.phantom.canvas import Grid, Pose
from radnet3d.archive.phantom.patients import Patient, generator
from radnet3d.archive.phantom.signals import Technique

# reference heights (mm above the symphysis) of what a scan may cover
REGION_Z = {"head": (690, 845), "neck": (566, 672), "chest": (375, 575), "abdomen": (190, 375), "pelvis": (-20, 165)}
ORGAN_Z = {"brain": (715, 842), "lung": (380, 575), "liver": (215, 380), "kidney": (205, 315), "intestine": (45, 235)}
COVERED_FRACTION = 0.6
"""A region counts as covered if this part of its length is in the scan."""


@dataclass(frozen=True)
class Protocol:
    """Where a scan goes: reference millimetres."""

    z_mm: tuple[float, float]
    width_mm: float  # body width that must fit into the image
    x_mm: tuple[float, float]  # range of sagittal slices
    y_mm: tuple[float, float]  # range of coronal slices
    centre_y_mm: float = 0.0


PROTOCOLS = {
    "brain": Protocol((692, 852), 225, (-76, 76), (-100, 92), -4),
    "head": Protocol((684, 855), 235, (-78, 78), (-105, 92), -4),
    "head_neck": Protocol((562, 850), 280, (-85, 85), (-100, 92)),
    "neck": Protocol((560, 694), 260, (-75, 75), (-70, 85)),
    "chest": Protocol((362, 592), 370, (-130, 130), (-95, 100)),
    "liver": Protocol((205, 396), 365, (-135, 90), (-95, 92)),
    "kidney": Protocol((186, 336), 365, (-100, 100), (-30, 85)),
    "abdomen": Protocol((172, 396), 370, (-125, 125), (-95, 92)),
    "abdomen_pelvis": Protocol((-28, 396), 385, (-130, 130), (-98, 98)),
    "chest_abdomen": Protocol((172, 590), 385, (-130, 130), (-98, 98)),
    "cap": Protocol((-28, 592), 390, (-130, 130), (-98, 98)),
    "pelvis": Protocol((-34, 182), 385, (-110, 110), (-80, 100)),
    "breast": Protocol((378, 506), 330, (-150, 150), (-190, -60), -95),
    "wholebody": Protocol((-190, 726), 460, (-150, 150), (-110, 110)),
}


@dataclass(frozen=True)
class Series:
    """One series as it will be acquired, with the truth about it."""

    edition: str  # all settings a series depends on; part of its identifiers
    patient: Patient
    pose: Pose
    number: int  # within the patient, from 0
    study: int
    modality: str  # CT, MR, PT
    protocol: str
    sequence: str  # word of the label table
    technique: Technique
    vendor: str
    kind: str = "volume"
    derived: str = ""  # mip, adc, subtraction, screen
    plane: str = "axial"
    phase: str = ""  # native, arterial, portal, delayed
    phases: tuple[str, ...] = ()  # of a dynamic series: one volume each
    spacing_mm: float = 5.0
    oblique_deg: float = 0.0
    gantry_tilt_deg: float = 0.0
    z_mm: tuple[float, float] = (0, 0)
    fault: str = ""  # missing_slice, duplicate_position, irregular_spacing
    lies: tuple[str, ...] = ()
    grids: tuple[Grid, ...] = field(default=(), repr=False)

    @property
    def key(self) -> str:
        """What the series' identifiers are made from."""
        return f"{self.edition}/{self.patient.number}/{self.number}"

    def rng(self, name: str) -> np.random.Generator:
        """Return the generator of one aspect of this series."""
        stream = f"{self.patient.stream}/series/{name}"
        return generator(self.patient.seed, stream, self.patient.number, self.number)

    @property
    def contrast(self) -> str:
        """Intravenous contrast, in words of the label table."""
        if self.modality == "PT":
            return "na"
        return "yes" if self.phases or self.phase in ("arterial", "portal", "delayed") else "no"

    @property
    def is_spatial(self) -> bool:
        """Whether the images have a place in the patient; screen saves have none."""
        return self.derived != "screen"

    @property
    def n_slices(self) -> int:
        """Images before any fault takes or adds one."""
        return sum(grid.shape[0] for grid in self.grids) * max(1, len(self.phases))

    @property
    def n_instances(self) -> int:
        """Image files of the series."""
        return self.n_slices + {"missing_slice": -1, "duplicate_position": 1}.get(self.fault, 0)

    @property
    def geometry(self) -> str:
        """What the positions are like, in words of the label table."""
        if not self.is_spatial:
            return "no_geometry"
        if self.plane == "multi":
            return "mixed_orientation"
        if self.n_slices < 4:
            return "too_few_slices"
        if self.phases:
            return "multi_volume"
        return self.fault or ("gantry_tilt" if self.gantry_tilt_deg else "regular")

    def covered(self, spans: dict[str, tuple[int, int]]) -> list[str]:
        """Return the names of what lies in the scan to at least COVERED_FRACTION of its length."""
        low, high = self.z_mm
        return [
            name
            for name, (bottom, top) in spans.items()
            if min(high, top) - max(low, bottom) >= COVERED_FRACTION * (top - bottom)
        ]

    @property
    def regions(self) -> str:
        """What the scan covers, ';'-joined and sorted."""
        if self.protocol in ("breast", "wholebody"):
            return self.protocol
        return ";".join(sorted(self.covered(REGION_Z)))

    @property
    def organs(self) -> str:
        """Organs the scan covers, ';'-joined and sorted."""
        return ";".join(sorted(self.covered(ORGAN_Z)))
