"""A conda channel of two packages, python and pip, packed from the Python that runs this: a `file://` folder.

With it `snakemake --use-conda` is tested where no conda channel can be reached; envs/*.yaml ask conda for nothing else.
"""

import bz2
import hashlib
import io
import json
import platform
import sys
import sysconfig
import tarfile
from dataclasses import dataclass, field
from importlib.metadata import distribution
from pathlib import Path

from rattler import Subdir

VERSION = "{}.{}".format(*sys.version_info)
SITE = f"lib/python{VERSION}/site-packages"
LEFT_OUT = {"test", "tests", "idlelib", "turtledemo", "site-packages", "dist-packages", "__pycache__"}


@dataclass(frozen=True)
class Package:
    """One package: where each file goes below the prefix, and what it is: a path to copy, or text for a link."""

    name: str
    version: str
    depends: list[str]
    files: dict[str, Path]
    links: dict[str, str] = field(default_factory=dict)

    @property
    def index(self) -> dict[str, object]:
        """Return what the channel's index says of it."""
        subdir = str(Subdir.current())
        return {
            "name": self.name, "version": self.version, "build": "0", "build_number": 0, "depends": self.depends,
            "subdir": subdir, "license": "see the package", "timestamp": 0,
        }  # fmt: skip


def build_channel(folder: Path) -> None:
    """Write a channel with this Python and this pip into `folder`."""
    subdir = folder / str(Subdir.current())
    subdir.mkdir(parents=True)
    (folder / "noarch").mkdir()
    records = dict(write_package(package, subdir) for package in (python_package(), pip_package()))
    for name, packages in ((subdir.name, records), ("noarch", {})):
        content = {"info": {"subdir": name}, "packages": packages, "packages.conda": {}, "repodata_version": 1}
        (folder / name / "repodata.json").write_text(json.dumps(content))


def python_package() -> Package:
    """Return the running Python: executable and standard library. A shared libpython is found where it is now."""
    library = Path(sysconfig.get_path("stdlib"))
    files = {f"bin/python{VERSION}": Path(sys.base_prefix) / "bin" / f"python{VERSION}"}
    for path in library.rglob("*"):
        parts = path.relative_to(library).parts
        if path.is_file() and not LEFT_OUT & set(parts) and path.suffix not in (".pyc", ".a"):
            files[str(Path("lib", f"python{VERSION}", *parts))] = path
    links = {"bin/python": f"python{VERSION}", "bin/python3": f"python{VERSION}"}
    return Package("python", platform.python_version(), [], files, links)


def pip_package() -> Package:
    """Return the installed pip."""
    pip = distribution("pip")
    files = {str(Path(SITE, path)): Path(str(path.locate())) for path in pip.files or [] if ".." not in path.parts}
    return Package(
        "pip", pip.version, ["python"], {name: path for name, path in files.items() if path.suffix != ".pyc"}
    )


def write_package(package: Package, subdir: Path) -> tuple[str, dict[str, object]]:
    """Write one package and return its file name and its record in the channel's index."""
    paths = [
        {
            "_path": name,
            "path_type": "hardlink",
            "sha256": sha256(path.read_bytes()),
            "size_in_bytes": path.stat().st_size,
        }
        for name, path in package.files.items()
    ] + [{"_path": name, "path_type": "softlink", "sha256": sha256(b""), "size_in_bytes": 0} for name in package.links]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        add_text(archive, "info/index.json", json.dumps(package.index))
        add_text(archive, "info/paths.json", json.dumps({"paths": paths, "paths_version": 1}))
        add_text(archive, "info/files", "".join(f"{path['_path']}\n" for path in paths))
        for name, path in package.files.items():
            archive.add(path.resolve(), name)
        for name, target in package.links.items():
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            archive.addfile(link)
    data = bz2.compress(buffer.getvalue(), compresslevel=1)
    name = f"{package.name}-{package.version}-0.tar.bz2"
    (subdir / name).write_bytes(data)
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    return name, {**package.index, "md5": md5, "sha256": sha256(data), "size": len(data)}


def add_text(archive: tarfile.TarFile, name: str, text: str) -> None:
    """Add a small file to an archive."""
    entry = tarfile.TarInfo(name)
    entry.size = len(text.encode())
    archive.addfile(entry, io.BytesIO(text.encode()))


def sha256(data: bytes) -> str:
    """Return the digest conda's indices use."""
    return hashlib.sha256(data).hexdigest()
