"""The source `lits`: the LiTS folder the user brings; its licence forbids redistribution."""

import re
from pathlib import Path

from radnet3d.errors import ArchiveError

NAME = re.compile(r"^(volume|segmentation)-(\d+)\.nii(\.gz)?$")


def link_cases(folder: Path, out_dir: Path) -> int:
    """Link every `volume-N` and `segmentation-N` (.nii or .nii.gz) of `folder`; return how many pairs.

    Raises ArchiveError if the folder is absent, holds no pair, or holds one half of a pair only.
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
            link.unlink(missing_ok=True)
            link.symlink_to(source.resolve())
    return len(numbers)
