"""job=predict on videos and live sources, and its files for other tools."""

# ruff: noqa: F811  (fixtures of another module)
import errno
import json
import shutil
from contextlib import contextmanager
from functools import partial

import cv2
import numpy as np
import pytest

from bacl.checkpoints.handover import Categories
from bacl.data.images.picture_file import PictureError
from bacl.data.images.video import Video, VideoFacts
from bacl.data.images.video_source import names_video
from bacl.files.atomic import UnwritableError
from bacl.files.lock import BusyFolderError, alone_in
from bacl.jobs import predict
from bacl.messages.errors import OptionError
from bacl.prediction import frame_source
from bacl.prediction.batch_detector import BatchDetector
from bacl.prediction.frame_lines import FrameLines
from bacl.prediction.outputs import Outputs
from bacl.prediction.result_files import ResultFiles
from bacl.prediction.source_names import results_name
from bacl.processes.interruption import Interruption
from bacl.reporting.video_file import VideoFile
from tests.jobs.test_predict import (
    checkpoint,  # noqa: F401  (fixtures)
    command,  # noqa: F401
    cut_off_at_third,
    pictures,  # noqa: F401
)
from tests.videos import write_damaged_video, write_video

QUICK = ("datamodule.num_workers=0", "predict.head=bacl")


def moving_video(path, count):
    """Noise that is another one in each frame, so that each has detections of its own."""
    noise = np.random.default_rng(0).integers(0, 255, (count, 96, 96, 3), dtype=np.uint8)
    with VideoFile(path, 10) as video:
        for frame in noise:
            video.write(frame)
    return path


def files_in(folder) -> dict[str, bytes]:
    """All of them, by name, with what they hold."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def frames_of(path) -> int:
    video = cv2.VideoCapture(str(path))
    count = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    video.release()
    return count


def test_a_video_gives_a_video_and_a_line_for_each_frame(command, tmp_path, capsys):
    clip, out = write_video(tmp_path / "clip.mp4", 7, size=(96, 96)), tmp_path / "out"
    outputs = "predict.outputs=[lvis,coco,yolo]"
    options = (*QUICK, "predict.score_threshold=0", "datamodule.val_batch_size=3", outputs)
    predict.run(command(clip, *options), tmp_path)
    assert frames_of(out / "clip.mp4") == 7
    lines = [json.loads(line) for line in (out / "frames_bacl.jsonl").read_text().splitlines()]
    assert [(line["frame"], line["seconds"]) for line in lines] == [(n, n / 10) for n in range(7)]
    assert sum(len(line["detections"]) for line in lines) > 7
    listed = json.loads((out / "images.json").read_text())
    assert listed["folder"] == str(clip)
    assert listed["images"][6] == {
        "id": 7, "file_name": "clip/000007.jpg", "width": 96, "height": 96, "frame": 6,
        "seconds": 0.6,
    }  # fmt: skip
    detections = json.loads((out / "detections_bacl.json").read_text())
    assert {each["image_id"] for each in detections} == set(range(1, 8))
    coco = json.loads((out / "coco_bacl.json").read_text())
    assert coco["images"] == listed["images"]
    assert len(list((out / "yolo_bacl/labels/clip").iterdir())) == 7
    assert "7 frames, 10 a second" in capsys.readouterr().out


@pytest.mark.parametrize("tiles", [(), ("predict.tile=64",)])
def test_a_video_finds_what_its_frames_as_pictures_do(command, tmp_path, tiles):
    clip = moving_video(tmp_path / "clip.mp4", 3)
    video = cv2.VideoCapture(str(clip))
    (tmp_path / "frames").mkdir()
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"frames/{number}.png"), video.read()[1])
    options = (*QUICK, "predict.pictures=0", "datamodule.val_batch_size=2", *tiles)
    found = []
    for source in (clip, tmp_path / "frames"):
        predict.run(command(source, *options), tmp_path)
        found.append((tmp_path / "out/detections_bacl.json").read_text())
        shutil.rmtree(tmp_path / "out")
    assert found[0] == found[1]


def test_frames_of_a_live_source_are_looked_at_in_tiles_too(command, tmp_path, monkeypatch):
    monkeypatch.setattr(frame_source, "Video", Live)
    detect, seen = BatchDetector.detect, []
    counted = lambda self, batch: seen.append(len(batch.targets)) or detect(self, batch)  # noqa: E731
    monkeypatch.setattr(BatchDetector, "detect", counted)
    clip = write_video(tmp_path / "clip.mp4", 1, size=(96, 96))
    options = ("predict.tile=64", "datamodule.val_batch_size=4", "predict.pictures=0")
    predict.run(command(clip, *QUICK, *options), tmp_path)
    assert seen == [1, 4]


def test_an_interrupted_video_goes_on_and_ends_the_same(command, tmp_path, monkeypatch, capsys):
    clip, out = moving_video(tmp_path / "clip.mp4", 7), tmp_path / "out"
    accepted = "predict.score_threshold=0.02"
    options = (*QUICK, "datamodule.val_batch_size=2", "predict.outputs=[lvis,coco,yolo]", accepted)
    predict.run(command(clip, *options), tmp_path)
    out.rename(tmp_path / "straight")
    seen = cut_off_at_third(monkeypatch)
    with pytest.raises(KeyError, match="power"):
        predict.run(command(clip, *options), tmp_path)
    assert len((out / "frames_bacl.jsonl").read_text().splitlines()) <= 4
    assert not (out / "clip.mp4").exists()
    predict.run(command(clip, *options), tmp_path)
    assert "2 of its batches, found by an interrupted command" in capsys.readouterr().out
    assert sum(seen[3:]) == 7 - 4
    assert files_in(out) == files_in(tmp_path / "straight")
    assert not (out / ".kept").exists()


def test_a_video_that_was_killed_when_all_was_known_is_not_detected_again(
    command, tmp_path, monkeypatch, capsys
):
    clip, out = moving_video(tmp_path / "clip.mp4", 4), tmp_path / "out"
    options = (*QUICK, "datamodule.val_batch_size=2", "predict.pictures=0")
    predict.run(command(clip, *options), tmp_path)
    out.rename(tmp_path / "straight")
    with monkeypatch.context() as patch:
        patch.setattr(Outputs, "finish", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            predict.run(command(clip, *options), tmp_path)
    monkeypatch.setattr(BatchDetector, "detect", None)  # is not reached
    capsys.readouterr()
    predict.run(command(clip, *options), tmp_path)
    said = capsys.readouterr().out
    assert "2 of its batches, found by an interrupted command" in said
    assert "it is cut off or broken" not in said
    assert files_in(out) == files_in(tmp_path / "straight")


def test_an_interrupted_video_of_another_model_is_not_written_over(command, tmp_path, monkeypatch):
    clip, out = write_video(tmp_path / "clip.mp4", 4, size=(96, 96)), tmp_path / "out"
    options = (*QUICK, "datamodule.val_batch_size=2", "predict.pictures=0")
    with monkeypatch.context() as patch:
        patch.setattr(Outputs, "finish", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            predict.run(command(clip, *options), tmp_path)
    left = files_in(out)
    with pytest.raises(OptionError, match=r"frames_bacl\.jsonl holds"):
        predict.run(command(clip, *options, "detector.postprocess.max_detections=5"), tmp_path)
    assert files_in(out) == left
    clip.touch()  # another file
    with pytest.raises(OptionError, match=r"frames_bacl\.jsonl holds"):
        predict.run(command(clip, *options), tmp_path)
    assert files_in(out) == left


def test_a_second_command_keeps_its_hands_off_the_folder_of_a_first_one(
    command, tmp_path, monkeypatch
):
    clip, out = write_video(tmp_path / "clip.mp4", 2, size=(96, 96)), tmp_path / "out"
    monkeypatch.setattr(predict, "alone_in", partial(alone_in, patience=0))
    with alone_in(out):
        (out / "frames_bacl.jsonl").write_text("")  # where the first one has just begun
        with pytest.raises(BusyFolderError, match="another process is at work in this folder"):
            predict.run(command(clip, *QUICK), tmp_path)
        assert files_in(out) == {"frames_bacl.jsonl": b""}
    predict.run(command(clip, *QUICK), tmp_path)
    assert frames_of(out / "clip.mp4") == 2


def test_a_live_source_keeps_its_lines_alone(command, tmp_path, monkeypatch):
    clip = write_video(tmp_path / "clip.mp4", 4, size=(96, 96))
    monkeypatch.setattr(frame_source, "Video", Live)
    monkeypatch.setattr(Outputs, "finish", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        predict.run(command(clip, *QUICK, "predict.pictures=0"), tmp_path)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["frames_bacl.jsonl"]
    with pytest.raises(OptionError, match="or live: name another folder"):
        predict.run(command(clip, *QUICK), tmp_path)


def test_a_video_that_is_cut_off_is_told_and_what_there_is_is_written(
    command,
    tmp_path,
    capsys,
    monkeypatch,
):
    clip = write_video(tmp_path / "clip.mp4", 6, size=(96, 96))
    read = frame_source.VideoFrames.__iter__

    def cut(self):
        yield from list(read(self))[:4]

    monkeypatch.setattr(frame_source.VideoFrames, "__iter__", cut)
    predict.run(command(clip, *QUICK), tmp_path)
    assert "ended after 4 of 6 frames; it is cut off or broken" in capsys.readouterr().out
    assert frames_of(tmp_path / "out/clip.mp4") == 4


def test_a_frame_that_cannot_be_decoded_ends_no_video(command, tmp_path, capsys):
    clip = write_damaged_video(tmp_path / "clip.avi", 6, damaged=3)
    predict.run(command(clip, *QUICK, "datamodule.val_batch_size=2"), tmp_path)
    said = capsys.readouterr().out
    assert "clip.avi: 1 of its frames cannot be decoded and are left out" in said
    assert "5 frames in" in said
    assert "cut off" not in said
    lines = (tmp_path / "out/frames_bacl.jsonl").read_text().splitlines()
    assert [json.loads(line)["frame"] for line in lines] == [0, 1, 2, 4, 5]
    assert frames_of(tmp_path / "out/clip.mp4") == 6


def test_a_video_is_not_replaced_by_its_drawing(command, tmp_path):
    clip = write_video(tmp_path / "out/clip.mp4", 3, size=(96, 96))
    content = clip.read_bytes()
    with pytest.raises(OptionError, match=r"would take the place of .*clip\.mp4; name another"):
        predict.run(command(clip, *QUICK), tmp_path)
    assert files_in(tmp_path / "out") == {"clip.mp4": content}
    predict.run(command(clip, *QUICK, "predict.pictures=0"), tmp_path)
    assert clip.read_bytes() == content


def test_a_video_without_a_frame_leaves_nothing(command, tmp_path, monkeypatch):
    clip = write_video(tmp_path / "clip.mp4", 6, size=(96, 96))
    monkeypatch.setattr(frame_source.VideoFrames, "__iter__", lambda self: iter(()))
    with pytest.raises(PictureError, match=r"clip\.mp4: not a single frame can be decoded"):
        predict.run(command(clip, *QUICK), tmp_path)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names <= {"frames_bacl.jsonl"}


class Live(Video):
    """A file as if it came by the clock."""

    @property
    def facts(self):
        return VideoFacts(None, 10.0, True)


def test_a_live_source_that_ends_by_itself_is_told(command, tmp_path, capsys, monkeypatch):
    clip = write_video(tmp_path / "clip.mp4", 3, size=(96, 96))
    monkeypatch.setattr(frame_source, "Video", Live)
    predict.run(command(clip, *QUICK), tmp_path)
    assert "clip.mp4: no more frames came: it has ended, or" in capsys.readouterr().out


def test_a_live_source_ends_by_a_signal_with_whole_files(
    command,
    tmp_path,
    capsys,
    monkeypatch,
):
    clip = write_video(tmp_path / "clip.mp4", 6, size=(96, 96))
    told = Interruption()
    monkeypatch.setattr(frame_source, "INTERRUPTION", told)
    asked = frame_source.NewestFrame.next

    def asked_to_end(self, seconds):
        frame = asked(self, seconds)
        told.asked = 2 if frame is not None else told.asked
        return frame

    monkeypatch.setattr(frame_source, "Video", Live)
    monkeypatch.setattr(frame_source.NewestFrame, "next", asked_to_end)
    predict.run(command(clip, *QUICK), tmp_path)
    said = capsys.readouterr().out
    assert "live; Ctrl-C ends it" in said
    assert "1 frames in" in said
    listed = json.loads((tmp_path / "out/images.json").read_text())
    assert len(listed["images"]) == 1
    assert frames_of(tmp_path / "out/clip.mp4") >= 1


def test_pictures_of_one_stem_have_files_of_their_own(command, pictures, tmp_path):
    first = sorted(pictures.glob("*.jpg"))[0]
    (pictures / "sub").mkdir()
    for name in ("same.jpg", "same.png", "sub/same.jpg"):
        shutil.copy(first, pictures / name)
    (pictures / "round").symlink_to(pictures, target_is_directory=True)
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(first, tmp_path / "elsewhere/far.jpg")
    (pictures / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (pictures / "file.jpg").symlink_to(first)
    predict.run(command(pictures, *QUICK, "predict.outputs=[yolo]"), tmp_path)
    out, labels = tmp_path / "out", tmp_path / "out/yolo_bacl/labels"
    assert not list(out.glob("detections_*"))
    for name in ("same.jpg.txt", "same.png.txt", "sub/same.txt", "linked/far.txt", "file.txt"):
        assert (labels / name).is_file()
    for name in ("same.jpg", "same.png.jpg", "sub/same.jpg", "linked/far.jpg", "file.jpg"):
        assert (out / "pictures" / name).is_file()
    assert not (labels / "round").exists()
    assert len(json.loads((out / "images.json").read_text())["images"]) == 11


def test_videos_in_a_folder_are_told(command, pictures, tmp_path, capsys):
    write_video(pictures / "clip.mp4", 2)
    predict.run(command(pictures, *QUICK, "predict.pictures=0"), tmp_path)
    assert "6 pictures; skipped: 1 videos, each a command of its own" in capsys.readouterr().out


def test_where_nothing_is_accepted_the_best_is_told(command, pictures, tmp_path, capsys):
    options = (*QUICK, "predict.pictures=0", "predict.score_threshold=1")
    predict.run(command(pictures, *options), tmp_path)
    assert (
        "bacl: no detection with score ≥ 1 in 6 pictures; the best is " in capsys.readouterr().out
    )


def test_a_full_disk_is_one_line_and_leaves_no_results(command, pictures, tmp_path, monkeypatch):
    def full(self, batch):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ResultFiles, "write", full)
    with pytest.raises(UnwritableError, match="No space left on device; free some space"):
        predict.run(command(pictures, *QUICK), tmp_path)
    assert not list((tmp_path / "out").rglob("*.json"))


@contextmanager
def in_place_of_a_folder(tmp_path):
    (tmp_path / "out").write_text("a file")
    yield
    assert (tmp_path / "out").read_text() == "a file"


def test_an_output_that_cannot_be_written_is_told_at_once(
    command,
    pictures,
    tmp_path,
    monkeypatch,
):
    monkeypatch.setattr(BatchDetector, "detect", None)  # is not reached
    told = pytest.raises(OSError, match=r"cannot be written: File exists; move the file")
    with in_place_of_a_folder(tmp_path), told:
        predict.run(command(pictures, *QUICK), tmp_path)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ("no/clip.mp4", "there is no such file"),
        ("/", "0 pictures|no such"),
        ("no/*.mp4", "no such file or folder, and no file matches it"),
    ],
)
def test_wrong_sources_are_told_before_any_work(command, tmp_path, images, message):
    source = tmp_path / "empty" if images == "/" else images
    (tmp_path / "empty").mkdir()
    with pytest.raises((OptionError, PictureError), match=message):
        predict.run(command(source, *QUICK), tmp_path)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("images", "video", "stem"),
    [
        ("http://cam/mjpg?res=1", True, "cam_mjpg"),
        ("rtsp://[::1]:554/1", True, "___1__554_1"),
        ("rtsp://admin:p@s/s@10.0.0.7/1", True, "10.0.0.7_1"),
        ("clips/way[1].mp4", True, "way[1]"),
        ("clips/*.mp4", False, "clips"),
        ("0", True, "camera_0"),
        ("2024", False, "2024"),
        ("clips/..", False, "place"),
        ("..", False, "above"),
    ],
)
def test_what_is_named_is_a_video_or_pictures(tmp_path, monkeypatch, images, video, stem):
    place = tmp_path / "above" / "place"
    for name in ("2024", "clips"):
        (place / name).mkdir(parents=True)
    (place / "clips/way[1].mp4").touch()
    monkeypatch.chdir(place)
    assert (names_video(images), results_name(images)) == (video, stem)


def test_an_address_is_opened_and_its_password_is_told_nowhere(
    command, tmp_path, capsys, monkeypatch
):
    clip, address = write_video(tmp_path / "clip.mp4", 2), "http://me:p@s/s@cam/x?key=secret"
    files, opened = {address: str(clip)}, cv2.VideoCapture
    replaced = lambda name, *rest: opened(files.get(name, name), *rest)  # noqa: E731
    monkeypatch.setattr(cv2, "VideoCapture", replaced)
    predict.run(command(f'"{address}"', *QUICK), tmp_path)
    written = [path.read_text() for path in (tmp_path / "out").glob("*.json*")]
    assert '"folder": "http://cam/x"' in (tmp_path / "out/images.json").read_text()
    for text in (capsys.readouterr().out, *written, *map(str, (tmp_path / "out").iterdir())):
        assert not any(part in text for part in ("me:", "p@s", "s@", "secret"))


def test_frames_that_a_kill_left_are_kept(command, tmp_path, monkeypatch):
    clip, left = write_video(tmp_path / "clip.mp4", 2), tmp_path / "out/frames_other.jsonl"
    left.parent.mkdir()
    left.write_text("one line\n")
    monkeypatch.setattr(BatchDetector, "detect", None)  # is not reached
    with pytest.raises(OptionError, match=r"frames_other\.jsonl holds .* predict\.output=…, or"):
        predict.run(command(clip, *QUICK), tmp_path)
    assert [path.read_text() for path in left.parent.iterdir()] == ["one line\n"]


def test_empty_files_of_frames_are_no_results(tmp_path):
    for _ in range(2):
        with FrameLines(tmp_path, ["bacl"], Categories([1], ["cat"]), again=False):
            pass
    assert [path.name for path in tmp_path.iterdir()] == ["frames_bacl.jsonl"]
