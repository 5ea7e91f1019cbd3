"""From a folder of liver cases to checked arrays in one frame, and the table beside them."""

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Literal

from tqdm import tqdm

from radnet3d.errors import LiverCaseError, RadnetError
from radnet3d.liver import chaos, lits
from radnet3d.liver.cases import store_case
from radnet3d.tables import LIVER_CASES, rows_table, write_table

Layout = Literal["lits", "chaos"]
Found = tuple[str, Path, Path]


def import_cases(folder: Path, out_dir: Path, *, layout: Layout, n_processes: int) -> int:
    """Write cases.parquet, volume-<id>.npy and segmentation-<id>.npy of every case into `out_dir`; return their number.

    Raises LiverCaseError naming every case at fault, so that a folder is mended once.
    """
    if layout == "lits":
        cases = lits.find_cases(folder)
        store = partial(import_one, out_dir, layout, lits.read_spacings(folder))
    else:
        cases = chaos.find_cases(folder)
        store = partial(import_one, out_dir, layout, {})
    progress = partial(tqdm, total=len(cases), desc="liver cases", unit="case", mininterval=1.0)
    if n_processes == 1:
        found = list(progress(map(store, cases)))
    else:
        with ProcessPoolExecutor(n_processes) as pool:
            found = list(progress(pool.map(store, cases)))
    faults = [row for row in found if isinstance(row, str)]
    if faults:
        shown = "\n  ".join(faults)
        raise LiverCaseError(f"{folder}: {len(faults)} of {len(cases)} cases cannot be used:\n  {shown}")
    rows = [row for row in found if isinstance(row, dict)]
    write_table(rows_table(rows, LIVER_CASES), out_dir / "cases.parquet", LIVER_CASES)
    return len(rows)


def import_one(
    out_dir: Path, layout: Layout, spacings: dict[str, tuple[float, float, float]], found: Found
) -> dict[str, Any] | str:
    """Return the row of one stored case, or in words what is wrong with it."""
    try:
        case = lits.read_case(*found, spacings=spacings) if layout == "lits" else chaos.read_case(*found)
        return store_case(case, out_dir)
    except RadnetError as error:
        return str(error)
