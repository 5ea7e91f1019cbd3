"""What the stages of dvc.yaml depend on, derived from the rules they run."""

from pathlib import Path

from radnet3d.provenance import PACKAGE, reached_statements
from support.rules import ROOT, read_rules

GROUND = {"params.py", "tables.py", "errors.py", "atomic.py", "vocabulary.py"}
"""What every command stands on; a change there is left to Snakemake, which knows which commands it concerns."""


def code_of(rules: list[str]) -> list[str]:
    """Return the files and folders that hold the rules and the code they reach, relative to the repository."""
    known = read_rules()
    paths = {ROOT / "workflow/rules/common.smk"} | {ROOT / known[rule].path for rule in rules}
    for command in {command for rule in rules for command in known[rule].commands}:
        paths |= {place_of(module) for module in reached_statements(command)}
    return sorted(str(path.relative_to(ROOT)) for path in paths if path.name not in GROUND)


def place_of(module: str) -> Path:
    """Return a phase's folder, or the file of a module that is none; of the command line the phase's own file."""
    phase, *rest = module.split(".")[1:]
    if phase == "cli":
        return PACKAGE.joinpath("cli", *rest).with_suffix(".py")
    return PACKAGE / phase if (PACKAGE / phase).is_dir() else (PACKAGE / phase).with_suffix(".py")
