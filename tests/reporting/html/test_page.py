"""One file with everything inside, in which no text acts."""

import base64
import hashlib
import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from bacl.evaluation.errors.suspicions import LabelSuspicions, SuspicionKind
from bacl.reporting.html.contents import write_page
from bacl.reporting.html.markup import VOID, Markup, element
from bacl.reporting.html.page import Page, embedded
from bacl.reporting.html.section import Content, LeftOut, Section
from bacl.reporting.html.sections import (
    choice_section,
    curves_section,
    data_section,
    diagnosis_section,
    label_errors_section,
)
from bacl.reporting.label_errors import write_label_errors
from tests.reporting.html.conftest import HEADS, NAMES

VOID_ELEMENTS = {*VOID, "meta", "link"}


class Structure(HTMLParser):
    """Every element and attribute, and whether elements are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.ids = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.ids += [value for name, value in attributes if name == "id"]
        if tag not in VOID_ELEMENTS:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def text(page):
    return page.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def structure(text):
    return Structure(text)


def data_of(text, key):
    return json.loads(re.search(rf'id="data-{key}">(.*?)</script>', text, re.DOTALL)[1])


def test_the_structure_is_sound(structure):
    assert structure.open == []
    assert len(set(structure.ids)) == len(structure.ids)
    links = [each["href"] for tag, each in structure.elements if tag == "a"]
    assert all(link.startswith("#") for link in links)
    assert {link[1:] for link in links} <= set(structure.ids)
    named = [each["aria-labelledby"] for tag, each in structure.elements if tag == "section"]
    assert set(named) <= set(structure.ids)


def test_numbers_can_be_sorted(structure):
    values = [each["data-value"] for _, each in structure.elements if "data-value" in each]
    assert len(values) > 100
    assert all(np.isfinite(float(value)) for value in values if value)


def test_nothing_outside_is_named(structure, text):
    for _, attributes in structure.elements:
        for name in ("src", "href", "srcset", "action"):
            assert attributes.get(name, "#").startswith(("#", "data:"))
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in text


def test_only_the_scripts_and_styles_of_the_page_may_run(structure, text):
    (policy,) = [a["content"] for _, a in structure.elements if "Content-Security" in str(a)]
    assert policy.startswith("default-src 'none'; img-src data:;")
    for name in ("style", "script"):
        inside = re.findall(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
        assert len(inside) == 1
        digest = base64.b64encode(hashlib.sha256(inside[0].encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy
    assert not [a for _, a in structure.elements if any(n.startswith("on") for n in a)]
    assert not [a for _, a in structure.elements if "style" in a]


def test_hostile_names_are_texts(structure, text):
    assert "onerror=alert" not in re.sub(r'id="data-.*?</script>', "", text, flags=re.DOTALL)
    assert {tag for tag, _ in structure.elements} & {"svg", "b", "iframe", "object"} == set()
    names = data_of(text, "categories")["names"]
    assert names[:2] == NAMES[:2]
    assert names[3] == "gpj.\\u202eexe"
    assert len(names[5]) == 80
    assert data_of(text, "categories")["heads"] == list(HEADS)
    assert "&lt;b&gt;bold&lt;/b&gt;" in text
    assert "A &lt;run&gt;" in text


def test_data_blocks_hold_no_markup(text):
    for block in re.findall(r'id="data-\w+">(.*?)</script>', text, re.DOTALL):
        assert not set("<>&\u2028\u2029") & set(block)
        json.loads(block)


def test_the_same_run_gives_the_same_page(made, page, tmp_path):
    write_page(tmp_path / "again.html", "A <run>", made)
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()


def test_values_are_those_of_the_evaluation(made, text):
    table = data_of(text, "categories")
    for head, evaluation in made.evaluations.items():
        expected = [round(100 * ap, 1) if ap >= 0 else None for ap in evaluation.per_category["AP"]]
        assert table["values"][head]["AP"] == expected
    pictures = data_of(text, "pictures")
    kinds = [each["kind"] for each in pictures["images"]]
    assert kinds[:3] == ["gain", "loss", "hit"]
    for image in pictures["images"]:
        for rows in image["found"].values():
            assert [row[5] for row in rows] == sorted((row[5] for row in rows), reverse=True)
            assert {row[6] for row in rows} <= {"right", "wrong", "unjudged"}


def test_every_category_has_examples(made, text):
    examples = data_of(text, "examples")
    assert set(examples) == {"training", "right", "wrong"}
    trained = [count > 0 for count in data_of(text, "categories")["images"]]
    assert [bool(each) for each in examples["training"]] == trained
    assert all(each.startswith("data:image/webp") for own in examples["training"] for each in own)


def test_a_category_knows_what_it_is_confused_with(made, text):
    errors, table = data_of(text, "errors"), data_of(text, "categories")
    for head in made.evaluations:
        objects = [sum(each) for each in errors["fates"][head]]
        assert objects == table["objects"]
        for label, pairs in errors["called"][head].items():
            counts = [count for _, count in pairs]
            assert counts == sorted(counts, reverse=True)
            assert sum(counts) <= errors["fates"][head][int(label)][1]
            assert int(label) not in [other for other, _ in pairs]


def test_categories_have_the_thresholds_that_were_chosen(made, text):
    found = data_of(text, "thresholds")
    for head, evaluation in made.evaluations.items():
        chosen = evaluation.operating_points.thresholds
        assert found["heads"][head]["scores"] == pytest.approx(chosen.per_category, rel=0.01)
        own = [owner == 0 for owner in found["heads"][head]["owners"]]
        assert own == chosen.own.tolist()
    assert "third, per category" in text


def test_curves_are_those_of_the_files(made, tmp_path):
    (tmp_path / "metrics.csv").write_text(
        "step,train/third/classification,train/box,val/third/AP\n"
        "0,nan,4,0.1\n1,2,3,0.2\n2,1.23456,2,0.3\n"
    )
    (tmp_path / "shift_curves.csv").write_text(
        "head,gamma,right_label,right_label_r,right_label_c,right_label_f\n"
        "third,0,0.5,0.25,0.5,0.75\nthird,0.5,0.5,,0.5,0.5\n"
    )
    data = curves_section.make(replace(made, folder=tmp_path)).data
    assert data["losses"]["classification"] == {"third": [[1, 2], [2, 1.235]]}
    assert data["losses"]["box"] == {"": [[0, 4], [1, 3], [2, 2]]}
    assert data["validations"]["AP"]["third"] == [[0, 10], [1, 20], [2, 30]]
    ends = [group.key for group in made.first.shift.ends]
    assert ends[0] == "r"
    assert [point[:2] for point in data["shift"]["heads"]["third"]] == [[0, 25]]


def test_a_long_curve_has_few_points():
    steps = np.arange(10_000.0)
    points = curves_section._points(steps, 2 * steps)
    assert len(points) == curves_section.POINTS
    assert (points[0], points[-1]) == ([0, 0], [9999, 20000])


def test_the_chosen_head_is_told_of(made, tmp_path):
    variant = {"value": 0.5, "groups": {"r": 0.25, "f": -1}, "right_label": 0.5}
    content = {
        "chosen": "a", "best": "a", "reference": "b", "criterion": "right label", "price": None,
        "halves": ["a", "a"], "expected": {"value": 0.45}, "difference": 0.1,
        "standard_error": 0.02, "verdict": "better",
        "variants": {
            "b": variant | {"value": 0.4, "measures": {"AP": 0.3}},
            "a": variant | {"measures": {"AP": 0.2}},
        },
    }  # fmt: skip
    (tmp_path / "choice.json").write_text(json.dumps(content))
    body = choice_section.make(replace(made, folder=tmp_path)).body
    assert "Chosen: a. Expected of it: right label 45.0, +10.0 ± 2.0 over" in body
    assert body.index(">a</th>") < body.index(">b</th>")  # the best first
    assert ">25.0<" in body


def test_the_data_are_told_of_where_they_were_looked_at(made, tmp_path):
    (tmp_path / "data").mkdir()
    split = {"images": 2000, "images_used": 1, "annotations_in_file": 3, "objects_used": 4}
    finding = {
        "kind": "object_twice", "severity": "warning", "what": "2 objects have <two> boxes",
        "follows": "They count twice.", "mend": "Remove one.", "split": "train", "count": 4,
        "total": 9, "names": [], "places": [[{"file_name": "<a>.jpg"}, {"file_name": "b.jpg"}]],
    }  # fmt: skip
    content = {
        "layout": 1,
        "splits": {"train": split, "val": split},
        "findings": [finding | {"severity": "note", "what": "later"}, finding],
        "preset": {"command": "python run.py", "parts": []},
    }
    (tmp_path / "data/data.json").write_text(json.dumps(content))
    body = data_section.make(replace(made, folder=tmp_path)).body
    assert "2 objects have &lt;two&gt; boxes" in body
    assert "&lt;a&gt;.jpg and b.jpg…" in body
    assert "2,000" in body
    assert body.index("warning") < body.index("note")
    (tmp_path / "data/data.json").write_text(json.dumps(content | {"layout": 2}))
    with pytest.raises(LeftOut, match="another version"):
        data_section.make(replace(made, folder=tmp_path))


def test_what_is_missing_is_left_out_with_a_word(made, text, tmp_path):
    assert "The chosen head (no head was chosen; balance=auto does)" in text
    assert 'id="choice"' not in text
    empty = replace(made, folder=tmp_path / "nowhere", pictures=tuple)
    write_page(tmp_path / "page.html", "Empty", empty)
    told = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Detections (no image was kept)" in told
    assert "Figures (there is none)" in told
    assert "no config.yaml" in told


def test_a_section_that_fails_leaves_the_others(tmp_path, caplog):
    def fail(source):
        raise RuntimeError("broken")

    def absent(source):
        raise LeftOut("there is no <file>")

    sections = [
        Section("bad", "Bad", fail),
        Section("absent", "Absent", absent),
        Section("nan", "Not a number", lambda source: Content(Markup("x"), {"value": math.nan})),
        Section("good", "Good", lambda source: Content(element("p", source))),
    ]
    Page("Title", "", sections).write(tmp_path / "page.html", "a & b")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<p>a &amp; b</p>" in text
    assert "Bad (it could not be made" in text
    assert "Not a number (it could not be made" in text
    assert "Absent (there is no &lt;file&gt;)" in text
    told = [line for line in caplog.messages if "left out: Bad, Not a number" in line]
    assert len(told) == 1
    assert "RuntimeError: broken" in told[0]


def test_a_number_that_json_does_not_know_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        embedded("x", {"value": float("nan")})


def test_markup_is_escaped_once():
    inner = element("b", "a<b")
    assert element("p", inner, "&", title='"') == '<p title="&quot;"><b>a&lt;b</b>&amp;</p>'
    assert isinstance(inner, Markup)


def test_sentences_of_the_diagnosis_are_texts(made, tmp_path):
    results = {"diagnosis": [r"a\_b & <i> gains; try `x=1`."]}
    (tmp_path / "results.json").write_text(json.dumps(results))
    body = diagnosis_section.make(replace(made, folder=tmp_path)).body
    assert body == "<ul><li>a_b &amp; &lt;i&gt; gains; try <code>x=1</code>.</li></ul>"


def test_suspected_annotations_are_shown(made, tmp_path):
    table = made.data.val_table
    suspicions = LabelSuspicions(
        kind=next(iter(SuspicionKind)),
        images=np.array([0]), rows=np.array([0]), boxes=np.asarray(table.boxes)[:1],
        labels=np.array([0]), suggested=np.array([4]), confidence=np.array([0.9]),
    )  # fmt: skip
    write_label_errors(tmp_path / "label_errors.csv", [suspicions], table)
    body = label_errors_section.make(replace(made, folder=tmp_path)).body
    assert "&lt;/script&gt;&lt;img" in body
    assert "猫 &amp; собака 0.90" in body
    assert body.count("data:image/webp") == 1
