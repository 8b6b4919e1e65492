import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from bacl.data.augmentation.transforms import ResizeShortSide
from bacl.data.images import picture_file
from bacl.data.images.image_folder import find_images
from bacl.data.images.picture_file import Reading, read_picture
from bacl.data.images.read_pictures import PictureDataset, collate_readable
from bacl.data.images.traits import Trait, told_traits
from bacl.messages.errors import OptionError


@pytest.fixture
def picture():
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))


def pixels(picture):
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_a_folder_gives_its_pictures_in_order_and_counts_the_rest(tmp_path):
    touch(tmp_path, "b.jpg", "a.PNG", "in/c.webp", "notes.txt", "in/data.json", ".hidden.jpg")
    touch(tmp_path, ".cache/x.jpg", "results/pictures/b.jpg")
    found = find_images(str(tmp_path), excluded=tmp_path / "results")
    assert (found.folder, found.names) == (tmp_path, ["a.PNG", "b.jpg", "in/c.webp"])
    assert found.skipped == {
        "other files": 2, "hidden files and folders": 2, "folders of results": 1
    }  # fmt: skip


def test_a_pattern_gives_what_matches_it_below_the_common_folder(tmp_path):
    touch(tmp_path, "x/1.jpg", "x/2.jpg", "y/1.jpg", "y/1.txt", "z.jpg")
    assert find_images(f"{tmp_path}/*/1.*").names == ["x/1.jpg", "y/1.jpg"]
    assert find_images(f"{tmp_path}/*/1.*").skipped == {"other files": 1}
    assert find_images(f"{tmp_path}/x/*.jpg").folder == tmp_path / "x"
    assert len(find_images(f"{tmp_path}/**/*.jpg").names) == 4


def test_a_file_is_taken_whatever_its_name(tmp_path):
    touch(tmp_path, "photo", "odd[1].jpg")
    assert find_images(str(tmp_path / "photo")).names == ["photo"]
    assert find_images(str(tmp_path / "odd[1].jpg")).names == ["odd[1].jpg"]


def test_nothing_found_is_an_error_that_says_why(tmp_path):
    touch(tmp_path, "in/notes.txt")
    with pytest.raises(OptionError, match="no such file or folder"):
        find_images(str(tmp_path / "none"))
    with pytest.raises(OptionError, match=r"0 pictures; skipped: 1 other files; .*\.jpg"):
        find_images(str(tmp_path / "in"))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "CMYK", "1", "LA"])
def test_every_mode_becomes_rgb(tmp_path, picture, mode):
    stored = picture.convert(mode)
    stored.save(tmp_path / "x.tif")
    read = read_picture(tmp_path / "x.tif")
    assert torch.equal(read, pixels(stored.convert("RGB")))
    assert (read.shape, read.dtype) == ((3, 40, 60), torch.uint8)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_grey_keeps_its_high_byte(tmp_path, suffix):
    values = np.array([[0, 255, 256, 32768, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / f"x.{suffix}")
    read = read_picture(tmp_path / f"x.{suffix}")
    assert read.tolist() == [[[0, 0, 1, 128, 255]]] * 3


def test_a_turned_photograph_is_read_upright(tmp_path, picture):
    rotation = Image.Exif()
    rotation[0x0112] = 6  # a viewer turns it clockwise by a quarter
    picture.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "x.png", exif=rotation)
    assert torch.equal(read_picture(tmp_path / "x.png"), pixels(picture))


def test_items_know_their_files_sizes(tmp_path, picture):
    picture.save(tmp_path / "x.png")
    dataset = PictureDataset(find_images(str(tmp_path)), ResizeShortSide([20], 1000))
    image, target = dataset[0][:2]
    assert image.shape == (3, 20, 30)
    assert type(image) is torch.Tensor
    assert (target.image_id, target.size, target.original_size) == (1, (20, 30), (40, 60))
    assert target.padded_size == (32, 32)
    assert target.to_original(torch.tensor([[0.0, 0, 30, 20]])).tolist() == [[0, 0, 60, 40]]
    assert len(target.boxes) == len(target.labels) == len(target.negative) == 0


def test_a_line_of_pixels_survives_the_resize(tmp_path):
    Image.new("RGB", (5000, 1)).save(tmp_path / "line.png")
    Image.new("RGB", (1, 1)).save(tmp_path / "one.png")
    dataset = PictureDataset(find_images(str(tmp_path)), ResizeShortSide([800], 1333))
    assert [dataset[index][0].shape for index in (0, 1)] == [(3, 1, 1333), (3, 800, 800)]


@pytest.mark.parametrize("workers", [0, 2])
def test_broken_files_are_named_and_the_others_go_on(tmp_path, picture, workers):
    for name in ("a.jpg", "e.jpg"):
        picture.resize((40, 40)).save(tmp_path / name)
    (tmp_path / "b.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:700])
    (tmp_path / "c.png").write_text("no picture")
    picture.resize((400, 40)).save(tmp_path / "d.png")
    (tmp_path / "f.jpg").symlink_to(tmp_path / "gone.jpg")
    dataset = PictureDataset(find_images(str(tmp_path)), v2.Identity(), Reading(max_pixels=6000))
    loader = DataLoader(dataset, 2, num_workers=workers, collate_fn=collate_readable)
    batches = list(loader)
    ids = [[t.image_id for t in each.batch.targets] if each.batch else None for each in batches]
    assert ids == [[1], None, [5]]
    reasons = {each.name: each.reason for collated in batches for each in collated.unreadable}
    assert list(reasons) == ["b.jpg", "c.png", "d.png", "f.jpg"]
    told = ("truncated", "a text file", "400 x 40 pixels are more", "no such file")
    for (name, reason), words in zip(reasons.items(), told, strict=True):
        assert words in reason, name


def test_an_error_of_the_transform_is_no_broken_file(tmp_path, picture):
    picture.save(tmp_path / "x.png")
    with pytest.raises(ValueError, match="crop"):
        PictureDataset(find_images(str(tmp_path)), v2.RandomCrop(1000))[0]


def test_folders_that_links_lead_to_are_searched_once(tmp_path):
    touch(tmp_path, "photos/cam1/a.png", "elsewhere/b.png", "elsewhere/deep/c.png")
    links = {"cam2": "elsewhere", "again": "elsewhere", "a0": "photos/cam1", "round": "photos"}
    for name, target in links.items():
        (tmp_path / "photos" / name).symlink_to(tmp_path / target)
    (tmp_path / "elsewhere/back").symlink_to(tmp_path / "photos")
    (tmp_path / "photos/linked.png").symlink_to(tmp_path / "elsewhere/b.png")
    found = find_images(str(tmp_path / "photos"))
    assert found.names == ["again/b.png", "again/deep/c.png", "cam1/a.png", "linked.png"]
    assert found.skipped == {"folders that links lead to again": 4}
    assert "4 pictures; skipped: 4 folders that links lead to again" in found.summary()
    pattern = find_images(f"{tmp_path}/photos/**/*.png")
    assert len(pattern.names) == 4


def test_what_leads_nowhere_or_cannot_be_opened_is_counted(tmp_path, picture, monkeypatch):
    touch(tmp_path, "shut/a.png", ".hidden.png", "b.txt")
    picture.save(tmp_path / "x.png")
    real = os.listdir

    def listdir(folder):
        if str(folder).endswith("shut"):
            raise PermissionError
        return real(folder)

    monkeypatch.setattr(os, "listdir", listdir)
    found = find_images(str(tmp_path))
    assert found.names == ["x.png"]
    assert found.skipped == {
        "folders that cannot be opened": 1, "hidden files and folders": 1, "other files": 1
    }  # fmt: skip


def test_pipes_and_what_cannot_be_looked_at_are_counted(tmp_path, monkeypatch):
    touch(tmp_path, "a.jpg", "closed/b.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    real = Path.stat

    def searchable(path, **options):
        if path.parent.name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, **options)

    monkeypatch.setattr(Path, "stat", searchable)
    found = find_images(str(tmp_path))
    assert found.names == ["a.jpg"]
    assert found.skipped == {
        "pipes, sockets and devices": 1, "files and folders that cannot be looked at": 1
    }  # fmt: skip
    assert find_images(f"{tmp_path}/*.jpg").names == ["a.jpg"]


def test_deep_pictures_are_told_with_their_items(tmp_path, picture):
    picture.save(tmp_path / "a.png")
    Image.fromarray(np.full((40, 40), 4095, dtype=np.uint16)).save(tmp_path / "b.png")
    dataset = PictureDataset(find_images(str(tmp_path)), v2.Identity())
    collated = collate_readable([dataset[0], dataset[1]])
    (line,) = told_traits("photos", np.array(collated.traits, dtype=np.int64), "upright")
    assert line.startswith("photos: 1 of 2 pictures have more than 8 bits")
    assert dataset[1].image.unique().tolist() == [255]


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "PNG", "WEBP"])
def test_only_those_who_tell_traits_look_for_frames(tmp_path, picture, monkeypatch, kind):
    frames = [picture.rotate(90 * turn) for turn in range(4)]
    picture.save(tmp_path / "x", kind, save_all=True, append_images=frames[1:])
    pixels, traits = picture_file.read_with_traits(tmp_path / "x")
    assert traits == Trait.FRAMES
    monkeypatch.setattr(picture_file, "traits_of", lambda *_: pytest.fail("looked"))
    assert torch.equal(read_picture(tmp_path / "x"), pixels)
