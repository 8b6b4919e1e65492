"""Frames of a video with detections, in Python."""

import numpy as np
import pytest
import torch

from bacl.data.images.picture_file import PictureError
from bacl.data.images.video import VideoFacts
from bacl.inference import streams
from bacl.messages.errors import OptionError
from tests.videos import STEP, write_video


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("video") / "clip.mp4", 5, size=(96, 96))


@pytest.mark.parametrize("batch_size", [1, 2])
def test_frames_come_in_order_with_what_a_call_finds_in_them(model, clip, batch_size):
    frames = list(model.stream(clip, threshold=0.0005, batch_size=batch_size))
    assert [frame.number for frame in frames] == list(range(5))
    assert [round(frame.picture.mean() / STEP) for frame in frames] == list(range(5))
    assert frames[1].seconds == pytest.approx(0.1)
    for frame in frames:
        assert frame.picture.shape == (96, 96, 3)
        assert frame.picture.dtype == np.uint8
        alone = model(frame.picture, threshold=0.0005)
        torch.testing.assert_close(frame.detections.scores, alone.scores)
        assert frame.detections.names == alone.names


def test_nothing_is_opened_before_the_first_frame(model):
    frames = model.stream("/nowhere/clip.mp4")
    with pytest.raises(PictureError, match="there is no such file"):
        next(frames)
    with pytest.raises(OptionError, match="batch_size"):
        model.stream("/nowhere/clip.mp4", batch_size=0)
    with pytest.raises(OptionError, match="threshold"):
        model.stream("/nowhere/clip.mp4", threshold=2.0)


def test_a_live_video_is_read_until_it_ends_or_nobody_asks(model, clip, monkeypatch):
    monkeypatch.setattr(streams.Video, "facts", VideoFacts(None, 10.0, True))
    numbers = [frame.number for frame in model.stream(str(clip), batch_size=4)]
    assert numbers == sorted(set(numbers))  # some may have been passed over
    assert numbers[-1] == 4
    frames = model.stream(str(clip))
    next(frames)
    frames.close()  # the thread that reads ends
