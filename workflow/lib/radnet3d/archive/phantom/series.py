"""One series, from its plan to its files."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from radnet3d.archive.phantom.anatomy import paint_patient
from radnet3d.archive.phantom.canvas import Floats, Grid
from radnet3d.archive.phantom.headers import series_dataset, storage_class, uid
from radnet3d.archive.phantom.protocols import Series
from radnet3d.archive.phantom.signals import render
from radnet3d.archive.phantom.vendors import name_series
from radnet3d.archive.phantom.writing import Encoded, encode, file_bytes

LARGEST_PLANE_GAP_MM = 3.2
"""Planes rendered within a slice are at most this far apart."""


def render_series(series: Series) -> Iterator[tuple[Grid, Floats]]:
    """Yield each volume of a series: its grid and its image (slices, rows, columns) in HU, SUV or MR units."""
    for number, grid in enumerate(series.grids):
        n_per_slice = planes_per_slice(series, grid)
        canvas = paint_patient(grid.finer(n_per_slice), series.pose, series.patient, with_table=series.modality == "CT")
        for phase in series.phases or (series.phase,):
            rng = series.rng(f"noise/{number}/{phase}")
            projection = "max" if series.derived == "mip" else "mean"
            image = render(canvas, series.patient, series.technique, phase, n_per_slice, rng, projection=projection)
            if series.derived == "subtraction":
                before = render(canvas, series.patient, series.technique, "native", n_per_slice, rng)
                image = np.maximum(image - before, 0)
            yield grid, image


def planes_per_slice(series: Series, grid: Grid) -> int:
    """Return how many planes are rendered within one slice."""
    thickness = float(np.linalg.norm(grid.steps_lps_mm[0]))
    if grid.shape[0] == 1:
        return 24  # a projection through the whole patient
    return int(np.clip(np.ceil(thickness / LARGEST_PLANE_GAP_MM), 1, 4))


def stored_pixels(series: Series, image: Floats) -> NDArray[np.int16]:
    """Return the image as stored: CT offset by 1024, MR in 12 bits, PET as activity over the rescale slope."""
    if series.derived == "screen":
        return np.asarray(np.clip((image + 1000) / 2, 0, 1000), dtype=np.int16)
    if series.kind == "localizer" and series.modality == "CT":
        dense = np.clip(image + 1000, 0, None)
        image = (dense / max(float(dense.max()), 1.0) * 1400 - 700).astype(np.float32)
    if series.modality == "CT":
        return np.asarray(np.clip(np.rint(image) + 1024, 0, 4095), dtype=np.int16)
    if series.modality == "PT":
        return np.asarray(np.clip(np.rint(image * 5000 / 1.25), 0, 32767), dtype=np.int16)
    gain = series.rng("gain").uniform(0.35, 1.6) if series.technique.kind != "ADC" else 1.0
    return np.asarray(np.clip(np.rint(image * gain), 0, 4095), dtype=np.int16)


@dataclass(frozen=True)
class Image:
    """One image of a series before it becomes a file."""

    pixels: NDArray[np.int16]
    frame: Encoded  # what all images of its volume share
    position_lps_mm: NDArray[np.float64] | None  # centre of the first pixel; None for a screen save
    normal: NDArray[np.float64]


def images_of(series: Series) -> list[Image]:
    """Return every image in the order of its instance number, with planned faults."""
    images = []
    for grid, image in render_series(series):
        frame, normal = encode(frame_dataset(series, grid)), np.cross(*unit_directions(grid))
        for i, pixels in enumerate(stored_pixels(series, image)):
            position = grid.origin_lps_mm + i * grid.steps_lps_mm[0] if series.is_spatial else None
            images.append(Image(pixels, frame, position, normal))
    if series.rng("order").random() < 0.5:  # half of the scanners count from the other end
        images.reverse()
    if series.fault:
        at = int(series.rng("fault").integers(2, len(images) - 2))
        if series.fault == "missing_slice":
            del images[at]
        elif series.fault == "duplicate_position":
            images.insert(at, images[at])
        else:
            moved = images[at].position_lps_mm + 0.35 * series.grids[0].steps_lps_mm[0]
            images[at] = replace(images[at], position_lps_mm=moved)
    return images


def unit_directions(grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the directions along a row and down a column, as ImageOrientationPatient holds them."""
    down, along = (step / np.linalg.norm(step) for step in grid.steps_lps_mm[1:])
    return along, down


def frame_dataset(series: Series, grid: Grid) -> Dataset:
    """Return size, orientation and spacing of the images on a grid."""
    ds = Dataset()
    ds.Rows, ds.Columns = grid.shape[1:]
    if not series.is_spatial:
        return ds
    thickness_mm, rows_mm, columns_mm = (float(np.linalg.norm(step)) for step in grid.steps_lps_mm)
    ds.ImageOrientationPatient = numbers(np.concatenate(unit_directions(grid)), 7)
    ds.PixelSpacing = [f"{rows_mm:.5g}", f"{columns_mm:.5g}"]
    # thickness is not spacing: overlaps and gaps are common
    factor = (1.0, 1.0, 1.25, 0.8)[int(series.rng("thickness").integers(4))]
    ds.SliceThickness = f"{min(thickness_mm * factor, 999):.4g}"
    if series.modality == "MR":
        ds.SpacingBetweenSlices = f"{thickness_mm:.4g}"
    return ds


def image_dataset(series: Series, image: Image, number: int) -> Dataset:
    """Return what one image has of its own."""
    ds = Dataset()
    ds.SOPInstanceUID = uid(series.key, "instance", number)
    ds.InstanceNumber = str(number)
    if image.position_lps_mm is not None:
        ds.ImagePositionPatient = numbers(image.position_lps_mm, 4)
        ds.SliceLocation = f"{float(image.position_lps_mm @ image.normal):.4f}"
        if series.modality == "PT":
            ds.ImageIndex = number
    ds.add_new("PixelData", "OW", image.pixels.astype("<i2").tobytes())
    return ds


def numbers(values: NDArray[np.float64], digits: int) -> list[str]:
    """Return decimal strings without negative zero, at most 16 characters each."""
    return [f"{value:.{digits}f}".rstrip("0").rstrip(".") for value in np.round(values, digits) + 0.0]


def write_series(series: Series, folder: Path) -> None:
    """Write all files of a series into an existing folder."""
    shared = encode(series_dataset(series, name_series(series)))
    for number, image in enumerate(images_of(series), start=1):
        own = image_dataset(series, image, number)
        content = file_bytes(storage_class(series), own.SOPInstanceUID, {**shared, **image.frame, **encode(own)})
        if "truncated_file" in series.lies and number == series.n_instances:
            content = content[: -image.pixels.nbytes // 2]
        (folder / file_name(series, number)).write_bytes(content)
    if "stray_file" in series.lies:
        (folder / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0" + b"not DICOM " * 20)
        (folder / "README.txt").write_bytes(b"Exported for review. This is not a DICOM file.\n")


def file_name(series: Series, number: int) -> str:
    """Return a file's name: sites differ, and some leave out the ending."""
    style = series.patient.number % 4
    return (f"{number:06d}.dcm", f"IM{number:04d}", f"1-{number:03d}.dcm", f"I{number * 10}.dcm")[style]
