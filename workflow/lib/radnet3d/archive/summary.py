"""What a plan holds, before a byte moves: a table, and the same as lines to read."""

from collections.abc import Iterator

import pandas as pd

from radnet3d.params import Choice
from radnet3d.tables import PLAN_SUMMARY, check_table

PARTS = {"modality": "Modality", "licence": "licence", "collection": "collection_id"}
"""Column of the plan that each part of the summary counts by."""

N_LINES = 12
"""Lines of one part that are printed; the table has all."""

GB = 1e9


def summarise_plan(plan: pd.DataFrame, choice: Choice | None) -> pd.DataFrame:
    """Return tables.PLAN_SUMMARY of a plan (tables.PLAN, with a column for each label asked for).

    `choice`: what was asked for, None of a source that is not asked; a class that was wanted is there, even with no series.
    """
    heads = [name for name in (choice.labels if choice else {}) if name in plan]
    balance = choice.balance if choice else None
    if balance and balance.head not in heads:
        heads.append(balance.head)
    parts = [counted(plan.assign(everything=""), "all", "everything")]
    parts += [counted(plan, what, column) for what, column in {**PARTS, **{head: head for head in heads}}.items()]
    summary = pd.concat(parts, ignore_index=True)
    summary["n_wanted"] = float("nan")
    if balance:
        wanted = pd.DataFrame(
            {"what": balance.head, "value": list(balance.n_series), "n_wanted": balance.n_series.values()}
        )
        summary = summary.drop(columns="n_wanted").merge(wanted, on=["what", "value"], how="outer", sort=False)
        summary = summary.fillna({"n_series": 0, "n_patients": 0, "n_bytes": 0})
    order = {what: place for place, what in enumerate(["all", *PARTS, *heads])}
    summary = summary.sort_values(
        ["what", "n_series", "value"],
        ascending=[True, False, True],
        key=lambda s: s.map(order) if s.name == "what" else s,
    )
    return check_table(
        summary.reset_index(drop=True)[list(PLAN_SUMMARY.columns)], PLAN_SUMMARY, name="summary of the plan"
    )


def counted(plan: pd.DataFrame, what: str, column: str) -> pd.DataFrame:
    """Return series, patients and bytes by the values of one column."""
    groups = plan.groupby(column, sort=False)
    counts = groups.agg(n_series=("PatientID", "size"), n_patients=("PatientID", "nunique"), n_bytes=("n_bytes", "sum"))
    return counts.rename_axis("value").reset_index().assign(what=what)


def summary_text(summary: pd.DataFrame, n_bytes_free: int) -> str:
    """Return tables.PLAN_SUMMARY as lines to read. `n_bytes_free`: what the disk that will hold the series has left."""
    everything = summary[summary["what"] == "all"].iloc[0]
    lines = [
        f"{everything['n_series']:,} series of {everything['n_patients']:,} patients, {gb(everything['n_bytes'])} GB; "
        f"{room(int(everything['n_bytes']), n_bytes_free)}"
    ]
    n_values = summary["what"].value_counts(sort=False)
    parts = [part for part, n in n_values.items() if (n > 1 and part != "all") or part in PARTS]
    width = max([len(name) for part in parts for name in summary.loc[summary["what"] == part, "value"]] + [12])
    for part in parts:
        rows = summary[summary["what"] == part]
        is_balanced = rows["n_wanted"].notna().any()
        title = f"{part:<{width}}  {'series':>9}  {'patients':>9}  {'GB':>10}" + (
            f"  {'wanted':>9}" if is_balanced else ""
        )
        lines += ["", title, *part_lines(rows, width)]
    return "\n".join([*lines, *shortfall(summary)]) + "\n"


def part_lines(rows: pd.DataFrame, width: int) -> Iterator[str]:
    """Yield the lines of one part: the largest groups, and how many there are beside."""
    shown = rows if rows["n_wanted"].notna().any() else rows.head(N_LINES)
    for row in shown.to_dict("records"):
        wanted = "" if pd.isna(row["n_wanted"]) else f"  {int(row['n_wanted']):>9,}"
        name = row["value"] or "(none)"
        yield f"{name:<{width}}  {row['n_series']:>9,}  {row['n_patients']:>9,}  {gb(row['n_bytes']):>10}{wanted}"
    rest = rows.iloc[len(shown) :]
    if len(rest):
        name = f"({len(rest)} others)"
        yield f"{name:<{width}}  {rest['n_series'].sum():>9,}  {'':>9}  {gb(rest['n_bytes'].sum()):>10}"


def shortfall(summary: pd.DataFrame) -> list[str]:
    """Return a line for the classes that have fewer series than wanted, none if all have enough."""
    short = summary[summary["n_series"] < summary["n_wanted"]]
    if short.empty:
        return []
    said = ", ".join(
        f"{row['value']} {row['n_series']:,} of {int(row['n_wanted']):,}" for row in short.to_dict("records")
    )
    return ["", f"below the number wanted: {said}; there are no more within the other limits"]


def room(n_bytes: int, n_bytes_free: int) -> str:
    """Return whether the disk has room for a plan, in words."""
    if n_bytes <= n_bytes_free:
        return f"{gb(n_bytes_free)} GB are free"
    return f"only {gb(n_bytes_free)} GB are free, {gb(n_bytes - n_bytes_free)} too few"


def gb(n_bytes: float) -> str:
    """Return bytes as GB (1e9 bytes), with as many decimals as make sense."""
    return f"{n_bytes / GB:,.1f}" if n_bytes >= 0.05 * GB else f"{n_bytes / GB:.3f}"
