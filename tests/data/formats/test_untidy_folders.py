"""Folders that tools and people leave: other names, systems, copies; and files that mean harm."""

import json
import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from PIL import Image

from bacl.data.annotations.validation import AnnotationError
from bacl.data.formats.conversion import VOCConverter, YOLOConverter
from bacl.messages.errors import UserError
from tests.data.formats.test_conversion import (  # noqa: F401  # fixtures
    box,
    boxes,
    convert,
    picture,
    text,
    voc,
    xml,
    yolo,
)


def names(split: dict) -> list[str]:
    return [each["file_name"] for each in split["images"]]


def test_files_of_windows_are_read(yolo):  # noqa: F811
    label, listed = yolo / "labels/train/a.txt", yolo / "train.txt"
    label.write_bytes("\ufeff1 0.5 0.5 0.5 0.2\r\n\r\n".encode())
    listed.write_bytes("\ufeffimages\\train\\a.jpg\r\n".encode())
    text(yolo / "data.yaml", "train: train.txt", "val: .\\images\\val", "names: [x, y]")
    made = convert(YOLOConverter, yolo)
    assert names(made["train"]) == ["images/train/a.jpg"]
    assert boxes(made["train"]) == [("y", [10, 8, 20, 4])]


def test_a_folder_below_another_called_images_keeps_its_labels(tmp_path):
    root = tmp_path / "images/mine"
    for split in ("train", "val"):
        picture(root / split / "a.jpg")
        text(root / split / "a.txt", "0 0.5 0.5 1 1")
    text(root / "data.yaml", "train: train", "val: val", "names: [x]")
    assert boxes(convert(YOLOConverter, root)["train"]) == [("x", [0, 0, 40, 20])]


def test_a_split_without_any_labels_is_refused(yolo):  # noqa: F811
    (yolo / "labels").rename(yolo / "Labels")
    with pytest.raises(AnnotationError, match=r"train: 2 pictures, none with labels: .*a\.txt"):
        convert(YOLOConverter, yolo)


def test_a_picture_listed_twice_is_one_and_one_of_both_splits_is_told(yolo, caplog):  # noqa: F811
    text(yolo / "train.txt", "images/train/a.jpg", "images/../images/train/a.jpg")
    text(yolo / "val.txt", "images/train/a.jpg", "images/train/b.jpg")
    text(yolo / "data.yaml", "train: train.txt", "val: val.txt", "names: [x, y]")
    assert names(convert(YOLOConverter, yolo)["train"]) == ["images/train/a.jpg"]
    assert "'images/train/a.jpg' and 0 more pictures are for training and" in caplog.text


def test_roboflows_split_is_not_that_of_the_folder_beside(yolo):  # noqa: F811
    picture(yolo.parent / "images/train/other.jpg")
    text(yolo / "data.yaml", "train: ../images/train", "val: ../images/val", "names: [x, y]")
    assert len(names(convert(YOLOConverter, yolo)["train"])) == 2


def test_labels_that_became_another_pictures_are_read_again(yolo):  # noqa: F811
    picture(yolo / "images/train/sub/a.jpg")
    convert(YOLOConverter, yolo)
    (yolo / "labels/train/sub").mkdir()
    (yolo / "labels/train/a.txt").rename(yolo / "labels/train/sub/a.txt")
    made = convert(YOLOConverter, yolo)["train"]
    assert {each["image_id"] for each in made["annotations"]} == {3}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("names: [no, yes]", "names: False is no text: put quotes around the name"),
        ("names: [x, null]", "names: None is no text"),
        ("names: !!python/object/apply:os.getcwd []", r"data\.yaml is damaged .*; mend it"),
        (f"names: [x]\ntrain: {'a' * 5000}", "train: 'aaa"),
        ("names: [x]\ntrain: long.txt", r"long\.txt: no picture 'aaa"),
        ("names: [x]\ntrain: /", r"data\.yaml: '/' lies outside"),
    ],
)
def test_harmful_and_mistaken_descriptions_are_refused(yolo, line, message):  # noqa: F811
    text(yolo / "long.txt", "a" * 5000)
    text(yolo / "data.yaml", "train: images/train", "val: images/val", line)
    with pytest.raises(UserError, match=message):
        convert(YOLOConverter, yolo)


def test_a_class_of_thousands_of_digits_is_a_bad_line(yolo):  # noqa: F811
    text(yolo / "labels/train/a.txt", f"{'9' * 5000} 0.5 0.5 0.5 0.5")
    with pytest.raises(AnnotationError, match="line 1, class"):
        convert(YOLOConverter, yolo)


def test_entities_are_refused_in_any_encoding(voc):  # noqa: F811
    bomb = "<!DOCTYPE a [<!ENTITY b 'cat'>]><a><object><name>&b;</name></object></a>"
    content = f'<?xml version="1.0" encoding="utf-16"?>{bomb}'.encode("utf-16")
    (voc / "Annotations/a.xml").write_bytes(content)
    with pytest.raises(AnnotationError, match=r"a\.xml: has a DOCTYPE"):
        convert(VOCConverter, voc)


def test_lists_of_names_with_spaces_marks_and_a_byte_order(voc):  # noqa: F811
    for name in ("my dog", "my"):
        picture(voc / f"JPEGImages/{name}.jpg")
        xml(voc / f"Annotations/{name}.xml", "", box(name, (1, 1, 2, 2)))
    (voc / "ImageSets/Main/train.txt").write_bytes("\ufeffmy dog\r\na -1\r\na -1\r\n".encode())
    made = convert(VOCConverter, voc)
    assert names(made["train"]) == ["JPEGImages/my dog.jpg", "JPEGImages/a.jpg"]
    text(voc / "ImageSets/Main/train.txt").write_bytes(b"\xe4")
    with pytest.raises(AnnotationError, match="is no list of pictures"):
        convert(VOCConverter, voc)


def test_the_picture_is_that_of_the_files_own_name(voc):  # noqa: F811
    xml(voc / "Annotations/a.xml", "c.jpg", box("dog", (1, 1, 2, 2)))
    assert names(convert(VOCConverter, voc)["train"])[0] == "JPEGImages/a.jpg"
    (voc / "JPEGImages/a.jpg").rename(voc / "JPEGImages/there.webp")
    xml(voc / "Annotations/a.xml", "C:\\mine\\there.webp", box("dog", (1, 1, 2, 2)))
    assert names(convert(VOCConverter, voc)["train"])[0] == "JPEGImages/there.webp"
    xml(voc / "Annotations/a.xml", "c.jpg", box("dog", (1, 1, 2, 2)))
    with pytest.raises(AnnotationError, match=r"'c\.jpg' is the picture of a\.xml already"):
        convert(VOCConverter, voc)


def test_the_size_says_which_way_up_and_that_it_is_the_picture(voc):  # noqa: F811
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn: 40 x 20 are shown as 20 x 40
    Image.new("RGB", (40, 20)).save(voc / "JPEGImages/a.jpg", exif=exif)
    corners = box("dog", (31, 1, 40, 20))
    for size, kept in (((40, 20), True), ((20, 40), False), ((80, 40), False)):
        said = "<size><width>{}</width><height>{}</height></size>".format(*size)
        xml(voc / "Annotations/a.xml", "a.jpg", said, corners)
        if kept:
            image = convert(VOCConverter, voc)["train"]["images"][0]
            assert (image["width"], image["height"]) == size
        else:
            with pytest.raises(AnnotationError, match="the picture has 20 x 40"):
                convert(VOCConverter, voc)


def test_boxes_at_the_borders_have_no_negative_side(voc):  # noqa: F811
    corners = [(-1, -1, -1, -1), (0, 0, 39, 19), (1, 1, 1, 1), (41, 21, 41, 21), (40, 20, 40, 20)]
    xml(voc / "Annotations/a.xml", "a.jpg", *(box("dog", each) for each in corners))
    found = [each for _, each in boxes(convert(VOCConverter, voc)["train"])]
    wanted = [[0, 0, 0, 0], [0, 0, 39, 19], [0, 0, 1, 1], [40, 20, 0, 0], [39, 19, 1, 1]]
    assert found == wanted


def test_categories_have_the_same_ids_in_both_splits(voc):  # noqa: F811
    made = convert(VOCConverter, voc)
    assert json.dumps(made["train"]["categories"]) == json.dumps(made["val"]["categories"])


@pytest.mark.parametrize("name", ["mine", "my data", "Größe, alle=1", "it's", "back\\slash\\"])
def test_the_command_that_is_told_can_be_typed(tmp_path, name):
    root = tmp_path / name
    picture(root / "images/a.jpg")
    text(root / "labels/a.txt", "0 0.5 0.5 1 1")
    text(root / "data.yaml", "train: images", "names: [x]")
    with pytest.raises(UserError, match="data=split") as told:
        convert(YOLOConverter, root)
    option = shlex.split(str(told.value).partition("data=split ")[2])[0]
    assert OverridesParser.create().parse_override(option).value() == str(root)
