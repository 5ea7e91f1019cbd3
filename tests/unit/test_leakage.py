"""The gate before training: planted leaks are found and named; what is no leak is not; images are known again."""

import contextlib

import numpy as np
import pandas as pd
import pydicom
import pytest
import SimpleITK as sitk

from radnet3d.cli import main
from radnet3d.errors import PixelError, SplitError
from radnet3d.leakage import CHECKS, Drawn, audit, check_leakage
from radnet3d.liver import chaos, lits
from radnet3d.liver.cases import store_case
from radnet3d.liver.frame import read_scan
from radnet3d.splits import nested_subsets, split_liver_cases
from radnet3d.tables import (
    LEAKAGE,
    LIVER_CASES,
    LIVER_SPLIT,
    PATIENT_SPLIT,
    VOLUMES,
    read_table,
    write_table,
)
from radnet3d.volumes.digests import slice_digest, volume_digests
from radnet3d.volumes.pixels import read_file
from support.tiny_training import LIVER_SPLIT_SETTINGS, write_cases, write_series

SHARED = "0123456789abcdef"


def noise(seed: int, shape=(4, 32, 40)) -> np.ndarray:
    """A volume of air around something that no other has."""
    volume = np.full(shape, -1000.0)
    volume[:, 4:-4, 4:-4] = np.random.default_rng(seed).normal(40, 60, volume[:, 4:-4, 4:-4].shape).round()
    return volume


# Digests


@pytest.mark.parametrize(
    "change",
    [
        lambda plane: plane[::-1],
        lambda plane: plane[:, ::-1],
        lambda plane: plane.T,
        lambda plane: plane.astype(np.int16),
        lambda plane: plane.astype(np.float32) + np.float32(0.2),
        lambda plane: np.where(plane < -900, -2000, plane),  # another fill
        lambda plane: np.pad(plane, 7, constant_values=-1024),
        lambda plane: plane[3:, :-2],  # air cut off
    ],
)
def test_a_slice_is_known_again(change):
    plane = noise(0)[0]
    assert slice_digest(plane) == slice_digest(change(plane)) != ""


def test_another_slice_is_not():
    plane = noise(0)[0]
    one_voxel = plane.copy()
    one_voxel[10, 10] += 1
    assert len({slice_digest(other) for other in (plane, one_voxel, plane + 1, noise(1)[0])}) == 4


def test_slices_that_show_next_to_nothing_have_no_digest():
    ramp = np.arange(31.0).repeat(10).reshape(31, 10)
    assert [slice_digest(plane) for plane in (np.zeros((9, 9)), np.full((9, 9), -1000.0), ramp)] == [""] * 3
    assert slice_digest(np.vstack([ramp, np.full((1, 10), 31.0)])) != ""
    assert volume_digests(np.stack([ramp, ramp])) == ""


@pytest.fixture(scope="module")
def native(real_data):
    """Digests of the slices of each real CT series, as they are in the archive."""
    found = {}
    for path in sorted(path for path in (real_data / "real").rglob("*") if path.is_file()):
        header = pydicom.dcmread(path, stop_before_pixels=True, force=True)
        if header.get("Modality") == "CT" and "SeriesInstanceUID" in header:
            with contextlib.suppress(PixelError):
                digests = {slice_digest(plane) for plane in read_file(path)} - {""}
                found.setdefault(str(header.SeriesInstanceUID), set()).update(digests)
    return {series: digests for series, digests in found.items() if digests}


def test_no_two_real_scans_share_a_slice(native, real_data):
    other = read_scan(real_data / "real/liver/totalseg_example/example_ct.nii.gz").volume_hu_zyx
    scans = [*native.values(), set(volume_digests(other).split())]
    assert len(scans) > 30 and sum(map(len, scans)) > 200
    assert sum(map(len, scans)) == len(set.union(*scans))


@pytest.fixture(scope="module")
def chaos_scan(real_data):
    return read_scan(real_data / "real/liver/chaos_ct_set3/dicom")


@pytest.mark.parametrize("code", ["RPI", "PIR"])
def test_a_real_scan_is_found_again_in_a_nifti_file_of_another_orientation(native, chaos_scan, tmp_path, code):
    part = chaos_scan.grid.image(chaos_scan.volume_hu_zyx.astype(np.float32))[:, :, 30:42]
    for kind, image in (("volume", part), ("segmentation", sitk.Cast(part > 100, sitk.sitkUInt8))):
        sitk.WriteImage(sitk.DICOMOrient(image, code), str(tmp_path / f"{kind}-0.nii"))
    case = lits.read_case(*lits.find_cases(tmp_path)[0], spacings={})
    held = {name: digests & set(volume_digests(case.volume_hu_zyx).split()) for name, digests in native.items()}
    assert {len(found) for found in held.values()} == {0, 12}


def test_a_real_case_carries_its_uids_and_digests(native, real_data, tmp_path):
    row = store_case(chaos.read_case(*chaos.find_cases(real_data / "real/liver/chaos_ct_set3")[0]), tmp_path)
    assert set(row["slice_digests"].split()) == native[row["SeriesInstanceUID"]]
    assert row["StudyInstanceUID"].startswith(row["SeriesInstanceUID"].split(".")[0] + ".")


# The gate


@pytest.fixture
def study():
    """Three patients pretrained on, one on each side, and 12 liver cases: nothing shared."""
    patients = pd.DataFrame({"PatientID": ["A", "B", "C"], "split": ["train", "validation", "test"]})
    volumes = pd.DataFrame({
        "PatientID": ["A", "A", "B", "C", "D"], "StudyInstanceUID": ["1", "1", "2", "3", "4"],
        "SeriesInstanceUID": ["1.1", "1.2", "2.1", "3.1", "4.1"],
        "slice_digests": [f"{n:016x} {n + 100:016x}" if n else "" for n in range(5)],
    })  # fmt: skip
    cases = pd.DataFrame({
        "case_id": [str(n) for n in range(12)], "PatientID": [f"L{n}" for n in range(12)], "image_sha256": "",
        "StudyInstanceUID": "", "SeriesInstanceUID": "", "slice_digests": [f"{n + 200:016x}" for n in range(12)],
    })  # fmt: skip
    split = split_liver_cases(cases, LIVER_SPLIT_SETTINGS)
    return patients, volumes, cases.merge(split[["case_id", "role"]], on="case_id"), nested_subsets(split, 2)


def case_of(cases: pd.DataFrame, role: str) -> int:
    """Return the place of one case of a role."""
    return int(cases.index[cases["role"] == role][0])


def failed(leakage: pd.DataFrame) -> list[tuple[str, str, str, int]]:
    rows = leakage[leakage["n_shared"] > 0]
    return list(rows[["check", "left", "right", "n_shared"]].itertuples(index=False, name=None))


def test_every_check_is_a_row_where_nothing_is_shared(study):
    leakage = audit(*study)
    assert len(leakage) == len(CHECKS) * 21 + 2  # pairs of seven sides, and two subsets
    assert failed(leakage) == []
    row = leakage.set_index(["check", "left", "right"]).loc[("slice", "pretrain test", "test")]
    assert (row["n_left"], row["n_right"]) == (2, 3)
    unknown = leakage.set_index(["check", "left", "right"]).loc[("SeriesInstanceUID", "pretrain train", "test")]
    assert (unknown["n_left"], unknown["n_right"]) == (2, 0)
    check_leakage(leakage)


@pytest.mark.parametrize("role", ["train", "validation", "test", "control"])
@pytest.mark.parametrize("check", CHECKS)
def test_what_pretraining_shares_with_a_role_is_found_and_named(study, check, role):
    patients, volumes, cases, subsets = study
    column = "slice_digests" if check == "slice" else check
    volumes.loc[3, column] = volumes.loc[3, column].split()[-1]
    cases.loc[case_of(cases, role), column] = volumes.loc[3, column]
    leakage = audit(patients, volumes, cases, subsets)
    assert failed(leakage) == [(check, "pretrain test", role, 1)]
    name = cases.loc[case_of(cases, role), "case_id"]
    with pytest.raises(SplitError, match=f"{check}: 1 shared by pretrain test and {role}") as caught:
        check_leakage(leakage)
    assert f"series 3.1 and case {name}: " in str(caught.value)


def test_one_image_in_two_roles_or_under_two_patients_of_the_archive_is_found(study):
    patients, volumes, cases, subsets = study
    cases.loc[[case_of(cases, "train"), case_of(cases, "test")], "slice_digests"] = f"{SHARED} {'a' * 16}"
    volumes.loc[[0, 2], "slice_digests"] = SHARED[::-1]
    found = audit(patients, volumes, cases, subsets)
    assert failed(found) == [("slice", "pretrain train", "pretrain validation", 1), ("slice", "train", "test", 2)]
    assert found.loc[found["n_shared"] == 2, "examples"].item().endswith(": 2 slices")


def test_patients_kept_for_other_tasks_are_a_side_too(study):
    patients, volumes, cases, subsets = study
    patients = pd.concat([patients, pd.DataFrame({"PatientID": ["D"], "split": ["tasks"]})])
    volumes.loc[[0, 4], "StudyInstanceUID"] = "1"
    leakage = audit(patients, volumes, cases, subsets)
    assert len(leakage) == len(CHECKS) * 28 + 2
    assert failed(leakage) == [("StudyInstanceUID", "pretrain train", "pretrain tasks", 1)]


def test_roles_of_a_classification_are_compared_and_its_training_sets(study):
    """One scan under two names, in training and in the test of a task: patients and UIDs differ, slices do not."""
    patients, volumes, cases, subsets = study
    names = ["E", "F", "G"]
    patients = pd.concat([patients, pd.DataFrame({"PatientID": names, "split": "tasks"})])
    more = pd.DataFrame({
        "PatientID": names, "StudyInstanceUID": ["5", "6", "7"], "SeriesInstanceUID": ["5.1", "6.1", "7.1"],
        "slice_digests": [SHARED, "b" * 16, f"{SHARED} {'c' * 16}"],
    })  # fmt: skip
    split = pd.DataFrame(
        {"case_id": ["5.1", "6.1", "7.1"], "PatientID": names, "role": ["train", "validation", "test"]}
    )
    ranks = pd.DataFrame({"subset_seed": [0], "case_id": ["5.1"], "rank": [0]})
    leakage = audit(patients, pd.concat([volumes, more]), cases, subsets, {"phase": Drawn(split, ranks)})
    assert len(leakage) == len(CHECKS) * (28 + 3) + 3
    assert failed(leakage) == [("slice", "phase train", "phase test", 1)]
    with pytest.raises(SplitError, match=r"series 5\.1 and series 7\.1"):
        check_leakage(leakage)
    leakage = audit(patients, pd.concat([volumes, more]), cases, subsets, {"phase": Drawn(split, ranks.assign(rank=1))})
    assert ("nested", "phase subset 0", "train", 1) in failed(leakage)


def test_patients_that_are_not_pretrained_on_and_slices_of_one_side_are_no_leak(study):
    patients, volumes, cases, subsets = study
    cases.loc[case_of(cases, "test"), ["PatientID", "slice_digests"]] = ["D", volumes.loc[4, "slice_digests"]]
    volumes.loc[[0, 1], "slice_digests"] = SHARED
    assert failed(audit(patients, volumes, cases, subsets)) == []


@pytest.mark.parametrize(
    ("column", "value", "n_wrong"),
    [("rank", 1, 2), ("rank", 7, 1), ("case_id", "99", 2)],
    ids=["twice", "gap", "unknown"],
)
def test_training_sets_that_are_not_nested_are_found(study, column, value, n_wrong):
    patients, volumes, cases, subsets = study
    subsets.loc[subsets.index[subsets["subset_seed"] == 1][0], column] = value
    leakage = audit(patients, volumes, cases, subsets)
    assert failed(leakage) == [("nested", "subset 1", "train", n_wrong)]
    with pytest.raises(SplitError, match="subset 1: . ranks that are not those of nested training sets"):
        check_leakage(leakage)


# The commands


def run(*words: object) -> int:
    """Return the exit status of the program, as a shell would see it."""
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    return int(ended.value.code or 0)


def test_a_planted_leak_stops_the_run_with_a_message(tmp_path, capsys):
    series, cases = write_series(tmp_path / "series"), write_cases(tmp_path / "liver")
    volumes, out = series["volumes"][0], tmp_path / "leakage.csv"
    files = [
        "--patients",
        series["split"],
        "--cases",
        cases["cases"],
        "--split",
        cases["split"],
        "--subsets",
        cases["subsets"],
    ]
    assert run("finetune", "audit", volumes, out, *files) == 0
    assert set(read_table(out, LEAKAGE)["n_shared"]) == {0}
    table = read_table(tmp_path / "series/000/volumes.parquet", VOLUMES)
    side = read_table(tmp_path / "series/split.csv", PATIENT_SPLIT).set_index("PatientID")["split"]
    row = table.index[table["PatientID"].map(side) == "train"][0]
    table.loc[row, "slice_digests"] = f"{SHARED} {'f' * 16}"
    write_table(table, tmp_path / "series/000/volumes.parquet", VOLUMES)
    roles = read_table(tmp_path / "liver/split.csv", LIVER_SPLIT).set_index("case_id")["role"]
    name = roles.index[roles == "test"][0]
    rows = read_table(tmp_path / "liver/cases/cases.parquet", LIVER_CASES)
    rows.loc[rows["case_id"] == name, "slice_digests"] = SHARED
    write_table(rows, tmp_path / "liver/cases/cases.parquet", LIVER_CASES)
    assert run("finetune", "audit", volumes, out, *files) == 1
    said = capsys.readouterr().err
    assert "error: leakage: 1 of 86 checks" in said
    assert (
        f"slice: 1 shared by pretrain train and test (series {table.loc[row, 'SeriesInstanceUID']} and case {name}"
        in said
    )
    assert read_table(out, LEAKAGE)["n_shared"].sum() == 1  # what was found is there to look at


@pytest.mark.parametrize(("name", "sizes"), [("lits", (30, 20, 30)), ("phantom", (30, 20, 40))])
def test_committed_tables_are_what_the_command_draws(repository, tmp_path, name, sizes):
    folder = repository / "workflow/resources/splits"
    cases = folder / "lits_cases.csv"
    if name == "phantom":
        cases = tmp_path / "cases.csv"
        cases.write_text("case_id,PatientID\n" + "".join(f"{n},lits-{n}\n" for n in range(122)))
    options = [word for pair in zip(("--n-test", "--n-validation", "--n-control"), sizes, strict=True) for word in pair]
    assert run("finetune", "draw-split", cases, tmp_path / "drawn.csv", "--seed", 11, *options) == 0
    assert (tmp_path / "drawn.csv").read_bytes() == (folder / f"{name}.csv").read_bytes()
