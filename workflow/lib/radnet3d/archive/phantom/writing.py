"""Fast writing of the files of a series.

What files share is encoded once; each adds its own few elements. Encoding is pydicom's own.
"""

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element, write_file_meta_info
from pydicom.tag import BaseTag
from pydicom.uid import PYDICOM_IMPLEMENTATION_UID, UID, ExplicitVRLittleEndian

Encoded = dict[BaseTag, bytes]


def encode(dataset: Dataset) -> Encoded:
    """Return each element of a dataset in explicit little endian, by tag."""
    encoded: Encoded = {}
    for element in dataset:
        buffer = DicomBytesIO()
        buffer.is_little_endian, buffer.is_implicit_VR = True, False
        write_data_element(buffer, element, ["iso8859"])
        encoded[element.tag] = buffer.getvalue()
    return encoded


def file_bytes(sop_class_uid: str, sop_instance_uid: str, elements: Encoded) -> bytes:
    """Return a DICOM file: preamble, meta information, then the elements in the order of their tags."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(sop_instance_uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    buffer.write(b"\0" * 128 + b"DICM")
    write_file_meta_info(buffer, meta, enforce_standard=True)
    return bytes(buffer.getvalue()) + b"".join(elements[tag] for tag in sorted(elements))
