"""The DICOM attributes of a series: what is the same in all its files, in agreement with how it was rendered.

Identifiers are derived from the seed, so the same series has the same identifiers whenever it is made.
"""

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from radnet3d.archive.phantom import VERSION
from radnet3d.archive.phantom.patients import generator
from radnet3d.archive.phantom.protocols import Series
from radnet3d.archive.phantom.vendors import KERNELS, Names, pick

COLLECTION_ID = "radnet3d_phantom"
NOTICE = "SYNTHETIC: rendered digital patient of 3D-RADNet, reproducible; not a person"
STORAGE = {"CT": CTImageStorage, "MR": MRImageStorage, "PT": PositronEmissionTomographyImageStorage}


def uid(*names: object) -> str:
    """Return an identifier under pydicom's root that depends on `names` and the generator's version only."""
    return str(generate_uid(entropy_srcs=[COLLECTION_ID, VERSION, *map(str, names)]))


def patient_id(series: Series) -> str:
    """Return PatientID: digital patient and number; patients of the liver cases are other people."""
    return f"DP-{series.patient.number:04d}"


def study_uid(series: Series) -> str:
    """Return StudyInstanceUID."""
    return uid(series.edition, series.patient.number, "study", series.study)


def series_uid(series: Series) -> str:
    """Return SeriesInstanceUID."""
    return uid(series.key, "series")


def storage_class(series: Series) -> str:
    """Return the SOP class of the series' files."""
    return str(SecondaryCaptureImageStorage if series.derived == "screen" else STORAGE[series.modality])


def series_dataset(series: Series, names: Names) -> Dataset:
    """Return the attributes that all files of a series share."""
    patient, ds = series.patient, Dataset()
    day = generator(patient.seed, f"{patient.stream}/date", patient.number)
    date = f"{day.integers(2004, 2022)}{day.integers(1, 13):02d}{day.integers(1, 29):02d}"
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.SOPClassUID = storage_class(series)
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = date
    ds.StudyTime = f"{day.integers(7, 19):02d}{day.integers(0, 60):02d}00"
    ds.AccessionNumber = ""
    ds.Modality = series.modality
    ds.Manufacturer = names.manufacturer
    ds.ManufacturerModelName = names.model
    ds.InstitutionName = "Digital Patients (synthetic)"
    ds.StationName = "SYNTHETIC"
    ds.ReferringPhysicianName = ""
    if names.study_description:
        ds.StudyDescription = names.study_description
    if names.series_description:
        ds.SeriesDescription = names.series_description
    ds.PatientName = f"Digital^Patient {patient.number:04d}"
    ds.PatientID = patient_id(series)
    ds.PatientBirthDate = ""
    ds.PatientSex = patient.sex
    ds.PatientAge = f"{patient.age_years:03d}Y"
    ds.PatientSize = f"{patient.height_cm / 100:.2f}"
    ds.PatientWeight = str(patient.weight_kg)
    ds.StudyInstanceUID = study_uid(series)
    ds.SeriesInstanceUID = series_uid(series)
    ds.StudyID = "1"
    ds.SeriesNumber = str(series.number + 1 + (100 if series.kind == "derived" else 0))
    ds.ImageComments = NOTICE
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated = 16
    ds.PixelRepresentation = 1 if series.modality == "CT" else 0
    ds.BitsStored, ds.HighBit = (16, 15) if series.modality != "MR" else (12, 11)
    if names.body_part:
        ds.BodyPartExamined = names.body_part
    if names.protocol_name:
        ds.ProtocolName = names.protocol_name
    if names.contrast_agent is not None:
        ds.ContrastBolusAgent = names.contrast_agent
    if names.contrast_route is not None:
        ds.ContrastBolusRoute = names.contrast_route
    ds.ImageType = image_type(series)
    if series.is_spatial:
        ds.FrameOfReferenceUID = uid(series.edition, patient.number, "frame", series.study)
        ds.PositionReferenceIndicator = ""
        ds.PatientPosition = patient_position(series)
    else:
        ds.ConversionType = "WSD"
        ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 15, 0
    if series.is_spatial:
        {"CT": add_ct, "MR": add_mr, "PT": add_pet}[series.modality](ds, series)
    return ds


def patient_position(series: Series) -> str:
    """Return PatientPosition: feet first for some scans of the trunk, prone where the patient lies so."""
    rng = generator(series.patient.seed, f"{series.patient.stream}/entry", series.patient.number, series.study)
    feet = series.protocol not in ("brain", "head", "head_neck", "neck", "wholebody") and rng.random() < 0.3
    return ("FF" if feet else "HF") + ("P" if series.pose.is_prone else "S")


def image_type(series: Series) -> list[str]:
    """Return ImageType in the vendor's manner."""
    if series.derived == "screen":
        return ["DERIVED", "SECONDARY", "SCREEN SAVE"]
    if series.kind == "localizer":
        if series.modality == "CT":
            return ["ORIGINAL", "PRIMARY", "LOCALIZER"]
        return {"GE": ["ORIGINAL", "PRIMARY", "OTHER"], "SIEMENS": ["ORIGINAL", "PRIMARY", "M", "ND", "NORM"]}.get(
            series.vendor, ["ORIGINAL", "PRIMARY", "M"]
        )
    if series.derived == "mip":
        return ["DERIVED", "SECONDARY", "MIP" if series.vendor != "GE" else "PROJECTION IMAGE"]
    if series.derived == "adc":
        return (
            ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"] if series.vendor == "SIEMENS" else ["DERIVED", "PRIMARY", "ADC"]
        )
    if series.derived == "subtraction":
        return ["DERIVED", "SECONDARY", "SUBTRACTION" if series.vendor != "SIEMENS" else "SUB"]
    if series.modality == "CT" and series.plane != "axial":
        return ["DERIVED", "SECONDARY", "REFORMATTED"] if series.vendor == "GE" else ["DERIVED", "SECONDARY", "MPR"]
    if series.modality == "CT":
        return ["ORIGINAL", "PRIMARY", "AXIAL"]
    if series.modality == "MR" and series.vendor == "SIEMENS":
        return ["ORIGINAL", "PRIMARY", "M", "ND", "NORM"]
    if series.modality == "MR" and series.vendor == "PHILIPS":
        return ["ORIGINAL", "PRIMARY", "M_SE" if series.technique.kind == "SE" else "M_FFE", "M"]
    return ["ORIGINAL", "PRIMARY"] + (["OTHER"] if series.modality == "MR" else [])


def add_ct(ds: Dataset, series: Series) -> None:
    """Add what a CT image needs: exposure, kernel, window, scale."""
    rng = series.rng("ct_settings")
    ds.KVP = pick(rng, ["100", "120", "120", "130", "140"])
    ds.XRayTubeCurrent = str(int(rng.integers(80, 420)))
    ds.ScanOptions = "SCOUT MODE" if series.kind == "localizer" and series.vendor == "GE" else "HELICAL MODE"
    ds.ConvolutionKernel = pick(rng, KERNELS[series.vendor]).split("\\")
    # the tag is right for half of the tilted scans only: positions tell, the tag does not
    ds.GantryDetectorTilt = f"{series.gantry_tilt_deg if rng.random() < 0.5 else 0:g}"
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "-1024", "1", "HU"
    chest = series.protocol == "chest" and rng.random() < 0.4
    ds.WindowCenter, ds.WindowWidth = (
        ("-600", "1500") if chest else ("40", "80") if series.protocol == "head" else ("40", "400")
    )


def add_mr(ds: Dataset, series: Series) -> None:
    """Add what an MR image needs, in agreement with the signal equation it was rendered by."""
    t, rng = series.technique, series.rng("mr_settings")
    ds.ScanningSequence, variant, options = {
        "SE": ("SE", "SK", ""), "IR": (["SE", "IR"], "SK", "IR"), "GRE": ("GR", ["SP", "OSP"], ""), "SSFP": ("GR", ["SS", "SP"], ""),
        "DWI": (["EP", "SE"], "SK", "EP"), "ADC": (["EP", "SE"], "SK", "EP"), "T2STAR": ("GR", "SP", ""),
    }[t.kind]  # fmt: skip
    ds.SequenceVariant = "NONE" if t.kind == "SE" and t.echo_train == 1 else variant
    ds.ScanOptions = [option for option in (options, "FS" if t.is_fat_saturated else "") if option] or None
    ds.MRAcquisitionType = "3D" if t.is_3d else "2D"
    if series.vendor == "SIEMENS":
        ds.SequenceName = siemens_sequence(series)
    ds.RepetitionTime, ds.EchoTime = f"{t.tr_ms:g}", f"{t.te_ms:g}"
    if t.ti_ms:
        ds.InversionTime = f"{t.ti_ms:g}"
    elif series.vendor == "GE":
        ds.InversionTime = "0"
    ds.FlipAngle, ds.EchoTrainLength, ds.NumberOfAverages = f"{t.flip_deg:g}", str(t.echo_train), "1"
    ds.MagneticFieldStrength = f"{t.field_t:g}"
    ds.ImagingFrequency = f"{42.577 * t.field_t:.3f}"
    if t.kind == "DWI":
        ds.DiffusionBValue = t.b_value
    ds.WindowCenter, ds.WindowWidth = (
        ("1200", "2400") if t.kind == "ADC" else (str(int(rng.integers(380, 620))), "1000")
    )
    if series.vendor == "PHILIPS":
        ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1.5", "US"


def siemens_sequence(series: Series) -> str:
    """Return SequenceName as Siemens writes it."""
    t = series.technique
    if t.kind == "GRE":
        return "*fl3d1" if series.protocol != "brain" else "*tfl3d1"
    if t.kind == "IR":
        return f"*tir2d1_{t.echo_train}"
    return {"SSFP": "*tfi2d1", "DWI": f"*ep_b{t.b_value:.0f}t", "ADC": "*ep_b0_1000", "T2STAR": "*fl2d1"}.get(
        t.kind, "*se2d1" if t.echo_train == 1 else f"*tse2d1_{t.echo_train}"
    )


def add_pet(ds: Dataset, series: Series) -> None:
    """Add what a PET image needs; SUV is stored as activity for a nominal injection."""
    ds.Units, ds.CountsSource, ds.SeriesType = "BQML", "EMISSION", ["WHOLE BODY", "IMAGE"]
    corrections = ["NORM", "DTIM", "DECY", "RAN"]
    ds.CorrectedImage = [*corrections, "SCAT", "ATTN"] if series.sequence == "PET_AC" else corrections
    if series.sequence == "PET_AC":
        ds.AttenuationCorrectionMethod = "CT-derived mu-map"
    ds.DecayCorrection, ds.CollimatorType = "START", "NONE"
    ds.NumberOfSlices = series.n_instances
    ds.RescaleIntercept, ds.RescaleSlope = "0", "1.25"
    ds.WindowCenter, ds.WindowWidth = "15000", "30000"
    item = Dataset()
    item.Radiopharmaceutical, item.RadionuclideTotalDose, item.RadionuclideHalfLife = "FDG", "370000000", "6586.2"
    item.RadiopharmaceuticalStartTime = "080000"
    ds.RadiopharmaceuticalInformationSequence = Sequence([item])
