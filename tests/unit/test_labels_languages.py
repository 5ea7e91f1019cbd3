"""Contrast and regions in the words of other languages, and words that look like another language's."""

import polars as pl
import pytest

from radnet3d.labels.series import label_series

WITHOUT = (  # one line a language: signs, German, Dutch, French, Spanish, Portuguese, Italian, Slavic, Nordic, others
    "contrast: none", "Contrast - NONE", "IV contrast not given", "Not enhanced", "T1 Gd-", "S/C", "ABDOMEN S/ CONTRASTE",
    "T1 vor KM", "kein KM", "keine i.v. Kontrastmittelgabe", "ohne KM", "o. KM", "nativ, ohne KM", "Natives CT", "nativ 30 sec",
    "THORAX ZONDER CONTRAST", "geen contrast", "blanco",
    "non injecté", "avant injection", "T1 avant gado", "sans injection de produit de contraste", "pas d'injection",
    "SIN MEDIO DE CONTRASTE", "sin gadolinio", "TORAX SIN CIV", "antes de contraste",
    "SEM MEIO DE CONTRASTE", "sem gadolínio", "sem contraste oral",
    "SENZA MDC", "s.m.d.c.", "in bianco", "senza mezzo di contrasto",
    "bez kontrastu", "Przed kontrastem", "pred podanim kontrastu", "brez kontrasta", "Faza natywna",
    "UTAN KONTRAST", "uden kontrast", "uten iv kontrast", "före kontrast", "ilman tehostetta",
    "fara contrast", "fără substanță de contrast", "kontrastsız", "TORAKS KONTRASTSIZ BT", "kontraszt nélkül",
)  # fmt: skip
WITH = (
    "5 MM KM", "mit KM", "nach KM", "MET CONTRAST", "avec injection", "CON CONTRASTE", "COM CONTRASTE", "CON MDC",
    "z kontrastem", "med kontrast", "cu contrast", "kontrastlı", "FLEBO DEL TORAX CON CONTRASTE",
    "ABD AX 3 DEL", "DEL KUB", "15 MIN DEL", "CHST/VEN/DEL ST+", "POR SAGI 250", "ABD POR",
    "PARENCHYMAL PHASE", "Parenchymal_2_5mm", "Parenchymphase", "phase parenchymateuse", "contrast: non-ionic",
)  # fmt: skip
BOTH = (
    "C-/C+", "C+/-", "IRM +/- injection", "ohne und mit KM", "mit und ohne KM", "o./m. KM", "m/o KM", "nativ + KM",
    "nativ u. mit KM", "vor und nach KM", "zonder en met contrast", "blanco en met contrast",
    "SANS ET AVEC INJECTION", "sans puis avec injection", "avec et sans injection", "avant et apres injection",
    "SIN Y CON", "CON Y SIN CONTRASTE", "SIMPLE Y CONTRASTADA", "S/C Y C/C", "antes y despues de contraste",
    "SEM E COM CONTRASTE", "S/ E C/ CONTRASTE", "sem contraste e com contraste", "pre e pós contraste",
    "SENZA E CON MDC", "basale e con mdc", "senza mdc e dopo mdc",
    "BEZ I Z CE", "KLP BEZ+CE", "z i bez kontrastu", "bez wzmoc.kontr. i co n", "bez a s kontrastem",
    "utan och med kontrast", "med og uden kontrast", "fara si cu contrast", "kontrastsız ve kontrastlı",
)  # fmt: skip
SILENT = (  # articles, tissues, sides, fat saturation
    "TC DEL TORACE", "RM del encefalo", "TC por fases", "Thorax parenchyme pulmonaire", "lung parenchyma 1mm",
    "parenchima polmonare", "COM CONTRASTE ORAL", "T2 SANS FATSAT", "T2 ohne FS", "GENU SIN COR", "SINC", "basal ganglia",
)  # fmt: skip


def labels_of(column: str, texts: tuple[str, ...], modality: str, head: str) -> dict[str, str]:
    """Return text -> what `head` says of a series that has only this text."""
    frame = pl.DataFrame({"SeriesInstanceUID": texts, "Modality": [modality] * len(texts), column: texts})
    return dict(label_series(frame).select("SeriesInstanceUID", head).iter_rows())


@pytest.mark.parametrize("modality", ["CT", "MR"])
@pytest.mark.parametrize("column", ["SeriesDescription", "StudyDescription"])
@pytest.mark.parametrize(("texts", "contrast"), [(WITHOUT, "no"), (BOTH, "unknown")])
def test_without_contrast(column: str, texts: tuple[str, ...], contrast: str, modality: str) -> None:
    assert labels_of(column, texts, modality, "contrast") == dict.fromkeys(texts, contrast)


def test_with_contrast() -> None:
    assert labels_of("SeriesDescription", WITH, "CT", "contrast") == dict.fromkeys(WITH, "yes")


def test_neither() -> None:
    assert labels_of("SeriesDescription", SILENT, "CT", "contrast") == dict.fromkeys(SILENT, "unknown")


PHASES = {
    "TC DEL TORACE CON MDC": "unknown", "TC por fases con contraste": "unknown", "parenchyme pulmonaire, C+": "unknown",
    "KIDNEY DEL  5.0  B40f": "delayed", "MPR, DEL KID, Coronal": "delayed", "del kid/blad": "delayed",
    "POR COR 250": "portal", "ABD POR": "portal", "PARENCHYMAL PHASE": "portal", "faza miąższowa": "portal",
}  # fmt: skip


def test_phase_is_no_article() -> None:
    assert labels_of("SeriesDescription", tuple(PHASES), "CT", "phase") == PHASES


REGIONS = {
    "colonne lombaire": "spine", "colonna cervicale": "spine", "rachide": "spine", "Halswirbelsäule": "spine",
    "LENDENWIRBELSAEULE": "spine", "COLONOGRAPHY": "abdomen;pelvis", "CT VIRTUAL COLONSCOPY": "abdomen;pelvis",
    "motion analysis": "unknown", "testing": "unknown", "anal canal": "pelvis", "testes": "pelvis",
    "Seno frontal": "head", "senos paranasales": "head", "seno": "breast",
    "femoral head": "lower_limb;pelvis", "Tête du fémur": "lower_limb;pelvis", "collo del femore": "lower_limb;pelvis",
    "humeral head": "upper_limb", "cabeza del humero": "upper_limb", "cabeza humana": "head", "fibular head": "lower_limb",
    "Pancreas head": "abdomen", "Pankreaskopf": "abdomen", "bladder neck": "pelvis", "colo do útero": "pelvis",
    "szyjka macicy": "pelvis", "gall bladder": "abdomen", "bladder": "pelvis", "SHOULDER, NECK": "neck;upper_limb",
    "TC collo torace": "chest;neck", "high temporal resolution": "unknown",
}  # fmt: skip


def test_regions() -> None:
    assert labels_of("SeriesDescription", tuple(REGIONS), "MR", "regions") == REGIONS


def test_dissection_is_a_disease_and_dissect_a_view() -> None:
    kinds = {"Aorta dissection CTA chest": "volume", "Virtual Dissection": "derived", "Dissect": "derived"}
    assert labels_of("SeriesDescription", tuple(kinds), "CT", "kind") == kinds
