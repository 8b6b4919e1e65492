"""The page of many runs: tables, figures, links to the pages of the runs."""

import pytest
from PIL import Image

from bacl.reporting.ablation import Ablation, Row
from bacl.reporting.html.contents import write_comparison
from bacl.reporting.html.sections.ablations_section import standard_error
from bacl.reporting.html.sweep_source import SweepSource
from tests.reporting.html.made import ENVIRONMENT

FIRST = Row("first", {0: {"AP": 0.2}, 1: {"AP": 0.3}}, default=True, paper=[25, 1, 2, 3])
ROWS = [
    FIRST,
    Row("better", {0: {"AP": 0.5}, 1: {"AP": 0.5}}),
    Row("alike", {0: {"AP": 0.2}, 1: {"AP": 0.4}}),
    Row("<i>none</i>", {}, {-1: "not run"}),
]


@pytest.fixture
def text(tmp_path):
    page = tmp_path / "a b/seed_0/classifier/report.html"
    page.parent.mkdir(parents=True)
    page.touch()
    folder = tmp_path / "report/runs"
    folder.mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(folder / "alpha.png")
    source = SweepSource(folder, tmp_path, [Ablation("alpha", "α & β", ROWS)], ENVIRONMENT)
    write_comparison(folder / "report.html", "Runs", source)
    return (folder / "report.html").read_text(encoding="utf-8")


def test_differences_have_their_errors(text):
    # 25 and 50: deviations of 7.07 and 0 over two seeds each, an error of 5.
    assert "25.0 ± 7.1" in text
    assert '<span class="change gain">+25.0 ± 5.0</span>' in text
    assert '<span class="change">(+5.0 ± 11.2)</span>' in text
    assert standard_error(ROWS[1], FIRST, "AP") == pytest.approx(5.0)


def test_a_setting_without_a_result_says_why(text):
    assert "Without a result: &lt;i&gt;none&lt;/i&gt;: not run." in text
    assert "α &amp; β" in text


def test_the_papers_figures_stand_beside_ours(text):
    assert "AP paper" in text


def test_pages_of_runs_are_linked_from_where_the_page_lies(text):
    assert '<a href="../../a%20b/seed_0/classifier/report.html">a b/seed_0/classifier</a>' in text
    assert 'src="data:image/png;base64,' in text
    assert "run.py +experiment=made" in text
