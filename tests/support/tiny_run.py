"""A folder in which the workflow can run with tiny parameters, and ways to run it there."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from support.rules import ROOT

LINKS = ("Snakefile", "workflow", "envs", "profiles")


def make_folder(folder: Path) -> Path:
    """Fill `folder` with links to the workflow and the tiny parameters; return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in LINKS:
        (folder / name).symlink_to(ROOT / name)
    shutil.copy(ROOT / "tests/params.tiny.yaml", folder / "params.yaml")
    return folder


def clone(folder: Path) -> Path:
    """Fill `folder` with a copy of what git has, or would add, of the project, as a repository of its own."""
    git = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(git, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        source = ROOT / name
        if source.exists() and not name.startswith("tests/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, folder / name, follow_symlinks=False)
    shutil.copy(ROOT / "tests/params.tiny.yaml", folder / "params.yaml")
    git = ["git", "-C", str(folder), "-c", "user.name=test", "-c", "user.email=test@example.org"]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "copy"]):
        subprocess.run([*git, *command], check=True)
    return folder


def run(folder: Path, *command: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program of the tests' environment in `folder`; stdout holds both streams. `path` comes first on PATH."""
    return subprocess.run(
        [shutil.which(command[0], path=environment()["PATH"]) or str(folder / command[0]), *command[1:]],
        cwd=folder,
        env=environment(path),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )


def environment(path: Path | None = None) -> dict[str, str]:
    """Return the variables a run gets: none of an enclosing run, and `path` first on PATH."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SNAKEMAKE_", "DVC_", "COV_"))}
    parts = [str(path)] if path else []
    return {**kept, "PATH": os.pathsep.join([*parts, str(Path(sys.executable).parent), os.environ["PATH"]])}


def snakemake(folder: Path, *arguments: str) -> str:
    """Run Snakemake on two cores in `folder` and return what it said; fail if it fails."""
    done = run(folder, "snakemake", "--cores", "2", *arguments)
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def planned(folder: Path, *arguments: str) -> dict[str, int]:
    """Return how many jobs of each rule a run would do now."""
    said = snakemake(folder, "--dry-run", "--quiet", "rules", *arguments)
    rows = [line.split() for line in said.splitlines()]
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdecimal() and row[0] != "total"}
