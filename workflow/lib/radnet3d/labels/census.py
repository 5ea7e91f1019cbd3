"""How complete labels are: who got an answer and who did not, by modality and collection."""

import pandas as pd

from radnet3d.tables import HEADS


def take_census(labels: pd.DataFrame) -> pd.DataFrame:
    """Return tables.CENSUS: for each head, modality and collection the series answered and left `unknown`."""
    parts = []
    for head in HEADS:
        is_answered = (labels[head] != "unknown").rename("n_answered")
        by_group = is_answered.groupby([labels["Modality"], labels["collection_id"]], sort=True)
        counts = by_group.agg(n_series="size", n_answered="sum").reset_index()
        parts.append(counts.assign(head=head, n_unknown=counts["n_series"] - counts["n_answered"]))
    columns = ["head", "Modality", "collection_id", "n_series", "n_answered", "n_unknown"]
    return pd.concat(parts, ignore_index=True)[columns]
