import ast

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.io import decode_image

from bacl.data.augmentation.transforms import ResizeShortSide
from bacl.data.images.picture_file import read_picture
from bacl.export.notes import preprocessing
from bacl.export.snippets import RUNTIMES, snippet


@pytest.mark.parametrize("name", RUNTIMES)
@pytest.mark.parametrize("size", [None, [96, 128]])
@pytest.mark.parametrize("resize", [None, {"antialias": True}, {"antialias": False}])
@pytest.mark.parametrize("masks", [None, 0.5])
def test_a_printed_program_is_one_and_names_what_it_uses(tmp_path, name, size, resize, masks):
    """Most of them run in tests/jobs/test_export.py; here every form is read."""
    preprocessing = {"size": size, "resize": resize}
    notes = {"preprocessing": preprocessing, "postprocessing": {"mask_threshold": masks}}
    text = snippet(name, tmp_path / 'a "quoted" name', notes, None)
    tree = ast.parse(text)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert "pixels" in names
    assert ("masks" in names) == (masks is not None)
    assert ("resize" in names) == (resize is not None)
    assert ("fit" in names) == (size is not None)
    assert max(map(len, text.splitlines())) <= 100 + len(str(tmp_path))
    assert "bacl" not in text


def pixels_read(path, size=None):
    """What a printed program gives a file of a picture, (1, 3, H, W) uint8, and the picture's size.

    Without a resize, so that pixels are as they were read.
    """
    said = preprocessing(torch.nn.Identity(), size)
    notes = {"preprocessing": said, "postprocessing": {"mask_threshold": None}}
    text = snippet("onnx", path.with_name("x.onnx"), notes, path)
    begin, end = text.index("picture = "), text.index("boxes, scores, labels = ")
    names = {"notes": notes}
    exec("import numpy as np\nfrom PIL import Image, ImageOps\n" + text[begin:end], names)
    return names["images"], names["sizes"].tolist()


GREY = np.random.default_rng(0).integers(0, 256, (20, 30), dtype=np.uint8)
DEEP = GREY.astype(np.uint16)
PICTURES = {
    "grey.png": GREY,
    "one_pixel.png": GREY[:1, :1],
    "alpha.png": np.dstack([GREY, GREY[::-1], GREY[:, ::-1], GREY]),
    "grey_alpha.png": np.dstack([GREY, GREY]),
    "16_bits.png": DEEP << 8 | DEEP,
    "12_bits.png": DEEP << 4,
    "dark.png": DEEP // 8,
    "shares.tiff": GREY.astype(np.float32) / 255,
    "numbers.tiff": GREY.astype(np.float32) * 3 - 9,
    "holes.tiff": np.where(GREY < 9, np.nan, np.where(GREY < 20, np.inf, 0.5)).astype(np.float32),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_printed_program_reads_pictures_as_this_project_does(tmp_path, name):
    path = tmp_path / name
    Image.fromarray(PICTURES[name]).save(path)
    images, sizes = pixels_read(path)
    assert np.array_equal(images[0], read_picture(path).numpy())
    assert sizes == [list(images.shape[2:])]


def test_a_printed_program_turns_a_picture_as_its_file_says(tmp_path):
    path = tmp_path / "turned.png"
    picture = Image.fromarray(PICTURES["alpha.png"][..., :3])
    exif = picture.getexif()
    exif[0x112] = 6
    picture.save(path, exif=exif)
    images, sizes = pixels_read(path)
    assert sizes == [[30, 20]]
    assert np.array_equal(images[0], read_picture(path).numpy())


def test_a_picture_that_is_shrunk_to_nothing_keeps_a_pixel(tmp_path):
    path = tmp_path / "long.png"
    Image.fromarray(GREY[:1]).resize((4000, 3)).save(path)
    images, sizes = pixels_read(path, [96, 128])
    assert images.shape == (1, 3, 96, 128)
    assert sizes == [[1, 128]]


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("short_side", [20, 61, 150])
def test_a_printed_program_resizes_as_the_test_does(tmp_path, antialias, short_side):
    """On noise, of which every wrong filter makes another picture."""
    path = tmp_path / "noise.png"
    noise = np.random.default_rng(0).integers(0, 256, (90, 130, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    transform = ResizeShortSide([short_side], 1000, antialias=antialias)
    said = preprocessing(transform, None)
    notes = {"preprocessing": said, "postprocessing": {"mask_threshold": None}}
    text = snippet("onnx", tmp_path / "x.onnx", notes, path)
    begin = text.index("picture = ")
    names = {"notes": notes}
    exec(
        "import numpy as np\nfrom PIL import Image, ImageOps\n"
        + text[begin : text.index("images = ")],
        names,
    )
    expected = transform(decode_image(str(path))).numpy()
    assert names["pixels"].shape == expected.shape
    assert np.abs(names["pixels"].astype(int) - expected.astype(int)).max() <= 1
