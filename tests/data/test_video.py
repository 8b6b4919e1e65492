"""Frames of videos: in order, whoever decodes them; and of a live one the newest."""

import threading

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from bacl.data.images.read_pictures import collate_readable
from bacl.data.images.tiles import Tiling
from bacl.data.images.video import Video, VideoError, rgb_of
from bacl.data.images.video_frames import NewestFrame, VideoFrames
from bacl.data.images.video_source import Frame
from tests.videos import number_of, write_damaged_video, write_video


class AsIs(torch.nn.Module):
    """The transform of a test that resizes nothing."""

    def forward(self, sample):
        return sample | {"image": sample["image"].float()}


def test_a_video_says_its_frames_and_its_rate(tmp_path):
    with Video(write_video(tmp_path / "a.mp4", 7)) as video:
        assert (video.facts.count, video.facts.rate, video.facts.live) == (7, 10, False)
        frames = list(video.frames())
    assert [frame.number for frame in frames] == list(range(7))
    assert [number_of(frame.picture) for frame in frames] == list(range(7))
    assert [frame.seconds for frame in frames] == pytest.approx([n / 10 for n in range(7)])
    assert frames[0].picture.shape == (3, 48, 64)
    assert frames[0].picture.dtype == torch.uint8


@pytest.mark.parametrize(("workers", "batch_size"), [(0, 3), (2, 3), (3, 1)])
def test_workers_share_the_frames_and_keep_their_order(tmp_path, workers, batch_size):
    path = write_video(tmp_path / "a.mp4", 11)
    loader = DataLoader(
        VideoFrames(str(path), AsIs(), batch_size),
        batch_size=batch_size,
        num_workers=workers,
        collate_fn=collate_readable,
    )
    batches = list(loader)
    assert [len(each.frames) for each in batches[:-1]] == [batch_size] * (len(batches) - 1)
    frames = [frame for each in batches for frame in each.frames]
    assert [number_of(frame.picture) for frame in frames] == list(range(11))
    ids = [target.image_id for each in batches for target in each.batch.targets]
    assert ids == list(range(1, 12))


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_that_are_known_are_passed_over(tmp_path, workers):
    path = write_video(tmp_path / "a.mp4", 11)
    frames = VideoFrames(str(path), AsIs(), 3, start=2)
    loader = DataLoader(frames, batch_size=3, num_workers=workers, collate_fn=collate_readable)
    own = [frame for each in loader for frame in each.frames]
    assert [frame.number for frame in own] == [6, 7, 8, 9, 10]
    assert [number_of(frame.picture) for frame in own] == [6, 7, 8, 9, 10]
    assert own[0].seconds == pytest.approx(0.6)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_frame_that_cannot_be_decoded_is_left_out_and_the_others_keep_their_places(
    tmp_path, workers
):
    path = write_damaged_video(tmp_path / "a.avi", 9, damaged=4)
    loader = DataLoader(
        VideoFrames(str(path), AsIs(), 3), 3, num_workers=workers, collate_fn=collate_readable
    )
    batches = list(loader)
    assert [len(each.frames) for each in batches] == [3, 3, 2]
    frames = [frame for each in batches for frame in each.frames]
    there = [0, 1, 2, 3, 5, 6, 7, 8]
    assert [frame.number for frame in frames] == there
    assert [number_of(frame.picture) for frame in frames] == there
    assert frames[4].seconds == pytest.approx(0.5)
    rest = VideoFrames(str(path), AsIs(), 3, start=2)
    assert [read.frame.number for read in rest] == [7, 8]


@pytest.mark.parametrize(("side", "divided"), [(64, False), (63, True)])
def test_frames_that_are_larger_than_a_tile_are_handed_over_as_they_are(tmp_path, side, divided):
    path = write_video(tmp_path / "a.mp4", 2, size=(48, 64))
    for read in VideoFrames(str(path), AsIs(), 1, tiling=Tiling(side, 0.2)):
        assert (read.stored is read.frame.picture) is divided
        assert (read.stored is None) is not divided


def test_what_is_no_video_is_told(tmp_path):
    whole = write_video(tmp_path / "a.mp4", 5).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[:700])
    (tmp_path / "text.mp4").write_text("no video")
    told = {
        "none.mp4": "there is no such file",
        "cut.mp4": "cannot be decoded as a video",
        "text.mp4": "cannot be decoded as a video; it is a text file",
    }
    for name, reason in told.items():
        with pytest.raises(VideoError, match=f"{name}: {reason}"):
            Video(str(tmp_path / name))
    with pytest.raises(VideoError, match="99: no camera of this number can be opened"):
        Video(99)


def test_an_address_is_told_without_its_password():
    with pytest.raises(VideoError) as told:
        Video("rtsp://me:secret@127.0.0.1:9/live")
    assert str(told.value).startswith(
        "rtsp://127.0.0.1:9/live: nothing that FFmpeg can read answers"
    )


def test_opencvs_channels_are_turned_round():
    blue = np.zeros((2, 2, 3), dtype=np.uint8)
    blue[..., 0] = 255
    assert rgb_of(blue)[:, 0, 0].tolist() == [0, 0, 255]
    assert rgb_of(blue[..., 0]).shape == (3, 2, 2)


class Camera:
    """Gives frames when it is told to."""

    def __init__(self, fails=False):
        self.given, self.fails, self.closed = threading.Semaphore(0), fails, False

    def close(self):
        self.closed = True

    def frames(self):
        for number in range(100):
            self.given.acquire()
            if number == 4:
                if self.fails:
                    raise OSError("unplugged")
                return
            yield Frame(number, float(number), torch.zeros(3, 1, 1, dtype=torch.uint8))


def test_of_a_live_video_the_newest_frame_is_taken_and_others_are_passed_over():
    camera = Camera()
    newest = NewestFrame(camera)
    assert newest.next(0.01) is None
    camera.given.release(3)
    while newest._frame is None or newest._frame.number < 2:  # the thread reads ahead
        pass
    assert newest.next(5).number == 2
    camera.given.release(2)
    assert newest.next(5).number == 3
    assert newest.next(5) is None
    assert newest.ended
    newest.close()
    assert camera.closed


def test_what_a_live_video_raised_meanwhile_is_no_end():
    """As where the network was busy when decoding failed, and `ended` is asked first."""
    camera = Camera(fails=True)
    newest = NewestFrame(camera)
    camera.given.release(5)
    newest._thread.join(5)
    assert newest.next(0).number == 3
    assert not newest.ended
    with pytest.raises(OSError, match="unplugged"):
        newest.next(0)


def test_what_ends_a_live_video_is_raised():
    camera = Camera(fails=True)
    newest = NewestFrame(camera)
    camera.given.release(5)
    with pytest.raises(OSError, match="unplugged"):
        [newest.next(5) for _ in range(10)]
