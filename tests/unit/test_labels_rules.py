"""Every rule's own example and counter-example, and the shape of the rule files."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from radnet3d.errors import RuleError
from radnet3d.labels.engine import Rows, columns_of, fold, is_about_headers, rule_speaks
from radnet3d.labels.rules import Group, Rule, load_head, load_heads, words_regex
from radnet3d.labels.series import READ, idc_index_path, label_series
from radnet3d.tables import HEADS

CASES = [
    pytest.param(group, rule, head.combine, id=f"{head.head}-{rule.id}")
    for head in load_heads()
    for group in head.groups.values()
    for rule in group.rules
]


@pytest.mark.parametrize(("group", "rule", "combine"), CASES)
def test_example_and_counter_example(group: Group, rule: Rule, combine: str) -> None:
    assert rule_speaks(group, rule, rule.example, combine=combine)
    assert not rule_speaks(group, rule, rule.counter_example, combine=combine)


def test_rules_only_ask_for_columns_that_are_read() -> None:
    for head in load_heads():
        for witness in head.witnesses:
            group = head.groups[witness.ask]
            asked = {*witness.tags, *witness.where, *(columns_of(group) if is_about_headers(group) else ())}
            assert asked <= {*READ, *HEADS}, (head.head, witness.ask)


@pytest.mark.parametrize(
    ("word", "text", "is_hit"),
    [
        ("ax", "T2AX", True),
        ("ax", "t2_ax_fs", True),
        ("ax", "MAX", False),
        ("ax", "axilla", False),
        ("ax*", "axial", True),
        ("t1", "T10", False),
        ("t1", "t1_fl3d_tra", True),
        ("t1", "AXT1", False),
        ("cor", "CorT2", True),
        ("t2 flair", "T2-FLAIR", True),
        ("t2 flair", "t2flair", True),
        (r"\+ ?c", "FS+C", True),
        ("w/o", "CHEST W/O", True),
        ("kregosl*", "Kręgosłup", True),
        ("b ?[0-9]+", "b1000", True),
    ],
)
def test_word_edges(word: str, text: str, is_hit: bool) -> None:
    assert fold(pl.Series([text])).str.contains(words_regex((word,)))[0] == is_hit


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("head: plane\ncombine: first\nwitnesses: []\n", "groups"),
        ("head: plane\ncombine: first\nwitnesses: [{ask: w}]\ngroups: {}\n", "differ"),
        (
            "head: plane\ncombine: first\nwitnesses: [{ask: w}]\ngroups: {w: {rules: [{id: a, value: upward, words: [up],"
            " example: up, counter_example: down}]}}\n",
            "upward",
        ),
        (
            "head: plane\ncombine: first\nwitnesses: [{ask: w}]\ngroups: {w: {rules: [{id: a, value: axial, words: ['(up'],"
            " example: up, counter_example: down}]}}\n",
            "(up",
        ),
        ("head: [", "not valid YAML"),
    ],
)
def test_faulty_rule_file_is_refused(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "plane.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(RuleError, match="plane.yaml") as error:
        load_head(path)
    assert said in str(error.value)


def test_collections_repeat_the_installed_index() -> None:
    from radnet3d.labels.rules import RULES_DIR

    path = idc_index_path().with_name("collections_index.parquet")
    installed = pl.read_parquet(path).select("collection_id", "species", "tumor_locations").sort("collection_id")
    assert installed.equals(pl.read_csv(RULES_DIR / "collections.csv"))


CATALOGUE = [  # Modality, StudyDescription, SeriesDescription -> head, value
    ("MR", "", "t1_fl3d_tra_gk_v1_3T", "sequence", "T1"),
    ("MR", "", "t2_fl2d_tra_hemo", "sequence", "T2STAR"),
    ("MR", "", "T2 FLAIR", "sequence", "FLAIR"),
    ("MR", "", "t2_tirm_tra_dark-fluid", "sequence", "FLAIR"),
    ("MR", "", "t2_tirm_tra", "sequence", "STIR"),
    ("MR", "", "TSE45", "sequence", "unknown"),
    ("MR", "", "Perfusie_t1_twist", "sequence", "T1"),
    ("SEG", "", "T2 segmentation", "sequence", "unknown"),
    ("CR", "CHEST", "T1", "sequence", "unknown"),
    ("CT", "CT CHEST W/WO CONTRAST", "CHEST", "contrast", "unknown"),
    ("CT", "CT CHEST WITHOUT CONTRAST", "CHEST", "contrast", "no"),
    ("CT", "CT CHEST WITHOUT CONTRAST", "Topogram", "contrast", "unknown"),
    ("CT", "CT ABDOMEN", "POSTERIOR RECON", "contrast", "unknown"),
    ("CT", "TK bez kontrastu", "abdomen", "contrast", "no"),
    ("CT", "Abdomen nativ", "5 mm", "contrast", "no"),
    ("CT", "TC torax sin contraste", "5 mm", "contrast", "no"),
    ("MR", "MR ABDOMEN W/WO CONTRAST", "AX T2", "contrast", "unknown"),
    ("MR", "MR BRAIN WITH CONTRAST", "AX T1", "contrast", "unknown"),
    ("MR", "MRI", "AX T1 C-SPINE", "contrast", "unknown"),
    ("MR", "MRI", "TRACE_W", "contrast", "unknown"),
    ("PT", "PET WITH CONTRAST", "PET", "contrast", "na"),
    ("MR", "", "localizer 3 plane", "kind", "localizer"),
    ("CT", "", "SCREEN SAVES", "kind", "derived"),
    ("CT", "", "LOW DOSE CHEST", "kind", "volume"),
    ("SEG", "", "Liver", "kind", "derived"),
    ("MR", "", "DIFFUSION", "kind", "volume"),
    ("CT", "", "MPR SAG", "kind", "volume"),
    ("CT", "", "MPR SAG", "plane", "sagittal"),
    ("MR", "", "axial obl", "plane", "axial"),
    ("MR", "", "AX AND SAG T1", "plane", "unknown"),
    ("MR", "", "MAX TR1000", "plane", "unknown"),
    ("MR", "BREAST", "T1", "regions", "breast"),
    ("CT", "CT_CAP", "CHEST LUNG", "regions", "chest"),
    ("PT", "PET/CT skull base to mid-thigh", "PET", "regions", "wholebody"),
    ("CT", "CT", "AXIAL AP", "regions", "abdomen;pelvis"),
    ("MR", "MRI THORACIC SPINE", "T1", "regions", "spine"),
    ("CT", "CT HEAD FIRST SUPINE", "5 mm", "regions", "unknown"),
    ("MR", "", "whole_spine T2", "regions", "spine"),
    ("CT", "Porcine Phantom", "1", "subject", "phantom"),
    ("MR", "Mouse brain", "1", "subject", "animal"),
    ("MR", "", "Cor 2D T2*GRE", "sequence", "T2STAR"),
    ("MR", "", "twist_20s_dyn_TRA (h20 ex B17)", "sequence", "T1"),
    ("MR", "", "t1_fl2d_tra_mbh_pat2", "sequence", "T1"),
    ("MR", "", "T2Post1", "sequence", "T2"),
    ("MR", "", "post2", "sequence", "T1"),
    ("MR", "", "3D AX FS Pre", "sequence", "T1"),
    ("MR", "", "post needle_L", "sequence", "unknown"),
    ("MR", "", "ASSET calibration", "sequence", "unknown"),
    ("MR", "", "mIP_Images(SW)", "sequence", "T2STAR"),
    ("CT", "KL.P BEZ I Z CE", "2.5 mm", "contrast", "unknown"),
    ("CT", "Ganzkoerper nativ u. mit KM", "GK p.v. 3", "contrast", "yes"),
    ("CT", "CT Bone Marrow Biopsy", "Pre Procedure", "contrast", "unknown"),
    ("CT", "", "Chest/Abd/Pe 5.0 B60f", "contrast", "unknown"),
    ("MR", "", "t2_spc_tra_iso_320", "contrast", "unknown"),
    ("CT", "", "100ML OPTI320", "contrast", "yes"),
    ("CT", "CT NON-INFUSED CHEST", "5 mm", "contrast", "no"),
    ("CT", "", "CT Atten Cor Head In 3.75thk", "plane", "unknown"),
    ("CT", "CHEST", "CT SCOUT HEAD IN", "regions", "chest"),
    ("CT", "", "Recon 2: CH/ABD/PELVIS", "plane", "unknown"),
    ("MR", "", "TR 2sec TE 40ms", "plane", "unknown"),
    ("MR", "", "Ax 3D T1 FS Post_SUB_MIP_COR", "plane", "coronal"),
    ("MR", "", "POSTAXIAL T1", "plane", "axial"),
    ("MR", "", "(27707/1502/1)-(27707/1500/1)", "kind", "derived"),
    ("PT", "", "Stat50m_OSEM_28sub_2it_NoPost", "kind", "volume"),
    ("MR", "", "SmartBrain", "kind", "localizer"),
    ("PT", "PET/CT skull base to thigh", "ScreenCap", "regions", "wholebody"),
    ("MR", "BREAST^AB-MRI STUDY", "SAG MPR", "regions", "breast"),
    ("MR", "IRM HANCHE DROITE", "T1", "regions", "lower_limb;pelvis"),
    ("CT", "TX AS AI", "S/C", "regions", "abdomen;chest;pelvis"),
    ("MR", "CONTRALATERAL BREAST", "LEFT_CA_P", "regions", "breast"),
    ("CT", "", "Abd Arterial 3.0 B30f", "phase", "arterial"),
    ("CT", "", "F. ZYLNA 5.0 B31s", "phase", "portal"),
    ("CT", "", "NEPHROGRAPHIC 80 SEC", "phase", "portal"),
    ("CT", "", "Excretora 10 min", "phase", "delayed"),
    ("CT", "", "ARTERIAL/VENOUS AXIAL THIN", "phase", "unknown"),
    ("CT", "CT LIVER W/O CONTRAST", "5 mm", "phase", "native"),
    ("CT", "", "CAROTID ARTERY", "phase", "unknown"),
    ("MR", "", "AX LAVA PORTAL VENOUS +C", "phase", "portal"),
    ("MR", "", "T1 VIBE DYNAMIC", "phase", "unknown"),
    ("PT", "", "PET DELAY", "phase", "na"),
    ("CT", "", "2,OPA,PH,MX8000,D,336,3.2,120,79,0.1,1", "kernel", "sharp"),
    ("CT", "", "0,OPA,GE,LSQX,STANDARD,370,2.5,120,40", "kernel", "soft"),
    ("CT", "", "Thorax 1.0 B70f", "kernel", "sharp"),
    ("CT", "", "LUNG 1MM B45", "kernel", "soft"),
    ("CT", "", "5mm STD SS50", "kernel", "soft"),
    ("CT", "", "CHEST", "kernel", "unknown"),
    ("CT", "", "LOW DOSE LUNG SCREENING", "kernel", "unknown"),
    ("MR", "", "T1", "kernel", "na"),
    ("MR", "", "", "subject", "unknown"),
]


@pytest.fixture(scope="module")
def catalogue_labels() -> list[dict[str, str]]:
    columns = ("Modality", "StudyDescription", "SeriesDescription")
    frame = pl.DataFrame([dict(zip(columns, case[:3], strict=True)) for case in CATALOGUE])
    uids = pl.Series("SeriesInstanceUID", [str(i) for i in range(len(CATALOGUE))])
    return label_series(frame.with_columns(uids)).to_dicts()


@pytest.mark.parametrize("position", range(len(CATALOGUE)), ids=[" ".join(case[:4]) for case in CATALOGUE])
def test_catalogue_rows(position: int, catalogue_labels: list[dict[str, str]]) -> None:
    row = catalogue_labels[position]
    *_, head, value = CATALOGUE[position]
    assert row[head] == value, row[f"{head}_evidence"]
    if value not in ("unknown", "na"):
        assert ": " in row[f"{head}_evidence"]


def test_phase_never_contradicts_contrast(catalogue_labels: list[dict[str, str]]) -> None:
    for row in catalogue_labels:
        if row["phase"] == "native":
            assert row["contrast"] == "no"
        elif row["phase"] in ("arterial", "portal", "delayed"):
            assert row["contrast"] == "yes"
        assert (row["phase"] == "na") == (row["contrast"] == "na")


KERNELS = {
    "soft": "B08s B20f B31s B46f I26f\\3 I41s Br40d\\3 Bv40 Qr40d Hr38f Hc40 H31f D30f STANDARD SOFT CHST A B C UB FC01 FC08-H FC26",
    "sharp": "B50f B80f I50f\\3 Br59d\\3 Bl57d Hr60 H70h Ur77u U90u LUNG BONE BONEPLUS EDGE D E L YA YB YC FC30 FC51 FC52 FC81",
    "unknown": "DETAIL T20f EXPERIMENTAL7 S80s",
}


@pytest.mark.parametrize("kernel", KERNELS)
def test_kernel_names_of_vendors(kernel: str) -> None:
    names = KERNELS[kernel].split()
    frame = pl.DataFrame({"SeriesInstanceUID": names, "Modality": ["CT"] * len(names), "ConvolutionKernel": names})
    labels = label_series(frame, heads=["kernel"])
    wrong = labels.filter(pl.col("kernel") != kernel)
    assert wrong.is_empty(), wrong["SeriesInstanceUID"].to_list()


def test_some_heads_only_are_the_same_as_with_all() -> None:
    frame = pl.DataFrame({
        "SeriesInstanceUID": ["1", "2"], "Modality": ["CT", "MR"],
        "SeriesDescription": ["ABD PORTAL VENOUS", "AX T1 PRE"],
    })  # fmt: skip
    everything = label_series(frame)
    some = label_series(frame, heads=["phase", "plane"], with_evidence=False)
    assert [name for name in some.columns if name in HEADS] == ["phase", "plane"]
    assert some.equals(everything.select(some.columns))
    assert not [name for name in some.columns if "evidence" in name or name == "disagreements"]
    with pytest.raises(ValueError, match="organ"):
        label_series(frame, heads=["organ"])


GIVEN = (
    "NON IONIC", "NONIONIC", "NON-IONIC CONTRAST", "Omnipaque", "OMNIPAQUE 350", "ORAL & IV", "IV+ORAL",
    "11 ml Omniscan", "CE", "CONTRAST", "Applied", "Y", "C+", "Gadavist + saline", r"Saline\Gadavist", "NON IONIC IV",
    "Intravenous", "Nova contrast", "350", "Buscopan + Ultravist", "Gadovist iv, Buscopan iv", "OMNIPAQUE & READI-CAT",
)  # fmt: skip
NOT_GIVEN = (
    "NONE", "NONE GIVEN", "No contrast given", "NO IV CONTRAST", "NOT APPLICABLE", "N.A.", "n/a", "NON CONTRAST",
    "NONCONTRAST", "NOCONTRAST", "None administered", "Unenhanced", "C-", "-C", "false", "saline", "NaCl 0.9%", "0 ml",
    "IV CONTRAST: NONE", "CONTRAST NOT GIVEN", "ORAL, NO IV", "OMNIPAQUE ORAL; NO IV", "WITHOUT", "W/O CONTRAST",
    "ORAL", "ORAL ONLY", "GASTROGRAFIN", "BARIUM", "no", "N", "0", "Unknown",
    "Aucun", "aucune injection", "Nenhum", "Nessuno", "Ninguno", "brak", "geen", "ingen", "utan", "kein KM", "S/C", "nein",
    "refused", "Patient refused", "READI-CAT", "ReadiCat 2 450 ml", "Volumen", "VoLumen 900 ml", "Buscopan",
    "20 mg Buscopan i.v.", "BUSCOPAN 1 ML IV",
)  # fmt: skip


@pytest.mark.parametrize(("agents", "contrast"), [(GIVEN, "yes"), (NOT_GIVEN, "unknown")])
def test_agents(agents: tuple[str, ...], contrast: str) -> None:
    frame = pl.DataFrame({"SeriesInstanceUID": agents, "Modality": ["CT"] * len(agents), "ContrastBolusAgent": agents})
    labels = label_series(frame)
    wrong = labels.filter(pl.col("contrast") != contrast)
    assert wrong.is_empty(), wrong["SeriesInstanceUID"].to_list()


def test_agents_of_real_headers(real_data: Path) -> None:
    tags = pl.read_csv(real_data / "real" / "manifest.csv", infer_schema=False)["contrast_tag"].fill_null("").unique()
    frame = pl.DataFrame({"SeriesInstanceUID": tags, "Modality": ["CT"] * len(tags), "ContrastBolusAgent": tags})
    found = dict(label_series(frame).select("SeriesInstanceUID", "contrast").iter_rows())
    expected = {"": "unknown", "None": "unknown"}
    assert found == {tag: expected.get(tag, "yes") for tag in tags}


def test_rows_are_told_apart_where_their_combinations_overflow() -> None:
    ids = np.arange(2**16)  # 2**16 values in each of five columns: the first column falls out of an int64
    names = [f"c{i}" for i in range(5)]
    same = pl.DataFrame({name: ids.astype(str) for name in names})
    frame = pl.concat([same, same.with_columns(c0=pl.Series(np.roll(ids, 1).astype(str))), same.head(100)])
    found, inverse = Rows(frame).distinct(names, np.arange(frame.height))
    assert found.height == 2 * len(ids)
    assert found[inverse].equals(frame)


REGULAR = {
    "n_slices": 30.0, "slice_spacing_mm": 5.0, "obliquity_deg": 0.0, "gantry_tilt_deg": 0.0,
    "geometry": "regular", "orientation_plane": "axial",
}  # fmt: skip

HEADERS: list[tuple[dict[str, object], str, str]] = [
    ({"Modality": "MR", "SeriesDescription": "SAG DTI"}, "plane", "axial"),
    ({"Modality": "MR", "ScanningSequence": "SE", "RepetitionTime": 550.0, "EchoTime": 12.0}, "sequence", "T1"),
    ({"Modality": "MR", "ScanningSequence": "SE", "RepetitionTime": 4000.0, "EchoTime": 90.0}, "sequence", "T2"),
    ({"Modality": "MR", "ScanningSequence": "SE", "RepetitionTime": 1200.0, "EchoTime": 45.0}, "sequence", "unknown"),
    ({"Modality": "MR", "ScanningSequence": r"SE\IR", "RepetitionTime": 9000.0, "EchoTime": 120.0,
      "InversionTime": 2500.0}, "sequence", "FLAIR"),
    ({"Modality": "MR", "SeriesDescription": "AX T2", "ScanningSequence": "SE", "RepetitionTime": float("nan")},
     "sequence", "T2"),
    ({"Modality": "PT", "CorrectedImage": r"DECY\ATTN"}, "sequence", "PET_AC"),
    ({"Modality": "PT", "CorrectedImage": r"DECY"}, "sequence", "PET_NAC"),
    ({"Modality": "PT", "CorrectedImage": ""}, "sequence", "PET"),
    ({"Modality": "CT", "ContrastBolusAgent": "OMNIPAQUE 350"}, "contrast", "yes"),
    ({"Modality": "CT", "ContrastBolusAgent": "NONE"}, "contrast", "unknown"),
    ({"Modality": "CT", "ContrastBolusAgent": ""}, "contrast", "unknown"),
    ({"Modality": "CT", "ContrastBolusAgent": "BARIUM", "ContrastBolusRoute": "ORAL"}, "contrast", "unknown"),
    ({"Modality": "CT", "ContrastBolusAgent": "OMNIPAQUE", "SeriesDescription": "NATIVE"}, "contrast", "no"),
    ({"Modality": "CT", "ImageType": r"ORIGINAL\PRIMARY\LOCALIZER"}, "kind", "localizer"),
    ({"Modality": "CT", "ImageType": r"DERIVED\SECONDARY\MIP"}, "kind", "derived"),
    ({"Modality": "CT", "ImageType": r"DERIVED\SECONDARY\MPR"}, "kind", "volume"),
    ({"Modality": "MR", "ImageType": r"DERIVED\PRIMARY\DIFFUSION\ADC"}, "sequence", "ADC"),
    ({"Modality": "CT", "n_files": 1, "n_slices": 1}, "kind", "unknown"),
    ({"Modality": "CT", "n_files": 20, "n_slices": 1}, "kind", "unknown"),
    ({"Modality": "MR", "SeriesDescription": "t2 cine", "n_files": 60, "n_slices": 3}, "kind", "unknown"),
    ({"Modality": "MR", "SeriesDescription": "t2", "n_files": 1, "n_slices": 24}, "kind", "volume"),
    ({"Modality": "CT", "PatientAge": "061Y"}, "subject", "human"),
    ({"Modality": "CT", "ConvolutionKernel": "B70f", "SeriesDescription": "SOFT TISSUE"}, "kernel", "sharp"),
    ({"Modality": "CT", "z_min_lps_mm": -300.0, "z_max_lps_mm": 350.0}, "regions", "abdomen;chest;pelvis"),
    ({"Modality": "PT", "z_min_lps_mm": -300.0, "z_max_lps_mm": 750.0}, "regions", "wholebody"),
    ({"Modality": "CT", "z_min_lps_mm": -100.0, "z_max_lps_mm": 150.0}, "regions", "unknown"),
    ({"Modality": "CT", "PatientSpeciesDescription": "Mus musculus", "PatientSex": "F"}, "subject", "animal"),
]  # fmt: skip


@pytest.fixture(scope="module")
def header_labels() -> list[dict[str, object]]:
    rows = [{"SeriesInstanceUID": str(i), **REGULAR, **values} for i, (values, _, _) in enumerate(HEADERS)]
    return label_series(pl.from_dicts(rows, infer_schema_length=None)).to_dicts()


@pytest.mark.parametrize("position", range(len(HEADERS)), ids=[f"{head}-{value}" for _, head, value in HEADERS])
def test_header_rows(position: int, header_labels: list[dict[str, object]]) -> None:
    row, (_, head, value) = header_labels[position], HEADERS[position]
    assert row[head] == value, row[f"{head}_evidence"]
    assert row["slice_spacing_mm"] == 5.0
