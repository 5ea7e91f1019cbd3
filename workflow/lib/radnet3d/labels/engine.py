"""The engine: puts each distinct text once to the rules and maps the answers back to the series.

The rules (see `rules`) do not know how many series there are; this module does not know what they say.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radnet3d.labels.rules import Condition, Group, Head, Range, Rule, Witness, rewrite_regexes, words_regex

Mask = NDArray[np.bool_]
Codes = NDArray[np.int32]

MOST_KEYS = 2**62
"""Combinations of values that an int64 can tell apart."""

SPECIAL = {"ł": "l", "ø": "o", "ß": "ss", "æ": "ae", "œ": "oe", "đ": "d", "ı": "i"}


def fold(texts: pl.Series) -> pl.Series:
    """Return texts in lower case without accents; underscores, carets and changes from aa to Aa become spaces."""
    return (
        texts.str.replace_all(r"([a-z])([A-Z])", "$1 $2")
        .str.to_lowercase()
        .str.normalize("NFKD")
        .str.replace_all(r"\p{M}", "")
        .str.replace_many(list(SPECIAL), list(SPECIAL.values()))
        .str.replace_all(r"[\s_^\\]+", " ")
        .str.strip_chars()
    )


@dataclass(frozen=True)
class Column:
    """One column of the series, each distinct value once. `values`: text, "" is missing; `codes`: (n_series,)."""

    values: pl.Series
    codes: Codes


class Rows:
    """The series being labelled: `n` of them, with columns that are encoded when they are first asked for."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.n = frame.height
        self._frame = frame
        self._columns: dict[str, Column] = {}

    def column(self, name: str) -> Column:
        """Return a column of the table, or one in which every value is missing."""
        if name not in self._columns:
            self._columns[name] = self._encode(name)
        return self._columns[name]

    def has_any(self, names: Sequence[str]) -> bool:
        """Return whether any of these columns is there."""
        return any(name in self._columns or name in self._frame.columns for name in names)

    def add(self, name: str, column: Column) -> None:
        """Let later rules ask for what earlier heads answered."""
        self._columns[name] = column

    def _encode(self, name: str) -> Column:
        if name not in self._frame.columns:
            return Column(pl.Series([""]), np.zeros(self.n, np.int32))
        texts = self._frame[name]
        if texts.dtype.is_float():
            texts = texts.fill_nan(None)
        encoded = texts.cast(pl.String).fill_null("").to_arrow().dictionary_encode()
        values = pl.Series(encoded.dictionary.to_pylist(), dtype=pl.String)
        return Column(values, encoded.indices.to_numpy(zero_copy_only=False).astype(np.int32))

    def where(self, conditions: dict[str, Condition]) -> Mask:
        """Return (n,): the series for which all conditions hold."""
        mask = np.ones(self.n, bool)
        for name, condition in conditions.items():
            column = self.column(name)
            mask &= holds(condition, column.values)[column.codes]
        return mask

    def distinct(self, names: Sequence[str], at: NDArray[np.intp]) -> tuple[pl.DataFrame, Codes]:
        """Return the distinct values of some columns in the series `at`, and for each of these its row among them."""
        columns = [self.column(name) for name in names]
        keys, n_keys = np.zeros(len(at), np.int64), 1
        for column in columns:
            if n_keys * len(column.values) > MOST_KEYS:
                used, keys = np.unique(keys, return_inverse=True)
                n_keys = len(used)
            keys = keys * len(column.values) + column.codes[at]
            n_keys *= len(column.values)
        first, inverse = _first_and_inverse(keys, n_keys=n_keys)
        frame = pl.DataFrame(
            {name: column.values.gather(column.codes[at[first]]) for name, column in zip(names, columns, strict=True)}
        )
        return frame, inverse


def _first_and_inverse(keys: NDArray[np.int64], *, n_keys: int) -> tuple[NDArray[np.int64], Codes]:
    """Return as `np.unique` does; by counting, not sorting, where there are few possible keys."""
    if n_keys > 10_000_000:
        _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        return first, inverse.astype(np.int32)
    place = np.full(n_keys, -1, np.int64)
    place[keys[::-1]] = np.arange(len(keys))[::-1]
    used = np.flatnonzero(place >= 0)
    rank = np.empty(n_keys, np.int32)
    rank[used] = np.arange(len(used), dtype=np.int32)
    return place[used], rank[keys]


def holds(condition: Condition, values: pl.Series) -> Mask:
    """Return, for each value (text), whether the condition holds; a missing number is in no range."""
    if isinstance(condition, Range):
        numbers = values.cast(pl.Float64, strict=False)
        return ((numbers >= condition.at_least) & (numbers < condition.below)).fill_null(False).to_numpy()
    if isinstance(condition, str):
        return fold(values).str.contains(words_regex((condition,))).to_numpy()
    return values.is_in(condition).to_numpy()


@dataclass(frozen=True)
class Verdict:
    """What a group says of distinct texts: value, statement and evidence of each, or "" where it is silent.

    A statement names the rules that spoke, the text they read and their answer, without the words they found:
    `chest_words+neck_words@StudyDescription=chest+neck`.
    """

    values: NDArray[np.object_]
    statements: NDArray[np.object_]
    evidence: NDArray[np.object_]

    def only(self, values: tuple[str, ...] | None) -> "Verdict":
        """Return the verdict as it is where it has one of `values` (None: any), silent elsewhere."""
        if values is None:
            return self
        is_kept = np.isin(self.values.astype(str), values)
        return Verdict(*(np.where(is_kept, part, "") for part in (self.values, self.statements, self.evidence)))


@dataclass(frozen=True)
class Finding:
    """One rule that spoke of a text: its value, its name, and what it saw (`tag=word`)."""

    value: str
    rule: str
    seen: str


def judge_text(group: Group, texts: pl.Series, *, tag: str, combine: str, absorb: str) -> Verdict:
    """Put distinct texts of one tag to the rules of a group."""
    read = fold(texts)
    for rewrite in group.rewrite:
        for pattern in rewrite_regexes(rewrite.words):
            read = read.str.replace_all(pattern, f"${{1}} {rewrite.read_as} ${{2}}")
    found: list[list[Finding]] = [[] for _ in range(len(read))]
    is_open = np.ones(len(read), bool)
    for rule in group.rules:
        pattern = words_regex(rule.words)
        hits = np.flatnonzero(is_open)[read.filter(pl.Series(is_open)).str.contains(pattern).to_numpy()]
        for position, word in zip(hits, matched_words(read.gather(hits), pattern), strict=True):
            found[position].append(Finding(rule.value, rule.id, f"{tag}={word}"))
        if combine == "first":
            is_open[hits] = False
    return summarise(found, absorb=absorb, tag=tag)


def matched_words(texts: pl.Series, pattern: str) -> list[str]:
    """Return the part of each text that the pattern's first group with a match holds."""
    frame = texts.to_frame("text")
    n_groups = re.compile(pattern).groups
    groups = [pl.col("text").str.extract(pattern, i + 1) for i in range(n_groups)]
    return frame.select(pl.coalesce(groups).fill_null(""))["text"].to_list()


def summarise(found: list[list[Finding]], *, absorb: str, tag: str) -> Verdict:
    """Return values, statements and evidence of each text, joined where several rules spoke."""
    values, statements, evidence = (np.full(len(found), "", object) for _ in range(3))
    for position, findings in enumerate(found):
        if findings:
            words = {finding.value for finding in findings}
            values[position] = absorb if absorb in words else ";".join(sorted(words))
            rules = "+".join(finding.rule for finding in findings) + (f"@{tag}" if tag else "")
            statements[position] = f"{rules}={values[position].replace(';', '+')}"
            evidence[position] = "; ".join(f"{finding.rule}: {finding.seen}" for finding in findings)
    return Verdict(values, statements, evidence)


def judge_header(group: Group, frame: pl.DataFrame) -> Verdict:
    """Put distinct combinations of header values to the rules of a group; the first that holds decides."""
    found: list[list[Finding]] = [[] for _ in range(frame.height)]
    is_open = np.ones(frame.height, bool)
    for rule in group.rules:
        hits = is_open.copy()
        for name, condition in rule.when.items():
            hits &= holds(condition, frame[name])
        for name, condition in rule.unless.items():
            hits &= ~holds(condition, frame[name])
        is_open &= ~hits
        for row in frame.with_row_index("_row").filter(pl.Series(hits)).iter_rows(named=True):
            said = ", ".join(f"{name}={row[name]}" for name in rule.when)
            found[row["_row"]].append(Finding(rule.value, rule.id, said))
    return summarise(found, absorb="", tag="")


def columns_of(group: Group) -> tuple[str, ...]:
    """Return the header values that the rules of a group look at."""
    return tuple(dict.fromkeys(name for rule in group.rules for name in (*rule.when, *rule.unless)))


def columns_asked(head: Head) -> set[str]:
    """Return the columns of a series, and the earlier heads, that the answer of a head may depend on."""
    asked: set[str] = set()
    for witness in head.witnesses:
        asked |= {*witness.where, *witness.tags, *columns_of(head.groups[witness.ask])}
    return asked


def is_about_headers(group: Group) -> bool:
    """Return whether a group's rules look at header values and not at the words of one text."""
    return any(rule.when for rule in group.rules)


@dataclass(frozen=True)
class Contradictions:
    """Series of which a later witness contradicts the one that decided: their places, and which of `words` is said."""

    rows: NDArray[np.intp]
    words: list[str]
    said: Codes


@dataclass(frozen=True)
class Answer:
    """What one head says of all series: values, their evidence, and what other witnesses hold against them."""

    values: Column
    evidence: Column
    contradictions: tuple[Contradictions, ...]


class Answers:
    """The answers of one head so far: `values` and `evidence` are codes into growing lists; 0 is 'not answered'."""

    def __init__(self, n: int) -> None:
        self.value_words: list[str] = ["unknown"]
        self.evidence_words: list[str] = [""]
        self.statements: list[str] = [""]  # of each piece of evidence
        self.values = np.zeros(n, np.int32)
        self.evidence = np.zeros(n, np.int32)
        self.is_open = np.ones(n, bool)

    def take(self, verdict: Verdict, at: NDArray[np.intp], inverse: Codes) -> None:
        """Enter what a group said of the series `at`; those it was silent about stay open, the others keep theirs."""
        speaks = verdict.values != ""
        words, value_codes = np.unique(verdict.values[speaks].astype(str), return_inverse=True)
        values, evidence = np.zeros(len(speaks), np.int32), np.zeros(len(speaks), np.int32)
        values[speaks] = value_codes + len(self.value_words)
        evidence[speaks] = np.arange(speaks.sum()) + len(self.evidence_words)
        self.value_words += words.tolist()
        self.evidence_words += verdict.evidence[speaks].tolist()
        self.statements += verdict.statements[speaks].tolist()
        answered = speaks[inverse] & self.is_open[at]
        rows = at[answered]
        self.values[rows], self.evidence[rows] = values[inverse][answered], evidence[inverse][answered]
        self.is_open[rows] = False

    def against(self, verdict: Verdict, at: NDArray[np.intp], inverse: Codes, head: Head) -> Contradictions:
        """Return where what a group says of the series `at` contradicts the answers they have already."""
        others, other_of_text = np.unique(verdict.values.astype(str), return_inverse=True)
        contradicts = np.array([[head.contradict(value, other) for other in others] for value in self.value_words])
        is_said = contradicts[self.values[at], other_of_text[inverse]] & ~self.is_open[at]
        decided, decided_of = np.unique(np.array(self.statements), return_inverse=True)
        objections, objection_of = np.unique(verdict.statements.astype(str), return_inverse=True)
        pairs = decided_of[self.evidence[at[is_said]]] * len(objections) + objection_of[inverse[is_said]]
        used, said = np.unique(pairs, return_inverse=True)
        words = [f"{head.head}: {decided[i // len(objections)]} / {objections[i % len(objections)]}" for i in used]
        return Contradictions(at[is_said], words, said.astype(np.int32))


def answer(head: Head, rows: Rows, *, with_contradictions: bool) -> Answer:
    """Return the values of one head and their evidence for all series, and the contradictions if asked for."""
    answers = Answers(rows.n)
    found = []
    for witness in head.witnesses:
        group = head.groups[witness.ask]
        if not rows.has_any(asked_of(group, witness)):
            continue
        may_speak = rows.where(witness.where)
        may_object = with_contradictions and witness.binding != ()
        for names in asked_columns(group, witness):
            at = np.flatnonzero(may_speak if may_object else may_speak & answers.is_open)
            if not len(at):
                break
            frame, inverse = rows.distinct(names, at)
            verdict = judge(group, frame, head)
            if may_object:
                found.append(answers.against(verdict.only(witness.binding), at, inverse, head))
            answers.take(verdict, at, inverse)
    values, codes = distinct_words(answers.value_words, answers.values)
    evidence = Column(pl.Series(answers.evidence_words), answers.evidence)
    return Answer(Column(values, codes), evidence, tuple(found))


def judge(group: Group, frame: pl.DataFrame, head: Head) -> Verdict:
    """Put distinct header values, or the distinct texts of one tag, to the rules of a group."""
    if is_about_headers(group):
        return judge_header(group, frame)
    tag = frame.columns[0]
    return judge_text(group, frame[tag], tag=tag, combine=head.combine, absorb=head.absorb)


def distinct_words(words: list[str], codes: Codes) -> tuple[pl.Series, Codes]:
    """Return each word once, with the codes changed to match."""
    unique, inverse = np.unique(np.array(words, dtype=str), return_inverse=True)
    return pl.Series(unique.tolist(), dtype=pl.String), inverse.astype(np.int32)[codes]


def asked_of(group: Group, witness: Witness) -> tuple[str, ...]:
    """Return the columns that a witness reads."""
    return columns_of(group) if is_about_headers(group) else witness.tags


def asked_columns(group: Group, witness: Witness) -> list[tuple[str, ...]]:
    """Return the columns of each question in turn: one text after another, or all header values at once."""
    if is_about_headers(group):
        return [columns_of(group)]
    return [(tag,) for tag in witness.tags]


def rule_speaks(group: Group, rule: Rule, case: str | dict[str, str | float], *, combine: str) -> bool:
    """Return whether `rule` is the one of its group that decides a case (in a union: one of those that do)."""
    if isinstance(case, str):
        evidence = judge_text(group, pl.Series([case]), tag="text", combine=combine, absorb="").evidence[0]
    else:
        frame = pl.DataFrame({name: [str(case.get(name, ""))] for name in columns_of(group)})
        evidence = judge_header(group, frame).evidence[0]
    return f"; {rule.id}: " in f"; {evidence}"
