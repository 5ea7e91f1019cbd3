"""Every rule is complete, calls the command whose code it depends on, and every figure has its caption."""

import re

import pytest

from radnet3d.provenance import code_digest
from support.rules import ROOT, read_rules

RULES = read_rules()


def test_rules_are_found() -> None:
    assert {"plan_archive", "pretrain_encoder", "finetune_task", "compare_inits", "build_report"} <= RULES.keys()


@pytest.mark.parametrize("name", RULES)
def test_rule_is_complete(name: str) -> None:
    rule = RULES[name]
    wanted = {"output", "log", "benchmark", "conda", "params", "threads", "resources", "shell"}
    assert wanted <= rule.keywords, f"{rule.path}: {name} lacks {sorted(wanted - rule.keywords)}"
    assert rule.text.lstrip().startswith('"""'), f"{rule.path}: {name} has no docstring"
    assert not {"script", "run", "message"} & rule.keywords


@pytest.mark.parametrize("name", RULES)
def test_rule_depends_on_the_code_it_calls(name: str) -> None:
    rule = RULES[name]
    assert rule.commands == rule.shell_commands
    for command in rule.commands:
        assert code_digest(command)


def test_every_figure_has_its_caption_and_every_caption_its_figure() -> None:
    captions = {
        caption for rule in RULES.values() for caption in re.findall(r'caption="\.\./report/(\w+\.rst)"', rule.text)
    }
    written = {path.name for path in (ROOT / "workflow" / "report").glob("*.rst")} - {"workflow.rst"}
    assert captions == written


def test_snakefile_is_short() -> None:
    assert len((ROOT / "Snakefile").read_text().splitlines()) < 60
