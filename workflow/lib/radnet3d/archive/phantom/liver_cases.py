"""LiTS-like cases: CT of digital patients none of whom is in the archive, with the liver and its lesions outlined."""

from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from tqdm import tqdm

from radnet3d.archive.phantom.anatomy import paint_patient
from radnet3d.archive.phantom.canvas import Floats, Grid, Pose
from radnet3d.archive.phantom.patients import Patient, draw_patient, draw_pose, generator
from radnet3d.archive.phantom.protocols import PROTOCOLS
from radnet3d.archive.phantom.series import LARGEST_PLANE_GAP_MM
from radnet3d.archive.phantom.signals import Technique, render
from radnet3d.archive.phantom.tissues import LIVER_PARTS, LIVER_TUMOURS, is_any
from radnet3d.atomic import replacing
from radnet3d.params import PhantomLiver

STREAM = "liver"
COVERAGES = {"liver": 0.2, "abdomen": 0.25, "abdomen_pelvis": 0.3, "chest_abdomen": 0.1, "cap": 0.15}
N_PIXELS = 96
# directions of the stored axes x, y, z in LPS, as they differ between cases of LiTS
DIRECTIONS = (np.diag([1.0, 1, 1]), np.diag([-1.0, -1, 1]), np.diag([1.0, -1, 1]), np.diag([-1.0, 1, 1]))


def make_cases(settings: PhantomLiver, out_dir: Path, threads: int) -> None:
    """Write `volume-N.nii` and `segmentation-N.nii` of every case."""
    out_dir.mkdir(parents=True, exist_ok=True)
    bar = partial(tqdm, total=settings.n_cases, desc="liver cases", unit="case")
    if threads == 1:
        for number in bar(range(settings.n_cases)):
            write_case(settings, number, out_dir)
        return
    with ProcessPoolExecutor(threads) as pool:
        for job in bar(
            as_completed([pool.submit(write_case, settings, number, out_dir) for number in range(settings.n_cases)])
        ):
            job.result()


def write_case(settings: PhantomLiver, number: int, out_dir: Path) -> None:
    """Write one case."""
    volume_hu, segmentation, grid = render_case(settings, number)
    direction = DIRECTIONS[int(generator(settings.seed, f"{STREAM}/direction", number).integers(len(DIRECTIONS)))]
    for name, array in (("volume", volume_hu), ("segmentation", segmentation)):
        image = oriented_image(array, grid, direction)
        with replacing(out_dir / f"{name}-{number}.nii") as temporary:
            sitk.WriteImage(image, str(temporary), useCompression=False)


def render_case(settings: PhantomLiver, number: int) -> tuple[NDArray[np.int16], NDArray[np.uint8], Grid]:
    """Return CT in HU and labels (0, 1 liver, 2 lesion), both (z up, y to the back, x to the left), and their grid."""
    rng = generator(settings.seed, f"{STREAM}/case", number)
    patient = draw_patient(settings.seed, STREAM, number, settings.difficulty)
    prone = bool(rng.random() < 0.1 * settings.difficulty)
    pose = draw_pose(rng, patient, is_prone=prone, arms="down" if rng.random() < 0.35 * settings.difficulty else "up")
    grid = case_grid(rng, patient, pose)
    n_per_slice = int(np.clip(np.ceil(grid.steps_lps_mm[0, 2] / LARGEST_PLANE_GAP_MM), 1, 3))
    canvas = paint_patient(grid.finer(n_per_slice), pose, patient, with_table=True)
    phase = str(rng.choice(["native", "arterial", "portal", "portal", "portal"]))
    image: Floats = render(canvas, patient, Technique("CT"), phase, n_per_slice, rng)
    planes = canvas.labels.reshape(grid.shape[0], n_per_slice, *grid.shape[1:])
    liver = is_any(LIVER_PARTS)[planes].mean(axis=1) >= 0.5
    lesion = liver & (is_any(LIVER_TUMOURS)[planes].mean(axis=1) >= 0.5)
    segmentation = liver.astype(np.uint8) + lesion.astype(np.uint8)
    return np.clip(np.rint(image), -1024, 3071).astype(np.int16), segmentation, grid


def case_grid(rng: np.random.Generator, patient: Patient, pose: Pose) -> Grid:
    """Return an axial grid: coverage, slice spacing and field of view vary as between hospitals."""
    protocol = PROTOCOLS[str(rng.choice(list(COVERAGES), p=list(COVERAGES.values())))]
    d = patient.difficulty
    low = protocol.z_mm[0] + rng.normal(0, 3 + 6 * d)
    high = protocol.z_mm[1] + abs(rng.normal(4, 3 + 6 * d))
    length = (high - low) * patient.scale_xyz[2]
    allowed = [mm for mm in (2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.5, 8.0) if 28 <= length / mm <= 80] or [length / 80]
    spacing = float(rng.choice(allowed))
    width = (protocol.width_mm + (patient.fat_mm - 18) * 1.8) * patient.scale_xyz[0] * rng.uniform(1.0, 1.1 + 0.25 * d)
    pixel = round(float(width) / N_PIXELS, 4)
    centre = pose.to_lps(np.array([rng.normal(0, 6 * d), 0, (low + high) / 2]))
    steps = np.array([[0, 0, spacing], [0, pixel, 0], [pixel, 0, 0]])
    shape = (int(length / spacing) + 1, N_PIXELS, N_PIXELS)
    return Grid(shape, centre - (np.array(shape) - 1) / 2 @ steps, steps)


def oriented_image(array: NDArray[Any], grid: Grid, direction: NDArray[np.float64]) -> Any:
    """Return an image whose stored axes point along `direction`, at the same places in the patient."""
    origin = grid.origin_lps_mm.copy()
    flips = np.diag(direction) < 0  # x, y, z
    extent = (np.array(grid.shape) - 1) @ np.abs(grid.steps_lps_mm)
    origin[flips] += extent[flips]
    turned = np.flip(array, axis=tuple(2 - int(axis) for axis in np.flatnonzero(flips)))
    image: Any = sitk.GetImageFromArray(np.ascontiguousarray(turned))
    image.SetSpacing([float(grid.steps_lps_mm[2, 0]), float(grid.steps_lps_mm[1, 1]), float(grid.steps_lps_mm[0, 2])])
    image.SetDirection(direction.ravel().tolist())
    image.SetOrigin(origin.tolist())
    return image
