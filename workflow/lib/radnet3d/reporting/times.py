"""What a run cost, from the benchmark files Snakemake writes beside each rule."""

from pathlib import Path

import pandas as pd


def times(results_dir: Path) -> pd.DataFrame:
    """Return rule, n_jobs, seconds (sum over jobs), seconds_longest, memory_mb_largest; most seconds first.

    Reads results/benchmarks/**/*.tsv; the first folder, or the file's name, is the rule. No files: no rows.
    """
    folder = results_dir / "benchmarks"
    rows = []
    for path in sorted(folder.rglob("*.tsv")):
        frame = pd.read_csv(path, sep="\t", na_values=["-", "NA"])
        rule = path.relative_to(folder).parts[0].removesuffix(".tsv")
        rows += [
            {"rule": rule, "seconds": row["s"], "memory_mb": row.get("max_rss")} for row in frame.to_dict("records")
        ]
    jobs = pd.DataFrame(rows, columns=["rule", "seconds", "memory_mb"]).astype({"seconds": float, "memory_mb": float})
    summed = jobs.groupby("rule").agg(
        n_jobs=("seconds", "size"), seconds=("seconds", "sum"), seconds_longest=("seconds", "max"),
        memory_mb_largest=("memory_mb", "max"),
    )  # fmt: skip
    return summed.sort_values("seconds", ascending=False).reset_index()


def as_text(rows: pd.DataFrame) -> str:
    """Return the table of `times` in columns, with the sum in the last line."""
    if rows.empty:
        return "no benchmarks: nothing was run by Snakemake here"
    lines = [f"{'rule':28} {'jobs':>5} {'seconds':>9} {'longest':>9} {'memory MB':>10}"]
    for row in rows.to_dict("records"):
        memory = "-" if pd.isna(row["memory_mb_largest"]) else f"{row['memory_mb_largest']:.0f}"
        lines.append(
            f"{row['rule']:28} {row['n_jobs']:5d} {row['seconds']:9.1f} {row['seconds_longest']:9.1f} {memory:>10}"
        )
    lines.append(f"{'all':28} {rows['n_jobs'].sum():5d} {rows['seconds'].sum():9.1f}")
    return "\n".join(lines)
