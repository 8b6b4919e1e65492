"""Files of predictions for other tools, and what is told of them."""

import json

import numpy as np
import pytest
import torch
import yaml
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from bacl.checkpoints.handover import Categories
from bacl.data.batch import Detections, Target
from bacl.data.images.video_source import Frame
from bacl.files.atomic import UnwritableError
from bacl.prediction.coco_file import CocoFiles
from bacl.prediction.drawn import Look
from bacl.prediction.drawn_video import DrawnVideo
from bacl.prediction.frame_lines import FrameLines
from bacl.prediction.output import Named, Predicted
from bacl.prediction.tally import Tally
from bacl.prediction.yolo_files import YoloFiles
from bacl.reporting.video_file import VideoFile
from tests.videos import write_video

NAMES = ["cup", "lämp: 2"]
CATEGORIES = Categories([7, 3], NAMES)


def target(image_id: int) -> Target:
    nothing = torch.zeros(0, dtype=torch.int64)
    return Target(
        image_id, torch.zeros(0, 4), nothing, (8, 8), (32, 32), (80, 40), nothing, nothing
    )


def found(*rows, masks=None) -> Detections:
    """Rows of box, score and label."""
    table = torch.tensor(rows, dtype=torch.float32).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].long(), masks)


NOTHING = found()
TWO = found((10, 20, 30, 60, 0.5, 1), (0, 0, 4, 8, 0.25, 0))


def batch(*accepted, frames=(), first=1, every=None) -> Predicted:
    numbers = range(first, first + len(accepted))
    named = [Named(f"p{n}.jpg", f"sub/p{n}.txt", {}) for n in numbers]
    targets = [target(n) for n in numbers]
    return Predicted(targets, named, frames, {"bacl": every or accepted}, {"bacl": accepted})


def test_coco_files_are_read_by_the_package_of_coco(tmp_path):
    area = np.zeros((80, 40), dtype=np.uint8)
    area[20:60, 10:15] = 1
    masks = [coco_mask.encode(np.asfortranarray(area))]
    masked = found((10, 20, 30, 60, 0.75, 0), masks=masks)
    with CocoFiles(tmp_path, ["bacl"], CATEGORIES) as files:
        files.write(batch(TWO, NOTHING))
        files.write(batch(masked, first=3))
    read = COCO(str(tmp_path / "coco_bacl.json"))
    assert sorted(read.getImgIds()) == [1, 2, 3]
    assert read.imgs[2] == {"id": 2, "file_name": "p2.jpg", "width": 40, "height": 80}
    assert {each["id"]: each["name"] for each in read.loadCats([7, 3])} == {7: "cup", 3: "lämp: 2"}
    first, second, third = read.loadAnns(sorted(read.getAnnIds()))
    assert (first["bbox"], first["category_id"], first["area"]) == ([10, 20, 20, 40], 3, 800)
    assert (second["image_id"], second["score"], second["category_id"]) == (1, 0.25, 7)
    assert (third["image_id"], third["area"]) == (3, 200)
    assert np.array_equal(read.annToMask(third), area)


def test_yolo_files_have_a_line_a_detection_and_one_file_a_picture(tmp_path):
    with YoloFiles(tmp_path, ["bacl"], NAMES) as files:
        files.write(batch(TWO, NOTHING))
    folder = tmp_path / "yolo_bacl"
    assert (folder / "labels/sub/p1.txt").read_text() == (
        "1 0.500000 0.500000 0.500000 0.500000 0.500000\n"
        "0 0.050000 0.050000 0.100000 0.100000 0.250000\n"
    )
    assert (folder / "labels/sub/p2.txt").read_text() == ""
    lines = (folder / "data.yaml").read_text(encoding="utf-8").splitlines()
    assert lines == ["names:", "  0: cup", "  1: 'lämp: 2'"]


ODD = ["🦄", "null", "1", " lead", "new\nline", "\x7f\x01", 'a "b" \\c', "\u2028", "x" * 300, "[y]"]


def test_names_of_categories_come_back_from_yaml_whatever_is_in_them(tmp_path):
    """An emoji is one letter, not two halves that no file can hold."""
    with YoloFiles(tmp_path, ["bacl"], ODD):
        pass
    text = (tmp_path / "yolo_bacl/data.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text) == {"names": dict(enumerate(ODD))}


def test_each_frame_is_a_line_at_once(tmp_path):
    path = tmp_path / "frames_bacl.jsonl"
    frames = [Frame(0, 0.0, torch.zeros(3, 80, 40)), Frame(4, 0.4567, torch.zeros(3, 80, 40))]
    with FrameLines(tmp_path, ["bacl"], CATEGORIES, again=False) as lines:
        lines.write(batch(TWO, NOTHING, frames=frames))
        first, second = map(json.loads, path.read_text().splitlines())  # while it is written
    box = {"category_id": 3, "name": "lämp: 2", "score": 0.5, "bbox": [10, 20, 20, 40]}
    assert first["detections"][0] == box
    assert (second["frame"], second["seconds"], second["detections"]) == (4, 0.457, [])


@pytest.mark.parametrize(("live", "expected"), [(False, 3), (True, 11)])
def test_a_frame_of_a_live_video_stands_until_the_next(tmp_path, live, expected):
    picture = torch.zeros(3, 33, 45, dtype=torch.uint8)
    frames = [Frame(n, seconds, picture) for n, seconds in enumerate((0.0, 0.7, 1.0))]
    with DrawnVideo(tmp_path / "a.mp4", 10, live, Look(NAMES, "all")) as video:
        video.write(batch(TWO, NOTHING, TWO, frames=frames))
    assert video.done == expected
    assert (tmp_path / "a.mp4").stat().st_size > 500


def interrupted(path) -> None:
    with VideoFile(path, 10) as video:
        video.write(np.zeros((32, 32, 3), dtype=np.uint8))
        raise KeyError("a kill")


def on_a_full_disk(path) -> None:
    with VideoFile(path, 10) as video:
        video.write(np.zeros((32, 32, 3), dtype=np.uint8))
        video.written += 1  # it takes frames without a word


def test_a_video_is_whole_or_not_there(tmp_path):
    with pytest.raises(KeyError):
        interrupted(tmp_path / "a.mp4")
    with pytest.raises(UnwritableError, match=r"1 of 2 frames are in it; free some space"):
        on_a_full_disk(tmp_path / "b.mp4")
    assert not list(tmp_path.iterdir())


def test_frames_of_other_sizes_are_scaled_to_the_first(tmp_path):
    write_video(tmp_path / "odd.mp4", 2, size=(33, 45))
    with VideoFile(tmp_path / "a.mp4", 10) as video:
        video.write(np.zeros((32, 64, 3), dtype=np.uint8))
        video.write(np.zeros((64, 32, 3), dtype=np.uint8))
    assert video.written == 2


def test_a_line_says_what_was_found_or_what_the_best_was():
    tally = Tally(["bacl"], NAMES, "with score ≥ 0.3")
    tally.write(batch(NOTHING, NOTHING, every=(TWO, NOTHING)))
    (line,) = tally.lines("pictures")
    assert line.startswith("bacl: no detection with score ≥ 0.3 in 2 pictures; the best is lämp: 2")
    assert "0.5 in p1.jpg" in line
    assert "none of the 2 categories" in line
    tally.write(batch(TWO, TWO))
    (line,) = tally.lines("pictures")
    assert line == ("bacl: 4 detections with score ≥ 0.3 in 2 of 4 pictures: lämp: 2 2, cup 2")
    blind = Tally(["bacl"], NAMES, "at all")
    blind.write(batch(NOTHING))
    assert "the model found nothing at all" in next(blind.lines("pictures"))
