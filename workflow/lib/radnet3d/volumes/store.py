"""A folder of volumes on the common grid: int16 .npy files, read by memory map, and a table beside them."""

import logging
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from radnet3d.atomic import replacing, write_text
from radnet3d.dicom.extract import Extract
from radnet3d.dicom.geometry import series_geometry, volume_geometries
from radnet3d.dicom.headers import Excluded, read_named
from radnet3d.dicom.names import escaped, unescaped
from radnet3d.errors import PixelError
from radnet3d.tables import EXCLUDED, VOLUMES, rows_table, write_table
from radnet3d.volumes.digests import join_digests, slice_digest
from radnet3d.volumes.pixels import AIR_HU, Array, Reader, lowest_of, read_file, read_planes, without_gaps
from radnet3d.volumes.resample import resample, resample_axis, resample_window

logger = logging.getLogger(__name__)

MODALITIES = ("CT", "MR", "PT")
ROBUST_MAX = 1000
ROBUST_PERCENTILES = (0.5, 99.5)
Shape = tuple[int, int, int]
Row = dict[str, Any]


@dataclass(frozen=True)
class Wanted:
    """What volumes are made, and how."""

    shape_zyx: Shape
    correct_tilt: bool  # shear series of a tilted gantry upright; else they are left out
    n_per_series_max: int | None  # the first volumes of a series that holds several; None: all

    def is_usable(self, geometry: str) -> bool:
        """Return whether slices of this verdict (tables.GEOMETRY) become a volume."""
        return geometry == "regular" or (geometry == "gantry_tilt" and self.correct_tilt)


@dataclass(frozen=True)
class Part:
    """One volume of a series."""

    number: int
    volume_of: str  # "" where the series holds one
    is_whole: bool  # it stands for the series
    facts: Row  # the columns of tables.SERIES that are of its geometry
    shear: tuple[float, float]  # of its slices along columns and rows, per mm along the normal
    files: pd.DataFrame  # path, frame, slice, position_mm


def store_volumes(root: Path, extract: Extract, out_dir: Path, wanted: Wanted, *, n_processes: int) -> None:
    """Write the volumes of each usable series into `out_dir`, with volumes.parquet and excluded.csv.

    A series' only volume is `<SeriesInstanceUID>.npy`; one of several is `<SeriesInstanceUID>_<volume>.npy`. Volumes that
    are there already, in this shape, with the digests of their slices, are kept: a killed run goes on where it was.
    """
    usable, excluded = split_usable(extract.series, wanted)
    files = dict(list(extract.files.groupby("SeriesInstanceUID")))
    jobs = [(row, files[row["SeriesInstanceUID"]]) for row in usable]
    store = partial(store_series, root, out_dir, wanted)
    progress = partial(tqdm, total=len(jobs), desc="volumes", unit="series", mininterval=1.0)
    if n_processes == 1:
        found = [row for rows in progress(map(store, jobs)) for row in rows]
    else:
        with ProcessPoolExecutor(n_processes) as pool:
            found = [row for rows in progress(pool.map(store, jobs)) for row in rows]
    volumes = [row for row in found if "reason" not in row]
    excluded += [row for row in found if "reason" in row]
    for path in {*out_dir.glob("*.npy"), *out_dir.glob(".*")} - {out_dir / row["path"] for row in volumes}:
        path.unlink()  # left by a run that was killed, or that had other series
    write_table(rows_table(volumes, VOLUMES), out_dir / "volumes.parquet", VOLUMES)
    write_table(pd.concat([extract.excluded, rows_table(excluded, EXCLUDED)]), out_dir / "excluded.csv", EXCLUDED)
    logger.info("%d series: %d volumes of %d, %d rows of exclusion; %d files excluded", len(extract.series), len(volumes),
                len({row["SeriesInstanceUID"] for row in volumes}), len(excluded), len(extract.excluded))  # fmt: skip


def split_usable(series: pd.DataFrame, wanted: Wanted) -> tuple[list[Row], list[Row]]:
    """Return the rows of tables.SERIES that may give a volume, and a row of tables.EXCLUDED for each other one."""
    usable, excluded = [], []
    for record in series.to_dict("records"):
        row = {str(name): value for name, value in record.items()}
        if row["Modality"] not in MODALITIES:
            excluded.append(exclusion(row, "unsupported_modality", f"Modality is {row['Modality']!r}"))
        elif wanted.is_usable(row["geometry"]) or row["n_volumes"] > 1:
            usable.append(row)
        else:
            excluded.append(exclusion(row, row["geometry"], describe_geometry(row)))
    return usable, excluded


def describe_geometry(row: Row) -> str:
    """Return in words what is known of where the slices of a series lie."""
    words = [f"{row['n_slices']} slices in {row['n_files']} files"]
    if row["n_volumes"] > 1:
        words.append(f"{row['n_volumes']} volumes")
    if row["slice_spacing_mm"] > 0:
        words.append(f"median gap {row['slice_spacing_mm']:.3f} mm")
        words.append(f"{row['position_max_mm'] - row['position_min_mm']:.3f} mm from first to last")
    if row["geometry"] == "gantry_tilt":
        words.append(f"tilt {row['gantry_tilt_deg']:.1f} degrees")
    return ", ".join(words)


def exclusion(row: Row, reason: str, detail: str) -> Row:
    """Return the row of tables.EXCLUDED of a whole series, or of one of its volumes."""
    return {"path": "", "SeriesInstanceUID": row["SeriesInstanceUID"], "reason": reason, "detail": escaped(detail)}


def store_series(root: Path, out_dir: Path, wanted: Wanted, job: tuple[Row, pd.DataFrame]) -> list[Row]:
    """Write the volumes of one series; return their rows of tables.VOLUMES, and of tables.EXCLUDED for those of no use.

    Volumes that stand for the series come first where not all are wanted. A series of which none does is a row, too.
    """
    row, files = job
    try:
        parts = [whole_series(row, files)] if row["geometry"] == "regular" else list(parts_of(root, row, files))
    except PixelError as error:
        return [exclusion(row, "undecodable_pixels", str(error))]
    usable = [part for part in parts if wanted.is_usable(part.facts["geometry"])]
    if not usable:
        return [exclusion(row, row["geometry"], describe_geometry(row))]
    found = [
        exclusion(row, part.facts["geometry"], describe_part(part))
        for part in parts
        if not wanted.is_usable(part.facts["geometry"])
    ]
    if not any(part.is_whole for part in usable):
        words = f"{len(usable)} of {len(parts)} volumes can be used, none of them shows the whole series"
        found.append(exclusion(row, row["geometry"], words))
    read = lru_cache(maxsize=1)(read_file)  # a file may hold slices of several volumes
    for part in sorted(usable, key=lambda part: not part.is_whole)[: wanted.n_per_series_max]:
        try:
            found.append(store_part(root, out_dir, wanted, row, part, read))
        except PixelError as error:
            found.append(exclusion(row, "undecodable_pixels", str(error).removeprefix(f"{root}/")))
    return found


def whole_series(row: Row, files: pd.DataFrame) -> Part:
    """Return the volume of a regular series."""
    return Part(0, "", True, row, (0.0, 0.0), files)


def parts_of(root: Path, row: Row, files: pd.DataFrame) -> Iterator[Part]:
    """Yield the volumes of a series that is not regular as a whole, whose headers are read anew.

    One that shows every place stands for the series. Of stacks of several orientations or sizes, a scout and axial slices
    say, it is the largest, be it of use or not: what most headers of a series say is not said of the smaller ones.
    Raises PixelError for a file that is not what it was when `files` was made.
    """
    slices = []
    for path in files["path"].unique():
        header = read_named(root, unescaped(path))
        if isinstance(header, Excluded):
            raise PixelError(f"{path}: {header.reason}: {header.detail}")
        slices += header.slices
    whole = series_geometry(slices)
    geometries = volume_geometries(slices, whole)
    n_places = max(geometry.n_slices for geometry in geometries) if whole.is_mixed else whole.n_slices
    for number, geometry in enumerate(geometries):
        members = [part for part, volume in zip(slices, whole.volume, strict=True) if volume == number]
        places = {
            "path": [part.path for part in members],
            "frame": [part.frame for part in members],
            "slice": geometry.place,
            "position_mm": geometry.position_mm,
        }
        is_whole = geometry.n_slices == n_places
        yield Part(number, whole.volume_of[number], is_whole, vars(geometry), geometry.shear, pd.DataFrame(places))


def describe_part(part: Part) -> str:
    """Return in words which volume of a series this is, and what is known of its slices."""
    name = f"volume {part.number}" + (f" ({part.volume_of})" if part.volume_of else "")
    return f"{name}: {part.facts['n_slices']} places, {len(part.files)} slices"


def store_part(root: Path, out_dir: Path, wanted: Wanted, row: Row, part: Part, read: Reader) -> Row:
    """Write one volume and return its row of tables.VOLUMES. Raises PixelError where its pixels are of no use."""
    path = out_dir / f"{row['SeriesInstanceUID']}{f'_{part.number}' if part.volume_of else ''}.npy"
    digests_path = path.with_name(f".{path.stem}.digests")
    frame = sheared_frame(part)
    is_ct = row["Modality"] == "CT"
    sources = [root / unescaped(source) for source in set(part.files["path"])]
    if not (digests_path.is_file() and is_stored(path, wanted.shape_zyx, sources)):
        digests: list[str] = []
        planes = read_planes(root, part.files, read=read)
        if is_ct:
            planes = digested(planes, digests)
        outside = AIR_HU if is_ct else None
        volume = resample_planes(planes, wanted.shape_zyx, frame, outside=outside, name=path.name)
        write_text(digests_path, join_digests(digests))
        with replacing(path) as temporary:
            np.save(temporary, to_int16(volume, row["Modality"]))
    facts = part.facts
    original_shape = (facts["n_slices"], facts["n_rows"], facts["n_columns"])
    original_mm = (facts["slice_spacing_mm"], facts["pixel_spacing_row_mm"], facts["pixel_spacing_column_mm"])
    extent = (facts["n_slices"], *frame.size_yx)
    # both grids cover the same extent, so this is the true spacing, not a nominal one
    spacing_mm = [mm * n / n_out for mm, n, n_out in zip(original_mm, extent, wanted.shape_zyx, strict=True)]
    return {
        "SeriesInstanceUID": row["SeriesInstanceUID"],
        "StudyInstanceUID": row["StudyInstanceUID"],
        "PatientID": row["PatientID"],
        "Modality": row["Modality"],
        "volume": part.number,
        "volume_of": part.volume_of,
        "is_whole": part.is_whole,
        "axes_lps": facts["axes_lps"],
        "corrected_tilt_deg": facts["gantry_tilt_deg"] if facts["geometry"] == "gantry_tilt" else 0.0,
        "path": path.name,
        "intensity": "hu" if is_ct else "robust_0_1000",
        "original_shape_zyx": ",".join(map(str, original_shape)),
        "original_spacing_zyx_mm": ",".join(f"{mm:.6g}" for mm in original_mm),
        "spacing_zyx_mm": ",".join(f"{mm:.6g}" for mm in spacing_mm),
        "slice_digests": digests_path.read_text(encoding="utf-8"),
    }


def digested(planes: Iterator[Array], digests: list[str]) -> Iterator[Array]:
    """Yield the CT slices as they come, and append the digest of each to `digests`: as acquired, nothing resampled."""
    for plane in planes:
        digests.append(slice_digest(plane))
        yield plane


@dataclass(frozen=True)
class Frame:
    """The upright frame that holds every slice of a sheared stack."""

    size_yx: tuple[float, float]  # in pixels
    starts_yx: NDArray[np.float64]  # (n, 2) where it starts in each slice, in pixels from its outer edge


def sheared_frame(part: Part) -> Frame:
    """Return the frame of a volume's slices, which is their own where nothing is sheared."""
    facts = part.facts
    size = np.array([facts["n_rows"], facts["n_columns"]], float)
    if facts["geometry"] != "gantry_tilt":
        return Frame((size[0], size[1]), np.zeros((facts["n_slices"], 2)))
    pixel_mm = np.array([facts["pixel_spacing_row_mm"], facts["pixel_spacing_column_mm"]])
    along_mm = np.sort(part.files["position_mm"].to_numpy())
    shifts = np.outer(along_mm - along_mm[0], part.shear) / pixel_mm
    size += np.ptp(shifts, axis=0)
    return Frame((size[0], size[1]), shifts.min(axis=0) - shifts)


def is_stored(path: Path, shape_zyx: Shape, sources: list[Path]) -> bool:
    """Return whether `path` holds a finished volume of this shape, made after its `sources` were."""
    if not path.is_file() or any(source.stat().st_mtime > path.stat().st_mtime for source in sources):
        return False
    volume = np.load(path, mmap_mode="r")
    return bool(volume.shape == tuple(shape_zyx) and volume.dtype == np.int16)


def resample_planes(
    planes: Iterator[NDArray[np.float32]], shape_zyx: Shape, frame: Frame, *, outside: float | None, name: str
) -> NDArray[np.float32]:
    """Return a volume on the common grid, `shape_zyx`; slices shrink as they are read, so that no series fills memory.

    Each slice is shifted in the plane by the resampling itself: a sheared stack is interpolated once, as others are.
    `outside`: what lies in the frame beyond a slice; None: the slice's lowest value. Slices of NaN get the volume's lowest
    value. Raises PixelError where all are of NaN; `name` is what it calls the volume.
    """
    shape = shape_zyx[1:]
    shrunk = []
    for plane, start in zip(planes, frame.starts_yx, strict=True):
        if plane.shape == frame.size_yx:
            shrunk.append(resample(plane[None], (1, *shape))[0])
        else:
            beyond = lowest_of(plane) if outside is None else outside
            stop = (start[0] + frame.size_yx[0], start[1] + frame.size_yx[1])
            shrunk.append(resample_window(plane, shape, (start[0], start[1]), stop, outside=beyond))
    return resample_axis(without_gaps(np.stack(shrunk), name), shape_zyx[0], axis=0)


def to_int16(volume: NDArray[np.float32], modality: str) -> NDArray[np.int16]:
    """Return intensities as they are stored: CT in HU; others scaled so that 0.5 to 99.5 percent span 0 to 1000.

    MR has no unit, PET units differ between sites. A few bright voxels must not set the scale, as they do in min-max.
    """
    if modality != "CT":
        low, high = np.percentile(volume, ROBUST_PERCENTILES)
        volume = ((volume - low) * (ROBUST_MAX / max(high - low, 1e-6))).clip(0, ROBUST_MAX)
    limits = np.iinfo(np.int16)
    return np.rint(volume).clip(limits.min, limits.max).astype(np.int16)
