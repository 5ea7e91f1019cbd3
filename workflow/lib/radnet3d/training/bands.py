"""Coverage of a part of a series: anatomical bands along the body.

PAPER: coverage labels come from anatomical bands along the body. ASSUME: the bands below, in fractions of what a series
shows. Without parts of series, no label ever says "CT, but no liver", and the head learns to tell bodies from heads.
"""

import numpy as np
from numpy.typing import NDArray

from radnet3d.tables import PAPER_BODY

Bits = NDArray[np.float32]
Part = tuple[float, float]

WHOLE: Part = (0.0, 1.0)
TRUNK: dict[str, Part] = {  # from the symphysis (0) to the thoracic inlet (1), about 60 cm
    "Pelvis": (0.0, 0.30),
    "Intestine": (0.10, 0.50),
    "Kidney": (0.33, 0.55),
    "Liver": (0.36, 0.64),
    "Lung": (0.50, 1.0),
}
ABDOMEN_AND_PELVIS: dict[str, Part] = {  # from the symphysis (0) to the dome of the liver (1), about 40 cm
    "Pelvis": (0.0, 0.42),
    "Intestine": (0.12, 0.75),
    "Kidney": (0.48, 0.80),
    "Liver": (0.55, 1.0),
}
CHEST: dict[str, Part] = {  # from the lung's base (0) to the thoracic inlet (1), about 25 cm
    "Lung": (0.0, 1.0),
    "Liver": (0.0, 0.45),
    "Kidney": (0.0, 0.15),
    "Intestine": (0.0, 0.30),
    "Pelvis": (0.0, 0.0),
}
CLEAR = 0.06  # an organ is absent from a part that ends this far from its band, and unknown nearer by
PROBABILITY = 0.75  # of drawing a part of a series whose bands are known
LENGTHS = (0.2, 0.6)  # shortest, longest part


def bands_of(bits: Bits, view: str, axes_lps: str) -> dict[str, Part] | None:
    """Return the bands of a series with these coverage bits, from its first slice to its last; None if not known.

    Known for axial series of the chest, of abdomen and pelvis, and of all three. `axes_lps`, as in tables.VOLUMES, says
    which way slices go: towards the head in every usual way of lying, else towards the feet, where bands are turned.
    """
    bands = bands_from_feet(bits, view)
    first_axis = axes_lps.split(",")[0]
    if bands is None or first_axis not in ("S", "I"):
        return None
    return bands if first_axis == "S" else {organ: (1 - high, 1 - low) for organ, (low, high) in bands.items()}


def bands_from_feet(bits: Bits, view: str) -> dict[str, Part] | None:
    """Return the bands of a series with these coverage bits in fractions from its lowest slice; None if not known."""
    covers = dict(zip(PAPER_BODY, bits, strict=True))
    has_lung, has_liver, has_pelvis = (covers[organ] == 1 for organ in ("Lung", "Liver", "Pelvis"))
    if view != "AX" or covers["Brain"] != 0:
        return None
    if has_liver and has_pelvis:
        return TRUNK if has_lung else ABDOMEN_AND_PELVIS
    return CHEST if has_lung and not has_liver and not has_pelvis else None


def draw_part(generator: np.random.Generator, *, has_bands: bool) -> Part:
    """Return the part of a series to train on, (from, to) as fractions; WHOLE where its bands are not known."""
    is_drawn, length, place = generator.random() < PROBABILITY, generator.uniform(*LENGTHS), generator.random()
    if not (has_bands and is_drawn):
        return WHOLE
    # a third each: from the lower end, to the upper end, and anywhere between
    start = float(np.clip(3 * place - 1, 0, 1)) * (1 - length)
    return start, start + length


def bits_of_part(bits: Bits, bands: dict[str, Part], part: Part) -> Bits:
    """Return the coverage bits of a part of a series: 1, 0, or NaN where it cannot be told.

    Present: the part shows half of the organ's band, or lies half within it, and the series is known to cover it.
    Absent: what the series does not cover, and bands that the part is clear of.
    """
    if part == WHOLE:
        return bits
    start, stop = part
    found = bits.copy()
    for place, organ in enumerate(PAPER_BODY):
        if bits[place] == 0:
            continue
        low, high = bands.get(organ, WHOLE)
        overlap = min(stop, high) - max(start, low)
        is_present = bits[place] == 1 and organ in bands and overlap >= 0.5 * min(high - low, stop - start)
        found[place] = 1.0 if is_present else 0.0 if overlap <= -CLEAR else np.nan
    return found
