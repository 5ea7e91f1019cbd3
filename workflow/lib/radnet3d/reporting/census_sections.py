"""What labels cover and rest on, as the page on labels shows it: the tables of `labels census`; None where one is missing."""

from pathlib import Path
from typing import NamedTuple

from radnet3d.reporting.answer import listed
from radnet3d.reporting.display import NOTHING
from radnet3d.reporting.grids import (
    Cell,
    Grid,
    Row,
    count,
    counted,
    grid,
    per_cent,
    records,
    share_of,
    share_with_count,
    sums,
)
from radnet3d.reporting.sections import optional
from radnet3d.tables import (
    BODY_PART,
    CENSUS,
    CLASSES,
    DISAGREEMENTS,
    FUNNEL,
    HEADS,
    IMAGE_GROUPS,
    LABEL_SAMPLE,
    RULE_USE,
    WITNESS_USE,
)

ALL, *MODALITIES = IMAGE_GROUPS
N_RULES = 10
"""Rules of a head that are shown before the rest is folded."""

N_PAIRS = 25
"""Sorts of disagreement that are shown before the rest is folded."""

STEPS = {
    "all": "all series",
    "image": "CT, MR or PET",
    "human": "of a human",
    "volume": "a volume: no localizer, nothing derived, not single images",
    "regular": "slices at even distances",
    "licence": "licence permits commercial use",
    "not_leaking": "from no collection that contains LiTS",
    "any_head": "a class of one of the paper’s heads known",
    "all_heads": "of sequence, view, contrast and body parts all known",
}
RELATIONS = {
    "no_tag": "no BodyPartExamined",
    "tag_unread": "BodyPartExamined names no region",
    "text_silent": "texts name no region",
    "same": "both say the same",
    "overlap": "one says more than the other",
    "contradiction": "they contradict each other",
}
BOTH_SPEAK = ("same", "overlap", "contradiction")
TEXT_NAMES = {
    "SeriesDescription": "series",
    "StudyDescription": "study",
    "ProtocolName": "protocol",
    "BodyPartExamined": "body part",
    "ManufacturerModelName": "scanner",
    "instanceCount": "images",
}


class Evidence(NamedTuple):
    """The rules of one head: those that decided most, the rest, and those that decided nothing."""

    head: str
    used: Grid
    rest: Grid | None
    unused: list[str]


class BodyPart(NamedTuple):
    """How BodyPartExamined fares against the texts."""

    sentence: str
    relations: Grid
    collections: Grid


class Candidates(NamedTuple):
    """What could be pretrained on, as numbers to print."""

    n_series: str
    n_patients: str
    n_all_heads: str


class Said(NamedTuple):
    """One head of a series in the sample: its label, why, and what speaks against it."""

    head: str
    value: str
    evidence: str
    against: str


class Series(NamedTuple):
    """One series of the sample."""

    uid: str
    modality: str
    collection: str
    texts: list[tuple[str, str]]
    said: list[Said]


def images_of(folder: Path) -> list[Row]:
    """Return the rows of tables.CENSUS that count CT, MR and PET series; [] without any."""
    census = optional(folder / "census.csv", CENSUS)
    return [] if census is None else records(census[census["Modality"].isin(MODALITIES)])


def coverage_grid(folder: Path) -> Grid | None:
    """Return the share of series answered by modality and collection, a column a head; a dash where it does not apply."""
    images = images_of(folder)
    if not images:
        return None
    by_head = {(row["Modality"], row["collection_id"], row["head"]): row for row in images}
    sizes = {(row["Modality"], row["collection_id"]): row["n_series"] for row in images}
    rows = []
    for group in sorted(sizes, key=lambda group: -sizes[group]):
        counts = [by_head[(*group, head)] for head in HEADS]
        cells = [share_of(row["n_answered"], row["n_series"] - row["n_na"], 0) for row in counts]
        rows.append([*map(Cell, group), counted(sizes[group]), *cells])
    return grid(["modality", "collection"], ["series", *HEADS], rows)


def evidence_tables(folder: Path) -> list[Evidence]:
    """Return the rules of each head by what they decided; [] without counts."""
    use = optional(folder / "rule_use.csv", RULE_USE)
    witnesses = optional(folder / "witness_use.csv", WITNESS_USE)
    if use is None or witnesses is None:
        return []
    n_images = sums(records(witnesses[witnesses["Modality"] == ALL]), "head")
    return [
        evidence_of(head, records(use[use["head"] == head]), n_images[(head,)]) for head in HEADS if n_images[(head,)]
    ]


def evidence_of(head: str, use: list[Row], n_images: int) -> Evidence:
    """Return the rules of one head. `n_images`: all series it was asked about; in a union several rules count for one."""
    counts = sums(use, "rule", "witness", "value", "Modality")
    rows = []
    for row in use:
        if row["Modality"] == ALL and row["n_series"]:
            rule = (row["rule"], row["witness"], row["value"])
            rows.append([
                Cell(row["rule"] or "no rule spoke"), Cell(row["witness"].replace(", ", ",\n") or NOTHING), Cell(row["value"]),
                counted(row["n_series"]), share_of(row["n_series"], n_images),
                *(counted(counts[(*rule, modality)]) for modality in MODALITIES), counted(row["n_collections"]),
                Cell(row["example"]),
            ])  # fmt: skip
    texts, numbers = ("rule", "reads", "answers"), ("series", "share", *MODALITIES, "collections")
    used = grid(texts, numbers, rows[:N_RULES], after=["for example"])
    rest = grid(texts, numbers, rows[N_RULES:], after=["for example"]) if len(rows) > N_RULES else None
    return Evidence(head, used, rest, sorted(row["rule"] for row in use if not row["n_series"]))


def witnesses_grid(folder: Path) -> Grid | None:
    """Return which text or header value decided each head, largest first; those below a per cent are left out."""
    use = optional(folder / "witness_use.csv", WITNESS_USE)
    if use is None or use.empty:
        return None
    whole = records(use[use["Modality"] == ALL])
    n_images = sums(whole, "head")
    rows = [
        [Cell(row["head"]), Cell(row["witness"] or "nothing: unknown"), counted(row["n_series"]), share]
        for row in whole
        if ((share := share_of(row["n_series"], n_images[(row["head"],)])).share or 0) >= 0.01
    ]
    return grid(["head", "decided by"], ["series", "share"], rows)


def contradicted_grid(folder: Path) -> Grid | None:
    """Return by head and modality how many images have a witness that contradicts the one that decided."""
    images = images_of(folder)
    if not images:
        return None
    n, n_of = sums(images, "head", "Modality", of="n_disagreeing"), sums(images, "head", "Modality")
    rows = []
    for head in HEADS:
        cells = [contradicted_cell(n[head, modality], n_of[head, modality]) for modality in MODALITIES]
        total = contradicted_cell(*(sum(counts[head, modality] for modality in MODALITIES) for counts in (n, n_of)))
        rows.append([Cell(head), total, *cells])
    return grid(["head"], [ALL, *MODALITIES], rows)


def contradicted_cell(n: int, n_of: int) -> Cell:
    """Return the share of contradicted series with their number, a dash for none."""
    return share_with_count(n, n_of, 2) if n else Cell(NOTHING)


def pairs_grids(folder: Path) -> tuple[Grid, Grid | None] | None:
    """Return which rules contradict which, with the texts of one series, most frequent first; and the rest."""
    frame = optional(folder / "disagreements.csv", DISAGREEMENTS)
    if frame is None or frame.empty:
        return None
    examples = optional(folder / "disagreement_examples.csv", LABEL_SAMPLE)
    texts = {} if examples is None else {row["SeriesInstanceUID"]: example_of(row) for row in records(examples)}
    key = ("head", "deciding_rule", "value", "other_rule", "other_value")
    rows = records(frame)
    totals, counts = sums(rows, *key), sums(rows, *key, "Modality")
    shown = {tuple(row[name] for name in key): "" for row in rows}
    for row in rows:
        pair = tuple(row[name] for name in key)
        shown[pair] = shown[pair] or texts.get(row["example_SeriesInstanceUID"], "")
    cells = []
    for pair, n in totals.most_common():
        head, deciding, value, other, other_value = pair
        modalities = ", ".join(f"{name} {count(counts[(*pair, name)])}" for name in MODALITIES if counts[(*pair, name)])
        cells.append([
            Cell(head), Cell(value, None, spaced(deciding)), Cell(other_value, None, spaced(other)),
            Cell(count(n), None, modalities), Cell(shown[pair] or NOTHING),
        ])  # fmt: skip
    titles = ["head", "label, and what decided", "what speaks against it"]
    first, rest = (grid(titles, ["series"], part, after=["for example"]) for part in (cells[:N_PAIRS], cells[N_PAIRS:]))
    return first, rest if rest.rows else None


def spaced(rules: str) -> str:
    """Return the rules of a witness, and the text they read, with room for a line to break."""
    return rules.replace("+", " + ").replace("@", "\nin ")


def texts_of(row: Row) -> list[tuple[str, str]]:
    """Return (what it is, text) of the texts that a series has."""
    return [(name, row[column]) for column, name in TEXT_NAMES.items() if row[column]]


def example_of(row: Row) -> str:
    """Return the texts of a series that rules are about, a line each."""
    return "\n".join(f"{name}: {text}" for name, text in texts_of(row) if name not in ("scanner", "images"))


def body_part(folder: Path) -> BodyPart | None:
    """Return how often BodyPartExamined says what the texts say, by modality, and where it contradicts them most."""
    frame = optional(folder / "body_part.csv", BODY_PART)
    if frame is None or frame.empty:
        return None
    rows = records(frame)
    counts = sums(rows, "relation", "Modality")
    n_both = sums((row for row in rows if row["relation"] in BOTH_SPEAK), "Modality")
    cells = []
    for relation, said in RELATIONS.items():
        n = {modality: counts[relation, modality] for modality in MODALITIES}
        speak = relation in BOTH_SPEAK
        cells.append(
            [Cell(said), *(share_with_count(n[m], n_both[(m,)]) if speak else counted(n[m]) for m in MODALITIES)]
        )
    relations = grid(["BodyPartExamined and the texts"], MODALITIES, cells)
    return BodyPart(body_part_sentence(rows), relations, contradicting_collections(rows))


def body_part_sentence(rows: list[Row]) -> str:
    """Return what the rows of tables.BODY_PART say: contradicted and not the same, over series and over collections."""
    spoken = [row for row in rows if row["relation"] in BOTH_SPEAK]
    of, n_of = sums(spoken, "relation"), sum(row["n_series"] for row in spoken)
    if not n_of:
        return "There is no series of which both BodyPartExamined and the texts name a region."
    by_modality, n_by_modality = sums(spoken, "relation", "Modality"), sums(spoken, "Modality")
    by_collection, n_by_collection = sums(spoken, "relation", "collection_id"), sums(spoken, "collection_id")
    parts = [
        f"{per_cent(by_modality['contradiction', m] / n_by_modality[(m,)])} of {m}"
        for m in MODALITIES
        if n_by_modality[(m,)]
    ]
    shares = [by_collection["contradiction", name] / n for (name,), n in n_by_collection.items()]
    return (
        f"Where both name a region ({count(n_of)} series), BodyPartExamined contradicts the texts in "
        f"{per_cent(of[('contradiction',)] / n_of)} ({listed(parts)}) and differs from them at all in "
        f"{per_cent(1 - of[('same',)] / n_of)}; with each of the {len(shares)} collections counted once it contradicts "
        f"them in {per_cent(sum(shares) / len(shares))}."
    )


def contradicting_collections(rows: list[Row]) -> Grid:
    """Return the ten collections with most series whose BodyPartExamined contradicts the texts."""
    n_both = sums((row for row in rows if row["relation"] in BOTH_SPEAK), "collection_id")
    most = sums((row for row in rows if row["relation"] == "contradiction"), "collection_id").most_common(10)
    cells = [[Cell(name), counted(n_both[(name,)]), counted(n), share_of(n, n_both[(name,)])] for (name,), n in most]
    return grid(["collection"], ["series with both", "contradicted", "share"], cells)


def funnel_grid(folder: Path) -> Grid | None:
    """Return what passes each step: series, patients, collections, size, and series by modality."""
    frame = optional(folder / "funnel.csv", FUNNEL)
    if frame is None or frame.empty:
        return None
    rows = records(frame)
    counts = sums(rows, "step", "Modality")
    cells = []
    for row in rows:
        if row["Modality"] == ALL:
            size = NOTHING if row["size_gb"] != row["size_gb"] else f"{row['size_gb'] / 1000:.1f}"
            numbers = [counted(row[name]) for name in ("n_series", "n_patients", "n_collections")]
            by_modality = [counted(counts[row["step"], modality]) for modality in MODALITIES]
            cells.append([Cell(STEPS[row["step"]]), *numbers, Cell(size), *by_modality])
    return grid(["left after each step"], ["series", "patients", "collections", "TB", *MODALITIES], cells)


def candidates(folder: Path) -> Candidates | None:
    """Return the numbers of what could be pretrained on."""
    frame = optional(folder / "funnel.csv", FUNNEL)
    if frame is None or frame.empty:
        return None
    rows = {row["step"]: row for row in records(frame) if row["Modality"] == ALL}
    passed = rows["any_head"]
    return Candidates(count(passed["n_series"]), count(passed["n_patients"]), count(rows["all_heads"]["n_series"]))


def classes_grid(folder: Path) -> Grid | None:
    """Return what each of the paper's heads could learn from the series that are left; the last row of a head is masked."""
    frame = optional(folder / "classes.csv", CLASSES)
    if frame is None or frame.empty:
        return None
    rows = records(frame)
    counts, heads = sums(rows, "head", "label", "Modality"), list(dict.fromkeys(row["head"] for row in rows))
    whole = [row for row in rows if row["Modality"] == ALL]
    totals = sums(whole, "head")
    cells = []
    for row in sorted(whole, key=lambda row: (heads.index(row["head"]), row["label"] == "", row["label"] == "absent")):
        by_modality = [counted(counts[row["head"], row["label"], modality]) for modality in MODALITIES]
        cells.append([
            Cell(row["head"].replace("body_", "body: ")), Cell(row["label"] or "unknown, masked"), counted(row["n_series"]),
            share_of(row["n_series"], totals[(row["head"],)]), counted(row["n_patients"]), counted(row["n_collections"]),
            *by_modality,
        ])  # fmt: skip
    numbers = ("series", "share", "patients", "collections", *MODALITIES)
    return grid(["head of the paper", "class"], numbers, cells)


def sample(folder: Path) -> list[Series]:
    """Return the sampled series, in the order they were drawn; [] without."""
    frame = optional(folder / "sample.csv", LABEL_SAMPLE)
    if frame is None:
        return []
    return [
        Series(row["SeriesInstanceUID"], row["Modality"], row["collection_id"], texts_of(row), said_of(row))
        for row in records(frame)
    ]


def said_of(row: Row) -> list[Said]:
    """Return each head of a series: its label, the rule and text that decided, and what contradicts them."""
    against = dict.fromkeys(HEADS, "")
    for part in filter(None, row["disagreements"].split("; ")):
        head, _, statement = part.partition(": ")
        rules, _, value = statement.partition(" / ")[2].rpartition("=")
        against[head] += f"\nagainst: {value.replace('+', ';')} ({spaced(rules)})".replace("\nin ", " in ")
    return [Said(head, row[head], row[f"{head}_evidence"].replace("; ", "\n"), against[head].strip()) for head in HEADS]
