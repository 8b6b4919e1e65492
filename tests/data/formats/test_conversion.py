"""Folders of YOLO and Pascal VOC, as tools lay them out, become jsons like any other."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from bacl.data.annotations.table import AnnotationTable
from bacl.data.annotations.validation import AnnotationError
from bacl.data.formats.conversion import VOCConverter, YOLOConverter
from bacl.data.layout import annotation_file, image_folder
from bacl.messages.errors import OptionError, UserError


def picture(path: Path, width: int = 40, height: int = 20) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height)).save(path)
    return path


def text(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def convert(kind, root: Path) -> dict[str, dict]:
    files = [root / "split" / f"{split}.json" for split in ("train", "val")]
    kind(root, *files)()
    return {file.stem: json.loads(file.read_text()) for file in files}


@pytest.fixture
def yolo(tmp_path):
    """Two training pictures, one without labels, and one for validation."""
    root = tmp_path / "mine"
    picture(root / "images/train/a.jpg")
    picture(root / "images/train/b.jpg")
    picture(root / "images/val/sub/c.png", 100, 50)
    text(root / "labels/train/a.txt", "1 0.5 0.5 0.5 0.2", "", "0 0.05 0.1 0.1 0.2")
    text(root / "labels/val/sub/c.txt")
    text(root / "data.yaml", "path: .", "train: images/train", "val: images/val", "names: [x, y]")
    return root


def boxes(split: dict) -> list[tuple[str, list[float]]]:
    names = {each["id"]: each["name"] for each in split["categories"]}
    return [
        (names[each["category_id"]], [round(x, 6) for x in each["bbox"]])
        for each in split["annotations"]
    ]


def test_boxes_of_yolo_are_pixels_and_pictures_without_labels_negatives(yolo):
    made = convert(YOLOConverter, yolo)
    assert [(x["file_name"], x["width"], x["height"]) for x in made["train"]["images"]] == [
        ("images/train/a.jpg", 40, 20),
        ("images/train/b.jpg", 40, 20),
    ]
    assert boxes(made["train"]) == [("y", [10, 8, 20, 4]), ("x", [0, 0, 4, 4])]
    assert made["val"]["images"][0]["file_name"] == "images/val/sub/c.png"
    assert made["val"]["annotations"] == []


def test_what_was_made_is_what_the_folder_then_means(yolo):
    convert(YOLOConverter, yolo)
    for split, counts in (("train", 2), ("val", 1)):
        file = annotation_file(yolo, split)
        assert AnnotationTable.open(file).num_images == counts
        assert image_folder(yolo, file, split) == yolo / "images" / split


def test_a_polygon_is_a_mask_and_its_box(yolo):
    text(yolo / "labels/train/b.txt", "0 0.25 0 0.75 0 0.5 1")
    (record,) = convert(YOLOConverter, yolo)["train"]["annotations"][2:]
    assert record["segmentation"] == [[10, 0, 30, 0, 20, 20]]
    assert (record["bbox"], record["area"]) == ([10, 0, 20, 20], 200)
    assert AnnotationTable.open(yolo / "split/train.json").num_annotations == 3


def test_roboflows_folders_and_names_by_numbers(tmp_path):
    for split in ("train", "valid"):
        picture(tmp_path / split / "images/a.jpg")
        text(tmp_path / split / "labels/a.txt", "1 0.5 0.5 1 1")
    splits = ("train: ../train/images", "val: ../valid/images")
    text(tmp_path / "data.yaml", *splits, "nc: 2", "names: {0: cat, 1: dog}")
    made = convert(YOLOConverter, tmp_path)
    names = [split["images"][0]["file_name"] for split in made.values()]
    assert names == ["train/images/a.jpg", "valid/images/a.jpg"]
    assert boxes(made["val"]) == [("dog", [0, 0, 40, 20])]


def test_lists_of_pictures_and_of_folders(yolo):
    text(yolo / "train.txt", "./images/train/b.jpg", "images/train/a.jpg")
    text(yolo / "data.yaml", "train: train.txt", "val: [images/val, images/val]", "names: [x, y]")
    made = convert(YOLOConverter, yolo)
    assert len(made["train"]["images"]) == 2
    assert len(made["val"]["images"]) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2 0.5 0.5 0.1 0.1", r"a\.txt: line 2, class: '2', expected a class from 0 to 1"),
        ("x 0.5 0.5 0.1 0.1", r"line 2, class: 'x'"),
        ("0 20 0.5 0.1 0.1", r"line 2, x: '20', expected a share .*pixels\? divide"),
        ("0 0.5 nan 0.1 0.1", r"line 2, y: 'nan', expected a share"),
        ("0 0.5 0.5 0 0.1", r"line 2, width: 0, expected more than 0"),
        ("0 0.9 0.5 0.4 0.1", r"line 2, width: x=0\.9 .* goes from 0\.7 to 1\.1"),
        ("0 0.5 0.5 0.1", r"line 2: has 4 numbers, expected 5 .* or an odd number"),
        ("0 0.5 0.5 0.1 0.1 0.9", r"line 2: has 6 numbers"),
        ("0 0.1 0.1 0.2 0.2 0.3 0.3", r"line 2: a polygon without area"),
    ],
)
def test_a_bad_line_is_named_with_its_mend(yolo, line, message):
    text(yolo / "labels/train/a.txt", "0 0.5 0.5 0.5 0.5", line)
    with pytest.raises(AnnotationError, match=message):
        convert(YOLOConverter, yolo)
    assert not (yolo / "split").exists()


def test_several_bad_files_are_told_at_once(yolo):
    (yolo / "images/train/a.jpg").write_bytes(b"no picture")
    text(yolo / "labels/train/b.txt", "7 0 0 1 1")
    told = r"(?s)^2 files cannot be used:.*a\.jpg.*b\.txt: line"
    with pytest.raises(AnnotationError, match=told):
        convert(YOLOConverter, yolo)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["train: images/train", "val: images/val"], r"data\.yaml: names: is missing"),
        (["train: images/trian", "val: images/val", "names: [x]"], r"train: 'images/trian'"),
        (["val: images/val", "names: [x]"], r"data\.yaml: train: is missing"),
        (["train: images", "val: labels", "names: [x, y]"], r"labels"),
        (["train: images/train", "val: images/val", "names: [x, y]", "nc: 3"], r"nc: 3, but .* 2"),
        (["train: images/train", "val: images/val", "names: [x, x]"], r"names: 'x' is there twice"),
        (["train: images/train", "val: images/val", "names: {1: x}"], r"names: .*0, 1, 2"),
    ],
)
def test_a_bad_description_is_named(yolo, lines, message):
    text(yolo / "data.yaml", *lines)
    with pytest.raises(UserError, match=message):
        convert(YOLOConverter, yolo)


def test_what_is_as_it_was_is_not_made_again_and_what_changed_is(yolo):
    convert(YOLOConverter, yolo)
    before = (yolo / "split/train.json").stat().st_mtime_ns
    convert(YOLOConverter, yolo)
    assert (yolo / "split/train.json").stat().st_mtime_ns == before
    text(yolo / "labels/train/b.txt", "0 0.5 0.5 0.5 0.5")
    assert len(convert(YOLOConverter, yolo)["train"]["annotations"]) == 3


def test_another_file_in_the_place_stays(yolo):
    text(yolo / "split/train.json", '{"info":{"split":{}},"images":[]}')
    with pytest.raises(OptionError, match=r"split/train\.json was not made of the labels"):
        convert(YOLOConverter, yolo)


def test_without_a_validation_split_all_is_one_file_to_be_split(yolo):
    text(yolo / "data.yaml", "train: images", "names: [x, y]")
    with pytest.raises(OptionError, match=r"job=prepare data=split data\.root="):
        convert(YOLOConverter, yolo)
    assert len(json.loads((yolo / "all.json").read_text())["images"]) == 3


def test_pictures_outside_of_the_folder_are_refused(yolo):
    picture(yolo.parent / "elsewhere/d.jpg")
    text(yolo / "data.yaml", "train: ../elsewhere", "val: images/val", "names: [x]")
    with pytest.raises(AnnotationError, match=r"elsewhere' lies outside"):
        convert(YOLOConverter, yolo)


def xml(path: Path, name: str, *objects: str) -> Path:
    return text(path, f"<annotation><filename>{name}</filename>", *objects, "</annotation>")


def box(name: str, corners: tuple, difficult: int = 0) -> str:
    ends = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    inside = "".join(f"<{key}>{value}</{key}>" for key, value in ends)
    return (
        f"<object><name>{name}</name><difficult>{difficult}</difficult>"
        f"<bndbox>{inside}</bndbox></object>"
    )


@pytest.fixture
def voc(tmp_path):
    """The devkit's layout."""
    root = tmp_path / "VOC"
    for name in ("a", "b", "c"):
        picture(root / f"JPEGImages/{name}.jpg")
    objects = box("dog", (11, 5, 20, 20)), box("cat", (1, 1, 40, 20), difficult=1)
    xml(root / "Annotations/a.xml", "a.jpg", *objects)
    xml(root / "Annotations/b.xml", "b.jpg")
    xml(root / "Annotations/c.xml", "lost.jpg", box("cat", (2, 2, 3, 3)))
    text(root / "ImageSets/Main/train.txt", "a", "b", "")
    text(root / "ImageSets/Main/val.txt", "c  1")
    return root


def test_boxes_of_voc_are_counted_from_one_and_difficult_ones_ignored(voc):
    made = convert(VOCConverter, voc)
    assert boxes(made["train"]) == [("dog", [10, 4, 10, 16]), ("cat", [0, 0, 40, 20])]
    assert [each.get("ignore", 0) for each in made["train"]["annotations"]] == [0, 1]
    assert [each["file_name"] for each in made["val"]["images"]] == ["JPEGImages/c.jpg"]
    assert boxes(made["val"]) == [("cat", [1, 1, 2, 2])]
    table = AnnotationTable.open(voc / "split/train.json")
    assert table.ignore.tolist() == [False, True]


def test_xml_files_beside_pictures_in_folders_of_splits(tmp_path):
    for split in ("train", "valid"):
        picture(tmp_path / split / "a.jpg")
        xml(tmp_path / split / "a.xml", "a.jpg", box("cat", (1, 1, 40, 20)))
    made = convert(VOCConverter, tmp_path)
    names = [split["images"][0]["file_name"] for split in made.values()]
    assert names == ["train/a.jpg", "valid/a.jpg"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<annotation>", r"a\.xml: is no XML"),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><annotation/>", "has a DOCTYPE"),
        (f"<a>{box('', (1, 1, 2, 2))}</a>", r"object 1, name: is missing"),
        (f"<a>{box('cat', (1, 1, 'x', 2))}</a>", r"object 1, bndbox\.xmax: 'x', expected pixels"),
        (f"<a>{box('cat', (9, 1, 2, 2))}</a>", r"object 1, bndbox\.xmax: 2, expected at least"),
        (f"<a>{box('cat', (1, 1, 99, 2))}</a>", r"bndbox\.xmax: 99, but the picture has 40 x 20"),
    ],
)
def test_a_bad_xml_file_is_named(voc, content, message):
    text(voc / "Annotations/a.xml", content)
    with pytest.raises(AnnotationError, match=message):
        convert(VOCConverter, voc)


def test_missing_pictures_and_files_of_voc_are_named(voc):
    (voc / "JPEGImages/a.jpg").unlink()
    with pytest.raises(AnnotationError, match=r"a\.xml: filename: no picture 'a\.jpg' in .*JPEGIm"):
        convert(VOCConverter, voc)
    text(voc / "ImageSets/Main/train.txt", "b", "nothing")
    with pytest.raises(AnnotationError, match=re.escape("train.txt: 'nothing': there is no ")):
        convert(VOCConverter, voc)
