"""Nothing in the repository names a machine, a user's folder or a host that packages came from."""

import re
import subprocess
from pathlib import Path

PATHS = re.compile(r"(?<![\w.])/(home|root|Users|opt|mnt|scratch)/\w+|(?<![\w.])/(tmp|work)/\w+")
HOSTS = re.compile(r"https?://(localhost|127\.0\.0\.1|10\.|192\.168\.)[^\s\"']*|file:///\w+")
TEXT = {".py", ".smk", ".md", ".yaml", ".toml", ".txt", ".in", ".cfg", ".sh", ".rst", ".html", ".css", ""}


def test_no_machine_paths_or_hosts(repository: Path) -> None:
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=repository, capture_output=True, text=True, check=True
    ).stdout.splitlines()  # fmt: skip
    found = []
    for name in listing:
        path = repository / name
        if path.suffix not in TEXT or not path.is_file() or path.resolve() == Path(__file__).resolve():
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if PATHS.search(line) or HOSTS.search(line):
                found.append(f"{name}:{number}: {line.strip()[:100]}")
    assert not found
