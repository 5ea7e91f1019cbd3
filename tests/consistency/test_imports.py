"""Imports point one way: cli, then phases, then the ground; torch stays under models and training."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

GROUND = {"params", "tables", "errors", "atomic", "vocabulary"}
"""What every module may import; of each other: errors and vocabulary nothing, atomic errors, params these two, tables all."""

PHASES = {
    "arms": set(),
    "archive": {"dicom", "labels"},
    "dicom": set(),
    "labels": {"dicom"},
    "volumes": {"dicom"},
    "liver": {"dicom", "volumes"},
    "splits": set(),
    "leakage": set(),
    "runs": set(),
    "models": set(),
    "training": {"models", "volumes", "liver", "runs", "splits"},
    "evaluation": {"runs"},
    "figures": {"arms"},
    "reporting": {"runs", "arms"},
    "provenance": set(),
}
"""The few phases whose functions another phase calls, each for a reason: slices become volumes (dicom), a scan is put
on the network's grid (volumes), a record is read (runs), a user's files are DICOM or not (dicom), series are chosen by what
their catalogue text says (labels), an arm has one name in figures and on pages (arms)."""


def modules(repository: Path) -> Iterator[tuple[str, ast.Module]]:
    package = repository / "workflow/lib/radnet3d"
    for path in sorted(package.rglob("*.py")):
        yield ".".join(path.relative_to(package).with_suffix("").parts), ast.parse(path.read_text())


def imports(tree: ast.Module) -> set[str]:
    """Return the dotted names a module imports, inside functions too."""
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def phases(tree: ast.Module) -> set[str]:
    """Return the first parts of what a module imports of this package."""
    return {name.split(".")[1] for name in imports(tree) if name.startswith("radnet3d.")} - {"__version__"}


def test_phases_import_only_the_ground_and_their_named_neighbours(repository: Path) -> None:
    found = {}
    for name, tree in modules(repository):
        phase = name.split(".")[0]
        if phase in PHASES:
            too_many = phases(tree) - GROUND - PHASES[phase] - {phase}
            if too_many:
                found[name] = sorted(too_many)
    assert not found


def test_every_module_has_its_place(repository: Path) -> None:
    names = {name.split(".")[0] for name, _ in modules(repository)} - {"__init__", "cli"}
    assert names == GROUND | PHASES.keys()


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("errors", set()),
        ("vocabulary", set()),
        ("atomic", {"errors"}),
        ("params", {"errors", "vocabulary"}),
    ],
)
def test_the_ground_stands_on_itself(repository: Path, module: str, allowed: set[str]) -> None:
    assert phases(dict(modules(repository))[module]) <= allowed


def test_torch_is_imported_only_under_models_and_training(repository: Path) -> None:
    using = {
        name.split(".")[0] for name, tree in modules(repository) if {n.split(".")[0] for n in imports(tree)} & {"torch"}
    }
    assert using <= {"models", "training"}
