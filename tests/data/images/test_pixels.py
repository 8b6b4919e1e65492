import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from bacl.data.images.picture_file import read_picture
from bacl.data.images.pixels import eight_bits


def grey(path):
    read = read_picture(path)
    assert (read[0] == read[1]).all()
    assert (read[0] == read[2]).all()
    return read[0].flatten().tolist()


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([0, 1, 254, 255], "u2", [0, 1, 254, 255]),  # 8 bits
        ([0, 3, 4, 1023], "u2", [0, 0, 1, 255]),  # 10
        ([0, 15, 16, 4095], "u2", [0, 0, 1, 255]),  # 12
        ([0, 63, 64, 16383], "u2", [0, 0, 1, 255]),  # 14
        ([0, 255, 256, 65535], "u2", [0, 0, 1, 255]),  # 16
        ([0, 1, 254, 255], "i4", [0, 1, 254, 255]),
        ([-7, 0, 16, 4095], "i4", [0, 0, 1, 255]),
        ([0, 0xFFFF, 0x10000, 0xFFFFFF], "i4", [0, 0, 1, 255]),  # 24
        ([0, 2**23, 2**30, 2**31 - 1], "i4", [0, 1, 128, 255]),
    ],
)
def test_integers_keep_the_high_bits_of_the_smallest_depth_that_holds_them(
    tmp_path, values, kind, expected
):
    Image.fromarray(np.array([values], dtype=kind)).save(tmp_path / "x.tif")
    assert grey(tmp_path / "x.tif") == expected
    if kind == "u2":
        Image.fromarray(np.array([values], dtype=kind)).save(tmp_path / "x.png")
        assert grey(tmp_path / "x.png") == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 0.25, 0.5, 1], [0, 64, 128, 255]),  # shares of white, rounded
        ([0, 1, 128, 255], [0, 1, 128, 255]),
        ([0, 0.4, 0.6, 200], [0, 0, 1, 200]),
        ([-3, 0, 16, 4095], [0, 0, 1, 255]),
        ([np.nan, 0, 0.5, 1], [0, 0, 128, 255]),
        ([np.inf, -np.inf, 0.5, 1], [0, 0, 128, 255]),
        ([0, 0, 0, 1e30], [0, 0, 0, 255]),
        ([0, 0, 0, 0], [0, 0, 0, 0]),
    ],
)
def test_floating_point_numbers(tmp_path, values, expected):
    Image.fromarray(np.array([values], dtype="f4")).save(tmp_path / "x.tif")
    assert grey(tmp_path / "x.tif") == expected


def test_a_declared_range_counts_more_than_the_values(tmp_path):
    dark = np.array([[0, 255, 256, 512]], dtype="u2")
    Image.fromarray(dark).save(tmp_path / "x.tif", tiffinfo={281: 4095})
    assert grey(tmp_path / "x.tif") == [0, 15, 16, 32]
    Image.fromarray(dark).save(tmp_path / "x.png")
    content = (tmp_path / "x.png").read_bytes()
    chunk = b"sBIT" + bytes([12])
    chunk = struct.pack(">I", 1) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "x.png").write_bytes(content[:33] + chunk + content[33:])  # behind the header
    assert grey(tmp_path / "x.png") == [0, 0, 1, 2]
    (tmp_path / "x.pgm").write_bytes(
        b"P5 4 1 4095\n" + np.array([0, 15, 16, 4095], ">u2").tobytes()
    )
    assert grey(tmp_path / "x.pgm") == [0, 0, 1, 255]


def test_no_pixels():
    assert eight_bits(np.zeros((0, 3), dtype=np.int32)).shape == (0, 3)


def test_palettes_transparency_and_other_colours(tmp_path):
    picture = Image.new("RGBA", (2, 1), (10, 200, 30, 0))
    picture.save(tmp_path / "alpha.png")
    assert read_picture(tmp_path / "alpha.png")[:, 0, 0].tolist() == [10, 200, 30]
    palette = Image.new("P", (2, 1), 1)
    palette.putpalette([0, 0, 0, 10, 200, 30])
    palette.save(tmp_path / "palette.png", transparency=1)
    assert read_picture(tmp_path / "palette.png")[:, 0, 0].tolist() == [10, 200, 30]
    Image.new("LA", (2, 1), (70, 0)).save(tmp_path / "la.png")
    assert grey(tmp_path / "la.png") == [70, 70]
    Image.new("1", (2, 1), 1).save(tmp_path / "bit.png")
    assert grey(tmp_path / "bit.png") == [255, 255]
    for suffix in ("tif", "jpg"):
        Image.new("CMYK", (8, 8), (0, 255, 0, 0)).save(tmp_path / f"cmyk.{suffix}")
        found = read_picture(tmp_path / f"cmyk.{suffix}")[:, 0, 0].int()
        assert (found - found.new_tensor([255, 0, 255])).abs().max() <= 2


@pytest.mark.parametrize("suffix", ["gif", "tif", "webp", "png"])
def test_the_first_of_several_frames_is_read(tmp_path, suffix):
    first, second = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    options = {"lossless": True} if suffix == "webp" else {}
    first.save(tmp_path / f"x.{suffix}", save_all=True, append_images=[second], **options)
    assert read_picture(tmp_path / f"x.{suffix}")[:, 4, 4].tolist() == [255, 0, 0]
