"""What a file name from another system or tool finds on the disk."""

import os
import unicodedata

import pytest

from bacl.data.annotations.image_names import candidate_names, find_image, readings
from bacl.data.annotations.table import AnnotationTable
from bacl.data.missing_files import MissingDataError, missing_files

LATIN = os.fsdecode(b"caf\xe9.png")  # bytes of a disk from before UTF-8
ACCENTED = "caf\u00e9.png"


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("sub//0.png", "sub/0.png"),
        ("./sub/0.png", "sub/0.png"),
        ("other/../sub/0.png", "sub/0.png"),
        ("images\\sub\\0.png", "sub/0.png"),
        ("sub\\0.png", "sub\\0.png"),
        ("a/b/c/d/sub/0.png", "sub/0.png"),
        ("/data/upload/1/0%20x%2B1.png", "0 x+1.png"),
        ("/data/local-files/?d=sub%2F0.png", "sub/0.png"),
        ("0%20x.png", "0%20x.png"),
        ("http://host/images/0.png", "0.png"),
        (ACCENTED, unicodedata.normalize("NFD", ACCENTED)),
        (unicodedata.normalize("NFD", ACCENTED), ACCENTED),
        (ACCENTED, LATIN),
        (LATIN, LATIN),
        ("caf%C3%A9.png", ACCENTED),
        ("caf%E9.png", LATIN),
    ],
)
def test_a_name_is_found_however_it_was_written(tmp_path, write_set, name, file):
    path = tmp_path / "images" / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    json = write_set(tmp_path, [(32, 32)], {0: [(2, 2, 9, 9, 1)]}, file_name=[name])
    stored = AnnotationTable.open(json).file_name(0)
    assert stored == name
    assert find_image([tmp_path / "none", tmp_path / "images"], stored) == path
    assert missing_files({"annotations": json, "images": tmp_path / "images"}) == []


def test_the_most_literal_name_wins(tmp_path):
    for name in ("0%20x.png", "0 x.png", "sub/0 x.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert find_image([tmp_path], "0%20x.png") == tmp_path / "0%20x.png"
    assert find_image([tmp_path], "sub/0%20x.png") == tmp_path / "sub/0 x.png"


@pytest.mark.parametrize(
    "name", ["%2e%2e/0.png", "%2Fetc%2Fpasswd", "..%5C0.png", "a%00b", "x/../../0.png", "%2e"]
)
def test_no_reading_leads_out_of_the_folder(name):
    for path in [*readings(name), *candidate_names(name)]:
        assert not os.path.isabs(path)  # noqa: PTH117
        assert ".." not in path.split("/")
        assert "\0" not in path


def test_a_plain_name_has_no_other_reading():
    assert readings("sub/0.png") == ["sub/0.png"]
    assert candidate_names("a/b/c/d/e/f.png") == [
        "a/b/c/d/e/f.png",
        *("c/d/e/f.png", "d/e/f.png", "e/f.png", "f.png"),
    ]


def test_a_missing_image_is_told_with_what_was_tried(tmp_path, write_set):
    names = ["a\\0%20x.png", "sub/1.png", "2.png", "3.png"]
    json = write_set(tmp_path, [(32, 32)] * 4, {}, file_name=names)
    (tmp_path / "images").mkdir()
    (line,) = missing_files({"annotations": json, "images": tmp_path / "images"})
    assert line == (
        f"4 of 4 images of {json} are not in {tmp_path}/images: 'a\\\\0%20x.png', 'sub/1.png', "
        "'2.png', … (also looked for 'a\\\\0 x.png', 'a/0%20x.png', 'a/0 x.png', '0%20x.png', …)"
    )


def test_names_that_mean_one_file_are_told(tmp_path, write_set):
    json = write_set(tmp_path, [(32, 32)] * 2, {}, file_name=["x/0.png", "y/0.png"])
    (line,) = missing_files({"annotations": json, "images": tmp_path})
    assert line == f"2 images of {json} are one file 0.png: 'x/0.png' and 'y/0.png'"


def test_a_folder_that_cannot_be_listed_is_told(tmp_path, write_set, monkeypatch):
    json = write_set(tmp_path, [(32, 32)], {})
    listed = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: _refuse() if path == tmp_path else listed(path))
    with pytest.raises(MissingDataError, match=rf"the folder {tmp_path} cannot be read: refused"):
        missing_files({"annotations": json, "images": tmp_path})


def _refuse():
    raise PermissionError(13, "refused")
