"""Names are data: whatever stands in them is drawn and written as it is."""

import csv
import random
import re
import warnings
from io import StringIO

import matplotlib
import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from rich.markdown import Markdown

from bacl.evaluation.lvis_ap import groups_by_frequency
from bacl.messages.shown import as_markdown, shown
from bacl.reporting.ablation import Ablation, Row
from bacl.reporting.ablation_text import markdown as ablation_markdown
from bacl.reporting.figures import draw_ap_by_count, draw_weight_norms
from bacl.reporting.figures.ablation_curves import draw_ablation
from bacl.reporting.figures.letters import label, legend_label
from bacl.reporting.figures.style import new_figure, save, styled
from bacl.reporting.results import RunResults
from bacl.reporting.spreadsheet import cell_of, text_of
from tests.evaluations import evaluation, statistics

NAMES = [
    r"US$ \foo $", "$1 (50%), $2", "price_$5_$10", '=HYPERLINK("http://x")', "[red]x[/red]", "a|b",
    "<script>alert(1)</script>", "two\nlines", "tab\t", "nul\0", "\x1b[31mred", "gpj.\u202eexe",
    "\U0001f600", "e\u0301", "猫", "собака", "عربي", "x" * 5000, "", "   ", "twice", "twice", "..",
    "con", "_hidden", "{0}", "%s", "-1", "'=1", "\ud83d", "\\x1b", r"\$", "**bold**", "`code`",
]  # fmt: skip
GROUPING = groups_by_frequency(["rcf"[number % 3] for number in range(len(NAMES))])
COUNTS = np.arange(1, len(NAMES) + 1)
COUNTED = statistics(NAMES, ["f"] * len(NAMES), COUNTS, COUNTS)


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # such as that of a missing letter, at every draw
        yield


def test_figures_draw_every_name(tmp_path):
    precision = {head: np.linspace(0, 1, len(NAMES)) for head in ("$a$", "_b", "[x]")}
    path = draw_ap_by_count(tmp_path / "ap.png", precision, COUNTS, GROUPING, NAMES)
    with Image.open(path) as picture:
        assert len(np.unique(np.asarray(picture))) > 10
    draw_weight_norms(tmp_path / "norms.png", precision, COUNTS, GROUPING)
    rows = [Row(name, {0: {"AP": 0.5}}) for name in NAMES]
    draw_ablation(tmp_path / "rows.png", Ablation("runs", r"Runs of $\foo$", rows))


def test_a_users_own_settings_of_matplotlib_do_not_make_names_mathematics(tmp_path):
    with matplotlib.rc_context({"text.usetex": True, "text.parse_math": True}):
        rows = [Row(r"US$ \foo $", {0: {"AP": 0.5}}), Row("$x", {0: {"AP": 0.5}})]
        draw_ablation(tmp_path / "rows.png", Ablation("runs", "Runs", rows))


def test_letters_without_a_font_appear_as_codes():
    assert label("собака e\u0301") == "собака e\u0301"
    assert label("\u0378x") == "U+0378 x"  # a code that is no letter, so that no font has it
    assert label("a\u0378\u0379b c") == "a U+0378 U+0379 b c"
    assert len(label("\u0378" * 100)) == len(label("x" * 5000)) == 40
    assert label("") == '""'
    assert legend_label("_x") == " _x"


def test_a_letter_is_taken_from_another_font_of_the_machine(tmp_path):
    letter = "\u1d8d"  # matplotlib brings STIX, which has it, and DejaVu, which has not

    @styled
    def draw(path):
        figure, [[axes]] = new_figure(2, 2)
        axes.text(0.5, 0.5, label(letter))
        assert axes.texts[0].get_text() == letter
        assert len(axes.texts[0].get_fontfamily()) == 2
        return save(figure, path)

    before = list(matplotlib.rcParams["font.family"])
    draw(tmp_path / "figure.png")
    assert matplotlib.rcParams["font.family"] == before


def test_csv_gives_the_names_back_and_no_cell_acts(tmp_path):
    measures = {"AP": np.full(len(NAMES), 0.5)}
    results = RunResults({"=head": evaluation({"AP": 0.5}, GROUPING, measures)}, COUNTED)
    results.write(tmp_path, np.arange(len(NAMES)))
    content = (tmp_path / "per_category.csv").read_text(encoding="utf-8")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e]", content.replace("\r\n", "\n"))
    rows = list(csv.DictReader(StringIO(content)))
    assert [text_of(row["name"]) for row in rows] == NAMES
    assert not [row["name"] for row in rows if row["name"].startswith(("=", "+", "@"))]
    assert {row["'=head.AP"] for row in rows} == {"0.5"}


def test_texts_of_cells_are_what_they_were():
    random.seed(0)
    letters = [*"=+-@'\\ \t\r\n\0\x1bxu1bn24e.8a", "\u202e", "猫", "\ud83d", "＝", "\u200d"]
    for _ in range(5000):
        name = "".join(random.choices(letters, k=random.randint(0, 7)))
        assert text_of(cell_of(name)) == name
    assert [cell_of(value) for value in (-1, -1.5, "-1.5", "+2e-3", None)] == [
        -1, -1.5, "-1.5", "+2e-3", None,
    ]  # fmt: skip


def test_a_table_in_markdown_has_as_many_cells_as_columns_and_reads_as_the_names():
    rows = [Row(name, {0: {"AP": 0.5}}, {1: "two\nlines | and $x$"}) for name in NAMES]
    text = ablation_markdown(Ablation("runs", "Runs of <b>", rows))
    lines = text.splitlines()[4:]
    assert len(lines) == len(NAMES)
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {4}
    assert "<" not in re.sub(r"\\<", "", text)
    for name in ("a|b", "<i>", "**x**", "_x_", "snake_case", r"\$", "&amp;", "`x`", "[a](b)"):
        console = Console(file=StringIO(), width=60)
        console.print(Markdown(as_markdown(name)))
        assert console.file.getvalue().strip() == name


def test_markup_of_the_terminal_is_text():
    heads = ("[red]x[/red]", "\x1b[31m", "[/x]")
    results = RunResults({head: evaluation({"AP": 0.5}, GROUPING) for head in heads}, COUNTED)
    console = Console(file=StringIO(), width=200)
    console.print(results.console_table())
    assert all(shown(head) in console.file.getvalue() for head in heads)
    assert r"| AP | \[red\]x\[/red\] |" in results.markdown()
