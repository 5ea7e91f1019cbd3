"""A `conda` command that answers the calls Snakemake makes, with the real solver and linker (py-rattler).

It stands in for conda where there is none: `install` writes bin/conda and bin/activate beside a local channel. The
`pip:` part of an environment is installed by that environment's own pip, as conda does it.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from support.conda_channel import build_channel

VERSION = "25.1.0"  # Snakemake asks for 24.7.1 or later
ACTIVATE = """
export CONDA_PREFIX="$1" PATH="$1/bin:$PATH"
"""


def install(root: Path) -> Path:
    """Write the stand-in and its channel below `root`; return the folder to put first on PATH."""
    binaries = root / "bin"
    binaries.mkdir(parents=True)
    build_channel(root / "channels" / "conda-forge")
    (binaries / "activate").write_text(ACTIVATE)
    start = f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r})"
    call = f"from support.conda_command import main; from pathlib import Path; sys.exit(main(sys.argv[1:], Path({str(root)!r})))"
    (binaries / "conda").write_text(f"#!{sys.executable}\n{start}\n{call}\n")
    (binaries / "conda").chmod(0o755)
    return binaries


def main(argv: list[str], root: Path) -> int:
    """Answer one call and return its exit code."""
    match argv:
        case ["--version"]:
            print(f"conda {VERSION}")
        case ["info", "--json"]:
            print(json.dumps({"conda_prefix": str(root), "platform": "linux-64", "conda_version": VERSION}))
        case ["config", "--get", "channel_priority", "--json"]:
            print(json.dumps({"get": {"channel_priority": "strict"}}))
        case ["clean", *_]:
            pass
        case ["env", "create", *_]:
            return create(Path(option(argv, "--file")), Path(option(argv, "--prefix")), root)
        case _:
            print(f"conda stand-in: no answer to {argv}", file=sys.stderr)
            return 2
    return 0


def option(argv: list[str], name: str) -> str:
    """Return the value of `--name value` or `--name=value`."""
    for place, word in enumerate(argv):
        if word == name:
            return argv[place + 1]
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    raise SystemExit(f"conda stand-in: {argv} lacks {name}")


def create(file: Path, prefix: Path, root: Path) -> int:
    """Create the environment a file describes at `prefix`; return pip's exit code."""
    wanted: dict[str, Any] = yaml.safe_load(file.read_text())
    if unknown := wanted.keys() - {"name", "channels", "dependencies"}:
        print(f"{file}: keys conda does not know: {sorted(unknown)}", file=sys.stderr)
        return 1
    specs = [entry for entry in wanted["dependencies"] if isinstance(entry, str)]
    pins = [pin for entry in wanted["dependencies"] if isinstance(entry, dict) for pin in entry["pip"]]
    asyncio.run(link(wanted["channels"], specs, prefix, root))
    with tempfile.NamedTemporaryFile("w", suffix=".requirements.txt") as requirements:
        requirements.write("\n".join(pins) + "\n")
        requirements.flush()
        command = [prefix / "bin/python", "-m", "pip", "install", "--requirement", requirements.name]
        return subprocess.run(command, cwd=file.resolve().parent, check=False).returncode


async def link(channels: list[str], specs: list[str], prefix: Path, root: Path) -> None:
    """Solve `specs` against the local channels and link the packages into `prefix`."""
    from rattler import Channel, Subdir, install, solve

    sources = [Channel(f"file://{root}/channels/{name}") for name in channels]
    packages = await solve(
        sources, [spec.replace(" ", "") for spec in specs], platforms=[Subdir.current(), Subdir("noarch")]
    )
    await install(packages, target_prefix=prefix, cache_dir=root / "cache", show_progress=False)
