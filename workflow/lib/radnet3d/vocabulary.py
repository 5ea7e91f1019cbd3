"""What each head of the label table may answer. Imports nothing, so that params.yaml is checked against it at no cost."""

SUBJECTS = ("human", "animal", "phantom", "unknown")
KINDS = ("volume", "localizer", "derived", "unknown")
MR_SEQUENCES = ("T1", "T1_FLAIR", "T2", "FLAIR", "STIR", "PD", "DWI", "ADC", "T2STAR", "PERF", "MRA", "SSFP", "other")
PET_SEQUENCES = ("PET", "PET_AC", "PET_NAC")
SEQUENCES = ("CT", *MR_SEQUENCES, *PET_SEQUENCES, "unknown")
CONTRASTS = ("yes", "no", "unknown", "na")
PHASES = ("native", "arterial", "portal", "delayed", "unknown", "na")
PLANES = ("axial", "coronal", "sagittal", "oblique", "multi", "unknown")
REGIONS = ("head", "neck", "chest", "breast", "abdomen", "pelvis", "spine", "upper_limb", "lower_limb", "wholebody")
KERNELS = ("soft", "sharp", "unknown", "na")

TASK_CLASSES = {
    "body_region": ("head", "neck", "chest", "abdomen", "pelvis"),
    "phase": ("native", "arterial", "portal", "delayed"),
}
"""What series are classified by, once an encoder is pretrained: the tasks beside liver segmentation, with their classes."""

CLASSES = {
    "subject": SUBJECTS,
    "kind": KINDS,
    "sequence": SEQUENCES,
    "contrast": CONTRASTS,
    "phase": PHASES,
    "plane": PLANES,
    "regions": (*REGIONS, "unknown"),
    "kernel": KERNELS,
}
