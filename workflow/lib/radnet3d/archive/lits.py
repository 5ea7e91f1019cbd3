"""The source `lits`: the LiTS folder the user brings; its licence forbids redistribution."""

import re
from pathlib import Path

from radnet3d.errors import ArchiveError, OutputError

SPACINGS_FILE = "spacings.csv"  # as `liver import` reads it
NAME = re.compile(r"^(volume|segmentation)-(\d+)\.nii(\.gz)?$")


def link_cases(folder: Path, out_dir: Path) -> int:
    """Link every `volume-N` and `segmentation-N` (.nii or .nii.gz) of `folder`, and its spacings.csv; return how many pairs.

    Raises ArchiveError if the folder is absent, holds no pair, or holds one half of a pair only; OutputError if
    `out_dir` holds a file, not a link, of one of these names.
    """
    if not folder.is_dir():
        raise ArchiveError(f"{folder}: no such folder, wanted volume-N.nii and segmentation-N.nii (liver.lits.dir)")
    found: dict[str, dict[str, Path]] = {"volume": {}, "segmentation": {}}
    for path in sorted(folder.rglob("*.nii*")):
        match = NAME.match(path.name)
        if match:
            if match[2] in found[match[1]]:
                raise ArchiveError(f"{path}: a second {match[1]}-{match[2]}, besides {found[match[1]][match[2]]}")
            found[match[1]][match[2]] = path
    numbers = sorted(set(found["volume"]) | set(found["segmentation"]), key=int)
    if not numbers:
        raise ArchiveError(f"{folder}: found no volume-N.nii, wanted the LiTS cases (liver.lits.dir)")
    alone = [number for number in numbers if number not in found["volume"] or number not in found["segmentation"]]
    if alone:
        raise ArchiveError(f"{folder}: case {alone[0]}: found one file only, wanted volume and segmentation")
    out_dir.mkdir(parents=True, exist_ok=True)
    for kind in found:
        for number in numbers:
            source = found[kind][number]
            link = out_dir / f"{kind}-{number}{''.join(source.suffixes[-2:]) if source.suffix == '.gz' else '.nii'}"
            replace_link(link, source)
    spacings = out_dir / SPACINGS_FILE
    if (folder / SPACINGS_FILE).is_file():
        replace_link(spacings, folder / SPACINGS_FILE)
    elif spacings.is_symlink():  # of another folder
        spacings.unlink()
    return len(numbers)


def replace_link(link: Path, source: Path) -> None:
    """Link to where `source` really is, in place of an older link. Raises OutputError rather than remove a file."""
    if link.exists() and not link.is_symlink():
        raise OutputError(f"{link}: a file, not a link made by radnet3d; wanted a new folder")
    target = source.resolve()
    link.unlink(missing_ok=True)
    link.symlink_to(target)
