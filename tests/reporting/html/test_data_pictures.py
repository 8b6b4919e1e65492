"""Pictures inside of the page."""

import base64
import io

import numpy as np
from PIL import Image

from bacl.reporting.html.data_pictures import GREY, cut_out, data_picture

PREFIX = "data:image/webp;base64,"


def opened(source):
    assert source.startswith(PREFIX)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source.removeprefix(PREFIX)))), int)


def halves(height, width):
    """A red left half and a blue right half."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, : width // 2, 0] = image[:, width // 2 :, 2] = 255
    return image


def test_a_picture_is_no_larger_than_asked_for_and_never_enlarged():
    picture = data_picture(halves(100, 200), 50)
    assert (picture.width, picture.height, picture.scale) == (50, 25, 0.25)
    assert opened(picture.source).shape == (25, 50, 3)
    assert data_picture(halves(10, 20), 50).scale == 1.0


def test_a_cut_out_is_moved_into_the_image():
    pixels = opened(cut_out(halves(100, 200), (0, 0, 20, 20), 32))
    assert pixels.shape == (32, 32, 3)
    assert (abs(pixels - [255, 0, 0]) < 40).all()
    pixels = opened(cut_out(halves(100, 200), (180, 80, 40, 40), 32))
    assert (abs(pixels - [0, 0, 255]) < 40).all()


def test_beside_an_image_that_is_smaller_there_is_grey():
    pixels = opened(cut_out(halves(20, 100), (0, 0, 100, 20), 100))
    assert (abs(pixels[5] - GREY) < 40).all()
    assert (abs(pixels[-5] - GREY) < 40).all()
    assert abs(pixels[50, 20] - [255, 0, 0]).max() < 60
    assert abs(pixels[50, 80] - [0, 0, 255]).max() < 60


def test_a_box_without_area_has_a_cut_out():
    assert opened(cut_out(halves(20, 20), (5, 5, 0, 0), 8)).shape == (8, 8, 3)


def test_a_box_far_beyond_its_picture_costs_no_more_than_the_picture(monkeypatch):
    sizes, new = [], Image.new
    monkeypatch.setattr(
        Image, "new", lambda mode, size, *rest: sizes.append(size) or new(mode, size, *rest)
    )
    source = cut_out(halves(100, 200), (-5e5, -5e5, 1e6, 1e6), 32)
    monkeypatch.undo()
    assert opened(source).shape == (32, 32, 3)
    assert (32, 32) in sizes
    assert max(max(size) for size in sizes) <= 200  # the box has a million
