"""`report build` and `report labels` make pages that need nothing else, whatever a run made; `report times` prints the cost."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from radnet3d.cli.report import commands
from radnet3d.errors import TableError
from radnet3d.params import load_params
from radnet3d.tables import ATTRIBUTION, FETCHED, LEAKAGE, PLAN_SUMMARY, read_table, write_table
from support.made_up_study import larger
from support.results_tree import REPOSITORY, write_results

DEFAULT = load_params(REPOSITORY / "params.yaml")
STUDIED = larger(DEFAULT)
PARAMS = json.loads(STUDIED.model_dump_json())
VOID = {"meta", "img", "link", "br", "hr", "wbr", "input"}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_results(tmp_path_factory.mktemp("report"), STUDIED)
    (folder / "figures").mkdir()
    (folder / "figures" / "dice.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    return folder


def build(results: Path, out: Path, params: dict[str, object] = PARAMS) -> str:
    result = CliRunner().invoke(commands, ["build", str(results), str(out), "--settings", json.dumps(params)])
    assert result.exit_code == 0, (result.output, result.exception)
    return out.read_text(encoding="utf-8")


def of_sources(archive: str, liver: str) -> dict[str, object]:
    """The same parameters for other data, whose classes the user brings."""
    return {
        **PARAMS,
        "archive": {**PARAMS["archive"], "source": archive},
        "liver": {**PARAMS["liver"], "source": liver},
        "tasks": {name: {**task, "labels": "labels.csv"} for name, task in PARAMS["tasks"].items()},
    }


class Balanced(HTMLParser):
    """Counts ids, images without a text, and elements that are closed in another order than opened."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.n_faults = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids += [str(given["id"])] if "id" in given else []
        self.n_faults += tag == "img" and not given.get("alt")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.n_faults += not self.open or self.open.pop() != tag


def test_the_page_is_whole_and_loads_nothing(results: Path, tmp_path: Path) -> None:
    page = build(results, tmp_path / "index.html")
    parser = Balanced()
    parser.feed(page)
    assert parser.n_faults == 0 and not parser.open
    assert len(parser.ids) == len(set(parser.ids))
    assert set(re.findall(r'href="#(\w+)"', page)) <= set(parser.ids)
    assert not re.search(r'(?:src|href)="(?!data:|#|labels\.html")', page)
    assert "<script" not in page and "@import" not in page and "url(" not in page


def test_numbers_come_from_the_tables(results: Path, tmp_path: Path) -> None:
    page = build(results, tmp_path / "index.html")
    for value in pd.read_csv(results / "transfer" / "comparison.csv")["dice_per_case_mean"]:
        assert f"{value:.3f}" in page
    assert "missing_slice" in page and "TEST DATA" in page and "finetune.steps" in page


def test_the_page_says_what_a_sceptic_asks(results: Path, tmp_path: Path) -> None:
    page = build(results, tmp_path / "index.html")
    power = pd.read_csv(results / "transfer" / "power.csv").set_index(["init", "reference", "n_train"])
    assert f"{power.loc[('pretrained', 'scratch', 4), 'smallest_difference']:.3f} at n = 4" in page
    assert "80 % power" in page and "4 cases are worth" in page
    for cell in (
        "slices, by content",
        "ranks of nested training sets",
        "passed",
        "workflow/resources/splits/phantom.csv",
    ):
        assert cell in page, cell
    for arm in ("body alone", "without body", "header labels, 3× steps", "frozen, header labels"):
        assert f"<td>{arm}</td>" in page, arm
    for row in pd.read_csv(results / "transfer" / "task_comparison.csv").itertuples():
        assert f"{row.mean:.3f}" in page
    study = pd.read_csv(results / "transfer" / "proposals.csv")
    assert all(f"{recall:.3f}" in page for recall in study["recall"])
    assert all(f'id="{name}"' in page for name in ("steps", "ablation", "others", "tasks", "gate", "cost"))


def test_what_was_chosen_on_validation_cases_is_said_with_its_limits(results: Path, tmp_path: Path) -> None:
    text = re.sub(r"\s+", " ", build(results, tmp_path / "index.html"))
    assert "The best rate is the lowest of the grid (from scratch, header labels, " in text
    assert "Masks are kept whole, in all arms: on these cases dropping the rest changes Dice by −0.0100" in text


def test_a_gate_that_found_something_does_not_read_as_passed(results: Path, tmp_path: Path) -> None:
    path = tmp_path / "results" / "finetune" / "split" / "liver" / "leakage.csv"
    frame = read_table(results / path.relative_to(tmp_path / "results"), LEAKAGE)
    frame.loc[0, ["n_shared", "examples"]] = [2, "case a and case b"]
    write_table(frame[frame["check"] == "PatientID"], path, LEAKAGE)
    page = build(tmp_path / "results", tmp_path / "index.html")
    assert "<td>found</td>" in page and "<td>passed</td>" not in page


def test_sections_without_an_arm_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    page = build(tmp_path / "results", tmp_path / "index.html", json.loads(DEFAULT.model_dump_json()))
    assert not any(name in page for name in ('"ablation"', '"#steps"', 'id="others"', 'id="tasks"'))


def test_synthetic_is_said_where_results_are(results: Path, tmp_path: Path) -> None:
    assert "Synthetic data." in build(results, tmp_path / "a.html")
    page = build(results, tmp_path / "b.html", of_sources("idc", "lits"))
    assert "Synthetic data." not in page and '<span class="tag">' not in page


def test_data_of_an_archive_are_accounted_for(tmp_path: Path) -> None:
    raw = tmp_path / "results" / "raw"
    used = {"n_series": 1234, "n_patients": 7, "n_bytes": 2_500_000_000, "licence_url": "", "citation": ""}
    rows = [
        {"collection_id": "a_set", "source_DOI": "10.7937/a", "licence": "CC BY 3.0", **used},
        {"collection_id": "b_set", "source_DOI": "10.7937/b", "licence": "CC BY 4.0", **used},
    ]
    write_table(pd.DataFrame(rows), raw / "attribution.csv", ATTRIBUTION)
    source = of_sources("idc", "phantom")
    page = build(tmp_path / "results", tmp_path / "a.html", source)
    assert "10.7937/b" in page and "2\u202f468" in page and "5.0" in page
    assert "Every planned series arrived" in page and "to be balanced" not in page
    lost = {"PatientID": "P", "collection_id": "a_set", "n_files": 0, "n_bytes": 0, "detail": "gone <b>"}
    missing = [{"SeriesInstanceUID": f"1.{n}", "reason": "not_found", **lost} for n in range(3)]
    write_table(pd.DataFrame(missing), raw / "missing.csv", FETCHED)
    counts = {"n_series": 5, "n_patients": 4, "n_bytes": 1}
    summary = [{"what": "sequence", "value": "T1_FLAIR", "n_wanted": 3061.0, **counts}]
    write_table(pd.DataFrame(summary), raw / "summary.csv", PLAN_SUMMARY)
    page = build(tmp_path / "results", tmp_path / "b.html", source)
    assert "not_found" in page and "gone &lt;b&gt;" in page and "Every planned series" not in page
    assert "T1_FLAIR" in page and "3\u202f061" in page


def test_an_empty_folder_gives_a_page_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    page = build(tmp_path / "results", tmp_path / "index.html")
    assert "Not answered" in page
    assert page.count("was not made in this run") >= 15


def test_the_same_results_give_the_same_page(results: Path, tmp_path: Path) -> None:
    assert build(results, tmp_path / "a.html") == build(results, tmp_path / "b.html")


def test_no_folder_is_an_error(tmp_path: Path) -> None:
    arguments = ["build", str(tmp_path / "none"), str(tmp_path / "x.html"), "--settings", json.dumps(PARAMS)]
    assert isinstance(CliRunner().invoke(commands, arguments).exception, TableError)


def build_labels(results: Path, out: Path, source: str = "phantom", gold: Path | None = None) -> str:
    arguments = ["labels", str(results), str(out), "--gold", str(gold or results / "gold.csv"), "--source", source]
    result = CliRunner().invoke(commands, arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return out.read_text(encoding="utf-8")


def test_the_label_page_is_whole_and_loads_nothing(results: Path, tmp_path: Path) -> None:
    page = build_labels(results, tmp_path / "labels.html")
    parser = Balanced()
    parser.feed(page)
    assert parser.n_faults == 0 and not parser.open
    assert len(parser.ids) == len(set(parser.ids))
    assert set(re.findall(r'href="#([\w-]+)"', page)) <= set(parser.ids)
    assert set(re.findall(r'data-table="([\w-]+)"', page)) <= set(parser.ids)
    assert not re.search(r'(?:src|href)="(?!data:|#|index\.html")', page)
    assert "@import" not in page and "url(" not in page and "fetch(" not in page and "http" not in page
    assert page == build_labels(results, tmp_path / "again.html")


def test_numbers_of_the_label_page_come_from_the_tables(results: Path, tmp_path: Path) -> None:
    page = build_labels(results, tmp_path / "labels.html")
    rules = pd.read_csv(results / "labels" / "gold" / "rules.csv")
    for row in rules[(rules["metric"] == "agreement") & (rules["n"] > 0)].itertuples():
        assert f"{100 * row.low:.1f}\u00a0% to {100 * row.high:.1f}\u00a0%" in page
    sample = pd.read_csv(results / "labels" / "census_index" / "sample.csv")
    assert all(uid in page for uid in sample["SeriesInstanceUID"])
    assert page.count('<tr class="contradicted">') == 2 * (sample["disagreements"].notna()).sum() > 0
    assert "AX T2 FLAIR" in page and "flair_words" in page and "ct_org" in page
    assert "3 series of 2 collections" in page


def test_only_digital_patients_are_marked_on_the_label_page(results: Path, tmp_path: Path) -> None:
    assert build_labels(results, tmp_path / "a.html").count("Synthetic data.") == 1
    assert "ynthetic" not in build_labels(results, tmp_path / "b.html", source="idc")


def test_a_label_page_of_nothing_says_so(results: Path, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    page = build_labels(tmp_path / "results", tmp_path / "labels.html", gold=results / "gold.csv")
    assert "Not answered" in page
    assert page.count("was not made in this run") >= 20


def test_a_label_page_wants_rated_series(results: Path, tmp_path: Path) -> None:
    (tmp_path / "gold.csv").write_text("SeriesInstanceUID\n1\n", encoding="utf-8")
    for name in ("gold.csv", "none.csv"):
        arguments = [
            "labels",
            str(results),
            str(tmp_path / "x.html"),
            "--gold",
            str(tmp_path / name),
            "--source",
            "idc",
        ]
        result = CliRunner().invoke(commands, arguments)
        assert isinstance(result.exception, TableError) and name in str(result.exception)


def test_markup_in_a_result_is_text(results: Path, tmp_path: Path) -> None:
    folder = tmp_path / "results" / "labels" / "census_index"
    folder.mkdir(parents=True)
    sample = pd.read_csv(results / "labels" / "census_index" / "sample.csv", dtype=str)
    evil = "<script>alert(1)</script>=<b>"
    sample.assign(SeriesDescription=evil, kind_evidence=evil).to_csv(folder / "sample.csv", index=False)
    page = build_labels(tmp_path / "results", tmp_path / "labels.html", gold=results / "gold.csv")
    assert page.count("<script") == 1
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 2 * len(sample)


def test_times(results: Path) -> None:
    result = CliRunner().invoke(commands, ["times", str(results)])
    assert result.exit_code == 0 and "finetune" in result.output and result.output.splitlines()[-1].startswith("all")
