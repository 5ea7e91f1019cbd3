"""The environments' files hold the project's pins, closed under what packages need, and torch only where it trains."""

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.utils import canonicalize_name

from radnet3d.provenance import NAME, module_path, module_tree, reached_statements
from support.pins import ENVIRONMENTS, environment_text, read_pins
from support.rules import read_rules

PACKAGES = packages_distributions()


def pins_of(path: Path) -> dict[str, str]:
    content = yaml.safe_load(path.read_text())
    assert content["channels"] == ["conda-forge"]
    (pip,) = [entry["pip"] for entry in content["dependencies"] if isinstance(entry, dict)]
    return dict(line.split("==") for line in pip)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_environment_is_made_from_the_pins(repository: Path, name: str) -> None:
    path = repository / "envs" / f"{name}.yaml"
    assert path.read_text() == environment_text(name), "run python tests/support/pins.py"
    assert pins_of(path).items() <= read_pins().items()


def test_torch_is_in_one_environment_of_the_rules(repository: Path) -> None:
    with_torch = {
        name for name in ("data", "train", "report") if "torch" in pins_of(repository / "envs" / f"{name}.yaml")
    }
    assert with_torch == {"train"}


def test_no_pin_names_a_host_or_a_build(repository: Path) -> None:
    for path in (repository / "envs").iterdir():
        assert not re.search(r"://|--(index|find)|\+cpu|@ ", path.read_text()), path


def imported_names(node: ast.AST) -> Iterator[str]:
    """Yield the dotted names imported anywhere in a syntax tree."""
    for part in ast.walk(node):
        if isinstance(part, ast.Import):
            yield from (alias.name for alias in part.names)
        elif isinstance(part, ast.ImportFrom) and part.module:
            yield part.module
            yield from (f"{part.module}.{alias.name}" for alias in part.names)


def names_on_import(module: str) -> Iterator[str]:
    """Yield what importing a module imports: its statements outside functions."""
    for node in module_tree(module).body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from imported_names(node)


def packages_needed(command: str) -> set[str]:
    """Return the packages other than this project that a command imports when it runs."""
    statements = reached_statements(command)
    inside = {
        name
        for module, numbers in statements.items()
        for i in numbers
        for name in imported_names(module_tree(module).body[i])
    }
    waiting, modules = [*statements, *inside, f"{NAME}.cli"], set()
    names = set(inside)
    while waiting:
        module = waiting.pop()
        if module.split(".")[0] == NAME and module not in modules and module_path(module).is_file():
            modules.add(module)
            found = set(names_on_import(module))
            names |= found
            waiting += found
    tops = {name.split(".")[0] for name in names} - {NAME} - sys.stdlib_module_names
    return {canonicalize_name(PACKAGES[top][0]) for top in tops}


@pytest.mark.parametrize("name", read_rules())
def test_environment_has_what_the_rule_imports(repository: Path, name: str) -> None:
    rule = read_rules()[name]
    pins = {canonicalize_name(package) for package in pins_of(repository / "envs" / f"{rule.environment}.yaml")}
    for command in rule.commands:
        assert packages_needed(command) - pins == set(), f"{name} runs in envs/{rule.environment}.yaml"
