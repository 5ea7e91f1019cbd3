"""Made-up studies drawn from named variance components, for tests of the statistics: no measurement is behind them."""

from collections.abc import Mapping
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from radnet3d.params import Comparison

Array = NDArray[np.float64]

METRICS = ("nsd_2mm", "hd95_mm", "volume_error_percent")


class Components(NamedTuple):
    """Standard deviations of Dice: of each factor, of each pair of factors, and of what is left."""

    subset: float
    init: float
    case: float
    subset_init: float
    subset_case: float
    init_case: float
    rest: float


SHARED = Components(0.010, 0.005, 0.080, 0.005, 0.010, 0.005, 0.0)
"""What all arms of a size have in common: some cases and some training sets are harder."""
OWN = Components(0.006, 0.004, 0.015, 0.004, 0.015, 0.006, 0.020)
"""What belongs to one arm at one size; a difference of two arms has sqrt(2) of it."""


def settings(**changed: float) -> Comparison:
    """The comparison section with few resamples."""
    values = {"n_bootstrap": 400, "seed": 5, "confidence": 0.95, "margin_dice": 0.02, "power": 0.8, **changed}
    return Comparison.model_validate(values)


def draw(rng: np.random.Generator, shape: tuple[int, int, int], of: Components) -> Array:
    """Return a (subset seeds, init seeds, cases) array with mean 0 over all that could be drawn."""
    axes = [axes for n in (1, 2, 3) for axes in combinations(range(3), n)]
    values = np.zeros(shape)
    for deviation, those in zip(of, axes, strict=True):
        values += rng.normal(0, deviation, [n if axis in those else 1 for axis, n in enumerate(shape)])
    return values


def rows_of(init: str, n_train: int, dice_sic: Array) -> pd.DataFrame:
    """Return rows of tables.CASES of one arm and size; the metrics beside Dice are linear in it."""
    subset, seed, case = (axis.ravel() for axis in np.indices(dice_sic.shape))
    dice = dice_sic.ravel()
    return pd.DataFrame({
        "run_id": [f"init-{init}_ntrain-{n_train:03d}_subset-{k}_seed-{s}" for k, s in zip(subset, seed, strict=True)],
        "case_id": [f"case-{number:03d}" for number in case], "dice_per_case": dice, "nsd_2mm": 0.8 * dice,
        "hd95_mm": 50 * (1 - dice), "volume_error_percent": 100 * (dice - 1), "predicted_ml": 1500 * dice, "true_ml": 1500.0,
        "is_empty": False, "task": "liver", "init": init, "n_train": n_train, "subset_seed": subset, "init_seed": seed,
    })  # fmt: skip


def study(
    rng: np.random.Generator,
    effects: Mapping[str, float],
    *,
    n_subsets: Mapping[int, int],
    n_inits: int = 2,
    n_cases: int = 30,
    shared: Components = SHARED,
    own: Components = OWN,
) -> pd.DataFrame:
    """Return tables.CASES: Dice rises by 0.05 a doubling of n; arms add `effects`, cells what is `shared` and their `own`.

    How hard a case is, `shared.case`, is the same for all sizes.
    """
    ease = rng.normal(0, shared.case, n_cases)
    frames = []
    for n_train, subsets in n_subsets.items():
        shape = (subsets, n_inits, n_cases)
        common = 0.6 + 0.05 * np.log2(n_train) + ease + draw(rng, shape, shared._replace(case=0.0))
        frames += [rows_of(init, n_train, common + effect + draw(rng, shape, own)) for init, effect in effects.items()]
    return pd.concat(frames, ignore_index=True)
