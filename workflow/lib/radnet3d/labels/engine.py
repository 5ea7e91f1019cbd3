"""The engine: puts each distinct text once to the rules and maps the answers back to the series.

The rules (see `rules`) do not know how many series there are; this module does not know what they say.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from radnet3d.labels.rules import Condition, Group, Head, Range, Rule, Witness, words_regex

Mask = NDArray[np.bool_]
Codes = NDArray[np.int32]

MOST_KEYS = 2**62
"""Combinations of values that an int64 can tell apart."""

SPECIAL = {"ł": "l", "ø": "o", "ß": "ss", "æ": "ae", "œ": "oe", "đ": "d"}


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
    """What a group says of distinct texts: a value and its evidence each, or "" where it is silent."""

    values: NDArray[np.object_]
    evidence: NDArray[np.object_]


def judge_text(group: Group, texts: pl.Series, *, tag: str, combine: str, absorb: str) -> Verdict:
    """Put distinct texts of one tag to the rules of a group."""
    read = fold(texts)
    for rewrite in group.rewrite:
        read = read.str.replace_all(words_regex(rewrite.words), f" {rewrite.read_as} ")
    found: list[list[tuple[str, str]]] = [[] for _ in range(len(read))]
    is_open = np.ones(len(read), bool)
    for rule in group.rules:
        pattern = words_regex(rule.words)
        hits = np.flatnonzero(is_open)[read.filter(pl.Series(is_open)).str.contains(pattern).to_numpy()]
        for position, word in zip(hits, matched_words(read.gather(hits), pattern), strict=True):
            found[position].append((rule.value, f"{rule.id}: {tag}={word}"))
        if combine == "first":
            is_open[hits] = False
    return summarise(found, absorb=absorb)


def matched_words(texts: pl.Series, pattern: str) -> list[str]:
    """Return the part of each text that the pattern's first group with a match holds."""
    frame = texts.to_frame("text")
    n_groups = re.compile(pattern).groups
    groups = [pl.col("text").str.extract(pattern, i + 1) for i in range(n_groups)]
    return frame.select(pl.coalesce(groups).fill_null(""))["text"].to_list()


def summarise(found: list[list[tuple[str, str]]], *, absorb: str) -> Verdict:
    """Return the values and evidence of each text, joined where several rules spoke."""
    values, evidence = np.full(len(found), "", object), np.full(len(found), "", object)
    for position, answers in enumerate(found):
        if answers:
            words = {value for value, _ in answers}
            values[position] = absorb if absorb in words else ";".join(sorted(words))
            evidence[position] = "; ".join(reason for _, reason in answers)
    return Verdict(values, evidence)


def judge_header(group: Group, frame: pl.DataFrame) -> Verdict:
    """Put distinct combinations of header values to the rules of a group; the first that holds decides."""
    found: list[list[tuple[str, str]]] = [[] for _ in range(frame.height)]
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
            found[row["_row"]].append((rule.value, f"{rule.id}: {said}"))
    return summarise(found, absorb="")


def columns_of(group: Group) -> tuple[str, ...]:
    """Return the header values that the rules of a group look at."""
    return tuple(dict.fromkeys(name for rule in group.rules for name in (*rule.when, *rule.unless)))


def is_about_headers(group: Group) -> bool:
    """Return whether a group's rules look at header values and not at the words of one text."""
    return any(rule.when for rule in group.rules)


class Answers:
    """The answers of one head so far: `values` and `evidence` are codes into growing lists; 0 is 'not answered'."""

    def __init__(self, n: int) -> None:
        self.value_words: list[str] = ["unknown"]
        self.evidence_words: list[str] = [""]
        self.values = np.zeros(n, np.int32)
        self.evidence = np.zeros(n, np.int32)
        self.is_open = np.ones(n, bool)

    def take(self, verdict: Verdict, at: NDArray[np.intp], inverse: Codes) -> None:
        """Enter what a group said of the series `at`; those it was silent about stay open."""
        speaks = verdict.values != ""
        words, value_codes = np.unique(verdict.values[speaks].astype(str), return_inverse=True)
        values, evidence = np.zeros(len(speaks), np.int32), np.zeros(len(speaks), np.int32)
        values[speaks] = value_codes + len(self.value_words)
        evidence[speaks] = np.arange(speaks.sum()) + len(self.evidence_words)
        self.value_words += words.tolist()
        self.evidence_words += verdict.evidence[speaks].tolist()
        answered = speaks[inverse]
        rows = at[answered]
        self.values[rows], self.evidence[rows] = values[inverse][answered], evidence[inverse][answered]
        self.is_open[rows] = False


def answer(head: Head, rows: Rows) -> tuple[Column, Column]:
    """Return the values of one head and their evidence for all series."""
    answers = Answers(rows.n)
    for witness in head.witnesses:
        may_speak = rows.where(witness.where)
        group = head.groups[witness.ask]
        for names in asked_columns(group, witness):
            at = np.flatnonzero(answers.is_open & may_speak)
            if not len(at):
                break
            frame, inverse = rows.distinct(names, at)
            if is_about_headers(group):
                verdict = judge_header(group, frame)
            else:
                texts = frame[names[0]]
                verdict = judge_text(group, texts, tag=names[0], combine=head.combine, absorb=head.absorb)
            answers.take(verdict, at, inverse)
    values, codes = distinct_words(answers.value_words, answers.values)
    return Column(values, codes), Column(pl.Series(answers.evidence_words), answers.evidence)


def distinct_words(words: list[str], codes: Codes) -> tuple[pl.Series, Codes]:
    """Return each word once, with the codes changed to match."""
    unique, inverse = np.unique(np.array(words, dtype=str), return_inverse=True)
    return pl.Series(unique.tolist(), dtype=pl.String), inverse.astype(np.int32)[codes]


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
