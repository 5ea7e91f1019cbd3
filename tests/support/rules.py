"""The rules as they are written, read without running anything."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Rule:
    """One rule: its file, its text, the keywords it uses and the commands whose code it depends on."""

    name: str
    path: Path
    text: str

    @property
    def keywords(self) -> set[str]:
        """Return the keywords at the rule's own indentation: input, output, log, ..."""
        return set(re.findall(r"^ {4}(\w+):", self.text, re.MULTILINE))

    @property
    def commands(self) -> list[str]:
        """Return the commands given to code_digest: "labels evaluate"."""
        return re.findall(r'code_digest\("([^"]+)"\)', self.text)

    @property
    def environment(self) -> str:
        """Return the name of its conda environment."""
        return re.findall(r'"\.\./\.\./envs/(\w+)\.yaml"', self.text)[0]

    @property
    def shell_commands(self) -> list[str]:
        """Return the commands its shell calls."""
        return re.findall(r"python workflow/lib ([\w-]+ [\w-]+)", self.text)


def read_rules() -> dict[str, Rule]:
    """Return every rule of workflow/rules by its name."""
    rules = {}
    for path in sorted((ROOT / "workflow" / "rules").glob("*.smk")):
        for name, text in re.findall(r"^rule (\w+):\n((?:(?:    .*)?\n)+)", path.read_text(), re.MULTILINE):
            rules[name] = Rule(name, path.relative_to(ROOT), text)
    return rules
