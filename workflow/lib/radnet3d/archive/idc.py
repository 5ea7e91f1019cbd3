"""The source `idc`: real series of the NCI Imaging Data Commons, read from its public buckets (`index` chooses them).

The index (package idc-index-data) names each version of a series by `crdc_series_uuid`, which never changes; files lie at
`<bucket>/<crdc_series_uuid>/<instance>.dcm` and are readable without an account.
"""

from pathlib import Path

import pandas as pd

from radnet3d.archive.s3 import S3
from radnet3d.archive.transfer import fetch_rows
from radnet3d.params import Archive


class IdcSource:
    """Series of the Imaging Data Commons."""

    def __init__(self, settings: Archive) -> None:
        self.endpoint_url, self.transfer = settings.idc.endpoint_url, settings.transfer

    def fetch(self, rows: pd.DataFrame, plan_dir: Path, out_dir: Path, threads: int) -> pd.DataFrame:
        """Fetch the versions of series that the plan pins; `threads` waits for no network: `n_connections` of them do."""
        with S3(self.endpoint_url, self.transfer) as server:
            return fetch_rows(rows, plan_dir, out_dir, server.fetch_series, self.transfer)
