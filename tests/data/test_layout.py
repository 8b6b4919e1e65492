"""Annotation files and pictures are found in the folders that people have."""

import json
import os
from pathlib import Path

import pytest

from bacl.data import split_files
from bacl.data.layout import LayoutError, annotation_file, folder_name, image_folder, only_file


def annotations(path: Path, *names: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [
        {"id": number, "file_name": name, "width": 20, "height": 10}
        for number, name in enumerate(names, 1)
    ]
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5], "area": 25, "iscrowd": 0}
    content = {"images": images, "annotations": [box], "categories": [{"id": 1, "name": "a"}]}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def pictures(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def found(root: Path) -> list[tuple[str, str]]:
    pairs = []
    for split in ("train", "val"):
        file = annotation_file(root, split)
        folder = image_folder(root, file, split)
        pairs.append((file.relative_to(root).as_posix(), folder.relative_to(root).as_posix()))
    return pairs


def test_cocos_layout_with_its_files_of_other_tasks(tmp_path):
    for split in ("train", "val"):
        annotations(tmp_path / f"annotations/instances_{split}2017.json", f"{split}.jpg")
        annotations(tmp_path / f"annotations/captions_{split}2017.json", f"{split}.jpg")
        pictures(tmp_path / f"{split}2017", f"{split}.jpg")
    assert found(tmp_path) == [
        ("annotations/instances_train2017.json", "train2017"),
        ("annotations/instances_val2017.json", "val2017"),
    ]


def test_roboflows_layout_with_a_test_split(tmp_path):
    for split in ("train", "valid", "test"):
        annotations(tmp_path / split / "_annotations.coco.json", f"{split}.jpg")
        pictures(tmp_path / split, f"{split}.jpg")
    assert found(tmp_path) == [
        ("train/_annotations.coco.json", "train"),
        ("valid/_annotations.coco.json", "valid"),
    ]


@pytest.mark.parametrize(
    ("place", "folder"),
    [("images", "images"), ("images/training", "images/training"), (".", "."), ("imgs", "imgs")],
)
def test_two_files_and_pictures_of_many_places(tmp_path, place, folder):
    annotations(tmp_path / "train.json", "a.jpg", "b.jpg")
    annotations(tmp_path / "validation.json", "c.jpg")
    pictures(tmp_path / place, "a.jpg", "b.jpg", "c.jpg")
    pictures(tmp_path / "val", "c.jpg")
    assert found(tmp_path) == [("train.json", folder), ("validation.json", "val")]


def test_names_may_say_their_folder(tmp_path):
    annotations(tmp_path / "train.json", "train/a.jpg")
    annotations(tmp_path / "val.json", "val/a.jpg")
    pictures(tmp_path, "train/a.jpg", "val/a.jpg", "images/other.jpg")
    # `train/a.jpg` may also lie as `a.jpg` in a folder called train: that is the same file
    assert {file for file, _ in found(tmp_path)} == {"train.json", "val.json"}
    for (_, folder), name in zip(found(tmp_path), ("train", "val"), strict=True):
        assert folder == name


def test_a_folder_of_many_pictures_that_is_at_rest_is_read_once(tmp_path, monkeypatch):
    annotations(tmp_path / "train.json", "a.jpg")
    annotations(tmp_path / "val.json", "b.jpg")
    pictures(tmp_path, "train/a.jpg", "val/b.jpg")
    for folder in (tmp_path, tmp_path / "train", tmp_path / "val"):
        os.utime(folder, (10**9, 10**9))
    monkeypatch.setattr(split_files, "AT_REST", -1)
    read, scandir = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: read.append(folder) or scandir(folder))
    for _ in range(3):
        assert annotation_file(tmp_path, "train") == tmp_path / "train.json"
    assert sorted(read) == [tmp_path, tmp_path / "train", tmp_path / "val"]
    annotations(tmp_path / "train/more.json", "a.jpg")  # by which its folder has changed
    with pytest.raises(LayoutError, match="several files may be the annotations of train"):
        annotation_file(tmp_path, "train")


def test_files_that_came_with_their_folder_s_old_time_are_seen(tmp_path):
    """As `cp -a` and `rsync -a` leave it."""
    annotations(tmp_path / "train.json", "a.jpg")
    os.utime(tmp_path, (10**9, 10**9))
    assert annotation_file(tmp_path, "train") == tmp_path / "train.json"
    annotations(tmp_path / "train_v2.json", "a.jpg")
    os.utime(tmp_path, (10**9, 10**9))
    with pytest.raises(LayoutError, match="several files may be the annotations of train"):
        annotation_file(tmp_path, "train")


def test_what_may_be_meant_is_listed_with_the_words_that_choose(tmp_path):
    annotations(tmp_path / "train.json", "a.jpg")
    other = annotations(tmp_path / "annotations/train_v2.json", "a.jpg")
    annotations(tmp_path / "val.json", "a.jpg")
    with pytest.raises(LayoutError) as caught:
        annotation_file(tmp_path, "train")
    for part in ("'train.json'", "'annotations/train_v2.json'", "data.train.annotations="):
        assert part in str(caught.value)
    assert annotation_file(tmp_path, "val") == tmp_path / "val.json"
    assert other.is_file()


def test_a_single_file_is_to_be_split(tmp_path):
    annotations(tmp_path / "all.json", "a.jpg")
    for split in ("train", "val"):
        with pytest.raises(LayoutError, match=r"one annotation file, 'all\.json'.*data=split"):
            annotation_file(tmp_path, split)
    assert only_file(tmp_path) == tmp_path / "all.json"
    for split in ("train", "val"):
        made = annotations(tmp_path / "split" / f"{split}.json", "a.jpg")
        assert annotation_file(tmp_path, split) == made


def test_a_test_split_is_not_taken_for_validation(tmp_path):
    annotations(tmp_path / "train.json", "a.jpg")
    annotations(tmp_path / "test.json", "a.jpg")
    with pytest.raises(LayoutError, match=r"annotations of val\?.*'test\.json', 'train\.json'"):
        annotation_file(tmp_path, "val")


def test_pictures_that_are_nowhere_are_left_to_be_told_by_who_opens_them(tmp_path):
    file = annotations(tmp_path / "train.json", "a.jpg")
    pictures(tmp_path / "train", "b.jpg")
    assert image_folder(tmp_path, file, "train") == tmp_path / "train"


def test_what_is_missing_is_left_to_be_told_with_all_else(tmp_path):
    assert annotation_file(tmp_path / "none", "val") == tmp_path / "none/annotations/val.json"
    assert image_folder(tmp_path, tmp_path / "no.json", "train") == tmp_path / "images"
    with pytest.raises(LayoutError, match="none"):
        only_file(tmp_path)


@pytest.mark.parametrize(
    ("name", "choice"),
    [
        *(("labels/train/a.txt", "yolo"), ("train/labels/a.txt", "yolo")),
        *(("Annotations/a.xml", "voc"), ("train/a.xml", "voc")),
    ],
)
def test_annotations_of_other_tools_are_told_how_to_become_a_json(tmp_path, name, choice):
    pictures(tmp_path, name)
    with pytest.raises(LayoutError, match=f"job=prepare data={choice} data.root="):
        annotation_file(tmp_path, "train")


@pytest.mark.parametrize(
    ("path", "name"), [("/data/mine", "mine"), ("/data/My data (2)/", "My_data_2_"), ("/", "data")]
)
def test_runs_are_called_like_their_folder(path, name):
    assert folder_name(path) == name
