"""Zip archives from a server, unpacked without believing what they say of themselves.

Names that are more than file names, links and archives far larger than announced are refused; bytes are counted as they come
out, because a directory can claim any size. Source: "Decompression pitfalls" of Python's zipfile; D. Fifield, A better zip
bomb, WOOT 2019.
"""

import errno
import hashlib
import io
import os
import re
import stat
import struct
import zlib
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from radnet3d.archive.transfer import Unavailable, Unsettled

PLAIN_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}")
"""What an entry may be called: no folders, no drive, nothing hidden."""
CHUNK_BYTES = 1 << 18
"""How much of an entry is held in memory at once."""
DIRECTORY_BYTES_A_FILE = 512
"""What the directory may take in memory for each file that is expected, beside one chunk."""
DAMAGES = (BadZipFile, EOFError, NotImplementedError, OverflowError, RuntimeError, ValueError, struct.error, zlib.error)
"""What zipfile raises of an archive that is none, is damaged, encrypted or of a kind it cannot read."""


class BoundedFile(io.FileIO):
    """A file that is never read in pieces larger than `n_bytes_max`: zipfile reads a directory as one piece."""

    def __init__(self, path: Path, n_bytes_max: int) -> None:
        super().__init__(path)
        self.n_bytes_max = n_bytes_max

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next `size` bytes. Raises Unavailable if that is more than fits."""
        if size is None or size < 0:
            size = max(0, os.fstat(self.fileno()).st_size - self.tell())
        if size > self.n_bytes_max:
            raise Unavailable(
                "unsafe_archive", f"the zip's directory takes {size} bytes, at most {self.n_bytes_max} were expected"
            )
        return super().read(size)


def unpack(path: Path, folder: Path, *, n_files_max: int, n_bytes_max: int) -> dict[str, str]:
    """Put the entries of a zip archive into `folder` and return the MD5 of each by its name.

    Raises Unavailable (unsafe_archive) before anything is written outside `folder`, beyond `n_bytes_max` in all, or for more
    entries than `n_files_max`; Unsettled (not_an_archive) if the archive is damaged, which includes every wrong CRC.
    """
    with BoundedFile(path, CHUNK_BYTES + n_files_max * DIRECTORY_BYTES_A_FILE) as file:
        try:
            with ZipFile(file) as archive:
                entries = archive.infolist()
                check_entries(entries, n_files_max=n_files_max)
                digests: dict[str, str] = {}
                n_left = n_bytes_max
                for entry in entries:
                    digests[entry.filename], n_bytes = write_entry(archive, entry, folder, n_left)
                    n_left -= n_bytes
                return digests
        except (*DAMAGES, OSError) as error:
            if isinstance(error, OSError) and error.errno != errno.EINVAL:
                raise  # a full disk, say; EINVAL is a directory that points to before the file
            raise Unsettled(
                "not_an_archive", f"a damaged zip archive of {path.stat().st_size} bytes: {error}"
            ) from error


def check_entries(entries: list[ZipInfo], *, n_files_max: int) -> None:
    """Raise Unavailable if an entry is not a plain file, or there are more than `n_files_max`."""
    if len(entries) > n_files_max:
        raise Unavailable(
            "unsafe_archive", f"the zip holds {len(entries)} entries, at most {n_files_max} were expected"
        )
    names: set[str] = set()
    for entry in entries:
        # the name as it is in the archive: zipfile cuts it at a NUL
        name = entry.orig_filename
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise Unavailable("unsafe_archive", f"entry {name!r} is a symbolic link, wanted a file")
        if not PLAIN_NAME.fullmatch(name):
            raise Unavailable("unsafe_archive", f"entry {name!r} is not a plain file name, so it could lead anywhere")
        if name.lower() in names:
            raise Unavailable("unsafe_archive", f"entry {name!r} comes twice")
        if entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise Unavailable(
                "unsafe_archive", f"entry {name!r} is packed by method {entry.compress_type}, wanted 0 or 8"
            )
        names.add(name.lower())


def write_entry(archive: ZipFile, entry: ZipInfo, folder: Path, n_bytes_max: int) -> tuple[str, int]:
    """Write one checked entry into `folder`; return its MD5 and size. Raises Unavailable beyond `n_bytes_max`."""
    digest, n_bytes = hashlib.md5(usedforsecurity=False), 0
    with archive.open(entry) as packed, (folder / entry.filename).open("xb") as file:
        while chunk := packed.read(CHUNK_BYTES):
            n_bytes += len(chunk)
            if n_bytes > n_bytes_max:
                raise Unavailable(
                    "unsafe_archive",
                    f"entry {entry.filename!r} unpacks to more than the {n_bytes_max} bytes left for it",
                )
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest(), n_bytes
