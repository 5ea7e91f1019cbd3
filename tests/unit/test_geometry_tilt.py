"""A tilted gantry: slices that are no right-angled stack are sheared upright within their resampling."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
from click.testing import CliRunner
from pydicom import dcmread

from radnet3d.cli import radnet3d
from radnet3d.tables import EXCLUDED, VOLUMES, read_table
from radnet3d.volumes.resample import resample, resample_window, resampling_weights, window_weights
from support.dicom_series import image

AIR_HU = -1024
TILTED = "real/dicom2nifti_failing/gantrytilting/001"


def run(folder: Path, out: Path, shape_zyx: tuple[int, int, int], *options: str) -> pd.DataFrame:
    words = ["volumes", "resample", str(folder), str(out), "--shape-zyx", ",".join(map(str, shape_zyx)), *options]
    assert CliRunner().invoke(radnet3d, words, catch_exceptions=False).exit_code == 0
    return read_table(out / "volumes.parquet", VOLUMES)


def numbers(words: str) -> np.ndarray:
    return np.array(words.split(","), float)


def reference(folder: Path, shape_zyx: tuple[int, int, int]) -> np.ndarray:
    """Return a tilted series on the smallest upright grid that holds it, by ITK: as one image with a slanted third axis.

    Positions and orientations are those of the headers; nothing of this project is used.
    """
    headers = sorted((dcmread(path) for path in folder.iterdir()), key=lambda h: float(h.ImagePositionPatient[2]))
    along_row, along_column = np.reshape(np.array(headers[0].ImageOrientationPatient, float), (2, 3))
    normal = np.cross(along_row, along_column)
    positions = np.array([h.ImagePositionPatient for h in headers], float)
    step = (positions[-1] - positions[0]) / (len(headers) - 1)
    hu = np.stack([h.pixel_array * float(h.RescaleSlope) + float(h.RescaleIntercept) for h in headers])
    slanted = sitk.GetImageFromArray(np.maximum(hu, AIR_HU).astype(np.float32))
    row_mm, column_mm = map(float, headers[0].PixelSpacing)
    slanted.SetSpacing([column_mm, row_mm, float(np.linalg.norm(step))])
    slanted.SetOrigin(positions[0].tolist())
    slanted.SetDirection(np.stack([along_row, along_column, step / np.linalg.norm(step)], axis=1).ravel().tolist())
    frame = np.stack([along_row, along_column, normal])
    corners = [
        frame @ np.array(slanted.TransformContinuousIndexToPhysicalPoint([x, y, float(z)]))
        for x in (-0.5, hu.shape[2] - 0.5) for y in (-0.5, hu.shape[1] - 0.5) for z in (0, hu.shape[0] - 1)
    ]  # fmt: skip
    low, high = np.min(corners, axis=0), np.max(corners, axis=0)
    half = (step @ normal) / 2  # the first and the last slice are as thick as the others
    low[2], high[2] = low[2] - half, high[2] + half
    spacing = (high - low) / shape_zyx[::-1]
    grid = sitk.Image([int(n) for n in shape_zyx[::-1]], sitk.sitkFloat32)
    grid.SetSpacing(spacing.tolist())
    grid.SetOrigin((frame.T @ (low + spacing / 2)).tolist())
    grid.SetDirection(frame.T.ravel().tolist())
    return sitk.GetArrayFromImage(sitk.Resample(slanted, grid, sitk.Transform(), sitk.sitkLinear, AIR_HU))


def test_real_tilted_head_equals_its_resampling_by_another_program(real_data, tmp_path):
    """At full resolution, where both interpolate linearly; ITK leaves a rim of half a pixel empty."""
    shape = (4, 532, 512)
    row = run(real_data / TILTED, tmp_path / "out", shape, "--correct-tilt").iloc[0]
    assert row["corrected_tilt_deg"] == pytest.approx(14, abs=0.01)
    assert (row["original_shape_zyx"], row["axes_lps"]) == ("4,512,512", "S,P,L")
    wanted = reference(real_data / TILTED, shape)
    found = np.load(tmp_path / "out" / row["path"]).astype(float)
    inside = np.zeros(shape, bool)
    inside[:, 1:-1, 1:-1] = True
    both = inside & (wanted > AIR_HU) & (found > AIR_HU)
    assert both.mean() > 0.5
    difference = np.abs(found - wanted)[both]
    assert difference.max() <= 1.0  # stored as whole HU
    untouched = run(real_data / TILTED, tmp_path / "as_it_is", shape)
    assert untouched.empty
    assert read_table(tmp_path / "as_it_is/excluded.csv", EXCLUDED)["reason"].tolist() == ["gantry_tilt"]


def write_rod(folder: Path, degrees: float, *, n: int = 12, gap_mm: float = 4.0, turned: bool = False) -> None:
    """Write a rod of 60 HU along the scanner's axis, 24 mm in diameter, cut by a gantry tilted about x or about y."""
    folder.mkdir(parents=True)
    angle, pixel_mm, n_pixels = math.radians(degrees), 1.5, 64
    c, s = math.cos(angle), math.sin(angle)
    along_row = np.array([c, 0, -s]) if turned else np.array([1.0, 0, 0])
    along_column = np.array([0, 1.0, 0]) if turned else np.array([0, c, -s])
    rows, columns = np.mgrid[:n_pixels, :n_pixels] * pixel_mm
    middle = (n_pixels - 1) / 2 * pixel_mm * (along_row + along_column)
    for i in range(n):
        corner = np.array([0, 0, gap_mm * i]) - middle
        points = corner + columns[..., None] * along_row + rows[..., None] * along_column
        pixels = np.where(np.hypot(points[..., 0], points[..., 1]) <= 12, 60, -1000).astype(np.int16)
        header = image(pixels, InstanceNumber=i + 1, ImagePositionPatient=corner.round(5).tolist(),
                       ImageOrientationPatient=[*along_row.round(8), *along_column.round(8)], PixelSpacing=[pixel_mm] * 2)  # fmt: skip
        header.save_as(folder / f"{i}.dcm", enforce_file_format=True)


def centres_mm(volume: np.ndarray, spacing_zyx_mm: np.ndarray) -> np.ndarray:
    """Return (n, 2) the centre of the rod in each slice, in mm from the array's corner."""
    weights = (volume + 1024.0) * (volume > -900)
    y, x = np.mgrid[: volume.shape[1], : volume.shape[2]]
    total = weights.sum(axis=(1, 2))
    return np.stack([(weights * y).sum(axis=(1, 2)), (weights * x).sum(axis=(1, 2))], axis=1) / total[:, None] * spacing_zyx_mm[1:]  # fmt: skip


@pytest.mark.parametrize(("degrees", "turned"), [(15, False), (-15, False), (15, True), (-8, True)])
def test_a_rod_along_the_scanner_is_slanted_in_the_upright_frame(tmp_path, degrees, turned):
    """Upright, slices are cut at right angles to their normal: the rod, which is not along it, drifts by tan(tilt)."""
    write_rod(tmp_path / "in", degrees, turned=turned)
    row = run(tmp_path / "in", tmp_path / "out", (12, 80, 80), "--correct-tilt").iloc[0]
    assert row["corrected_tilt_deg"] == pytest.approx(abs(degrees), abs=0.01)
    spacing = numbers(row["spacing_zyx_mm"])
    assert spacing[0] == pytest.approx(4 * math.cos(math.radians(degrees)), rel=1e-4)
    drift = 11 * 4 * abs(math.sin(math.radians(degrees)))
    wide, narrow = (spacing[2] * 80, spacing[1] * 80) if turned else (spacing[1] * 80, spacing[2] * 80)
    assert (wide, narrow) == (pytest.approx(96 + drift, rel=1e-4), pytest.approx(96))
    centres = centres_mm(np.load(tmp_path / "out" / row["path"]), spacing)
    steps = np.diff(centres, axis=0)[:, 1 if turned else 0]
    np.testing.assert_allclose(steps, -4 * math.sin(math.radians(degrees)), atol=0.15)
    np.testing.assert_allclose(np.diff(centres, axis=0)[:, 0 if turned else 1], 0, atol=0.05)


def test_nothing_changes_for_what_is_not_tilted(tmp_path):
    write_rod(tmp_path / "in", 0)
    for name, option in (("one", "--correct-tilt"), ("two", "--no-correct-tilt")):
        assert run(tmp_path / "in", tmp_path / name, (6, 32, 32), option)["corrected_tilt_deg"].tolist() == [0.0]
    assert (tmp_path / "one/1.2.3.4.npy").read_bytes() == (tmp_path / "two/1.2.3.4.npy").read_bytes()


def test_beyond_the_slices_is_air(tmp_path):
    write_rod(tmp_path / "in", 15)
    row = run(tmp_path / "in", tmp_path / "out", (12, 80, 80), "--correct-tilt").iloc[0]
    volume = np.load(tmp_path / "out" / row["path"])
    assert (volume[0, :6] == AIR_HU).all() != (volume[0, -6:] == AIR_HU).all()
    assert (volume[0, :6] == AIR_HU).all() == (volume[-1, -6:] == AIR_HU).all()


def test_a_window_of_a_plane():
    plane = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
    whole = resample_window(plane, (8, 45), (0.0, 0.0), (20.0, 30.0), outside=9.0)
    np.testing.assert_allclose(whole, resample(plane[None], (1, 8, 45))[0], atol=1e-5)
    np.testing.assert_array_equal(window_weights(20, 8, 0.0, 20.0), resampling_weights(20, 8))
    shifted = resample_window(plane, (20, 30), (-3.0, 2.0), (17.0, 32.0), outside=9.0)
    np.testing.assert_allclose(shifted[3:, :-2], plane[:-3, 2:], atol=1e-5)
    assert (shifted[:3] == 9).all() and (shifted[:, -2:] == 9).all()


@pytest.mark.parametrize("shift", [0.25, -0.6, 4.5])
def test_a_shifted_ramp_stays_a_ramp(shift):
    ramp = np.arange(40, dtype=np.float32)
    for n_out in (10, 40, 90):
        weights = window_weights(40, n_out, shift, 40 + shift)
        at = shift + (np.arange(n_out) + 0.5) * 40 / n_out - 0.5
        inside = (at >= 0) & (at <= 39)
        np.testing.assert_allclose((weights @ ramp)[inside], at[inside], atol=1e-3)
        np.testing.assert_allclose(weights.sum(axis=1), ((at >= -0.5) & (at <= 39.5)).astype(float), atol=1e-5)
