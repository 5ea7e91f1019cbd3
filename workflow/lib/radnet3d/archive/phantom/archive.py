"""The source `phantom`: plans every series of the digital patients, and makes those of one shard."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from functools import partial
from math import cos, radians
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from radnet3d.archive.phantom import VERSION
from radnet3d.archive.phantom.headers import COLLECTION_ID, patient_id, series_uid, study_uid
from radnet3d.archive.phantom.protocols import Series
from radnet3d.archive.phantom.series import write_series
from radnet3d.archive.phantom.studies import plan_patient
from radnet3d.archive.phantom.vendors import name_series
from radnet3d.archive.source import fetched_table, series_dir, shard_of
from radnet3d.atomic import resumable_directory
from radnet3d.params import Archive
from radnet3d.tables import PLAN, TRUTH, check_table


class PhantomSource:
    """Digital patients: a series depends on the archive's seed, its patient's number and its own number only."""

    def __init__(self, settings: Archive) -> None:
        self.settings = settings

    def patient_series(self, number: int) -> list[Series]:
        """Return the series of one patient, with the lies that concern files."""
        phantom = self.settings.phantom
        planned = plan_patient(phantom.seed, number, phantom.difficulty, phantom.n_series_per_patient)
        return [with_file_faults(series) for series in planned]

    def plan(self, out_dir: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the plan and the truth of all series; nothing else is needed to make them."""
        everything = [s for number in range(self.settings.phantom.n_patients) for s in self.patient_series(number)]
        plan = pd.DataFrame([plan_row(series, self.settings.n_shards) for series in everything])
        truth = pd.DataFrame([truth_row(series) for series in everything])
        return check_table(plan, PLAN, name="plan"), check_table(truth, TRUTH, name="truth")

    def fetch(self, rows: pd.DataFrame, plan_dir: Path, out_dir: Path, threads: int) -> pd.DataFrame:
        """Make the series of `rows` below `out_dir`; those that are there already are left as they are."""
        wanted = [
            (location, series_dir(out_dir, patient, name))
            for location, patient, name in rows[["location", "PatientID", "SeriesInstanceUID"]].astype(str).to_numpy()
        ]
        missing = [(location, folder) for location, folder in wanted if not folder.exists()]
        bar = partial(tqdm, total=len(missing), desc="series", unit="series")
        if threads == 1:
            for location, folder in bar(missing):
                make_series(self.settings, location, folder)
        else:
            with ProcessPoolExecutor(threads) as pool:
                jobs = [pool.submit(make_series, self.settings, location, folder) for location, folder in missing]
                for job in bar(as_completed(jobs)):
                    job.result()
        return fetched_table(rows, out_dir)


def make_series(settings: Archive, location: str, folder: Path) -> None:
    """Make the series at a `location` of the plan, as a whole or not at all."""
    patient, number = (int(part) for part in location.rsplit("/", 2)[1:])
    series = PhantomSource(settings).patient_series(patient)[number]
    with resumable_directory(folder) as unfinished:
        write_series(series, unfinished)


def with_file_faults(series: Series) -> Series:
    """Return the series with all its lies: header lies, planned faults, stray and truncated files."""
    draw = series.rng("files").random()
    lies = list(name_series(series).lies)
    if series.fault or series.gantry_tilt_deg:
        lies.append(series.geometry)
    if series.phases:
        lies.append("multi_volume")
    if draw < 0.012:
        lies.append("stray_file")
    elif draw > 0.994 and series.geometry == "regular" and series.n_slices > 8:
        lies.append("truncated_file")
    return replace(series, lies=tuple(lies))


def plan_row(series: Series, n_shards: int) -> dict[str, object]:
    """Return the series' row of the plan."""
    grid, patient = series.grids[0], series.patient
    name = series_uid(series)
    return {
        "SeriesInstanceUID": name, "StudyInstanceUID": study_uid(series), "PatientID": patient_id(series),
        "collection_id": COLLECTION_ID, "Modality": series.modality, "shard": shard_of(name, n_shards),
        "location": f"phantom-{VERSION}/{patient.number}/{series.number}", "n_instances": series.n_instances,
        "n_bytes": series.n_instances * grid.shape[1] * grid.shape[2] * 2, "licence": "CC0-1.0", "source_DOI": "",
    }  # fmt: skip


def truth_row(series: Series) -> dict[str, object]:
    """Return what is really in the series."""
    findings: Sequence[str] = sorted(series.patient.findings)
    return {
        "SeriesInstanceUID": series_uid(series), "PatientID": patient_id(series), "Modality": series.modality,
        "subject": "human", "kind": series.kind, "sequence": series.sequence, "contrast": series.contrast,
        "plane": series.plane, "regions": series.regions, "organs": series.organs,
        "slice_spacing_mm": true_spacing_mm(series), "geometry": series.geometry,
        "phase": ";".join(series.phases) or series.phase, "protocol": series.protocol, "derived": series.derived,
        "finding": ";".join(findings), "lie": ";".join(series.lies),
    }  # fmt: skip


def true_spacing_mm(series: Series) -> float:
    """Return the distance between slices along their normal; NaN where the images are no stack."""
    if series.geometry in ("no_geometry", "mixed_orientation", "too_few_slices"):
        return float("nan")
    if series.gantry_tilt_deg:
        return series.spacing_mm * cos(radians(series.gantry_tilt_deg))
    return series.spacing_mm
