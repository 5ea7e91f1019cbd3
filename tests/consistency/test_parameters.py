"""params.yaml, the presets and the tests' parameters fit the model; the default preset is what is in params.yaml."""

from pathlib import Path

import pytest

from radnet3d.params import load_params

FILES = [
    "params.yaml",
    "tests/params.tiny.yaml",
    *(f"workflow/presets/{name}.yaml" for name in ("default", "study", "lits", "paper")),
]


@pytest.mark.parametrize("name", FILES)
def test_file_fits_the_model(repository: Path, name: str) -> None:
    load_params(repository / name)


def test_default_preset_is_params_yaml(repository: Path) -> None:
    assert (repository / "params.yaml").read_text() == (repository / "workflow/presets/default.yaml").read_text()


def test_paper_preset_has_the_papers_sizes(repository: Path) -> None:
    params = load_params(repository / "workflow/presets/paper.yaml")
    assert params.volumes.shape_zyx == (48, 192, 192)
    assert params.network.n_blocks == (3, 4, 6, 3)
    assert params.network.widths == (64, 128, 256, 512)
    assert params.network.expansion == 4
