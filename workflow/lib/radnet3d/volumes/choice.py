"""Which volume stands for a series that holds several."""

import pandas as pd


def one_a_series(volumes: pd.DataFrame) -> pd.DataFrame:
    """Return the first volume (of tables.VOLUMES) of each series that shows every place its series shows.

    Where slices differ in orientation or size it is the largest stack. The labels of a series are about all of it.
    ASSUME: the first echo, b-value or phase stands for the others.
    """
    whole = volumes[volumes["is_whole"]].sort_values(["SeriesInstanceUID", "volume"])
    return whole.drop_duplicates("SeriesInstanceUID").reset_index(drop=True)
