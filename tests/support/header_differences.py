"""What the fast reader of headers says of a file beside what pydicom says."""

from collections.abc import Sequence
from pathlib import Path

from hypothesis import strategies as st

from radnet3d.dicom.headers import Header, read_with_pydicom
from radnet3d.dicom.plain import PlainReader
from support.mutations import Mutation, mutate


def mutations() -> st.SearchStrategy[list[Mutation]]:
    """Return up to four mutations."""
    number = st.integers(0, 1 << 16)
    return st.lists(st.tuples(st.integers(0, 27), number, number), max_size=4)


class Differences:
    """Reads files both ways. An answer must be the same to the last bit; no answer is right, but counted."""

    def __init__(self, files: Sequence[bytes], path: Path) -> None:
        self.files, self.path = list(files), path
        self.reader = PlainReader()
        self.n_compared, self.n_usable, self.n_answered = 0, 0, 0

    def __str__(self) -> str:
        return f"{self.n_compared} compared, {self.n_usable} usable, {self.n_answered} read fast, no difference"

    def check(self, content: bytes) -> bool:
        """Return whether the fast reader answered. Raises AssertionError where its answer differs from pydicom's."""
        self.path.write_bytes(content)
        fast = self.reader.read(str(self.path), "name")
        slow = read_with_pydicom(self.path, "name")
        self.n_compared += 1
        self.n_usable += isinstance(slow, Header)
        self.n_answered += fast is not None
        assert fast is None or repr(Header(*fast)) == repr(slow)
        return fast is not None

    def check_mutated(self, index: int, changes: list[Mutation]) -> bool:
        """Check one of the files after some mutations."""
        return self.check(mutate(self.files[index % len(self.files)], changes))
