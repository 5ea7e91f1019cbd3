"""Rows of tables.PROPOSAL_CASES and tables.PROPOSAL_SCORES with made-up numbers: TEST DATA."""

from itertools import product

import numpy as np
import pandas as pd

LOSS = {"coverage": 0.01, "coverage_tuned": 0.01, "classifier": 0.02, "true_range": 0.0, "whole_scan": 0.1}


def made_up_proposal_cases(
    rng: np.random.Generator, *, n_cases: int = 12, sizes: tuple[int, ...] = (4, 16)
) -> pd.DataFrame:
    """Cases differ in Dice by much, methods by LOSS; only the classifier misses slices."""
    ease = rng.normal(0.7, 0.1, n_cases)
    rows = []
    for init, n_train, subset, seed, case in product(("scratch", "pretrained"), sizes, (0, 1), (0, 1), range(n_cases)):
        run = {
            "run_id": f"init-{init}_ntrain-{n_train:03d}_subset-{subset}_seed-{seed}", "task": "liver", "init": init,
            "n_train": n_train, "subset_seed": subset, "init_seed": seed, "case_id": f"case-{case:03d}",
        }  # fmt: skip
        for method, loss in LOSS.items():
            learns, missed = method == "classifier", (case + subset) % 6 == 0
            n_extra = {"true_range": 0, "whole_scan": 40}.get(method, 10 + case % 3)
            dice = float(np.clip(ease[case] - loss + rng.normal(0, 0.005), 0, 1))
            rows.append({
                **run, "method": method, "start_slice": 5, "stop_slice": 30, "n_slices": 50, "n_liver_slices": 15,
                "recall": 0.9 if learns and missed else 1.0, "n_extra_slices": n_extra, "extra_mm": 5.0 * n_extra,
                "fallback": False, "threshold": 0.5, "margin_mm": 20.0, "n_labels_trained": 50 * n_train if learns else 0,
                "n_labels": 1000, "dice_per_case": dice, "is_empty": False,
                "seconds_propose": 0.0 if method in ("true_range", "whole_scan") else 0.1, "seconds_segment": 0.05,
            })  # fmt: skip
    return pd.DataFrame(rows)


def made_up_proposal_scores(sizes: tuple[int, ...] = (4, 16)) -> pd.DataFrame:
    """A line of margins for each proposer."""
    rows = []
    for method, n_train in [("coverage_tuned", 0), *(("classifier", n) for n in sizes)]:
        for subset, role, margin in product((0, 1) if n_train else (0,), ("validation", "test"), (0.0, 20.0, 40.0)):
            rows.append({
                "method": method, "n_train": n_train, "subset_seed": subset, "role": role, "threshold": 0.5,
                "margin_mm": margin, "n_cases": 12, "n_whole": int(6 + margin / 10), "recall": 0.9 + margin / 400,
                "extra_mm": 20 + 2 * margin + subset,
            })  # fmt: skip
    return pd.DataFrame(rows)
