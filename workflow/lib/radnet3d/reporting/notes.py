"""Notes beside the code that say where we follow the paper and where it is silent."""

import re
from pathlib import Path
from typing import NamedTuple

NOTE = re.compile(r"#\s*(PAPER|ASSUME):?\s*(.*)")
COMMENT = re.compile(r"^\s*#\s?(?!\s*(?:PAPER|ASSUME))(.*)")


class Note(NamedTuple):
    """One note: what kind, its text, where it stands."""

    kind: str
    text: str
    place: str  # file:line
    subject: str  # the code it stands beside


def collect_notes(root: Path, extra: tuple[Path, ...] = ()) -> list[Note]:
    """Return all `# PAPER:` and `# ASSUME:` notes of the package below `root` and of `extra` files, in order of place."""
    files = [*sorted(root.rglob("*.py")), *extra]
    own = Path(__file__).resolve()
    return [note for path in files if path.resolve() != own for note in file_notes(path, root)]


def file_notes(path: Path, root: Path) -> list[Note]:
    """Return the notes of one file; a note goes on over the comment lines that follow it alone."""
    name = path.relative_to(root.parent).as_posix() if path.is_relative_to(root) else path.name
    lines = path.read_text(encoding="utf-8").splitlines()
    notes = []
    for number, line in enumerate(lines):
        found = NOTE.search(line)
        if not found or '"' in line[found.start() :]:
            continue
        text = [found[2]]
        before = line[: found.start()].strip()
        following = lines[number + 1 :] if not before else []
        for later in following:
            more = COMMENT.match(later)
            if not more:
                break
            text.append(more[1])
        code = (later.strip() for later in following if later.strip() and not later.strip().startswith("#"))
        subject = before or next(code, "")
        notes.append(Note(found[1], " ".join(text).strip() or "(see the code)", f"{name}:{number + 1}", subject))
    return notes
