"""dvc.yaml and the rules say the same: every rule in a stage, every stage's code, parameters that exist."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from support.rules import ROOT, read_rules
from support.stages import code_of

STAGES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def rules_of(stage: str) -> list[str]:
    program, phase, *rules = STAGES[stage]["cmd"].split()
    assert (program, phase) == ("workflow/stage", stage)
    return rules


def test_every_rule_is_in_a_stage() -> None:
    assert {rule for stage in STAGES for rule in rules_of(stage)} == read_rules().keys()


def test_only_fetching_is_in_several_stages() -> None:
    """What is fetched is not kept by DVC, so that a stage which needs it may have to fetch it again."""
    listed = [rule for stage in STAGES for rule in rules_of(stage)]
    assert {rule for rule in listed if listed.count(rule) > 1} == {"fetch_series", "fetch_liver_cases"}


@pytest.mark.parametrize("stage", STAGES)
def test_stage_depends_on_the_code_of_its_rules(stage: str) -> None:
    found = [path for path in STAGES[stage]["deps"] if path.startswith("workflow/") and "/resources/" not in path]
    assert found == code_of(rules_of(stage))


@pytest.mark.parametrize("stage", STAGES)
def test_parameters_of_a_stage_exist(stage: str, repository: Path) -> None:
    params = yaml.safe_load((repository / "params.yaml").read_text())
    for key in STAGES[stage].get("params", []):
        value = params
        for part in key.split("."):
            assert part in value, key
            value = value[part]


def test_no_output_persists_and_metrics_are_small_files_in_git() -> None:
    for stage in STAGES.values():
        assert not [out for out in stage["outs"] if isinstance(out, dict) and "persist" in str(out)]
    assert STAGES["transfer"]["metrics"] == [{"results/transfer/metrics.json": {"cache": False}}]
