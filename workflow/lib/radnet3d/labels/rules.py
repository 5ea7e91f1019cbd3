"""The rules as data: one YAML file a head, read by a radiologist, checked when loaded.

A head asks its witnesses in the order they are written. A witness is a group of rules put to one text after another
(`tags`), or to several header values at once (`when`). The first rule that speaks decides; a head that combines
(`combine: union`) takes all rules that speak of the first text in which any does.
"""

import re
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from radnet3d import tables
from radnet3d.errors import RuleError
from radnet3d.params import explain

RULES_DIR = Path(__file__).resolve().parents[3] / "resources" / "labels"

SEPARATOR = r"[ ._:,;()/\-]*"
"""What a space in a word stands for: any punctuation, or none."""

ALLOWED = {
    "subject": tables.SUBJECTS,
    "kind": tables.KINDS,
    "sequence": tables.SEQUENCES,
    "contrast": tables.CONTRASTS,
    "phase": tables.PHASES,
    "plane": tables.PLANES,
    "regions": (*tables.REGIONS, "unknown"),
    "kernel": tables.KERNELS,
}


class Data(BaseModel):
    """Part of a rule file: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Range(Data):
    """A number at least `at_least` and below `below`."""

    at_least: float = float("-inf")
    below: float = float("inf")


Condition = Annotated[Range | tuple[str, ...] | str, Field(union_mode="left_to_right")]
"""A range of numbers, a list of exact values, or one word (see `word_regex`)."""


class Rule(Data):
    """One piece of evidence: `words` of a text, or what header values are (`when`) and are not (`unless`)."""

    id: str
    value: str
    words: tuple[str, ...] = ()
    when: dict[str, Condition] = {}
    unless: dict[str, Condition] = {}
    example: str | dict[str, str | float]
    counter_example: str | dict[str, str | float]

    @model_validator(mode="after")
    def reads_one_way(self) -> Self:
        """Refuse a rule that is about a text and about headers, or has a word that cannot be read."""
        if bool(self.words) == bool(self.when):
            raise ValueError(f"rule {self.id}: wants either 'words' or 'when'")
        for word in self.words:
            word_regex(word)
        return self


class Rewrite(Data):
    """Words that would mislead the rules below them, and what to read in their place (nothing, if not said)."""

    words: tuple[str, ...]
    read_as: str = " "


class Group(Data):
    """Rules that are put to the same text, in order of precedence."""

    rewrite: tuple[Rewrite, ...] = ()
    rules: tuple[Rule, ...]


class Witness(Data):
    """Who is asked: a group, the texts it reads one after another, and the series it may speak of.

    `binding`: those of its answers that must hold for every series it is asked about, so that another answer of that
    series contradicts them; all, if not said. A study "with contrast" may have a series before contrast.
    """

    ask: str
    tags: tuple[str, ...] = ()
    where: dict[str, Condition] = {}
    binding: tuple[str, ...] | None = None


class Head(Data):
    """One column of the label table: its witnesses in order, and their groups of rules."""

    head: Literal["subject", "kind", "sequence", "contrast", "phase", "plane", "regions", "kernel"]
    combine: Literal["first", "union"]
    absorb: str = ""  # in a union, this value takes the place of all others
    compatible: tuple[tuple[str, ...], ...] = ()  # values of which two witnesses may say different ones
    witnesses: tuple[Witness, ...]
    groups: dict[str, Group]

    @model_validator(mode="after")
    def fits_together(self) -> Self:
        """Refuse witnesses without a group, rule ids used twice and values that the label table does not have."""
        unknown = {witness.ask for witness in self.witnesses} ^ set(self.groups)
        if unknown:
            raise ValueError(f"head {self.head}: witnesses and groups differ in {sorted(unknown)}")
        rules = [rule for group in self.groups.values() for rule in group.rules]
        repeated = {rule.id for rule in rules if sum(other.id == rule.id for other in rules) > 1}
        if repeated:
            raise ValueError(f"head {self.head}: rule ids repeated: {sorted(repeated)}")
        for rule in rules:
            if not set(self.parts(rule.value)) <= set(ALLOWED[self.head]):
                raise ValueError(f"rule {rule.id}: value {rule.value!r} is not one of {ALLOWED[self.head]}")
        strange = {value for values in self.compatible for value in values} - set(ALLOWED[self.head])
        if strange:
            raise ValueError(f"head {self.head}: compatible: {sorted(strange)} are not of {ALLOWED[self.head]}")
        return self

    def parts(self, value: str) -> list[str]:
        """Return the values that an answer is made of: in a union they are joined by semicolons."""
        return value.split(";") if self.combine == "union" else [value]

    def contradict(self, value: str, other: str) -> bool:
        """Return whether two answers cannot both be true of a series.

        Not where one of them says nothing, where they have a part in common (the chest, and chest and abdomen), or
        where a part of each is in the same set of `compatible`.
        """
        silent = {"", "unknown", "na", self.absorb}
        if value in silent or other in silent:
            return False
        pairs = [(a, b) for a in self.parts(value) for b in self.parts(other)]
        return not any(a == b or any(a in near and b in near for near in self.compatible) for a, b in pairs)


@cache
def load_heads() -> tuple[Head, ...]:
    """Return the committed rules of all heads, in the order in which heads may refer to one another."""
    return tuple(load_head(RULES_DIR / f"{head}.yaml") for head in tables.HEADS)


def load_head(path: Path) -> Head:
    """Return the rules of one file. Raises RuleError naming the file, the rule and what is wrong with it."""
    if not path.is_file():
        raise RuleError(f"{path}: no such file, wanted the rules of a head")
    try:
        return Head.model_validate(yaml.load(path.read_text(encoding="utf-8"), Loader=WordLoader))
    except yaml.YAMLError as error:
        raise RuleError(f"{path}: not valid YAML: {error}") from error
    except ValidationError as error:
        raise RuleError(f"{path}: {explain(error)}") from error


class WordLoader(yaml.SafeLoader):
    """YAML in which `yes`, `no` and `on` are words and not truth values."""


WordLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@cache
def words_regex(words: tuple[str, ...]) -> str:
    """Return one regular expression that matches any of `words`; the word itself is in one of its groups.

    Words that need the same edges share a group, so that there are nine groups at most.
    """
    return "|".join(f"{left}({'|'.join(bodies)}){right}" for (left, right), bodies in by_edges(words).items())


@cache
def rewrite_regexes(words: tuple[str, ...]) -> list[str]:
    """Return regular expressions that match any of `words`, with what touches them on the left and right as groups."""
    return [f"({left})(?:{'|'.join(bodies)})({right})" for (left, right), bodies in by_edges(words).items()]


def by_edges(words: tuple[str, ...]) -> dict[tuple[str, str], list[str]]:
    """Return (left edge, right edge) -> the bodies of the words that need these edges."""
    edges: dict[tuple[str, str], list[str]] = {}
    for word in words:
        left, body, right = word_regex(word)
        edges.setdefault((left, right), []).append(body)
    return edges


def word_regex(word: str) -> tuple[str, str, str]:
    """Return (left edge, body, right edge) of one word as regular expressions without lookaround.

    A word is a small regular expression in lower case. A space in it stands for any punctuation or none, a star for
    any letters (behind `.` or `]` it repeats these), round brackets group without capturing. Where it starts or ends with a letter, no letter may touch it there (digits and
    underscores may: `ax` is in `T2AX` and in `t2_ax`, not in `max`); where with a digit, no digit may (`t1` is in
    `T1AX`, not in `T10`); where with a sign, anything may (`\\+c` is in `FS+C`). Raises ValueError on a bad one.
    """
    body = re.sub(r"(?<!\\)\((?!\?)", "(?:", word)
    body = re.sub(r"(?<![\]\\.])\*", "[a-z]*", body)
    body = re.sub(r"\[[^\]]*\]| ", lambda part: SEPARATOR if part[0] == " " else part[0], body)
    try:
        re.compile(body)
    except re.error as error:
        raise ValueError(f"word {word!r}: {error}") from error
    first = word.lstrip("(?:")
    core = re.sub(r"(?<!\\)[?*+)]+$", "", word)  # what repeats or closes is no edge
    left = "" if not first else edge(first[:2] if first[0] == "\\" else first[0], side=r"^")
    right = "" if not core else edge(core[-2:] if core[-2:-1] == "\\" else core[-1], side=r"$")
    return left, body, right


def edge(character: str, *, side: str) -> str:
    """Return what may touch a word on one side (`^` or `$`), by the character it has there."""
    if character.isalpha() or character in "[]*":
        return rf"(?:{side}|[^a-z])"
    if character.isdigit() or character == r"\d":
        return rf"(?:{side}|[^0-9])"
    return ""
