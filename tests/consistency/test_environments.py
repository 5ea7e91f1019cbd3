"""The environments' files hold the project's pins, closed under what packages need, and torch only where it trains."""

import re
from pathlib import Path

import pytest
import yaml

from support.pins import ENVIRONMENTS, environment_text, read_pins


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
