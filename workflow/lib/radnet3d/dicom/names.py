"""File names as tables hold them: text in UTF-8 on one line, whatever bytes a file system allows in a name."""

import re

ODD = re.compile(r"[\x00-\x1f\x7f\udc80-\udcff]|\\(?=x[0-9a-f]{2})")
"""What is escaped: control characters, bytes that are no UTF-8 (as Python holds them), what would be read as an escape."""
ESCAPE = re.compile(r"\\x([0-9a-f]{2})")


def escaped(name: str) -> str:
    r"""Return a name of the file system as tables hold it: a byte that is no UTF-8 as \xfc, nearly every name as it is.

    No two names become the same, and `unescaped` gives each back.
    """
    if name.isprintable() and "\\" not in name:  # as nearly all are; looking for more takes ten times as long
        return name
    return ODD.sub(lambda found: f"\\x{ord(found[0]) & 0xFF:02x}", name)


def unescaped(name: str) -> str:
    """Return a name of a table as the file system has it."""
    return ESCAPE.sub(lambda found: bytes.fromhex(found[1]).decode("utf-8", "surrogateescape"), name)
