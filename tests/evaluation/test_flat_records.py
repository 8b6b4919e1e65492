"""Results files whose records are written alike are read as columns, to the same numbers."""

import gzip
import json

import numpy as np
import pytest

from bacl.data.annotations.validation import AnnotationError
from bacl.evaluation import flat_records, number_lists, results_json
from bacl.evaluation.detection_columns import COLUMN_NAMES
from bacl.evaluation.flat_records import read_pieces
from bacl.evaluation.record_layout import OtherLayoutError
from bacl.evaluation.results_json import load_results
from bacl.evaluation.results_writer import ResultsWriter

NUMBERS = [0, 1, -1, 0.5, -0.0, 1e-05, 3.25e-300, 1e22, 57.30407437765738, 123456789, 2**53 + 1]
RECORD = {"image_id": 1, "category_id": 7, "bbox": [1.5, 2, 3, 4], "score": 0.5}


@pytest.fixture
def table(open_table):
    lists = {"neg_category_ids": [], "not_exhaustive_category_ids": []}
    return open_table(
        {
            "images": [
                {"id": i, "file_name": f"{i}.jpg", "height": 99, "width": 99, **lists}
                for i in (4, 1, 9)
            ],
            "categories": [{"id": i, "name": str(i), "frequency": "c"} for i in (3, 7)],
            "annotations": [
                {"id": 1, "image_id": 4, "category_id": 7, "bbox": [1.0, 1, 9, 9], "area": 81.0}
            ],
        }
    )[1]


def records(count, **more):
    draw = np.random.default_rng(count)
    return [
        {
            "image_id": int(draw.choice([1, 4, 9])),
            "category_id": int(draw.choice([3, 7])),
            "bbox": [NUMBERS[i] for i in draw.integers(0, len(NUMBERS), 4)],
            "score": float(draw.choice([draw.random(), 1e-7, 1.0])),
            **more,
        }
        for _ in range(count)
    ]


def equal(one, other):
    return all(
        getattr(one, name).dtype == getattr(other, name).dtype
        and getattr(one, name).tobytes() == getattr(other, name).tobytes()
        for name in COLUMN_NAMES
    )


@pytest.fixture(params=["simdjson", "pydantic"])
def parser(request, monkeypatch):
    """Each of the parsers of numbers."""
    if request.param == "simdjson":
        pytest.importorskip("simdjson")
    else:
        monkeypatch.setattr(number_lists, "Parser", None)


@pytest.fixture
def both(table, monkeypatch, parser):
    """File -> what is read as columns, and what record by record."""

    def read(file):
        with monkeypatch.context() as alone:
            alone.setattr(results_json, "stream_list", None)
            columns = load_results(file, table)
        with monkeypatch.context() as alone:
            alone.setattr(results_json, "_flat", lambda path, table: None)
            return columns, load_results(file, table)

    return read


WAYS = {
    "as json writes it": json.dumps,
    "without spaces": lambda all_: json.dumps(all_, separators=(",", ":")),
    "over lines": lambda all_: "\n" + json.dumps(all_, indent=2) + "\n",
    "with a byte order mark": lambda all_: "\ufeff" + json.dumps(all_),
    "exponents with E": lambda all_: json.dumps(all_).replace("e-", "E-").replace("e+", "E+"),
    "in another order": lambda all_: json.dumps([dict(reversed(each.items())) for each in all_]),
}


@pytest.mark.parametrize("count", [1, 2, 900])
@pytest.mark.parametrize("more", [{}, {"id": 5, "area": 2.5, "point": [1, 2.5]}])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_columns_are_what_is_read_record_by_record(both, tmp_path, way, more, count):
    file = tmp_path / "results.json"
    file.write_text(way(records(count, **more)), encoding="utf-8")
    assert equal(*both(file))


def test_pieces_of_a_file_do_not_show(both, tmp_path, monkeypatch):
    file = tmp_path / "results.json.gz"
    file.write_bytes(gzip.compress(json.dumps(records(300)).encode()))
    monkeypatch.setattr(flat_records, "_PIECE", 700)
    assert equal(*both(file))


@pytest.mark.parametrize("category", [-(2**63), -1, 0, 4, 8, 9, 2**20, 2**63 - 1])
def test_unknown_categories_are_named(table, tmp_path, category):
    (tmp_path / "results.json").write_text(json.dumps([RECORD, RECORD | {"category_id": category}]))
    with pytest.raises(AnnotationError, match=f"record 1: category_id {category} is not in"):
        load_results(tmp_path / "results.json", table)


def test_our_own_files_are_read_so(table, both, tmp_path):
    file = tmp_path / "results.json"
    file.write_text(json.dumps(records(50)))
    found = load_results(file, table)
    with ResultsWriter(tmp_path / "own.json", table) as writer:
        writer.write_columns(found)
    assert equal(*both(tmp_path / "own.json"))
    assert equal(load_results(tmp_path / "own.json", table), found)


def changed(number, old, new):
    """The text of three records, in one of which something is written otherwise."""
    texts = [json.dumps(RECORD) for _ in range(3)]
    assert texts[number].count(old) == 1
    texts[number] = texts[number].replace(old, new)
    return f"[{', '.join(texts)}]"


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"score"', '"scor3e"'),
        ('"score"', '"sco-re"'),
        ('"score"', '"scoEre"'),
        ('"score"', '"scor"'),
        ('"score": 0.5', '"score": 0.5, "score": 0.5'),
        ('"score": 0.5', '"score"1: 0.5'),
        ("0.5", "0.5 1"),
        ("0.5", "00.5"),
        ("0.5", ".5"),
        ("0.5", "+1"),
        ("0.5", "-"),
        ("0.5", "1e"),
        ("0.5", '"0.5"'),
        ("0.5", "true"),
        ("0.5", "NaN"),
        ("0.5", "9" * 400),
        ("[1.5, 2, 3, 4]", "[1.5, 2, 3]"),
        ("[1.5, 2, 3, 4]", "[1.5, 2, 3, 4, 5]"),
        ("[1.5, 2, 3, 4]", "[1.5, 2, [3, 4]]"),
        ('"image_id": 1', '"image_id": 1.0'),
        ('"image_id": 1', '"image_id": [1]'),
        ('"category_id": 7', '"category_id": 70E-1'),
        ('"score": 0.5', '"score": [0.5]'),
        ('"image_id": 1', '"image_id": 9007199254740992'),
        ('"image_id": 1', '"image_id": 1e0'),
        ('"image_id": 1', '"image_id": 9223372036854775808'),
        ('"image_id": 1, "category_id": 7', '"category_id": 7, "image_id": 1, "image_id": 1'),
        ("}", "}}"),
        ("{", "{{"),
    ],
)
def test_what_is_written_otherwise_is_not_read_so(number, old, new, parser):
    content = changed(number, old, new).encode()
    pieces = iter([content, b""])
    with pytest.raises(OtherLayoutError):
        list(read_pieces(lambda _: next(pieces)))


@pytest.mark.parametrize("key", ["1,", ",", "2,5"])
def test_numbers_in_a_key_are_none_of_the_record(parser, key):
    """Of eight records with nine numbers each nine with eight could be made."""
    content = json.dumps([RECORD | {key: 3}] * 8).encode()
    pieces = iter([content, b""])
    with pytest.raises(OtherLayoutError):
        list(read_pieces(lambda _: next(pieces)))


@pytest.mark.parametrize("separator", [", [", "], ", ", 5, ", ", null, ", ",, ", " ", "", ", ]"])
def test_what_stands_between_records_is_a_comma(separator):
    content = f"[{separator.join([json.dumps(RECORD)] * 3)}]".encode()
    pieces = iter([content, b""])
    with pytest.raises(OtherLayoutError):
        list(read_pieces(lambda _: next(pieces)))


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[", b"[,]", b"[1]", b"[[]]", b"[{}]", b"[]]", b"[5 " * 10**6]
)
def test_what_is_no_list_of_records_is_not_read_so(content):
    pieces = iter([content, b""])
    with pytest.raises(OtherLayoutError):
        list(read_pieces(lambda _: next(pieces)))


def test_a_list_of_none_has_no_pieces():
    pieces = iter([b" [ ] \n", b""])
    assert list(read_pieces(lambda _: next(pieces))) == []


@pytest.mark.parametrize("late", ["7.0", "7e0", "70E-1", "7.0e+0"])
@pytest.mark.parametrize("whole", [True, False])
def test_ids_with_a_fraction_are_not_read_among_any_numbers(parser, late, whole):
    """Also where a whole coordinate takes the point that the id has too many."""
    corner = "2" if whole else "2.0"
    records = [
        f'{{"image_id": 1, "category_id": {c}, "bbox": [1.5, {y}, 3.0, 4.0], "score": 0.5}}'
        for c, y in (("7", "2.0"), (late, corner))
    ]
    pieces = iter([f"[{', '.join(records)}]".encode(), b""])
    with pytest.raises(OtherLayoutError):
        list(read_pieces(lambda _: next(pieces)))


def test_numbers_are_those_of_json(parser):
    draw = np.random.default_rng(0)
    values = np.frombuffer(draw.bytes(8 * 20_000))
    values = [*values[np.isfinite(values)].tolist(), 0.1, 5e-324, 1.7976931348623157e308, -0.0]
    texts = [*map(repr, values), "0.1000000000000000055511151231257827", "7"]
    text = f"[{','.join(texts)}]"
    expected = np.array(json.loads(text), np.float64)
    assert number_lists.NumberReader().read(text.encode()).tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    "text", ["[1, 2", "[1 2]", "[1,]", "[01]", "[.5]", "[+1]", "[1e400]", "[]]"]
)
def test_what_is_no_list_of_numbers_is_told(parser, text):
    try:
        found = number_lists.NumberReader().read(text.encode())
    except ValueError:
        return
    assert not np.isfinite(found).all()  # as json reads 1e400
