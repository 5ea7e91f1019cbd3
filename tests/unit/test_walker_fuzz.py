"""The fast reader of headers against pydicom: whatever a file holds, the same answer or none.

A few thousand broken files here; `tests/benchmarks/test_header_fuzz.py` breaks as many as it is told.
"""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.header_differences import Differences, mutations
from support.mutations import OF_BYTES, OF_ELEMENTS, VALUES, bundled, cut, generated, with_element

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of pydicom, about files that are odd on purpose
FEW = settings(max_examples=300, derandomize=True, database=None, deadline=None,
               suppress_health_check=list(HealthCheck))  # fmt: skip
KEYWORDS = (
    "SpecificCharacterSet", "ImageType", "SOPInstanceUID", "SeriesInstanceUID", "Modality", "SeriesDescription",
    "SequenceName", "PatientAge", "EchoTime", "EchoTrainLength", "InstanceNumber", "Rows", "BitsAllocated",
    "DiffusionBValue", "DiffusionGradientOrientation", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
    "AcquisitionTime", "StackID", "TransferSyntaxUID", "MediaStorageSOPClassUID",
)  # fmt: skip
"""An element of every kind that is decoded, and those on which the decoding of others hangs."""


@pytest.fixture(scope="module")
def compared(tmp_path_factory) -> Differences:
    """One reader for all files, as in a scan: what it remembers must not change an answer."""
    return Differences([*generated(), *bundled()], tmp_path_factory.mktemp("fuzz") / "file")


def test_files_as_they_are(compared):
    answered = [compared.check(content) for content in compared.files]
    assert all(answered[:4] + answered[8:12]), "explicit, implicit and compressed files are plain"
    assert not any(answered[4:8]), "big endian and deflated files are left to pydicom"
    assert sum(answered) > 60


@pytest.mark.parametrize("keyword", KEYWORDS)
def test_every_odd_value(compared, keyword):
    parts = cut(compared.files[0])
    assert sum(compared.check(with_element(parts, keyword, value).join()) for value in VALUES) > 0


def test_odd_values_in_implicit_files(compared):
    parts = cut(compared.files[2])
    for number, value in enumerate(VALUES):
        compared.check(with_element(parts, KEYWORDS[number % len(KEYWORDS)], value).join())


@pytest.mark.parametrize("length", [0x4141, 0x5A5A, 0x6161])
def test_a_length_that_looks_like_a_vr(compared, length):
    parts = cut(compared.files[2])
    n_meta = sum(element[:2] == b"\2\0" for element in parts.elements)
    first = b"\x08\0\1\0" + length.to_bytes(4, "little") + bytes(length)
    elements = (*parts.elements[:n_meta], first, *parts.elements[n_meta:])
    compared.check(replace(parts, elements=elements).join())


@pytest.mark.parametrize("way", range(2 * max(len(OF_BYTES), len(OF_ELEMENTS))))
def test_every_way_of_breaking(compared, way):
    for index in (1, 2, 9):
        for number in range(10):
            compared.check_mutated(index, [(way, 61 * number + way, 97 * number + way)])


def test_few_broken_files(compared):
    @FEW
    @given(st.integers(0, len(compared.files) - 1), mutations())
    def same_or_none(index, changes):
        compared.check_mutated(index, changes)

    before = compared.n_answered
    same_or_none()
    assert compared.n_answered > before + 30  # or nothing was compared


def test_most_files_can_be_cut_into_elements(compared):
    assert sum(cut(content) is not None for content in compared.files) > 0.9 * len(compared.files)
