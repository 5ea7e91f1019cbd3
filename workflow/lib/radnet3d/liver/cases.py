"""A liver case: a CT volume and its segmentation, checked and stored in the common frame."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radnet3d.atomic import replacing
from radnet3d.errors import LiverCaseError
from radnet3d.volumes.digests import volume_digests

LIVER, TUMOUR = 1, 2
LABELS = (0, LIVER, TUMOUR)
AIR_BELOW_HU = -200  # ASSUME: a CT of a body has air beside or within it
LIVER_MEDIAN_HU = (-150.0, 400.0)  # ASSUME: from severe steatosis to beyond arterial enhancement
LIVER_IN_AIR = 0.1  # ASSUME: gas in bile ducts or abscesses, and breath at the dome, are less of a liver than this


@dataclass(frozen=True)
class Case:
    """Voxels in the common frame: z up to the head, y to the back, x to the left."""

    case_id: str
    patient_id: str
    volume_hu_zyx: NDArray[np.int16]
    segmentation_zyx: NDArray[Any]
    spacing_zyx_mm: tuple[float, float, float]
    series_uid: str = ""  # of the DICOM series it was made from, where the source says
    study_uid: str = ""


def check_case(case: Case) -> None:
    """Raise LiverCaseError, naming the case, unless volume and segmentation can be what they say."""
    volume, segmentation = case.volume_hu_zyx, case.segmentation_zyx
    if volume.shape != segmentation.shape:
        raise LiverCaseError(f"case {case.case_id}: volume {volume.shape}, segmentation {segmentation.shape} (z, y, x)")
    found = np.unique(segmentation)
    if not np.isin(found, LABELS).all():
        raise LiverCaseError(f"case {case.case_id}: segmentation holds {found[:8].tolist()}, wanted values of {LABELS}")
    if not segmentation.any():
        raise LiverCaseError(f"case {case.case_id}: segmentation is empty, wanted liver = {LIVER}, tumour = {TUMOUR}")
    if volume.min() > AIR_BELOW_HU:
        raise LiverCaseError(
            f"case {case.case_id}: lowest value {volume.min()}, wanted HU, with air below {AIR_BELOW_HU}"
        )
    fault = liver_fault(volume[segmentation > 0])
    if fault:
        raise LiverCaseError(f"case {case.case_id}: {fault}: other units, or a segmentation that is flipped")


def liver_fault(liver_hu: NDArray[np.int16]) -> str:
    """Return in words why the HU of the voxels of a liver cannot be a liver's; empty where they can. At least one."""
    median_hu = float(np.median(liver_hu))
    if not LIVER_MEDIAN_HU[0] <= median_hu <= LIVER_MEDIAN_HU[1]:
        return f"median {median_hu:.0f} HU under the liver, wanted {LIVER_MEDIAN_HU}"
    in_air = float((liver_hu < AIR_BELOW_HU).mean())
    if in_air > LIVER_IN_AIR:
        return f"{in_air:.0%} of the liver below {AIR_BELOW_HU} HU, wanted {LIVER_IN_AIR:.0%} or less"
    return ""


def store_case(case: Case, out_dir: Path) -> dict[str, Any]:
    """Check a case, write volume-<id>.npy (int16 HU) and segmentation-<id>.npy (uint8), and return its table row."""
    check_case(case)
    volume = np.ascontiguousarray(case.volume_hu_zyx)
    segmentation = np.ascontiguousarray(case.segmentation_zyx, dtype=np.uint8)
    paths = {}
    for kind, array in (("volume", volume), ("segmentation", segmentation)):
        paths[kind] = f"{kind}-{case.case_id}.npy"
        with replacing(out_dir / paths[kind]) as temporary:
            np.save(temporary, array)
    voxel_ml = float(np.prod(case.spacing_zyx_mm)) / 1000
    return {
        "case_id": case.case_id,
        "PatientID": case.patient_id,
        "volume_path": paths["volume"],
        "segmentation_path": paths["segmentation"],
        "shape_zyx": ",".join(map(str, volume.shape)),
        "spacing_zyx_mm": ",".join(f"{mm:.6g}" for mm in case.spacing_zyx_mm),
        "liver_ml": float(np.count_nonzero(segmentation)) * voxel_ml,
        "tumour_ml": float(np.count_nonzero(segmentation == TUMOUR)) * voxel_ml,
        "image_sha256": hashlib.sha256(volume.tobytes()).hexdigest(),
        "SeriesInstanceUID": case.series_uid,
        "StudyInstanceUID": case.study_uid,
        "slice_digests": volume_digests(volume),
    }
