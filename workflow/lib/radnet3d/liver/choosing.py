"""From which probability on slices are proposed, and how far a proposal is widened: chosen the same way for every proposer."""

from math import ceil
from typing import NamedTuple

import numpy as np
import pandas as pd

from radnet3d.liver.proposal import SliceRange, overlap


class Scan(NamedTuple):
    """What is known of a scan whose liver slices an expert has named."""

    case_id: str
    n_slices: int
    slice_spacing_mm: float
    liver: tuple[int, int]  # half-open range of slices


class Setting(NamedTuple):
    """What is chosen."""

    threshold: float
    margin_mm: float


Found = dict[float, list[SliceRange]]
"""Of each threshold the range proposed for each scan, without margin."""


def widened(found: SliceRange, margin_mm: float, scan: Scan) -> SliceRange:
    """Return a proposal with at least `margin_mm` more at both ends, in whole slices, within the scan."""
    n_more = ceil(margin_mm / scan.slice_spacing_mm)
    return SliceRange(max(found.start - n_more, 0), min(found.stop + n_more, scan.n_slices), found.fallback)


def score_settings(found: Found, scans: list[Scan], margins_mm: tuple[float, ...]) -> pd.DataFrame:
    """Return threshold, margin_mm, n_cases, n_whole, recall and extra_mm of every threshold with every margin.

    `n_whole`: scans all of whose liver slices are proposed. `recall` and `extra_mm`, what is proposed beside the liver,
    are means over scans; a scan without liver has no recall.
    """
    rows = []
    for threshold, ranges in found.items():
        for margin_mm in margins_mm:
            pairs = [
                overlap(widened(one, margin_mm, scan), *scan.liver) for one, scan in zip(ranges, scans, strict=True)
            ]
            recall = np.array([pair[0] for pair in pairs])
            extra_mm = [n_extra * scan.slice_spacing_mm for (_, n_extra), scan in zip(pairs, scans, strict=True)]
            rows.append({
                "threshold": threshold, "margin_mm": margin_mm, "n_cases": len(scans), "n_whole": int((recall == 1).sum()),
                "recall": float(np.nanmean(recall)) if np.isfinite(recall).any() else float("nan"),
                "extra_mm": float(np.mean(extra_mm)),
            })  # fmt: skip
    return pd.DataFrame(rows)


def choose_setting(scores: pd.DataFrame) -> Setting:
    """Return, of the settings that lose liver slices of the fewest scans, the one that proposes least beside the liver.

    Of equal ones: the smallest margin, then the highest threshold. `scores`: what `score_settings` returns. A slice of the liver that
    is not proposed is lost for good, one too many only dilutes: so the first has precedence (ASSUME).
    """
    best = scores.sort_values(
        ["n_whole", "extra_mm", "margin_mm", "threshold"], ascending=[False, True, True, False]
    ).iloc[0]
    return Setting(float(best["threshold"]), float(best["margin_mm"]))
