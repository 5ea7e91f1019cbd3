"""The digest of a command changes with the code it reaches, and with nothing else."""

from pathlib import Path

import pytest

from radnet3d import provenance

FILES = {
    "__init__.py": '__version__ = "1"\n',
    "cli/__init__.py": "",
    "cli/phase.py": """
import click
from radnet3d import tables
from radnet3d.phase.how import compute, other

@click.group()
def commands():
    "Help."

@commands.command()
@click.option("--n", help="words")
def make_it(n):
    "Docstring."
    from radnet3d.phase.lazy import late
    return late(compute(n), tables.ONE)

@commands.command("second")
def second_command():
    return other()
""",
    "tables.py": "ONE = 1\nTWO = 2\n",
    "phase/__init__.py": "",
    "phase/how.py": "LIMIT = 3\n\ndef compute(n):\n    return min(n, LIMIT)\n\ndef other():\n    return 0\n",
    "phase/lazy.py": "def late(a, b):\n    return a + b\n",
    "phase/page.css": "body {}",
}


CACHES = ("statement_uses", "module_names", "bindings", "always", "statement_text", "module_tree")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "radnet3d"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    monkeypatch.setattr(provenance, "PACKAGE", root)
    return root


def digest(command: str = "phase make-it") -> str:
    for name in CACHES:
        getattr(provenance, name).cache_clear()
    return provenance.code_digest(command)


@pytest.fixture(autouse=True)
def clean_caches():
    yield
    for name in CACHES:
        getattr(provenance, name).cache_clear()


CHANGES = [
    ("cli/phase.py", "late(compute(n)", "late(2 * compute(n)"),
    ("phase/how.py", "LIMIT = 3", "LIMIT = 4"),  # a constant of a function of an import
    ("phase/how.py", "min(", "max("),
    ("phase/lazy.py", "a + b", "a - b"),  # imported inside a function
    ("tables.py", "ONE = 1", "ONE = 11"),  # named through its module
    ("phase/page.css", "body", "p"),  # beside the code
    ("phase/how.py", "LIMIT = 3\n", "LIMIT = 3\nprint(LIMIT)\n"),  # acts on import
]


@pytest.mark.parametrize(("name", "old", "new"), CHANGES)
def test_reached_code_counts(package: Path, name: str, old: str, new: str) -> None:
    before = digest()
    path = package / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert digest() != before


SAME = [
    ("cli/phase.py", '"Docstring."', '"Better words."'),
    ("cli/phase.py", 'help="words"', 'help="better words"'),
    ("cli/phase.py", "compute, other", "other, compute"),
    ("phase/how.py", "LIMIT = 3", "LIMIT = 3  # three"),
    ("phase/how.py", "return 0", "return 1"),  # of another command
    ("tables.py", "TWO = 2", "TWO = 3"),
    ("__init__.py", '"1"', '"2"'),
]


@pytest.mark.parametrize(("name", "old", "new"), SAME)
def test_words_and_other_code_do_not_count(package: Path, name: str, old: str, new: str) -> None:
    before = digest()
    path = package / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert digest() == before


def test_commands_differ(package: Path) -> None:
    assert digest("phase make-it") != digest("phase second")


def test_unknown_command_is_named(package: Path) -> None:
    with pytest.raises(ValueError, match="found no command 'make'"):
        digest("phase make")
