"""Every bad annotation file gets one error that names file, record and field."""

import json
import re

import pytest

from bacl.data.annotations.table import AnnotationTable
from bacl.data.annotations.validation import AnnotationError

IMAGE = {"id": 1, "height": 10, "width": 20, "file_name": "1.jpg"}
CATEGORY = {"id": 5, "name": "cat"}
ANNOTATION = {"id": 8, "image_id": 1, "category_id": 5, "bbox": [1, 2, 3, 4], "area": 12}
NOT_HERE = object()
ONE = json.dumps(IMAGE)


def changed(section, field, value):
    """A file whose second record of `section` has another `field`."""
    content = {
        "images": [IMAGE, {**IMAGE, "id": 2}],
        "annotations": [ANNOTATION, {**ANNOTATION, "id": 9}],
        "categories": [CATEGORY, {**CATEGORY, "id": 6}],
    }
    content[section][1] = {**content[section][1], field: value}
    if value is NOT_HERE:
        del content[section][1][field]
    return content


def message(tmp_path, text):
    path = tmp_path / "train.json"
    path.write_text(text)
    with pytest.raises(AnnotationError) as error:
        AnnotationTable.open(path)
    start = f"{path}: "
    assert str(error.value).startswith(start)
    return str(error.value).removeprefix(start)


@pytest.mark.parametrize(
    ("section", "field", "value", "expected"),
    [
        ("annotations", "bbox", [1, 2, 3], "[1, 2, 3], expected [x, y, width, height]"),
        ("annotations", "bbox", [1, 2, 3, float("nan")], "[1.0, 2.0, 3.0, nan], expected [x"),
        ("annotations", "bbox", [1, 2, 3, "4"], "[1, 2, 3, '4'], expected [x"),
        ("annotations", "bbox", None, "None, expected [x"),
        ("annotations", "bbox", NOT_HERE, "is missing, expected [x"),
        ("annotations", "area", "big", "'big', expected a number of pixels"),
        ("annotations", "id", "9", "'9', expected an integer"),
        ("annotations", "id", 2**64, "18446744073709551616, expected an integer"),
        ("annotations", "id", 8, "8 is already the id of annotations[0]"),
        ("annotations", "image_id", NOT_HERE, "is missing, expected an integer"),
        ("annotations", "image_id", 3, "3 is not the id of any image of this file"),
        ("annotations", "category_id", 7, "7 is not the id of any category of this file"),
        ("annotations", "iscrowd", 2, "2, expected 0 or 1"),
        ("annotations", "iscrowd", None, "None, expected 0 or 1"),
        ("annotations", "segmentation", 5, "5, expected a list of polygons"),
        ("annotations", "segmentation", [1, 2, 3, 4, 5, 6], "1 among the polygons"),
        ("annotations", "segmentation", [[1, 2, 3]], "[1, 2, 3], expected pixels"),
        ("annotations", "segmentation", [[1, 2, "3", 4]], "[1, 2, '3', 4], expected pixels"),
        ("annotations", "segmentation", [[0, 0, 1e9, 0, 9, 9]], "[0.0, 0.0, 1000000000.0, 0"),
        ("annotations", "segmentation", [[1, float("inf")] * 3], "[1.0, inf, 1.0, inf, 1.0, "),
        ("annotations", "bbox", [True, 2, 3, 4], "[True, 2, 3, 4], expected [x"),
        ("annotations", "bbox", "1234", "'1234', expected [x"),
        ("annotations", "bbox", [0, 0, 10**400, 5], "[0, 0, 1000000000000000"),
        ("annotations", "bbox", [0, 0, 1e308, 5], "[0.0, 0.0, 1e+308, 5.0], expected [x"),
        ("annotations", "area", True, "True, expected a number of pixels"),
        ("annotations", "area", 10**400, "10000000000"),
        ("annotations", "area", float("nan"), "nan, expected a number of pixels"),
        ("annotations", "id", True, "True, expected an integer"),
        ("annotations", "id", 9.0, "9.0, expected an integer"),
        ("annotations", "image_id", True, "True, expected an integer"),
        ("annotations", "category_id", False, "False, expected an integer"),
        ("annotations", "iscrowd", 1.0, "1.0, expected 0 or 1"),
        ("annotations", "ignore", "1", "'1', expected 0 or 1"),
        ("annotations", "segmentation", [[True, 2, 3, 4, 5, 6]], "[True, 2, 3, 4, 5, 6], exp"),
        ("annotations", "segmentation", [[1, 2, 3, 4, 5, 10**400]], "[1, 2, 3, 4, 5, 100000"),
        ("annotations", "segmentation", [[1, 2, 3, 4, 5, 1e7]], "[1.0, 2.0, 3.0, 4.0, 5.0, 1000"),
        ("annotations", "segmentation", [[-9e5, 0, 9e5, 0] * 9], "[-900000.0, 0.0, 900000.0"),
        ("images", "width", True, "True, expected an integer"),
        ("images", "width", 2_000_000, "2000000, expected pixels from 1 to 1000000"),
        ("images", "neg_category_ids", [True], "[True], expected a list of category ids"),
        ("images", "neg_category_ids", None, "None, expected a list of category ids"),
        ("images", "neg_category_ids", {}, "{}, expected a list of category ids"),
        ("images", "neg_category_ids", [2**64], "[18446744073709551616], expected a list"),
        ("images", "file_name", [], "[], expected a text"),
        ("images", "file_name", "../../secret.png", "'../../secret.png' leads out of the image"),
        ("images", "file_name", "a/../../b.png", "'a/../../b.png' leads out of the image folder"),
        ("images", "file_name", "..\\b.png", "'..\\\\b.png' leads out of the image folder"),
        ("images", "file_name", "/etc/passwd", "'/etc/passwd' is an absolute path, expected"),
        ("images", "file_name", "C:\\a.png", "'C:\\\\a.png' is an absolute path, expected the"),
        ("images", "file_name", "/data/upload/../../../b", "'/data/upload/../../../b' leads out"),
        ("images", "file_name", ".", "'.' leads out of the image folder"),
        ("images", "file_name", "a\0.png", "'a\\x00.png' holds a control character"),
        ("images", "file_name", "0.png\n", "'0.png\\n' holds a control character"),
        ("images", "file_name", "\ud800.png", "'\\ud800.png' holds half a character"),
        ("images", "file_name", 300 * "x", "'xxxxxxxxxxxx"),
        ("categories", "name", "\ud800", "'\\ud800' holds half a character"),
        ("images", "height", NOT_HERE, "is missing, expected an integer"),
        ("images", "width", 0, "0, expected pixels from 1 to 1000000"),
        ("images", "height", 1.5, "1.5, expected an integer"),
        ("images", "file_name", NOT_HERE, "is missing, expected a text"),
        ("images", "file_name", 3, "3, expected a text"),
        ("images", "id", 1, "1 is already the id of images[0]"),
        ("images", "neg_category_ids", [5, 77], "77 is not the id of any category of this file"),
        ("images", "neg_category_ids", ["5"], "['5'], expected a list of category ids"),
        ("images", "not_exhaustive_category_ids", [4], "4 is not the id of any category"),
        ("categories", "name", NOT_HERE, "is missing, expected a text"),
        ("categories", "name", "", "'', expected a text"),
        ("categories", "id", 5, "5 is already the id of categories[0]"),
        ("categories", "frequency", "x", "'x', expected 'r', 'c' or 'f'"),
    ],
)
def test_bad_field(tmp_path, section, field, value, expected):
    text = message(tmp_path, json.dumps(changed(section, field, value)))
    assert text.startswith(f"{section}[1].{field}: {expected}")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (
            {"size": [10, 20], "counts": [100, 99]},
            ".counts: the runs add up to 199, expected 10 x ",
        ),
        ({"size": [10, 20], "counts": [100, -1, 101]}, ".counts: [100, -1, 101], expected run"),
        ({"size": [10, 20], "counts": "PX6"}, ".counts: the runs add up to"),
        ({"size": [10, 20], "counts": ""}, ".counts: the runs add up to 0, expected 10 x 20"),
        ({"size": [10, 20]}, ".counts: None, expected a text or a list"),
        ({"size": [10], "counts": "x"}, ".size: [10], expected [height, width]"),
        ({"counts": "x"}, ".size: None, expected [height, width]"),
        ({"size": [True, True], "counts": [1]}, ".size: [True, True], expected [height, width]"),
        ({"size": [10.0, 20], "counts": [200]}, ".size: [10.0, 20], expected [height, width]"),
        ({"size": [10, 20], "counts": [True, 199]}, ".counts: [True, 199], expected run lengths"),
        ({"size": [10, 20], "counts": "o" * 500}, ".counts: 'ooooooooooo"),
        ({"size": [10, 20], "counts": "X6o"}, ".counts: 'X6o', which is no text of compressed"),
        ({"size": [10, 20], "counts": "X6\0"}, ".counts: 'X6\\x00', which is no text of compr"),
        ({"size": [10, 20], "counts": "pppppppppp0X6"}, ".counts: 'pppppppppp0X6', which is no t"),
        ({"size": [20, 10], "counts": [200]}, ".size: [20, 10], but the image has [height, wid"),
    ],
)
def test_bad_run_lengths(tmp_path, code, expected):
    text = message(tmp_path, json.dumps(changed("annotations", "segmentation", code)))
    assert text.startswith(f"annotations[1].segmentation{expected}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "the file is empty"),
        (" \n", "the file is empty"),
        ("[]", "expected a JSON object with images, annotations, categories, found a list (detec"),
        ("<html>", "expected a JSON object with images, annotations, categories, found text that"),
        ("{}", "no 'images' and no 'annotations' and no 'categories'; expected an object with"),
        ('{"images": [], "categories": []}', "no 'annotations'; expected an object"),
        ('{"images": [], "annotations": [], "categories": []}', "images: is empty"),
        ('{"images": 3}', "images: expected a list of objects"),
        ('{"images": [1]}', "images[0]: 1, expected an object"),
        ('{"images": [], "images": []}', "images: stands twice in this file"),
        (f'{{"images": [{ONE} {ONE}]}}', "images[1]: not valid JSON at character 71: expec"),
        (f'{{"images": [{ONE},, {ONE}]}}', "images[1]: not valid JSON at character 71: Expec"),
        (f'{{"images": [{ONE}, {{"id"', "images[1]: the file ends early"),
        (f'{{"images": [{ONE}', "images[1]: the file ends early"),
        ('{"images": [', "images[0]: the file ends early"),
        ('{"info": {"a": 1', "info: the file ends early"),
        ('{"info": 1,}', "not valid JSON at character 11: a comma too many"),
        (f'{{"images": [{ONE},]', "images[1]: not valid JSON at character 71: a comma too m"),
        ('{"info": ' + 5000 * "[" + 5000 * "]" + "}", "info: is nested too deeply"),
        ('{"images": [{"id": ' + 5000 * "9", "images[0]: holds a number of thousands of digits"),
        (f'{{"images": [{ONE[:-1]}, "id": 1}}]', "images[0]: 'id' stands twice in it"),
        ('{"annotations": [{"x": {"a": 1, "a": 2}}]', "annotations[0]: 'a' stands twice in it"),
    ],
)
def test_bad_file(tmp_path, text, expected):
    assert message(tmp_path, text).startswith(expected)


def test_every_cut_of_a_good_file_is_an_error(tmp_path):
    good = json.dumps(changed("images", "id", 2))
    path = tmp_path / "train.json"
    path.write_text(good)
    AnnotationTable.open(path)
    for end in range(0, len(good), 7):
        assert re.search("ends early|empty", message(tmp_path, good[:end])), good[:end]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"PK\x03\x04\xff\xfe", "a zip archive"),
        (b"\x1f\x8b\x08\x00", "a gzip archive"),
        ("{}".encode("utf-16"), "text in UTF-16"),
        (
            '{"info": "é"}'.encode("latin-1"),
            r"not a text file .*continuation byte",
        ),
    ],
)
def test_file_that_is_no_text(tmp_path, content, found):
    path = tmp_path / "train.json"
    path.write_bytes(content)
    with pytest.raises(AnnotationError, match=rf"train\.json: {found}"):
        AnnotationTable.open(path)


def test_a_value_of_any_depth_is_shown_in_one_line(tmp_path):
    nested = [900 * [[]]]
    for _ in range(500):
        nested = [nested]
    text = message(tmp_path, json.dumps(changed("annotations", "bbox", nested)))
    assert text.startswith("annotations[1].bbox: [[[[[...]]]]], expected [x, y, width, height]")


def test_flags_may_be_true_and_false(tmp_path):
    path = tmp_path / "train.json"
    path.write_text(json.dumps(changed("annotations", "iscrowd", True)))
    assert AnnotationTable.open(path).crowd.tolist() == [False, True]


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no annotation file .*none\.json"):
        AnnotationTable.open(tmp_path / "none.json")
