"""Images of painted anatomy: CT numbers by phase, MR by signal equations, PET by uptake.

Several planes are rendered within each slice and averaged, so that boundaries show partial volume as real slices do.
Sources: spin echo, inversion recovery and spoiled gradient echo in the steady state as in any MR textbook.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from radnet3d.archive.phantom.canvas import Canvas, Floats, hat_weights
from radnet3d.archive.phantom.patients import Patient
from radnet3d.archive.phantom.tissues import Label, column

GD_MMOL_PER_HU = 1 / 110
"""ASSUME: gadolinium goes where iodine goes; 110 HU of enhancement stand for 1 mmol/l."""
RELAXIVITY = 4.5  # l / (mmol s)


@dataclass(frozen=True)
class Technique:
    """What a scanner is set to; times in ms. MR fields are 0 where they do not apply."""

    kind: str  # CT, PET_AC, PET_NAC, SE, IR, GRE, SSFP, DWI, T2STAR, ADC
    tr_ms: float = 0
    te_ms: float = 0
    ti_ms: float = 0
    flip_deg: float = 90
    echo_train: int = 1
    b_value: float = 0
    is_fat_saturated: bool = False
    is_3d: bool = False
    field_t: float = 1.5


def enhancement_hu(phase: str) -> Floats:
    """Return the enhancement of every tissue in a phase; zero for native and for no phase."""
    if phase in ("arterial", "portal", "delayed"):
        return column(f"{phase}_hu")
    return np.zeros(len(Label), dtype=np.float32)


def tissue_values(technique: Technique, phase: str, patient: Patient) -> tuple[Floats, Floats]:
    """Return the signal of every tissue and the spread of its texture, both indexed by label."""
    if technique.kind == "CT":
        dose = patient.rng("contrast_dose").uniform(0.8, 1.15)
        hu = column("hu") + patient.hu_shift + enhancement_hu(phase) * np.float32(dose)
        return np.maximum(hu, -1000), column("spread_hu")
    if technique.kind.startswith("PET"):
        uptake = column("uptake_suv")
        variation = np.exp(patient.rng("uptake").normal(0, 0.25, len(uptake))).astype(np.float32)
        variation[Label.MYOCARDIUM] *= np.float32(patient.rng("fasting").choice([0.4, 1.0, 2.2]))
        return uptake * variation, 0.12 * uptake
    signal = mr_signal(technique, phase, patient)
    return signal, signal * (0.02 + 0.0008 * column("spread_hu"))


def mr_signal(technique: Technique, phase: str, patient: Patient) -> Floats:
    """Return the MR signal of every tissue."""
    jitter = patient.rng("relaxation").normal(1, 0.04 + 0.04 * patient.difficulty, (2, len(Label)))
    t1 = column("t1_ms") * (1 + 0.18 * (technique.field_t > 2)) * np.clip(jitter[0], 0.75, 1.25)
    t2 = column("t2_ms") * np.clip(jitter[1], 0.75, 1.25)
    if patient.has("fatty_liver"):
        t1[Label.LIVER] *= 0.85
    t1 = 1 / (1 / t1 + enhancement_hu(phase) * GD_MMOL_PER_HU * RELAXIVITY / 1000)
    density, kind = column("proton_density").astype(float), technique.kind
    tr, te, ti = max(technique.tr_ms, 1), technique.te_ms, technique.ti_ms
    e1 = np.exp(-tr / t1)
    if kind == "ADC":
        return column("adc_um2_per_ms") * 1000
    if kind in ("SE", "DWI", "IR"):
        density[column("is_flowing") > 0] *= 0.2
    if kind == "GRE" or kind == "T2STAR":
        alpha = np.deg2rad(technique.flip_deg)
        t2_star = 1 / (1 / t2 + 1 / 60)
        signal = density * np.sin(alpha) * (1 - e1) / (1 - np.cos(alpha) * e1) * np.exp(-te / t2_star) * 3
    elif kind == "SSFP":
        alpha = np.deg2rad(technique.flip_deg)
        signal = density * np.sin(alpha) / (t1 / t2 + 1 - np.cos(alpha) * (t1 / t2 - 1))
    elif kind == "IR":
        signal = density * np.abs(1 - 2 * np.exp(-ti / t1) + e1) * np.exp(-te / t2)
    else:
        signal = density * (1 - e1) * np.exp(-te / t2)
        signal *= np.exp(-technique.b_value * column("adc_um2_per_ms") / 1000)
    if technique.is_fat_saturated or kind == "DWI":
        fat = [Label.FAT, Label.VISCERAL_FAT, Label.PERIRENAL_FAT, Label.MEDIASTINAL_FAT, Label.MARROW]
        signal[fat] *= 0.12
    return np.asarray(signal, dtype=np.float32)


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], n_cells: tuple[int, int, int]) -> Floats:
    """Return smooth noise over a grid, interpolated from `n_cells` random points along each axis."""
    coarse = rng.standard_normal(n_cells, dtype=np.float32)
    slices, rows, columns = (hat_weights(n, m) for n, m in zip(shape, n_cells, strict=True))
    fine = rows @ (coarse @ columns.T)
    return (slices @ fine.reshape(n_cells[0], -1)).reshape(shape)


def render(
    canvas: Canvas, patient: Patient, technique: Technique, phase: str, n_per_slice: int, rng: np.random.Generator,
    *, projection: str = "mean",
) -> Floats:  # fmt: skip
    """Return the noisy image of a canvas that has `n_per_slice` planes a slice: (slices, rows, columns).

    CT in HU, PET in SUV, MR scaled so that bright tissue is about 1000. `projection` joins the planes: mean or max.
    """
    values, spread = tissue_values(technique, phase, patient)
    image = values[canvas.labels]
    cells = tuple(max(3, n // 3) for n in canvas.grid.shape)
    texture = smooth_noise(rng, canvas.grid.shape, (cells[0], cells[1], cells[2]))
    # slow changes inside an organ: perfusion, patchy fat
    texture += np.float32(1.5 * patient.difficulty) * smooth_noise(rng, canvas.grid.shape, (6, 9, 9))
    image += spread[canvas.labels] * texture
    if technique.kind == "PET_NAC":
        image *= attenuation(canvas)
    planes = image.reshape(-1, n_per_slice, *canvas.grid.shape[1:])
    image = planes.max(axis=1) if projection == "max" else planes.mean(axis=1)
    if technique.kind == "CT":
        return ct_image(image, patient, rng)
    if technique.kind.startswith("PET"):
        return pet_image(image, rng)
    return mr_image(image, technique, patient, rng)


def blur(image: Floats, sigma: tuple[float, float, float]) -> Floats:
    """Return `image` smoothed by the scanner's point spread, voxels."""
    smoothed: Floats = ndimage.gaussian_filter(image, sigma, mode="nearest", truncate=2.5)
    return smoothed


def ct_image(image: Floats, patient: Patient, rng: np.random.Generator) -> Floats:
    """Return a CT image: sharpness and noise of one kernel and dose."""
    noise_hu = rng.uniform(4, 10) + (6 + rng.gamma(2, 5)) * patient.difficulty * patient.scale_xyz[0]
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    sharpness = rng.uniform(0.38, 0.6)
    return blur(image + noise * np.float32(noise_hu * 1.6), (0, sharpness, sharpness))


def mr_image(image: Floats, technique: Technique, patient: Patient, rng: np.random.Generator) -> Floats:
    """Return an MR image: coil profile, Rician noise, arbitrary scale."""
    image = blur(image, (0, 0.42, 0.42))
    if technique.kind == "ADC":
        return np.asarray(np.maximum(image + rng.standard_normal(image.shape, dtype=np.float32) * 40, 0))
    bright = float(np.percentile(image[:: max(1, len(image) // 6)], 98)) or 1.0
    image *= np.float32(1000 / bright)
    image *= np.exp(0.22 * smooth_noise(rng, image.shape, (2, 3, 3)))
    noise = np.float32(
        rng.uniform(8, 22) + 14 * patient.difficulty * rng.random() + (25 if technique.kind == "DWI" else 0)
    )
    real = image + noise * rng.standard_normal(image.shape, dtype=np.float32)
    imaginary = noise * rng.standard_normal(image.shape, dtype=np.float32)
    return np.asarray(np.hypot(real, imaginary), dtype=np.float32)


def pet_image(image: Floats, rng: np.random.Generator) -> Floats:
    """Return a PET image: poor resolution, noise that grows with activity."""
    smooth = blur(image, (0.6, 0.7, 0.7))
    smooth *= 2.2 / max(
        float(np.percentile(smooth[:: max(1, len(smooth) // 6)], 97)), 1e-3
    )  # counts are set by scan time
    noise = blur(rng.standard_normal(image.shape, dtype=np.float32), (0.5, 0.6, 0.6))
    return np.maximum(smooth + 0.55 * noise * np.sqrt(np.maximum(smooth, 0.02)), 0)


def attenuation(canvas: Canvas) -> Floats:
    """Return the share of photons that leave the body: low deep inside, higher in lungs and near the skin."""
    density = np.clip((column("hu")[canvas.labels] + 1000) / 1000, 0, 1.6).astype(np.float32)
    pixel_mm = np.linalg.norm(canvas.grid.steps_lps_mm, axis=1)
    around = ndimage.gaussian_filter(density, 55 / pixel_mm, mode="constant", truncate=2.0)
    near = ndimage.gaussian_filter(density, 8 / pixel_mm, mode="constant", truncate=2.0)
    return np.asarray(np.exp(-2.6 * around - 1.1 * near), dtype=np.float32) * 2
