"""Digests of CT slices: by them a scan is known again under another name, in another file.

The digest is that of a slice's histogram of whole HU. It outlives what happens to a scan between an archive's DICOM and a NIfTI
file of a challenge: other UIDs and names, axes flipped or exchanged in the plane, slices in another order or cut off, air cut
off or added in the plane, another fill outside the field, int16 or float.

NOT found again are: a scan resampled, smoothed, or cut through the body in the plane; one with other HU (a window, a shift, a
ceiling below `HIGHEST_HU`); a reformat across its slices; another reconstruction of the same acquisition; MR and PET.
"""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

# ASSUME: beyond these HU files differ that hold the same scan: air and fill are clipped or filled anew, metal meets a ceiling
LOWEST_HU, HIGHEST_HU = -900, 3000
MIN_VALUES = 32  # ASSUME: slices of fewer different values are next to empty; two of them may be equal by chance


def slice_digest(plane_hu: NDArray[Any]) -> str:
    """Return the digest of one CT slice, 16 hex digits; "" of one that shows next to nothing.

    `plane_hu`: (y, x) as it was acquired: not resampled, not sheared. Fractions are rounded.
    """
    within = plane_hu[(plane_hu >= LOWEST_HU - 0.5) & (plane_hu <= HIGHEST_HU + 0.5)]
    counts = np.bincount(np.rint(within).astype(np.int32) - LOWEST_HU, minlength=HIGHEST_HU - LOWEST_HU + 1)
    if np.count_nonzero(counts) < MIN_VALUES:
        return ""
    return blake2b(counts.astype("<u4").tobytes(), digest_size=8).hexdigest()


def join_digests(digests: Iterable[str]) -> str:
    """Return the digests of a volume's slices as tables hold them: in order, by spaces, empty ones left out."""
    return " ".join(digest for digest in digests if digest)


def volume_digests(volume_hu: NDArray[Any]) -> str:
    """Return the joined digests of the slices of a (z, y, x) CT volume."""
    return join_digests(slice_digest(plane) for plane in volume_hu)
