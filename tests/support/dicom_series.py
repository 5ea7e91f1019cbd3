"""Small DICOM series written by the tests that need them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


def image(pixels: np.ndarray, modality: str = "CT", **values: Any) -> FileDataset:
    """Return one image of (y, x) pixels; `values` are further elements, None removes one."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = {"CT": CTImageStorage, "MR": MRImageStorage}.get(modality, MRImageStorage)
    meta.MediaStorageSOPInstanceUID = generate_uid()
    header = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    header.SOPClassUID, header.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    header.SeriesInstanceUID, header.StudyInstanceUID, header.PatientID = "1.2.3.4", "1.2.3", "p1"
    header.Modality, header.InstanceNumber = modality, 1
    header.ImageOrientationPatient, header.ImagePositionPatient = list(AXIAL), [0.0, 0.0, 0.0]
    header.PixelSpacing = [2.0, 1.5]
    header.Rows, header.Columns = pixels.shape[-2:]
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated, header.BitsStored, header.HighBit = 16, 16, 15
    header.PixelRepresentation = int(pixels.dtype.kind == "i")
    header.PixelData = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    for keyword, value in values.items():
        if value is None:
            delattr(header, keyword)
        else:
            setattr(header, keyword, value)
    return header


def write_series(folder: Path, z_mm: Sequence[float], volume: np.ndarray | None = None, **values: Any) -> list[Path]:
    """Write one axial CT slice a position; `volume`: (n, y, x) int16, each slice holds its number otherwise."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index, z in enumerate(z_mm):
        pixels = np.full((6, 8), index, np.int16) if volume is None else volume[index]
        header = image(pixels, **{"InstanceNumber": index + 1, "ImagePositionPatient": [0.0, 0.0, float(z)], **values})
        paths.append(folder / f"{index:03d}.dcm")
        header.save_as(paths[-1], enforce_file_format=True)
    return paths


def enhanced(volume: np.ndarray, z_mm: Sequence[float], *, slopes: Sequence[float] | None = None) -> FileDataset:
    """Return one enhanced MR file of (n, y, x) frames, each with its own position and rescaling."""
    header = image(volume, "MR", SOPClassUID=EnhancedMRImageStorage, ImagePositionPatient=None,
                   ImageOrientationPatient=None, PixelSpacing=None)  # fmt: skip
    header.NumberOfFrames = len(volume)
    orientation, measures, timing = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = list(AXIAL)
    measures.PixelSpacing, measures.SliceThickness = [2.0, 1.5], 9.0
    timing.RepetitionTime = 500.0
    shared = Dataset()
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    shared.MRTimingAndRelatedParametersSequence = [timing]
    header.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for z, slope in zip(z_mm, slopes or [1.0] * len(volume), strict=True):
        position, rescale, frame = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [0.0, 0.0, float(z)]
        rescale.RescaleSlope, rescale.RescaleIntercept = slope, 0.0
        frame.PlanePositionSequence, frame.PixelValueTransformationSequence = [position], [rescale]
        frames.append(frame)
    header.PerFrameFunctionalGroupsSequence = frames
    return header
