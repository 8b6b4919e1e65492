import pytest
from PIL import Image

from bacl.data.images.picture_file import PictureError, Reading, opened, read_picture


def test_pillows_own_limit_is_the_programs(tmp_path, monkeypatch):
    Image.new("RGB", (8, 8)).save(tmp_path / "large.png")
    (tmp_path / "none.png").touch()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert read_picture(tmp_path / "large.png").shape == (3, 8, 8)
    assert Image.MAX_IMAGE_PIXELS == 10
    with opened(tmp_path / "large.png"):
        with pytest.raises(PictureError, match="is an empty file"):
            read_picture(tmp_path / "none.png")
        read_picture(tmp_path / "large.png")
        assert Image.MAX_IMAGE_PIXELS is None  # another thread may have opened the first
    with pytest.raises(Image.DecompressionBombError):
        Image.open(tmp_path / "large.png")
    with pytest.raises(PictureError, match=r"8 x 8 pixels are more than .*max_pixels=63"):
        read_picture(tmp_path / "large.png", Reading(max_pixels=63))
    assert Image.MAX_IMAGE_PIXELS == 10
