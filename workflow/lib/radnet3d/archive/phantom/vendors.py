"""How vendors and sites name things, and where their headers lie.

Names follow habits seen in public archives: GE's `Ax T1 FLAIR +C`, Siemens' `t1_tirm_tra_dark-fluid`, Philips'
`T2W_TSE`, Toshiba's `Body 5.0 CE`, sites that write German, Polish, French, Spanish or Italian. Every departure of a
header from the truth is named in the series' `lies`.
"""

from dataclasses import dataclass

import numpy as np

from radnet3d.archive.phantom.patients import generator
from radnet3d.archive.phantom.protocols import Series

MODELS = {
    ("GE", "CT"): ("GE MEDICAL SYSTEMS", ["LightSpeed VCT", "Discovery CT750 HD", "Revolution CT"]),
    ("GE", "MR"): ("GE MEDICAL SYSTEMS", ["SIGNA EXCITE", "Optima MR450w", "DISCOVERY MR750"]),
    ("GE", "PT"): ("GE MEDICAL SYSTEMS", ["Discovery STE", "Discovery 690"]),
    ("SIEMENS", "CT"): ("SIEMENS", ["Sensation 64", "SOMATOM Definition AS+", "SOMATOM Force"]),
    ("SIEMENS", "MR"): ("SIEMENS", ["Avanto", "Skyra", "TrioTim", "Aera"]),
    ("SIEMENS", "PT"): ("SIEMENS", ["Biograph 64", "1080"]),
    ("PHILIPS", "CT"): ("Philips", ["Brilliance 64", "iCT 256"]),
    ("PHILIPS", "MR"): ("Philips Medical Systems", ["Achieva", "Ingenia", "Intera"]),
    ("PHILIPS", "PT"): ("Philips Medical Systems", ["GEMINI TF", "Guardian Body(C)"]),
    ("TOSHIBA", "CT"): ("TOSHIBA", ["Aquilion", "Aquilion ONE"]),
    ("TOSHIBA", "MR"): ("TOSHIBA", ["Titan", "Vantage Galan"]),
    ("HITACHI", "CT"): ("Hitachi Medical Corporation", ["ECLOS", "SCENARIA"]),
    ("HITACHI", "MR"): ("Hitachi Medical Corporation", ["Oasis", "ECHELON"]),
}
KERNELS = {"GE": ["STANDARD", "SOFT", "BONE", "LUNG"], "SIEMENS": ["B30f", "B31f", "B70f", "I31f\\3"],
           "PHILIPS": ["B", "C", "L"], "TOSHIBA": ["FC08", "FC18", "FC51"], "HITACHI": ["11", "32"]}  # fmt: skip

WORDS = {  # protocol -> language -> names
    "brain": {"en": ["BRAIN", "Brain", "HEAD"], "de": ["Schaedel", "Kopf"], "pl": ["GLOWA", "MOZG"], "fr": ["ENCEPHALE", "CRANE"], "es": ["CEREBRO", "CRANEO"], "it": ["ENCEFALO", "CRANIO"]},
    "head": {"en": ["HEAD", "Head", "BRAIN"], "de": ["Schaedel", "Kopf"], "pl": ["GLOWA"], "fr": ["CRANE", "TETE"], "es": ["CRANEO"], "it": ["CRANIO"]},
    "head_neck": {"en": ["HEAD NECK", "Head and Neck", "HEAD/NECK"], "de": ["Kopf/Hals", "Kopf Hals"], "pl": ["GLOWA I SZYJA"], "fr": ["TETE ET COU"], "es": ["CABEZA Y CUELLO"], "it": ["TESTA COLLO"]},
    "neck": {"en": ["NECK", "Neck", "SOFT TISSUE NECK"], "de": ["Hals"], "pl": ["SZYJA"], "fr": ["COU"], "es": ["CUELLO"], "it": ["COLLO"]},
    "chest": {"en": ["CHEST", "Chest", "Thorax", "LUNG"], "de": ["Thorax"], "pl": ["KLATKA PIERSIOWA"], "fr": ["THORAX", "POUMON"], "es": ["TORAX"], "it": ["TORACE"]},
    "liver": {"en": ["LIVER", "Liver", "ABDOMEN"], "de": ["Leber", "Oberbauch"], "pl": ["WATROBA"], "fr": ["FOIE"], "es": ["HIGADO"], "it": ["FEGATO"]},
    "kidney": {"en": ["KIDNEYS", "RENAL", "Kidney"], "de": ["Niere", "Nieren"], "pl": ["NERKI"], "fr": ["REINS"], "es": ["RINON"], "it": ["RENI"]},
    "abdomen": {"en": ["ABDOMEN", "Abdomen", "ABD", "UPPER ABDOMEN"], "de": ["Abdomen", "Oberbauch"], "pl": ["JAMA BRZUSZNA"], "fr": ["ABDOMEN"], "es": ["ABDOMEN"], "it": ["ADDOME"]},
    "abdomen_pelvis": {"en": ["ABD/PEL", "ABDOMEN PELVIS", "Abd Pelvis", "AP"], "de": ["Abdomen Becken", "Abdomen/Becken"], "pl": ["JAMA BRZUSZNA I MIEDNICA"], "fr": ["ABDOMEN PELVIS", "ABDO-PELVIEN"], "es": ["ABDOMEN Y PELVIS"], "it": ["ADDOME COMPLETO", "ADDOME E PELVI"]},
    "chest_abdomen": {"en": ["CHEST ABDOMEN", "CHEST/ABD"], "de": ["Thorax Abdomen"], "pl": ["KLATKA I BRZUCH"], "fr": ["THORAX ABDOMEN"], "es": ["TORAX ABDOMEN"], "it": ["TORACE ADDOME"]},
    "cap": {"en": ["CAP", "CHEST/ABD/PELVIS", "C/A/P", "Chest Abdomen Pelvis"], "de": ["Thorax Abdomen Becken", "TAP"], "pl": ["KLATKA BRZUCH MIEDNICA"], "fr": ["TAP", "THORAX ABDOMEN PELVIS"], "es": ["TORAX ABDOMEN PELVIS"], "it": ["TORACE ADDOME PELVI"]},
    "pelvis": {"en": ["PELVIS", "Pelvis"], "de": ["Becken"], "pl": ["MIEDNICA"], "fr": ["BASSIN", "PELVIS"], "es": ["PELVIS"], "it": ["PELVI", "BACINO"]},
    "breast": {"en": ["BREAST", "Breast", "BREASTS BILAT"], "de": ["Mamma"], "pl": ["PIERSI"], "fr": ["SEIN", "SEINS"], "es": ["MAMA"], "it": ["MAMMELLA"]},
    "wholebody": {"en": ["WB", "WHOLE BODY", "SKULL BASE TO THIGH"], "de": ["Ganzkoerper"], "pl": ["WB"], "fr": ["CORPS ENTIER"], "es": ["CUERPO ENTERO"], "it": ["TOTAL BODY"]},
}  # fmt: skip
BODY_PART = {
    "brain": ["BRAIN", "HEAD"], "head": ["HEAD", "BRAIN"], "head_neck": ["HEADNECK", "NECK"], "neck": ["NECK"],
    "chest": ["CHEST", "THORAX", "LUNG"], "liver": ["LIVER", "ABDOMEN"], "kidney": ["KIDNEY", "ABDOMEN"],
    "abdomen": ["ABDOMEN"], "abdomen_pelvis": ["ABDOMEN", "ABDOMENPELVIS", "ABD PEL"], "chest_abdomen": ["CHEST", "CHESTABDOMEN"],
    "cap": ["CHEST", "CHESTABDPELVIS", "ABDOMEN"], "pelvis": ["PELVIS"], "breast": ["BREAST"], "wholebody": ["WHOLEBODY"],
}  # fmt: skip
PLANES = {
    "GE": {"axial": ["Ax", "AX", "AXIAL"], "coronal": ["Cor", "COR"], "sagittal": ["Sag", "SAG"]},
    "SIEMENS": {"axial": ["tra", "ax"], "coronal": ["cor"], "sagittal": ["sag"]},
    "PHILIPS": {"axial": ["AX", "TRA"], "coronal": ["COR"], "sagittal": ["SAG"]},
    "TOSHIBA": {"axial": ["Axial", "AX"], "coronal": ["Coronal", "COR"], "sagittal": ["Sagittal", "SAG"]},
    "HITACHI": {"axial": ["AX", "TRS"], "coronal": ["COR"], "sagittal": ["SAG"]},
}
# how each vendor's sites call an MR sequence: (2D, 3D gradient echo)
MR_NAMES = {
    "GE": {"T1": ["T1 SE", "T1 FSE", "T1"], "T1/3D": ["LAVA", "FSPGR", "3D BRAVO"], "T1_FLAIR": ["T1 FLAIR"], "T2": ["T2 FSE", "T2 FRFSE", "T2 SSFSE"], "FLAIR": ["T2 FLAIR", "FLAIR"], "STIR": ["STIR"], "PD": ["PD FSE"], "DWI": ["DWI", "DWI b{b:.0f}"], "ADC": ["ADC (10^-6 mm2/s)", "Apparent Diffusion Coefficient"], "SSFP": ["FIESTA"], "T2STAR": ["T2* GRE", "SWAN"]},
    "SIEMENS": {"T1": ["t1_se", "t1_tse"], "T1/3D": ["t1_vibe", "t1_mprage", "t1_fl3d"], "T1_FLAIR": ["t1_tirm_{p}_dark-fluid"], "T2": ["t2_tse", "t2_haste", "t2_tse_p2"], "FLAIR": ["t2_tirm_{p}_dark-fluid", "t2_flair"], "STIR": ["t2_stir", "tirm", "t2_tse_stir"], "PD": ["pd_tse"], "DWI": ["ep2d_diff_3scan_trace", "ep2d_diff_b{b:.0f}"], "ADC": ["ep2d_diff_3scan_trace_p2_ADC"], "SSFP": ["trufi"], "T2STAR": ["t2_fl2d_hemo"]},
    "PHILIPS": {"T1": ["T1W_SE", "T1W_TSE"], "T1/3D": ["eTHRIVE", "T1W_3D_TFE", "THRIVE SENSE"], "T1_FLAIR": ["T1W_FLAIR"], "T2": ["T2W_TSE", "T2W_SSh"], "FLAIR": ["FLAIR_longTR", "T2W_FLAIR"], "STIR": ["STIR_longTE", "STIR"], "PD": ["PDW_TSE"], "DWI": ["DWI_SSh", "DWI b={b:.0f}"], "ADC": ["dADC", "ADC"], "SSFP": ["B-TFE"], "T2STAR": ["T2W_FFE", "VEN_BOLD"]},
    "TOSHIBA": {"T1": ["T1W SE", "T1 FSE"], "T1/3D": ["Quick 3D", "T1 FE3D"], "T1_FLAIR": ["T1 FLAIR"], "T2": ["T2 FSE", "FASE T2"], "FLAIR": ["FLAIR"], "STIR": ["STIR"], "PD": ["PD FSE"], "DWI": ["DWI SE-EPI"], "ADC": ["ADC"], "SSFP": ["TRUE SSFP"], "T2STAR": ["T2* FE"]},
    "HITACHI": {"T1": ["T1 SE", "SE T1"], "T1/3D": ["TIGRE", "3D RSSG T1"], "T1_FLAIR": ["T1 FLAIR"], "T2": ["T2 FSE", "FSE T2"], "FLAIR": ["FLAIR"], "STIR": ["STIR"], "PD": ["PD FSE"], "DWI": ["DWI"], "ADC": ["ADC"], "SSFP": ["BASG"], "T2STAR": ["GE T2*"]},
}  # fmt: skip
PHASE_WORDS = {
    ("CT", "native"): ["W/O", "native", "nativ", "NON CON", "w/o contrast", "WITHOUT", "C-", "BEZ KM", "SIN CONTRASTE", "SENZA MDC"],
    ("CT", "arterial"): ["ART", "arterial", "ARTERIAL PHASE", "Art.", "arteriell"],
    ("CT", "portal"): ["PV", "portal venous", "VENOUS", "W/ CONTRAST", "C+", "CE", "venoes", "mit KM", "CON CONTRASTE"],
    ("CT", "delayed"): ["DELAY", "delayed", "LATE", "Spaet", "5 MIN DELAY"],
    ("MR", "native"): ["PRE", "pre", "W/O"],
    ("MR", "arterial"): ["ART", "+C ARTERIAL", "arterial +GD"],
    ("MR", "portal"): ["PORTAL VENOUS", "+C", "+GD PV", "POST"],
    ("MR", "delayed"): ["POST", "+C", "post GD", "+Gd", "KM", "POST GAD"],
}  # fmt: skip
AGENTS = {
    "CT": ["OMNIPAQUE 350", "Omnipaque", "ISOVUE 300", "ULTRAVIST", "Iomeron 350", "100CC OMNI 300", "IV CONTRAST", "CE", "YES", "APPLIED"],
    "MR": ["MAGNEVIST", "Gadovist", "Dotarem", "MULTIHANCE", "10ml Gadovist", "GD", "PROHANCE", "Omniscan"],
}  # fmt: skip


@dataclass(frozen=True)
class Names:
    """The texts of one series' headers that people and vendors choose."""

    manufacturer: str
    model: str
    series_description: str
    study_description: str
    protocol_name: str
    body_part: str
    contrast_agent: str | None  # None: the attribute is absent
    contrast_route: str | None
    language: str
    lies: tuple[str, ...]


def language_of(series: Series) -> str:
    """Return the language of the site that made the patient's study."""
    rng = generator(series.patient.seed, f"{series.patient.stream}/site", series.patient.number, series.study)
    return str(rng.choice(["en", "de", "pl", "fr", "es", "it"], p=[0.66, 0.1, 0.07, 0.06, 0.06, 0.05]))


def pick(rng: np.random.Generator, words: list[str]) -> str:
    """Return one of `words`."""
    return words[int(rng.integers(len(words)))]


def name_series(series: Series) -> Names:
    """Return what the headers of a series say, with the names of what they hide or get wrong."""
    rng = series.rng("names")
    site = generator(series.patient.seed, f"{series.patient.stream}/site", series.patient.number, series.study, 1)
    language = language_of(series)
    manufacturer, models = MODELS[series.vendor, series.modality]
    model = pick(site, models)
    where = pick(rng, WORDS[series.protocol][language])
    lies: list[str] = []
    agent, route = name_agent(series, rng, lies)
    description = describe(series, where, rng)
    if rng.random() < 0.05 and series.kind == "volume":
        description = ""
        lies.append("description_absent")
    body_part = name_body_part(series, rng, lies)
    study_words = pick(site, WORDS[series.protocol][language])
    study = f"{ {'CT': 'CT', 'MR': pick(site, ['MR', 'MRI']), 'PT': 'PET/CT'}[series.modality] } {study_words}"
    if site.random() < 0.3 and series.modality != "PT":
        study += pick(site, [" W/WO", " W & W/O CONTRAST", " WITH AND WITHOUT"])
    if site.random() < 0.12:
        study = ""
        lies.append("study_description_absent")
    protocol_name = (
        ""
        if rng.random() < 0.3
        else f"{where} {pick(rng, ['ROUTINE', 'STANDARD', '', 'SPIRAL' if series.modality == 'CT' else '', 'Adult'])}".strip()
    )
    return Names(manufacturer, model, description, study, protocol_name, body_part, agent, route, language, tuple(lies))


def name_agent(series: Series, rng: np.random.Generator, lies: list[str]) -> tuple[str | None, str | None]:
    """Return ContrastBolusAgent and its route: often missing where there was contrast, empty words where there was none."""
    if series.modality == "PT":
        return None, None
    draw = rng.random()
    if series.contrast == "yes":
        if draw < 0.3:
            lies.append("contrast_agent_missing")
            return (None if draw < 0.2 else ""), None
        return pick(rng, AGENTS[series.modality]), pick(rng, ["IV", "", "Intravenous"]) or None
    if draw < 0.12:
        lies.append("contrast_agent_none")
        return pick(rng, ["NONE", "NO", "None", "UNKNOWN", "no contrast"]), None
    if series.modality == "CT" and draw < 0.2 and series.patient.has("oral_contrast"):
        lies.append("contrast_agent_oral")
        return pick(rng, ["Gastrografin", "ORAL & GASTROGRAFIN", "BARIUM"]), "ORAL"
    if 0.2 < draw < 0.225:
        lies.append("contrast_agent_wrong")  # set for the study, left on by the technologist
        return pick(rng, AGENTS[series.modality]), None
    return (None if draw < 0.75 else ""), None


def name_body_part(series: Series, rng: np.random.Generator, lies: list[str]) -> str:
    """Return BodyPartExamined: wrong in about the share that was once counted in clinics."""
    draw = rng.random()
    if draw < 0.2:
        lies.append("body_part_absent")
        return ""
    if draw < 0.2 + 0.155 * 0.8:  # 15.5 % of those filled in: Güld 2002
        groups = {
            "brain": "head",
            "head_neck": "head",
            "liver": "abdomen",
            "kidney": "abdomen",
            "abdomen_pelvis": "abdomen",
        }
        mine = groups.get(series.protocol, series.protocol)
        others = [
            part
            for part in ("head", "chest", "abdomen", "pelvis", "neck")
            if part != mine and part not in series.regions
        ]
        if others:
            lies.append("body_part_wrong")
            return pick(rng, [part.upper() for part in others] + ["LSPINE", "KNEE"])
    return pick(rng, BODY_PART[series.protocol])


def describe(series: Series, where: str, rng: np.random.Generator) -> str:
    """Return SeriesDescription in the vendor's manner."""
    if series.kind == "localizer":
        return describe_localizer(series, where, rng)
    if series.derived == "screen":
        return pick(rng, ["Dose Report", "SCREEN SAVE", "Patient Protocol", "Screen Save"])
    if series.modality == "PT":
        base = describe_pet(series, rng)
    elif series.modality == "CT":
        base = describe_ct(series, where, rng)
    else:
        base = describe_mr(series, where, rng)
    if series.derived == "mip":
        return pick(rng, [f"MIP {base}", f"{base} MIP", f"{base} <MIP Range>"])
    if series.derived == "subtraction":
        return pick(rng, [f"{base}_SUB", f"SUB {base}", f"{base} SUBTRACTION"])
    return base


def describe_localizer(series: Series, where: str, rng: np.random.Generator) -> str:
    """Return how a vendor calls the pictures a scan is planned on."""
    if series.modality == "CT":
        names = {"GE": ["SCOUT", "2 Projections Scout"], "SIEMENS": ["Topogram  0.6  T20s", "Topogram 512"], "PHILIPS": ["Surview", "LOCALIZER"],
                 "TOSHIBA": ["Scanogram", "SCANO"], "HITACHI": ["SCANOGRAM"]}  # fmt: skip
    else:
        names = {"GE": ["3-Plane Loc", "LOC", "3 PL LOC"], "SIEMENS": ["localizer", "AAHScout", "loc_haste"], "PHILIPS": ["Survey", "SURVEY_SENSE"],
                 "TOSHIBA": ["LOCATOR", "3AX LOC"], "HITACHI": ["SCOUT", "3 PLANE SCOUT"]}  # fmt: skip
    return pick(rng, names[series.vendor])


def plane_word(series: Series, rng: np.random.Generator, chance: float) -> str:
    """Return the vendor's word of the plane, or nothing."""
    if series.plane not in PLANES[series.vendor] or rng.random() > chance:
        return ""
    return pick(rng, PLANES[series.vendor][series.plane])


def phase_word(series: Series, rng: np.random.Generator) -> str:
    """Return a word for the phase, where the site writes one."""
    chance = 0.78 if series.contrast == "yes" else 0.4
    if series.modality == "MR" and series.contrast == "no" and series.sequence not in ("T1", "T1_FLAIR"):
        chance = 0.05
    if series.phases:
        return pick(rng, ["DYN", "dynamic", "Dynamic +C"])
    return pick(rng, PHASE_WORDS[series.modality, series.phase]) if rng.random() < chance else ""


def join(*words: str) -> str:
    """Return the words that are not empty, separated by spaces."""
    return " ".join(word for word in words if word)


def describe_ct(series: Series, where: str, rng: np.random.Generator) -> str:
    """Return a CT series' description."""
    phase, mm = phase_word(series, rng), f"{series.spacing_mm:g}"
    reformat = series.plane != "axial"
    plane = plane_word(series, rng, 0.92 if reformat else 0.25)
    kernel = pick(rng, KERNELS[series.vendor]).split("\\")[0]
    place = where if rng.random() < 0.6 else ""
    if series.vendor == "SIEMENS":
        return join(place or "Routine", phase, f" {series.spacing_mm:.1f} ", kernel, plane)
    if series.vendor == "TOSHIBA":
        return join(
            place or "Body",
            f"{series.spacing_mm:.1f}",
            "CE" if series.contrast == "yes" and phase else "",
            plane if reformat else "",
            phase if rng.random() < 0.4 else "",
        )
    if series.vendor == "PHILIPS":
        return join("MPR," if reformat else "", plane, f"{mm}mm", place, phase) or "standard"
    words = [plane.upper(), place, phase, pick(rng, [f"{mm}MM", f"{mm} mm", ""]), pick(rng, ["STD", "", ""])]
    return join(*words) or "AXIAL"


def describe_mr(series: Series, where: str, rng: np.random.Generator) -> str:
    """Return an MR series' description."""
    is_3d = series.technique.is_3d and series.sequence == "T1"
    names = MR_NAMES[series.vendor]["T1/3D" if is_3d else series.sequence]
    plane = plane_word(series, rng, 0.88)
    name = pick(rng, names).format(b=series.technique.b_value, p=plane or "tra")
    phase = phase_word(series, rng)
    fat = "fs" if series.technique.is_fat_saturated and series.sequence in ("T1", "T2", "PD") else ""
    place = where if rng.random() < 0.2 else ""
    if series.vendor == "SIEMENS":
        parts = [
            name if plane and plane in name else "_".join(p for p in (name, plane) if p),
            fat,
            phase.replace(" ", "_"),
        ]
        return "_".join(part for part in parts if part)
    if series.vendor == "PHILIPS":
        return join(name, plane, "SPIR" if fat else "", phase, place)
    return join(plane, name, fat.upper(), phase, place)


def describe_pet(series: Series, rng: np.random.Generator) -> str:
    """Return a PET series' description."""
    corrected = series.sequence == "PET_AC"
    names = {
        "GE": (["PET AC 3D WB", "WB 3D AC", "PET_AC", "PET WB"], ["PET NAC", "PET_BODY_NO_AC", "WB NAC"]),
        "SIEMENS": (["PET WB (AC)", "PET WB Corrected", "PET WB"], ["PET WB Uncorrected", "PET NAC WB"]),
        "PHILIPS": (["WB_CTAC", "[WB_CTAC] Body"], ["[WB_NAC] Body", "NAC"]),
    }[series.vendor]
    word = plane_word(series, rng, 0.8) if series.plane != "axial" else ""
    return join(pick(rng, names[0] if corrected else names[1]), word)
