"""The environments' pins: a few packages named here, and all they need, at the versions of envs/requirements.txt.

`python tests/support/pins.py` writes envs/*.yaml anew after a change of the pins; a test holds them equal.
"""

import re
import sys
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ENVS = Path(__file__).resolve().parents[2] / "envs"

BASE = ["click", "numpy", "pandas", "pandera", "pyarrow", "pydantic", "pyyaml", "tqdm"]
PIXELS = ["pydicom", "pylibjpeg", "pylibjpeg-libjpeg", "pylibjpeg-openjpeg", "simpleitk"]
ENVIRONMENTS = {
    "data": (
        "Archive, headers, labels, volumes: no torch.",
        [*BASE, *PIXELS, "idc-index-data", "pillow", "polars", "requests", "scipy", "tenacity", "urllib3"],
    ),
    "train": (
        "Pretraining, proposals, fine-tuning: the one with torch.",
        [*BASE, *PIXELS, "matplotlib", "scipy", "surface-distance", "torch"],
    ),
    "report": ("Comparison, figures and pages.", [*BASE, "jinja2", "matplotlib", "pillow", "scipy", "seaborn"]),
    "dev": ("Everything, with what tests and checks need.", []),
}
"""What each environment is for, and the packages its commands import; none named: all."""

UNPINNED = ("nvidia-", "cuda-", "triton")
"""What torch brings for a GPU: left to pip, because a machine without one gets none of it."""


def read_pins() -> dict[str, str]:
    """Return the version of every package of envs/requirements.txt, by canonical name."""
    lines = (ENVS / "requirements.txt").read_text(encoding="utf-8").split()
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def closure(names: list[str], pins: dict[str, str]) -> list[str]:
    """Return `names` and all that they need, as far as it is installed here and pinned."""
    waiting, found = [canonicalize_name(name) for name in names], set()
    while waiting:
        name = waiting.pop()
        if name in found or name.startswith(UNPINNED):
            continue
        found.add(name)
        try:
            needs = [Requirement(text) for text in requires(name) or []]
        except PackageNotFoundError as error:
            raise SystemExit(f"{name}: not installed here, so what it needs is unknown") from error
        waiting += [
            canonicalize_name(need.name) for need in needs if not need.marker or need.marker.evaluate({"extra": ""})
        ]
    return sorted(name for name in found if name in pins)


def environment_text(name: str) -> str:
    """Return the content of envs/<name>.yaml: pins inlined, because Snakemake copies the file elsewhere."""
    purpose, packages = ENVIRONMENTS[name]
    pins = read_pins()
    lines = [
        f"      - {package}=={pins[package]}" for package in (closure(packages, pins) if packages else sorted(pins))
    ]
    return "\n".join(
        [
            f"# {purpose} Written by tests/support/pins.py from envs/requirements.txt.",
            "channels:",
            "  - conda-forge",
            "dependencies:",
            "  - python =3.11",
            "  - pip",
            "  - pip:",
            *lines,
            "",
        ]
    )


if __name__ == "__main__":
    for environment in ENVIRONMENTS:
        text = environment_text(environment)
        (ENVS / f"{environment}.yaml").write_text(text, encoding="utf-8")
        print(f"{environment}: {len(re.findall('==', text))} packages", file=sys.stderr)
