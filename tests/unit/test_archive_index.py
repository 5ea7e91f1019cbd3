"""Choosing series: what is left out, what is drawn, and that a limit only takes away."""

from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest
from pydantic import ValidationError

from radnet3d.archive.index import (
    NEEDED,
    PINS,
    IdcIndex,
    check_collections,
    choose_series,
    collection_name,
    draws,
    leaking_collections,
)
from radnet3d.archive.licences import is_commercial, licence_url, short_name
from radnet3d.archive.summary import summarise_plan, summary_text
from radnet3d.errors import ArchiveError, TableError
from radnet3d.params import Choice, load_params
from radnet3d.tables import PLAN, PLAN_SUMMARY, check_table

DESCRIPTIONS = ("T1 AX POST", "T2 FSE AX", "AX FLAIR", "CT CHEST", "LOCALIZER")
N_PATIENTS = 30


def choice(**changes: Any) -> Choice:
    """Everything there is, with `changes`."""
    everything = {
        "collections": [], "modalities": ["CT", "MR"], "licences": [], "allow_non_commercial": False, "body_parts": [],
        "labels": {}, "n_patients_max": None, "n_series_per_patient_max": None, "n_series_max": None, "gb_max": None,
        "balance": None, "seed": 3,
    }  # fmt: skip
    return Choice.model_validate(everything | changes)


def candidates() -> pl.DataFrame:
    """Thirty patients of three collections, each with nine series: 5 T1, 1 T2, 1 FLAIR (every third patient), CT, localizer."""
    rows = []
    for patient in range(N_PATIENTS):
        kinds = [0, 0, 0, 0, 0, 1, 3, 4, *([2] if patient % 3 == 0 else [])]
        for number, kind in enumerate(kinds):
            rows.append({
                "collection_id": ["large", "large", "large", "small", "tiny"][patient % 5], "PatientID": f"P{patient:02d}",
                "StudyInstanceUID": f"1.2.{patient}", "SeriesInstanceUID": f"1.2.{patient}.{number}",
                "Modality": "CT" if kind == 3 else "MR", "instanceCount": 20, "series_size_MB": 10.0 + number,
                "license_short_name": ["CC BY 4.0", "CC BY 3.0", "CC BY-NC 4.0", "Terms of a hospital"][patient % 4],
                "source_DOI": f"10.7937/{patient % 5}", "BodyPartExamined": ["CHEST", "Brain", None][patient % 3],
                "SeriesDescription": DESCRIPTIONS[kind], "aws_bucket": "b", "crdc_series_uuid": f"u{patient}-{number}",
            })  # fmt: skip
    return pl.DataFrame(rows)


def names(chosen: pl.DataFrame) -> set[str]:
    return set(chosen["SeriesInstanceUID"])


LIMITS = {
    "n_patients_max": 11, "n_series_per_patient_max": 2, "n_series_max": 25, "gb_max": 0.31,
    "modalities": ["MR"], "licences": ["CC BY 4.0"], "body_parts": ["chest"], "collections": ["large", "tiny"],
    "labels": {"kind": ["volume"]},
}  # fmt: skip


@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit_only_takes_series_away(limit: str) -> None:
    """Alone, and on top of what filters leave."""
    free = choose_series(candidates(), choice())
    limited = choose_series(candidates(), choice(**{limit: LIMITS[limit]}))
    assert names(limited) < names(free)
    if limit.endswith("_max"):
        looser = choose_series(candidates(), choice(**{limit: 2 * LIMITS[limit]}))  # type: ignore[operator]
        assert names(limited) < names(looser) <= names(free)


@pytest.mark.parametrize("limit", ["n_series_max", "gb_max"])
def test_the_last_limits_only_take_away_from_a_balanced_sample_and_keep_its_proportions(limit: str) -> None:
    wanted = {"head": "sequence", "n_series": {"T1": 40, "T2": 10}}
    free = choose_series(candidates(), choice(balance=wanted))
    limited = choose_series(candidates(), choice(balance=wanted, **{limit: LIMITS[limit]}))
    assert names(limited) < names(free)
    counts = limited["sequence"].value_counts().rows()
    assert abs(dict(counts)["T1"] - 4 * dict(counts)["T2"]) <= 4


def test_the_order_of_the_rows_changes_nothing_and_the_seed_does() -> None:
    settings = choice(n_patients_max=12, n_series_per_patient_max=3, n_series_max=20, labels={"kind": ["volume"]})
    chosen = choose_series(candidates(), settings)
    for seed in (1, 2):
        assert chosen.equals(choose_series(candidates().sample(fraction=1, shuffle=True, seed=seed), settings))
    assert chosen["SeriesInstanceUID"].is_sorted() and chosen.height == 20
    assert names(chosen) != names(choose_series(candidates(), settings.model_copy(update={"seed": 4})))


def test_a_candidate_more_moves_nobody_else() -> None:
    """What a series draws follows from its identifier: a new version of an index changes what it changed."""
    settings = choice(collections=["large"], n_series_per_patient_max=2)
    more = candidates().head(1).with_columns(PatientID=pl.lit("new"), SeriesInstanceUID=pl.lit("9.9"))
    before, after = (choose_series(table, settings) for table in (candidates(), pl.concat([candidates(), more])))
    assert names(after) == names(before) | {"9.9"}


def test_draws_stay_the_same_on_every_machine() -> None:
    assert draws(pl.Series(["1.2.3", "1.2.4"]), 2026).to_list() == [5306225871917843879, 14351609165217736929]


def test_series_of_a_patient_and_patients_are_limited_and_collections_take_turns() -> None:
    chosen = choose_series(
        candidates(), choice(n_patients_max=6, n_series_per_patient_max=2, allow_non_commercial=True)
    )
    patients = chosen.group_by("PatientID").agg(pl.len(), pl.col("collection_id").first())
    assert patients["len"].to_list() == [2] * 6
    assert sorted(patients["collection_id"]) == ["large", "large", "small", "small", "tiny", "tiny"]


def test_a_class_too_scarce_for_its_target_gives_all_it_has() -> None:
    wanted = {"head": "sequence", "n_series": {"T1": 12, "FLAIR": 50}}
    chosen = choose_series(candidates(), choice(balance=wanted, n_series_per_patient_max=1))
    supply = {row["PatientID"] for row in candidates().to_dicts() if row["SeriesDescription"] == "AX FLAIR"}
    usable = {
        row["PatientID"] for row in candidates().to_dicts() if row["license_short_name"] in ("CC BY 4.0", "CC BY 3.0")
    }
    assert dict(chosen["sequence"].value_counts().rows()) == {
        "FLAIR": len(supply & usable),
        "T1": len(usable - supply),
    }
    assert chosen["PatientID"].is_unique().all()


def test_licences_that_forbid_commercial_use_or_say_nothing_known_are_left_out_unless_named() -> None:
    assert set(choose_series(candidates(), choice())["license_short_name"]) == {"CC BY 4.0", "CC BY 3.0"}
    allowed = choose_series(candidates(), choice(allow_non_commercial=True))
    assert set(allowed["license_short_name"]) == {"CC BY 4.0", "CC BY 3.0", "CC BY-NC 4.0"}
    named = choose_series(candidates(), choice(licences=["Terms of a hospital"]))
    assert set(named["license_short_name"]) == {"Terms of a hospital"}
    with pytest.raises(
        ArchiveError, match=r"archive\.choice\.licences: 'CC BY-NC 4\.0' does not permit commercial use"
    ):
        choose_series(candidates(), choice(licences=["CC BY 4.0", "CC BY-NC 4.0"]))


def test_collections_that_leak_are_refused_by_name_and_left_out_otherwise() -> None:
    leaking = candidates().with_columns(pl.col("collection_id").replace("small", "CT-ORG"))
    assert set(choose_series(leaking, choice())["collection_id"]) == {"large", "tiny"}
    with pytest.raises(
        ArchiveError, match=r"'CT-ORG' is refused: .*LiTS \(Rister et al\. 2019.*leaking_collections\.csv"
    ):
        choose_series(leaking, choice(collections=["tiny", "CT-ORG"]))
    assert all(reason and "(" in reason for reason in leaking_collections().values())
    assert all(collection_name(name) == name for name in leaking_collections())


def test_an_unknown_collection_names_the_nearest() -> None:
    known = ["TCGA-LIHC", "TCGA-LUAD", "NLST"]
    check_collections(["tcga_lihc", "NLST"], known)
    with pytest.raises(ArchiveError, match="found 'TCGA-LICH', .* the source's 3 collections; nearest: tcga_lihc"):
        check_collections(["TCGA-LICH"], known)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"modalities": ["PT"]}, r"archive\.choice\.modalities: no series is left; Modality .* MR \("),
        (
            {"body_parts": ["LIVER"]},
            r"body_parts: no series is left; BodyPartExamined of the .* Brain \(.*\(empty\) \(",
        ),
        ({"labels": {"subject": ["animal"]}}, r"labels\.subject: no series is left; subject of the .*: unknown \("),
        ({"balance": {"head": "sequence", "n_series": {"SSFP": 3}}}, r"balance\.n_series: no series is left; sequence"),
        ({"gb_max": 0.001}, r"gb_max: found 0\.001 GB, wanted at least the 0\.01\d of the first series"),
    ],
)
def test_a_choice_that_leaves_nothing_says_what_there_was(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ArchiveError, match=said):
        choose_series(candidates(), choice(**changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"labels": {"sequence": ["T1w"]}}, "found 'T1w', wanted some of"),
        ({"labels": {"colour": ["red"]}}, "found the head 'colour'"),
        ({"labels": {"kind": []}}, "found 'nothing'"),
        ({"balance": {"head": "regions", "n_series": {"head": 1}}}, "cannot be balanced"),
        ({"balance": {"head": "sequence", "n_series": {"T9": 1}}}, "found 'T9'"),
        ({"modalities": []}, "at least 1"),
    ],
)
def test_labels_that_do_not_exist_are_refused_with_the_parameters(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        choice(**changes)


def test_a_region_may_be_one_of_several() -> None:
    both = candidates().with_columns(SeriesDescription=pl.lit("CT CHEST ABDOMEN"), Modality=pl.lit("CT"))
    chosen = choose_series(both, choice(labels={"regions": ["abdomen"]}))
    assert set(chosen["regions"]) == {"abdomen;chest"}


def planned(tmp_path: Path, repository: Path, suffix: str, **changes: Any) -> pd.DataFrame:
    """Plan from an index file of the candidates."""
    path = tmp_path / f"index{suffix}"
    if suffix == ".csv":
        candidates().write_csv(path)
    else:
        candidates().write_parquet(path)
    archive = load_params(repository / "params.yaml").archive
    settings = archive.model_copy(
        update={"choice": choice(**changes), "idc": archive.idc.model_copy(update={"index": str(path)})}
    )
    plan, truth = IdcIndex(settings).plan(tmp_path)
    assert truth.empty
    return plan


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_plan_from_an_index_file_pins_versions(tmp_path: Path, repository: Path, suffix: str) -> None:
    plan = check_table(planned(tmp_path, repository, suffix, labels={"kind": ["volume"]}), PLAN, name="plan")
    row = plan.set_index("SeriesInstanceUID").loc["1.2.1.5"]
    assert row["location"] == "s3://b/u1-5" and row["crdc_series_uuid"] == "u1-5"
    assert (row["n_instances"], row["n_bytes"]) == (20, 15_000_000)
    assert (row["licence"], row["source_DOI"], row["kind"]) == ("CC BY 3.0", "10.7937/1", "volume")
    assert row["index"] == f"index{suffix}"


def test_an_index_that_cannot_be_read_is_named(tmp_path: Path, repository: Path) -> None:
    archive = load_params(repository / "params.yaml").archive
    for content, said in (
        (None, "no such file, wanted an index"),
        ("a,b\n1,2\n", f"wanted also .*{NEEDED[0]}"),
        (",".join([*NEEDED, *PINS]) + "\nc,P,1,2,CT,many,CC BY 4.0,d,1,b,u\n", "not readable as an index"),
    ):
        path = tmp_path / "index.csv"
        if content:
            path.write_text(content)
        idc = archive.idc.model_copy(update={"index": str(path)})
        settings = archive.model_copy(update={"choice": choice(), "idc": idc})
        with pytest.raises(TableError, match=said):
            IdcIndex(settings).plan(tmp_path)


def test_the_summary_counts_and_says_what_falls_short(tmp_path: Path, repository: Path) -> None:
    wanted = {"head": "sequence", "n_series": {"T1": 30, "FLAIR": 50, "PD": 2}}
    plan = planned(tmp_path, repository, ".parquet", balance=wanted, labels={"kind": ["volume"]})
    summary = check_table(
        summarise_plan(plan, choice(balance=wanted, labels={"kind": ["volume"]})), PLAN_SUMMARY, name="s"
    )
    everything = summary[summary["what"] == "all"].iloc[0]
    assert (everything["n_series"], everything["n_bytes"]) == (len(plan), plan["n_bytes"].sum())
    classes = summary[summary["what"] == "sequence"].set_index("value")
    assert classes["n_wanted"].to_dict() == {"T1": 30, "FLAIR": 50, "PD": 2}
    assert classes.loc["PD", "n_series"] == 0 and classes.loc["T1", "n_series"] == 30
    text = summary_text(summary, 10**9)
    n_flair = classes.loc["FLAIR", "n_series"]
    assert f"below the number wanted: FLAIR {n_flair} of 50, PD 0 of 2" in text
    assert f"{len(plan)} series of" in text.splitlines()[0] and "1.0 GB are free" in text
    assert "only 0.1 GB are free, 0.3 too few" in summary_text(summary, 10**8)


def test_the_summary_of_a_source_that_is_not_asked() -> None:
    plan = pd.DataFrame({"PatientID": ["a", "a"], "Modality": "CT", "licence": "", "collection_id": "", "n_bytes": 5})
    text = summary_text(summarise_plan(plan, None), 10**12)
    assert text.startswith("2 series of 1 patients, 0.000 GB; 1,000.0 GB are free\n") and "(none)" in text


def test_many_collections_are_printed_as_the_largest_and_the_rest() -> None:
    plan = pd.DataFrame({
        "PatientID": [f"P{k}" for k in range(20)], "Modality": "CT", "licence": "CC BY 4.0",
        "collection_id": [f"c{k:02d}" for k in range(20)], "n_bytes": 10**9,
    })  # fmt: skip
    lines = summary_text(summarise_plan(plan, None), 0).splitlines()
    assert lines[-1].split() == ["(8", "others)", "8", "8.0"]


@pytest.mark.parametrize(
    ("text", "name", "commercial", "url"),
    [
        ("CC BY 3.0", "CC BY 3.0", True, "https://creativecommons.org/licenses/by/3.0/"),
        ("Creative Commons Attribution 4.0 International License", "CC BY 4.0", True, "https://creativecommons.org/licenses/by/4.0/"),
        ("Creative Commons Attribution-NonCommercial 3.0 Unported License", "CC BY-NC 3.0", False, "https://creativecommons.org/licenses/by-nc/3.0/"),
        ("CC BY-NC-ND 4.0", "CC BY-NC-ND 4.0", False, "https://creativecommons.org/licenses/by-nc-nd/4.0/"),
        ("CC BY-NC-SA 4.0", "CC BY-NC-SA 4.0", False, "https://creativecommons.org/licenses/by-nc-sa/4.0/"),
        ("CC BY-SA 4.0", "CC BY-SA 4.0", True, "https://creativecommons.org/licenses/by-sa/4.0/"),
        ("CC0 1.0", "CC0 1.0", True, "https://creativecommons.org/publicdomain/zero/1.0/"),
        ("CC0-1.0", "CC0 1.0", True, "https://creativecommons.org/publicdomain/zero/1.0/"),
        ("for non-commercial use only", "for non-commercial use only", False, ""),
        ("TCIA Restricted License Agreement", "TCIA Restricted License Agreement", None, ""),
        ("not for bypass attribution", "not for bypass attribution", None, ""),
        ("", "", None, ""),
    ],
)  # fmt: skip
def test_licences(text: str, name: str, commercial: bool | None, url: str) -> None:
    assert (short_name(text), is_commercial(text), licence_url(text)) == (name, commercial, url)


def test_every_licence_of_the_real_index_is_understood_or_left_out() -> None:
    pytest.importorskip("idc_index_data")
    from radnet3d.labels.series import idc_index_path

    licences = pl.scan_parquet(idc_index_path()).select("license_short_name").unique().collect().to_series()
    known = {name for name in licences if is_commercial(name) is not None}
    assert {"CC BY 4.0", "CC BY 3.0", "CC BY-NC 4.0"} <= known
    assert all(licence_url(name) for name in known)


def test_a_plan_from_the_real_index(repository: Path, tmp_path: Path) -> None:
    pytest.importorskip("idc_index_data")
    archive = load_params(repository / "params.yaml").archive
    settings = archive.model_copy(update={"choice": choice(collections=["TCGA-LIHC"], n_series_max=20)})
    plan, _ = IdcIndex(settings).plan(tmp_path)
    assert len(plan) == 20 and set(plan["collection_id"]) == {"tcga_lihc"}
    assert plan["location"].str.match(r"^s3://[a-z0-9-]+/[0-9a-f-]{36}$").all()
    assert plan["index"].str.startswith("idc-index-data ").all()
    with pytest.raises(ArchiveError, match="nearest: tcga_lihc"):
        IdcIndex(settings.model_copy(update={"choice": choice(collections=["tcga_lich"])})).plan(tmp_path)
