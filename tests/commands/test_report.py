"""`report build` makes one page that needs nothing else, whatever a run made; `report times` prints the cost."""

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
from support.results_tree import REPOSITORY, write_results

PARAMS = json.loads(load_params(REPOSITORY / "params.yaml").model_dump_json())
VOID = {"meta", "img", "link", "br", "hr"}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_results(tmp_path_factory.mktemp("report"))
    (folder / "figures").mkdir()
    (folder / "figures" / "dice.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    return folder


def build(results: Path, out: Path, params: dict[str, object] = PARAMS) -> str:
    result = CliRunner().invoke(commands, ["build", str(results), str(out), "--settings", json.dumps(params)])
    assert result.exit_code == 0, (result.output, result.exception)
    return out.read_text(encoding="utf-8")


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
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)
    assert "<script" not in page and "@import" not in page and "url(" not in page


def test_numbers_come_from_the_tables(results: Path, tmp_path: Path) -> None:
    page = build(results, tmp_path / "index.html")
    for value in pd.read_csv(results / "transfer" / "comparison.csv")["dice_per_case_mean"]:
        assert f"{value:.3f}" in page
    assert "missing_slice" in page and "TEST DATA" in page and "finetune.steps" in page


def test_synthetic_is_said_where_results_are(results: Path, tmp_path: Path) -> None:
    assert "Synthetic data." in build(results, tmp_path / "a.html")
    real = {
        **PARAMS,
        "archive": {**PARAMS["archive"], "source": "idc"},
        "liver": {**PARAMS["liver"], "source": "lits"},
    }
    page = build(results, tmp_path / "b.html", real)
    assert "Synthetic data." not in page and '<span class="tag">' not in page


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


def test_markup_in_a_result_is_text(results: Path, tmp_path: Path) -> None:
    labels = pd.read_parquet(results / "labels" / "labels.parquet")
    labels["kind_evidence"] = "<script>alert(1)</script>"
    folder = tmp_path / "results" / "labels"
    folder.mkdir(parents=True)
    labels.to_parquet(folder / "labels.parquet")
    page = build(tmp_path / "results", tmp_path / "index.html")
    assert "<script" not in page and "&lt;script&gt;" in page


def test_times(results: Path) -> None:
    result = CliRunner().invoke(commands, ["times", str(results)])
    assert result.exit_code == 0 and "finetune" in result.output and result.output.splitlines()[-1].startswith("all")
