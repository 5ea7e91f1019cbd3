"""Digital patients: seeded anatomy, the physics of three modalities, and DICOM files with several vendors' habits.

    tissues    what each tissue is: density, enhancement, relaxation times, uptake
    patients   who the patients are: sizes, proportions, findings
    canvas     a grid in patient millimetres on which anatomy is painted, with smooth deformation
    body, chest, abdomen, head, anatomy   what is painted on it
    signals    CT, MR and PET signal of a painted grid, with noise and partial volume
    protocols  where scans go, and what a series is: the truth about it
    studies    which studies and series a patient gets
    placing    where the slices of a series lie
    vendors    how each vendor's headers would put it, and where they lie
    headers    a series' DICOM attributes
    writing    DICOM files
    series     one series, from its plan to its files
    archive    the source `phantom`
    liver_cases  LiTS-like cases of other patients

The data are synthetic; nothing was measured on a person.
"""

VERSION = "1"
"""Version of the generator: any change of what it draws is a new archive."""
