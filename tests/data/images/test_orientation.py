import json

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torchvision.transforms import v2

from bacl.data.annotations.table import AnnotationTable
from bacl.data.dataset import DetectionDataset
from bacl.data.images.orientation import Fit, fit
from bacl.data.images.picture_check import check_pictures
from bacl.data.images.picture_file import PictureError, Reading, read_picture

TURNS = range(1, 9)
FORMATS = ("png", "webp", "tif", "deflated.tif")


def pixels(picture):
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def stored(path, size=(6, 4), orientation=1):
    """A picture as stored, without loss, written with an orientation."""
    draws = np.random.default_rng(0)
    picture = Image.fromarray(draws.integers(0, 256, (*size[::-1], 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {".webp": {"lossless": True}, ".tif": {}}.get(path.suffix, {})
    if path.name.endswith("deflated.tif"):
        options = {"compression": "tiff_adobe_deflate"}
    picture.save(path, exif=exif, **options)
    return picture


def shown(picture, orientation):
    """As a viewer shows it, by NumPy: every orientation written out."""
    rows = np.array(picture)
    turned = {
        1: rows,
        2: rows[:, ::-1],
        3: rows[::-1, ::-1],
        4: rows[::-1],
        5: rows.transpose(1, 0, 2),
        6: np.rot90(rows, -1),
        7: rows[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(rows),
    }[orientation]
    return torch.from_numpy(turned.copy()).permute(2, 0, 1)


def data_set(folder, name, size, **options):
    width, height = size
    image = {"id": 1, "file_name": name, "width": width, "height": height}
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 2, 2]}
    content = {"images": [image], "annotations": [box], "categories": [{"id": 1, "name": "a"}]}
    file = folder / "annotations.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    return DetectionDataset(
        AnnotationTable.open(file), folder, v2.Identity(), keep_empty=True, **options
    )


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("orientation", TURNS)
def test_without_annotations_a_picture_is_read_as_it_is_shown(tmp_path, orientation, suffix):
    path = tmp_path / f"x.{suffix}"
    picture = stored(path, orientation=orientation)
    assert torch.equal(read_picture(path), shown(picture, orientation))
    assert torch.equal(read_picture(path, Reading("stored")), pixels(picture))


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("orientation", TURNS)
def test_the_annotated_size_decides_where_it_can(tmp_path, orientation, suffix):
    picture = stored(tmp_path / f"x.{suffix}", orientation=orientation)
    upright = ImageOps.exif_transpose(Image.open(tmp_path / f"x.{suffix}")).size
    for size, expected in (
        (upright, shown(picture, orientation)),
        (picture.size, pixels(picture) if orientation > 4 else shown(picture, orientation)),
    ):
        for preference in ("upright", "stored"):
            data = data_set(tmp_path, f"x.{suffix}", size, reading=Reading(preference))
            decided = orientation > 4
            wanted = expected if decided or preference == "upright" else pixels(picture)
            assert torch.equal(data[0][0], wanted), (size, preference)


@pytest.mark.parametrize("orientation", TURNS)
def test_squares_are_read_upright_and_counted(tmp_path, orientation):
    picture = stored(tmp_path / "x.png", (5, 5), orientation)
    data = data_set(tmp_path, "x.png", (5, 5))
    assert torch.equal(data[0][0], shown(picture, orientation))
    lines = check_pictures(data.files, data.records)
    assert len(lines) == (orientation > 1)
    assert all("1 of 1 pictures have an EXIF orientation" in line for line in lines)


def test_another_size_is_refused_whatever_the_orientation(tmp_path):
    stored(tmp_path / "x.png", orientation=6)
    with pytest.raises(PictureError, match=r"x\.png: is 6 x 4 pixels, not 6 x 6"):
        data_set(tmp_path, "x.png", (6, 6))[0]


def test_garbage_in_exif_turns_nothing(tmp_path):
    picture = Image.new("RGB", (6, 4), "red")
    picture.save(tmp_path / "x.jpg", exif=b"Exif\0\0" + b"\xff" * 60)
    assert read_picture(tmp_path / "x.jpg").shape == (3, 4, 6)
    for value in (0, 9):
        stored(tmp_path / "y.png", orientation=value)
        assert read_picture(tmp_path / "y.png").shape == (3, 4, 6)


def test_sizes_that_fit():
    assert fit((4, 6), (6, 4), (4, 6)) is Fit.STORED
    assert fit((4, 6), (6, 4), (6, 4)) is Fit.UPRIGHT
    assert fit((4, 6), (4, 6), (4, 6)) is Fit.BOTH
    assert fit((4, 6), (6, 4), (6, 6)) is Fit.NEITHER
