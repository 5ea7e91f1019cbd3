"""What a label table covers, what its labels rest on, and what could be pretrained on: counts, and series to look at.

The functions take tables.LABELS (`labels`) and the rows it was made from (`catalogue`: same series, same order) as polars
tables and return tables of tables.py. Each looks at the columns it names only, so a million series take seconds.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from itertools import accumulate

import numpy as np
import pandas as pd
import pandera.pandas as pa
import polars as pl

from radnet3d import tables
from radnet3d.errors import TableError
from radnet3d.labels.rules import Rule, load_heads
from radnet3d.labels.series import label_series, read_catalogue, text_column
from radnet3d.labels.targets import make_targets

ALL, *MODALITIES = tables.IMAGE_GROUPS

SAMPLE_SIZES = {"CT": 60, "MR": 90, "PT": 30, "": 20}
"""Series to show of each modality; "": of all others together."""

SAMPLE_SEED = 2026

N_EXAMPLES = 20
"""Sorts of disagreement of each head that are shown with the texts of a series."""

NEXT_FINDING = re.compile(r"; (?=\w+: \w+)")
"""What stands between two findings in one piece of evidence."""

COUNTS = (
    pl.len().alias("n_series"),
    pl.col("PatientID").n_unique().alias("n_patients"),
    pl.col("collection_id").n_unique().alias("n_collections"),
)


def read_texts(sources: Sequence[str], labels: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that `labels` were made from, one source after the other (see `read_catalogue`).

    Raises TableError if these are not the series of the labels, in their order.
    """
    parts = [read_catalogue(source, also=("license_short_name", "series_size_MB")) for source in sources]
    catalogue = pl.concat(parts, how="diagonal_relaxed")
    found, wanted = (frame["SeriesInstanceUID"].cast(pl.String) for frame in (catalogue, labels))
    if len(found) != len(wanted) or not (found == wanted).all():
        raise TableError(
            f"{', '.join(sources)}: found {len(found)} series, wanted the {len(wanted)} of the labels in their order"
        )
    return catalogue


def licences_of(catalogue: pl.DataFrame) -> list[str]:
    """Return the distinct licences that a catalogue names."""
    return text_column(catalogue, "license_short_name").unique().sort().to_list()


def take_census(labels: pl.DataFrame) -> pd.DataFrame:
    """Return tables.CENSUS: for each head, modality and collection the series answered, unknown and not applicable."""
    group = ["Modality", "collection_id"]
    parts = [
        labels.group_by(group).agg(
            pl.lit(head).alias("head"),
            pl.len().alias("n_series"),
            (pl.col(head) == "unknown").sum().alias("n_unknown"),
            (pl.col(head) == "na").sum().alias("n_na"),
            pl.col("disagreements").str.contains(rf"(?:^|; ){head}: ").sum().alias("n_disagreeing"),
        )
        for head in tables.HEADS
    ]
    counts = pl.concat(parts).with_columns(n_answered=pl.col("n_series") - pl.col("n_unknown") - pl.col("n_na"))
    return finished(counts, tables.CENSUS, {"head": tables.HEADS})


def images(labels: pl.DataFrame, catalogue: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows of both tables that are series of MODALITIES."""
    is_image = labels["Modality"].is_in(MODALITIES)
    return labels.filter(is_image), catalogue.filter(is_image)


def by_modality(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of each of MODALITIES, followed by all of them under the modality `all`."""
    return pl.concat([frame, frame.with_columns(Modality=pl.lit(ALL))])


def count_rules(labels: pl.DataFrame, catalogue: pl.DataFrame) -> pd.DataFrame:
    """Return tables.RULE_USE: how many images each rule decided, by head, text it read and modality.

    A series that no rule spoke of counts for rule "". In a union several rules decide together, and each counts. A rule
    that decided nothing has one row of none. `catalogue`: for the whole text of one series of each rule.
    Raises TableError if labels name a rule that there is not.
    """
    labels, catalogue = images(labels, catalogue)
    parts = [count_head_rules(head, labels, catalogue) for head in tables.HEADS]
    return finished(pl.concat(parts), tables.RULE_USE, {"head": tables.HEADS, "Modality": tables.IMAGE_GROUPS})


def count_head_rules(head: str, labels: pl.DataFrame, catalogue: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of tables.RULE_USE of one head."""
    places = labels.select("Modality", "collection_id", evidence=f"{head}_evidence").with_row_index("row")
    used = places.group_by("evidence", "Modality", "collection_id").agg(pl.len().alias("n"), pl.col("row").min())
    said = used.join(findings(head, used["evidence"].unique().sort()), on="evidence")
    key = ["rule", "witness", "Modality", "value"]
    counts = by_modality(said).sort("n", "row", descending=[True, False]).group_by(key).agg(
        pl.col("n").sum().alias("n_series"), pl.col("collection_id").n_unique().alias("n_collections"),
        pl.col("row", "seen").first(),
    )  # fmt: skip
    texts = [text_at(catalogue, *place) for place in counts.select("witness", "row", "seen").rows()]
    found = counts.with_columns(example=pl.Series(texts, dtype=pl.String)).drop("row", "seen")
    unused = [
        {"rule": name, "witness": "", "Modality": ALL, "value": rule.value, "n_series": 0, "n_collections": 0, "example": ""}
        for name, rule in rules_of(head).items()
        if name not in set(counts["rule"])
    ]  # fmt: skip
    return pl.concat([found, pl.DataFrame(unused, schema=found.schema)]).with_columns(head=pl.lit(head))


def rules_of(head: str) -> dict[str, Rule]:
    """Return the committed rules of one head by their names."""
    return {
        rule.id: rule
        for one in load_heads()
        if one.head == head
        for group in one.groups.values()
        for rule in group.rules
    }


def findings(head: str, evidence: Iterable[str]) -> pl.DataFrame:
    """Return what each distinct piece of `evidence` says: evidence, rule, witness, value, seen; one row a rule.

    `witness`: the text that a rule read (`StudyDescription`), or the header values it looked at, joined by commas.
    Raises TableError if there is no such rule: other rules made these labels.
    """
    rules = rules_of(head)
    rows = []
    for text in evidence:
        for finding in NEXT_FINDING.split(text) if text else [""]:
            name, _, seen = finding.partition(": ")
            if name and name not in rules:
                raise TableError(
                    f"{head}_evidence {text!r}: found no rule {name!r} of this head; label the series again"
                )
            rows.append((text, name, *witness_and_value(rules.get(name), seen), seen))
    columns = ("evidence", "rule", "witness", "value", "seen")
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String), orient="row")


def witness_and_value(rule: Rule | None, seen: str) -> tuple[str, str]:
    """Return what a rule read and what it answers; "" and `unknown` where no rule spoke."""
    if rule is None:
        return "", "unknown"
    return (seen.partition("=")[0] if rule.words else ", ".join(rule.when)), rule.value


def text_at(catalogue: pl.DataFrame, witness: str, row: int, seen: str) -> str:
    """Return the whole text of the `witness` in one series, or what the rule saw, where that is no column."""
    return str(catalogue[witness][row] or "") if witness in catalogue.columns else seen


def count_witnesses(labels: pl.DataFrame) -> pd.DataFrame:
    """Return tables.WITNESS_USE: of how many images each text or header value decided a head, by modality."""
    parts = []
    for head in tables.HEADS:
        pieces = labels.filter(pl.col("Modality").is_in(MODALITIES)).select("Modality", evidence=f"{head}_evidence")
        used = by_modality(pieces.group_by("evidence", "Modality").agg(pl.len().alias("n_series")))
        read = findings(head, used["evidence"].unique().sort()).unique("evidence", keep="first", maintain_order=True)
        counts = used.join(read, on="evidence").group_by("witness", "Modality").agg(pl.col("n_series").sum())
        parts.append(counts.with_columns(head=pl.lit(head)))
    return finished(pl.concat(parts), tables.WITNESS_USE, {"head": tables.HEADS, "Modality": tables.IMAGE_GROUPS})


def compare_body_part(labels: pl.DataFrame, catalogue: pl.DataFrame) -> pd.DataFrame:
    """Return tables.BODY_PART: how often BodyPartExamined of images says what the texts of series and study say.

    Both are read by the rules of `regions`; `contradiction` is what these rules call one, `overlap` what lies between
    that and the same answer. `text_silent`: these texts name no region.
    """
    labels, catalogue = images(labels, catalogue)
    tag = text_column(catalogue, "BodyPartExamined")
    alone = pl.DataFrame([text_column(catalogue, "SeriesInstanceUID"), text_column(catalogue, "Modality"), tag])
    read = label_series(alone, heads=["regions"], with_evidence=False)["regions"]
    spoke = pl.col("regions_evidence").str.contains(r"^\w+: (SeriesDescription|ProtocolName|StudyDescription)=")
    group = ["Modality", "collection_id", "regions"]
    pairs = labels.select(*group, spoke.alias("spoke")).with_columns(tag=read, is_empty=tag == "")
    key = ["regions", "spoke", "tag", "is_empty"]
    distinct = pairs.select(key).unique(maintain_order=True)
    words = pl.Series([relation(*row) for row in distinct.rows()], dtype=pl.String)
    said = pairs.join(distinct.with_columns(relation=words), on=key)
    counts = said.group_by("Modality", "collection_id", "relation").agg(pl.len().alias("n_series"))
    return finished(counts, tables.BODY_PART, {"relation": tables.BODY_PART_RELATIONS})


def relation(text: str, spoke: bool, tag: str, is_empty: bool) -> str:
    """Return the word of tables.BODY_PART_RELATIONS for the regions in the texts and those in BodyPartExamined."""
    if is_empty or tag == "unknown":
        return "no_tag" if is_empty else "tag_unread"
    if not spoke:
        return "text_silent"
    regions = next(head for head in load_heads() if head.head == "regions")
    return "same" if text == tag else "contradiction" if regions.contradict(text, tag) else "overlap"


def candidates(
    labels: pl.DataFrame, catalogue: pl.DataFrame, *, licences: Collection[str], leaking: Collection[str]
) -> pl.DataFrame:
    """Return one row a series: identity, `size_mb`, the paper's heads, and for each step of the funnel whether it passes.

    `licences`: those that permit use; `leaking`: collections that contain the fine-tuning task. A step passes only
    what the ones before let pass; one that the tables cannot tell of is left out.
    """
    heads = paper_heads(labels)
    has_body = pl.any_horizontal(pl.col(f"body_{organ}").is_not_null() for organ in tables.PAPER_BODY)
    known = [*(pl.col(name).is_not_null() for name in ("sequence", "view", "contrast")), has_body]
    steps = {
        "all": labels["Modality"].is_not_null(),
        "image": labels["Modality"].is_in(MODALITIES),
        "human": labels["subject"] == "human",
        "volume": labels["kind"] == "volume",
        "regular": labels["geometry"] == "regular",
        "licence": text_column(catalogue, "license_short_name").is_in(list(licences)),
        "not_leaking": ~labels["collection_id"].is_in(list(leaking)),
        "any_head": heads.select(pl.any_horizontal(known)).to_series(),
        "all_heads": heads.select(pl.all_horizontal(known)).to_series(),
    }
    if (labels["geometry"] == "no_geometry").all():
        del steps["regular"]
    if "license_short_name" not in catalogue.columns:
        del steps["licence"]
    passed = accumulate(steps.values(), lambda before, step: before & step)
    passes = [step.alias(name) for name, step in zip(steps, passed, strict=True)]
    identity = labels.select("SeriesInstanceUID", "PatientID", "collection_id", "Modality")
    return identity.hstack([size_mb(catalogue), *heads.get_columns(), *passes])


def size_mb(catalogue: pl.DataFrame) -> pl.Series:
    """Return the size of each series, null where the catalogue does not say."""
    if "series_size_MB" in catalogue.columns:
        return catalogue["series_size_MB"].cast(pl.Float64).alias("size_mb")
    return pl.Series("size_mb", [None], pl.Float64).new_from_index(0, catalogue.height)


def paper_heads(labels: pl.DataFrame) -> pl.DataFrame:
    """Return the targets of each series (see `make_targets`), null where unknown or where it is no human volume.

    Series with the same labels have the same targets, so each combination is worked out once.
    """
    key = ["Modality", "subject", "kind", "sequence", "plane", "contrast", "regions"]
    combinations = labels.select(key).unique(maintain_order=True).with_row_index("combination")
    ids = pl.col("combination").cast(pl.String).alias("SeriesInstanceUID")
    made = make_targets(
        combinations.with_columns(ids, PatientID=pl.lit(""), slice_spacing_mm=pl.lit(float("nan"))).to_pandas()
    )
    columns = ["sequence", "view", "contrast", *(f"body_{organ}" for organ in tables.PAPER_BODY)]
    types = [*[pl.String] * 3, *[pl.Float64] * len(tables.PAPER_BODY)]
    targets = pl.DataFrame(
        {name: made[name].to_list() for name in ("SeriesInstanceUID", *columns)},
        schema={"SeriesInstanceUID": pl.String, **dict(zip(columns, types, strict=True))},
    ).with_columns(pl.col(pl.Float64).fill_nan(None), pl.col(columns[:3]).replace("", None))
    of_series = labels.select(key).join(combinations, on=key, how="left", maintain_order="left").select(ids)
    return of_series.join(targets, on="SeriesInstanceUID", how="left", maintain_order="left").select(columns)


def make_funnel(series: pl.DataFrame) -> pd.DataFrame:
    """Return tables.FUNNEL of `candidates`: what passes each step, in all and by modality."""
    steps = [step for step in tables.FUNNEL_STEPS if step in series.columns]
    size = pl.col("size_mb")
    size_gb = pl.when(size.is_not_null().all()).then(size.sum() / 1000).alias("size_gb")
    modality = (
        pl.when(pl.col("Modality").is_in(MODALITIES)).then("Modality").otherwise(pl.lit("other")).alias("Modality")
    )
    parts = []
    for step in steps:
        kept = series.filter(pl.col(step))
        total = kept.select(pl.lit(ALL).alias("Modality"), *COUNTS, size_gb)  # a row of none, too
        parts += [
            part.with_columns(step=pl.lit(step)) for part in (total, kept.group_by(modality).agg(*COUNTS, size_gb))
        ]
    return finished(pl.concat(parts), tables.FUNNEL, {"step": steps, "Modality": [*tables.IMAGE_GROUPS, "other"]})


def count_classes(series: pl.DataFrame) -> pd.DataFrame:
    """Return tables.CLASSES of the `candidates` that pass the step `any_head`: what each of the paper's heads could learn."""
    kept = by_modality(series.filter(pl.col("any_head")))
    said = {1.0: "present", 0.0: "absent"}
    labels = {name: pl.col(name).fill_null("") for name in ("sequence", "view", "contrast")} | {
        f"body_{organ}": pl.col(f"body_{organ}").replace_strict(said, default="", return_dtype=pl.String)
        for organ in tables.PAPER_BODY
    }
    parts = [
        kept.group_by(label.alias("label"), "Modality").agg(*COUNTS).with_columns(head=pl.lit(head))
        for head, label in labels.items()
    ]
    return finished(pl.concat(parts), tables.CLASSES, {"head": list(labels), "Modality": tables.IMAGE_GROUPS})


def draw_sample(labels: pl.DataFrame, catalogue: pl.DataFrame) -> pd.DataFrame:
    """Return tables.LABEL_SAMPLE: series drawn by a seed, SAMPLE_SIZES of each modality; collections take turns."""
    order = np.random.default_rng(SAMPLE_SEED).permutation(labels.height)
    group = pl.when(pl.col("Modality").is_in(MODALITIES)).then("Modality").otherwise(pl.lit("")).alias("group")
    drawn = labels.select("collection_id", group, draw=pl.Series(order)).with_row_index("row").sort("draw")
    turn = pl.int_range(pl.len()).over("group", "collection_id")
    turns = drawn.with_columns(turn=turn).sort("turn", "draw")
    rows = [row for name, n in SAMPLE_SIZES.items() for row in turns.filter(pl.col("group") == name).head(n)["row"]]
    return shown(rows, labels, catalogue)


def examples_of(disagreements: pd.DataFrame, labels: pl.DataFrame, catalogue: pl.DataFrame) -> pd.DataFrame:
    """Return tables.LABEL_SAMPLE of the example series of the most frequent tables.DISAGREEMENTS of each head."""
    examples = disagreements.groupby("head").head(N_EXAMPLES)["example_SeriesInstanceUID"]
    is_example = labels["SeriesInstanceUID"].is_in(examples.to_list())
    return shown(is_example.arg_true().to_list(), labels, catalogue)


def shown(rows: list[int], labels: pl.DataFrame, catalogue: pl.DataFrame) -> pd.DataFrame:
    """Return tables.LABEL_SAMPLE of some rows, in this order."""
    texts = [text_column(catalogue, name) for name in tables.SAMPLE_TEXTS]
    columns = [name for name in tables.LABEL_SAMPLE.columns if name not in tables.SAMPLE_TEXTS]
    sample = labels.select(columns).hstack(texts)[rows].select(list(tables.LABEL_SAMPLE.columns))
    return tables.check_table(sample.to_pandas(), tables.LABEL_SAMPLE, name="label sample")


def finished(counts: pl.DataFrame, schema: pa.DataFrameSchema, orders: dict[str, Sequence[str]]) -> pd.DataFrame:
    """Return the checked table with its columns and rows in an order that does not change.

    `orders`: the order of the words of some columns; within these, rows with most series come first.
    """
    columns = list(schema.columns)
    first = [pl.col(name).cast(pl.Enum(words)) for name, words in orders.items()]
    rest = [name for name in columns if name not in orders and not name.startswith("n_")]
    ordered = counts.select(columns).sort(*first, -pl.col("n_series").cast(pl.Int64), *rest)
    return tables.check_table(ordered.to_pandas(), schema, name=str(schema.name))
