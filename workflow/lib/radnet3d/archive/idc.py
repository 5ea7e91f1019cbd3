"""The source `idc`: real series of the NCI Imaging Data Commons, chosen from its index, read from its public buckets.

The index (package idc-index-data) names each version of a series by `crdc_series_uuid`, which never changes; files lie at
`<bucket>/<crdc_series_uuid>/<instance>.dcm` and are readable without an account.
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pandas as pd
import pyarrow.parquet as parquet
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from idc_index_data import IDC_INDEX_PARQUET_FILEPATH
from tqdm import tqdm

from radnet3d.archive.source import series_dir, shard_of
from radnet3d.atomic import replacing, resumable_directory
from radnet3d.errors import ArchiveError
from radnet3d.params import Archive, IdcArchive
from radnet3d.tables import PLAN, TRUTH, check_table, empty_table

COLUMNS = (
    "collection_id", "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "Modality", "instanceCount",
    "license_short_name", "source_DOI", "aws_bucket", "crdc_series_uuid", "series_size_MB",
)  # fmt: skip
LEAKING = Path(__file__).resolve().parents[3] / "resources" / "leaking_collections.csv"
"""Collections that contain LiTS, so that pretraining on them would see the fine-tuning task's images."""


class IdcSource:
    """Series of the Imaging Data Commons."""

    def __init__(self, settings: Archive) -> None:
        self.settings, self.n_shards = settings.idc, settings.n_shards

    def plan(self, out_dir: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the chosen series of the index, drawn by the seed; there is no truth about them."""
        refuse_leaking(self.settings.collections)
        index = parquet.read_table(
            IDC_INDEX_PARQUET_FILEPATH,
            columns=list(COLUMNS),
            filters=[("collection_id", "in", self.settings.collections)],
        ).to_pandas()
        chosen = choose_series(index, self.settings)
        plan = pd.DataFrame({
            **{name: chosen[name].astype(str) for name in COLUMNS[:5]},
            "shard": [shard_of(name, self.n_shards) for name in chosen["SeriesInstanceUID"]],
            "location": "s3://" + chosen["aws_bucket"] + "/" + chosen["crdc_series_uuid"],
            "n_instances": chosen["instanceCount"], "n_bytes": (chosen["series_size_MB"] * 1e6).round().astype(int),
            "licence": chosen["license_short_name"], "source_DOI": chosen["source_DOI"].fillna(""),
        })  # fmt: skip
        return check_table(plan, PLAN, name="plan"), empty_table(TRUTH)

    def fetch(self, rows: pd.DataFrame, plan_dir: Path, out_dir: Path, threads: int) -> None:
        """Download each series as a whole or not at all; files of an interrupted series are taken up again."""
        client = boto3.client(
            "s3", endpoint_url=self.settings.endpoint_url, region_name="us-east-1",
            config=Config(signature_version=UNSIGNED, retries={"mode": "standard", "max_attempts": 6},
                          connect_timeout=20, read_timeout=60, max_pool_connections=max(10, threads)),
        )  # fmt: skip
        missing = [row for row in rows.itertuples() if not folder_of(out_dir, row).exists()]
        with ThreadPoolExecutor(threads) as pool:
            jobs = pool.map(lambda row: fetch_series(client, row, folder_of(out_dir, row)), missing)
            for _ in tqdm(jobs, total=len(missing), desc="series", unit="series"):
                pass


def folder_of(out_dir: Path, row: Any) -> Path:
    """Return the folder of a row of the plan."""
    return series_dir(out_dir, row.PatientID, row.SeriesInstanceUID)


def refuse_leaking(collections: tuple[str, ...]) -> None:
    """Raise ArchiveError if a collection contains the images of the fine-tuning task."""
    reasons = dict(pd.read_csv(LEAKING)[["collection_id", "reason"]].to_numpy())
    for name in collections:
        if name in reasons:
            raise ArchiveError(f"archive.idc.collections: {name!r} is refused: {reasons[name]} ({LEAKING.name})")


def choose_series(index: pd.DataFrame, settings: IdcArchive) -> pd.DataFrame:
    """Return the rows to fetch: allowed modality and licence, capped per patient and in all, ordered by identifier.

    Raises ArchiveError naming a collection the index does not know, or if nothing is left.
    """
    unknown = sorted(set(settings.collections) - set(index["collection_id"]))
    if unknown:
        raise ArchiveError(f"archive.idc.collections: {unknown[0]!r} is not in the installed index of the IDC")
    kept = index[index["Modality"].isin(settings.modalities) & index["license_short_name"].isin(settings.licences)]
    if kept.empty:
        raise ArchiveError(
            f"archive.idc: no series of {list(settings.collections)} has modality {list(settings.modalities)} and licence "
            f"{list(settings.licences)}; their licences are {sorted(index['license_short_name'].unique())}"
        )
    kept = kept.sort_values("SeriesInstanceUID")
    kept = kept.iloc[np.random.default_rng(settings.seed).permutation(len(kept))]
    kept = kept[kept.groupby("PatientID").cumcount() < settings.n_series_per_patient_max]
    # collections take turns, so that the largest does not fill the archive
    turns = kept.groupby("collection_id").cumcount().sort_values(kind="stable")
    kept = kept.loc[turns.index].head(settings.n_series_max)
    return kept.sort_values("SeriesInstanceUID").reset_index(drop=True)


def fetch_series(client: Any, row: Any, folder: Path) -> None:
    """Download all files of one series. Raises ArchiveError if their number is not the planned one or S3 fails."""
    bucket, _, prefix = row.location.removeprefix("s3://").partition("/")
    try:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
        objects = {entry["Key"]: entry for page in pages for entry in page.get("Contents", [])}
        if len(objects) != row.n_instances:
            raise ArchiveError(f"{row.location}: found {len(objects)} files, wanted {row.n_instances} (the plan's)")
        with resumable_directory(folder) as unfinished:
            for key, entry in objects.items():
                path = unfinished / Path(key).name
                if path.is_file() and is_as_announced(path, entry):
                    continue
                with replacing(path) as temporary:
                    client.download_file(bucket, key, str(temporary))
                    if not is_as_announced(temporary, entry):
                        raise ArchiveError(
                            f"s3://{bucket}/{key}: {temporary.stat().st_size} bytes came that are not the "
                            f"{entry['Size']} with ETag {entry['ETag']} announced"
                        )
    except (BotoCoreError, ClientError) as error:
        raise ArchiveError(f"{row.location}: {error}") from error


def is_as_announced(path: Path, entry: Any) -> bool:
    """Return whether a file has the size and MD5 that S3 lists; an upload in several parts has no MD5 to compare.

    `entry`: of ListObjectsV2. Source: AWS documentation of the ETag.
    """
    if path.stat().st_size != entry["Size"]:
        return False
    etag = entry["ETag"].strip('"')
    with path.open("rb") as file:
        return "-" in etag or hashlib.file_digest(file, "md5").hexdigest() == etag
