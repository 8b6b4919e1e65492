"""Cut-outs as a second source of copy-paste."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask
from torch.utils.data import DataLoader

from bacl.assembly.harmless import harmless
from bacl.data.annotations.table import AnnotationTable
from bacl.data.augmentation.copy_paste import CopyPaste
from bacl.data.augmentation.cut_outs import CutOuts, read_cut_out
from bacl.data.augmentation.instance_bank import InstanceBank, object_sizes, on_canvas
from bacl.data.collate import collate
from bacl.data.dataset import DetectionDataset
from bacl.data.images.picture_file import PictureError
from bacl.data.split_messages import tell_pictures
from bacl.messages.errors import OptionError

RED, BLUE = (250, 10, 20), (5, 15, 240)


def cut_out(colour, size=(12, 8), frame=2, alpha=255) -> Image.Image:
    """A rectangle of (height, width) in one colour, with a transparent frame of another."""
    height, width = size[0] + 2 * frame, size[1] + 2 * frame
    pixels = np.zeros((height, width, 4), dtype=np.uint8)
    pixels[..., :3] = 255 - np.array(colour)
    pixels[frame : height - frame, frame : width - frame] = (*colour, alpha)
    return Image.fromarray(pixels)


@pytest.fixture
def bank(tmp_path):
    """Kind 1 by its name with two cut-outs, kind 3 by its id with one."""
    folder = tmp_path / "bank"
    (folder / "kind 1").mkdir(parents=True)
    (folder / "3").mkdir()
    cut_out(RED).save(folder / "kind 1/b.png")
    cut_out(RED, (6, 20)).save(folder / "kind 1/a.PNG")
    cut_out(BLUE).save(folder / "3/c.png")
    (folder / "3/notes.txt").write_text("not one")
    (folder / "readme.txt").write_text("nor this")
    return folder


def built(folder, **options) -> InstanceBank:
    unchanged = {
        "max_pasted": 3,
        "power": 0.0,
        "flip_probability": 0.5,
        "least_side": 4,
        "largest_share": 0.5,
        "ratio_jitter": 0.2,
    }
    return InstanceBank(folder, **{**unchanged, **options})


def opened(folder, table, **options) -> InstanceBank:
    made = built(folder, **options)
    made.prepare(table)
    return made


def drawn(bank: InstanceBank, times=300, size=(60, 50), side=64):
    return [canvas for _ in range(times) for canvas in bank(size, side)]


def test_cut_outs_are_found_by_name_and_by_id_in_one_order(bank, ten_pictures):
    found = CutOuts.found(bank, ten_pictures)
    assert found.names == ["kind 1/a.PNG", "kind 1/b.png", "3/c.png"]
    assert found.labels.tolist() == [0, 0, 2]
    assert found.summary() == f"{bank}: 3 cut-outs of 2 categories"
    found.check()


def test_the_opaque_part_is_read(bank):
    read = read_cut_out(bank / "kind 1/b.png")
    assert (read.mode, read.size) == ("RGBA", (8, 12))
    assert np.unique(np.asarray(read).reshape(-1, 4), axis=0).tolist() == [[*RED, 255]]


@pytest.mark.parametrize("mode", ["LA", "P"])
def test_other_pictures_with_transparency_are_cut_outs(tmp_path, mode):
    path = tmp_path / "one.png"
    if mode == "P":
        picture = Image.new("P", (6, 5), 1)
        picture.putpalette([0, 0, 0, *RED])
        picture.paste(0, (0, 0, 6, 2))
        picture.save(path, transparency=0)
    else:
        cut_out(RED, (3, 6), frame=0).convert(mode).save(path)
    assert read_cut_out(path).size == (6, 3)


SPOILT = {
    "gone": (lambda folder: shutil.rmtree(folder), r"bank: there is no such folder"),
    "empty": (
        lambda folder: [shutil.rmtree(folder / name) for name in ("kind 1", "3")],
        r"bank: no cut-outs; they are <category>",
    ),
    "another category": (
        lambda folder: (folder / "kind1").mkdir(),
        r"bank: kind1: no name or id of a category of .* \(did you mean kind 1\?\)",
    ),
    "an empty category": (
        lambda folder: (folder / "kind 2").mkdir(),
        r"kind 2 has no cut-outs, which are \*\.png",
    ),
}


@pytest.mark.parametrize("how", SPOILT)
def test_folders_that_are_no_bank_are_refused_before_the_first_step(bank, ten_pictures, how):
    spoil, told = SPOILT[how]
    spoil(bank)
    transform = CopyPaste(64, (1.0, 1.0), 0.0, 0, 2, 5, bank=built(bank))
    with pytest.raises(OptionError, match=rf"^augment\.train\.bank\.folder.*{told}"):
        DetectionDataset(ten_pictures, ten_pictures.source.parent, transform)


def test_a_bank_without_a_folder_is_refused(ten_pictures):
    with pytest.raises(OptionError, match=r"augment\.train\.bank\.folder is not set"):
        built(None).prepare(ten_pictures)


DAMAGES = {
    "no alpha": (lambda path: Image.new("RGB", (9, 9)).save(path), r"no alpha channel \(RGB\)"),
    "broken": (lambda path: path.write_bytes(path.read_bytes()[:60]), "cannot be read"),
    "no picture": (lambda path: path.write_text("hello"), "is a text file"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_cut_outs_are_told_by_name(bank, ten_pictures, damage):
    spoil, told = DAMAGES[damage]
    spoil(bank / "3/c.png")
    with pytest.raises(PictureError, match=rf"bank/3/c\.png: .*{told}"):
        read_cut_out(bank / "3/c.png")
    transform = CopyPaste(64, (1.0, 1.0), 0.0, 0, 2, 5, bank=built(bank))
    data = DetectionDataset(ten_pictures, ten_pictures.source.parent, transform)
    with pytest.raises(PictureError, match=rf"bank: 1 of 3 cut-outs .*: 3/c\.png: .*{told}"):
        tell_pictures(data)


def test_a_cut_out_that_shows_nothing_is_told(bank):
    cut_out(RED, alpha=127).save(bank / "3/c.png")
    with pytest.raises(PictureError, match=r"c\.png: shows nothing, as no pixel is opaque"):
        read_cut_out(bank / "3/c.png")


def test_pixels_masks_and_boxes_are_those_of_the_alpha_channel():
    pixels = np.array(cut_out(RED, (6, 4), frame=1))
    pixels[1, 1, 3] = 127  # a corner of the object
    canvas = on_canvas(pixels, (10, 20), 7, (60, 50), 64)
    expected = np.zeros((64, 64), dtype=np.uint8)
    expected[11:17, 21:25] = 1
    expected[11, 21] = 0
    np.testing.assert_array_equal(coco_mask.decode(canvas.masks)[..., 0], expected)
    assert canvas.boxes.tolist() == [[21, 11, 25, 17]]
    assert canvas.labels.tolist() == [7]
    assert canvas.image[:, 12, 22].tolist() == list(RED)
    sample = canvas.sample(with_masks=True)
    assert sample["masks"].masks.bitmaps().sum() == 23


def test_what_lies_beyond_the_picture_is_cut_off():
    pixels = np.array(cut_out(RED, (6, 4), frame=0))
    canvas = on_canvas(pixels, (-2, 47), 7, (60, 50), 64)
    assert canvas.boxes.tolist() == [[47, 0, 50, 4]]
    assert on_canvas(pixels, (60, 10), 7, (60, 50), 64) is None
    assert on_canvas(pixels, (10, -4), 7, (60, 50), 64) is None


def test_colours_of_transparent_pixels_do_not_bleed_in(bank, ten_pictures):
    """Scaled down, the edge of a red object on a frame of its complement stays red."""
    for canvas in drawn(opened(bank, ten_pictures, power=None)):
        colour = RED if canvas.labels[0] == 0 else BLUE
        inside = coco_mask.decode(canvas.masks)[..., 0].astype(bool)
        shown = canvas.image.numpy()[:, inside].astype(int)
        assert np.abs(shown - np.array(colour)[:, None]).max() <= 3


def test_numbers_are_uniform_and_categories_alike(bank, ten_pictures):
    made = opened(bank, ten_pictures)
    counts = np.bincount([len(list(made((60, 50), 64))) for _ in range(600)], minlength=4)
    # A few are cut off as a whole, which their pictures have less.
    np.testing.assert_allclose(counts / 600, 0.25, atol=0.08)
    labels = np.bincount([int(canvas.labels[0]) for canvas in drawn(made)], minlength=3)
    np.testing.assert_allclose(labels / labels.sum(), [0.5, 0, 0.5], atol=0.08)


@pytest.mark.parametrize(("power", "share"), [(None, 1 / 3), (1.0, 10 / 13)])
def test_rare_categories_first_or_all_cut_outs_alike(bank, ten_pictures, power, share):
    """Kind 1 is in ten pictures, kind 3 in three."""
    assert ten_pictures.image_counts.tolist() == [10, 3, 3]
    found = [int(c.labels[0]) for c in drawn(opened(bank, ten_pictures, power=power))]
    np.testing.assert_allclose(np.mean(np.array(found) == 2), share, atol=0.08)


def test_sizes_are_those_of_the_categorys_objects(bank, tmp_path, write_set):
    # Kind 1: boxes of 20 x 20 and 10 x 10 pixels in pictures of 40 x 50; kind 2: none.
    boxes = {0: [(1, 1, 20, 20, 1)], 1: [(1, 1, 10, 10, 1)], 2: [(1, 1, 30, 30, 3)]}
    table = AnnotationTable.open(write_set(tmp_path / "sizes", [(40, 50)] * 3, boxes))
    roots = np.array([20.0, 10.0]) / 2000**0.5
    sizes = object_sizes(table)
    np.testing.assert_allclose(sizes[0], [roots.mean(), roots.std()])
    np.testing.assert_allclose(sizes[2], [30 / 2000**0.5, 0], atol=1e-7)
    everything = np.array([20, 10, 30]) / 2000**0.5
    np.testing.assert_allclose(sizes[1], [everything.mean(), everything.std()])
    made = opened(bank, table, ratio_jitter=0.0, largest_share=1.0)
    drawn_sizes = np.array([made._draw_size(0, 2.0, (400, 500)) for _ in range(500)])
    found = np.sqrt(drawn_sizes.prod(1) / 200_000)
    np.testing.assert_allclose([found.mean(), found.std()], sizes[0], rtol=0.08)
    np.testing.assert_allclose(drawn_sizes[:, 1] / drawn_sizes[:, 0], 2, rtol=0.1)
    assert made._draw_size(2, 1.0, (400, 500)) == (300, 300)


def test_sizes_have_bounds_and_ratios_are_jittered(bank, ten_pictures):
    made = opened(bank, ten_pictures, least_side=20, largest_share=0.1)
    sizes = np.array([made._draw_size(0, 1.0, (50, 50)) for _ in range(300)])
    roots = np.sqrt(sizes.prod(1))
    assert 19 < roots.min() <= roots.max() < 21  # the least is more than a tenth
    ratios = sizes[:, 1] / sizes[:, 0]
    assert 0.75 < ratios.min() < 0.88
    assert 1.12 < ratios.max() < 1.3


def copy_paste(bank=None, **options) -> CopyPaste:
    return CopyPaste(64, (0.8, 1.25), 0.5, 99, 2, 5, bank=bank, **options)


def test_pasted_cut_outs_lie_in_the_picture_over_its_objects(bank, ten_pictures):
    transform = copy_paste(built(bank, max_pasted=9))
    data = DetectionDataset(ten_pictures, ten_pictures.source.parent, transform, load_masks=True)
    pasted = 0
    for key in range(60):
        image, target = data[key % 10, key]
        bottom, right = target.size
        masks = target.masks.bitmaps()
        for mask, box, label in zip(masks, target.boxes, target.labels, strict=True):
            rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
            ends = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            assert [int(end) for end in ends] == box.tolist()
            shown = image[:, mask].float().mean(1)
            for kind, colour in ((0, RED), (2, BLUE)):
                if (shown - torch.tensor(colour)).abs().max() < 4:
                    assert label == kind
                    assert ends[2] <= right
                    assert ends[3] <= bottom
                    pasted += 1
    assert pasted > 60


def test_the_key_decides_all_draws_and_no_bank_changes_none(bank, ten_pictures):
    folder = ten_pictures.source.parent
    plain = DetectionDataset(ten_pictures, folder, copy_paste())
    none = DetectionDataset(ten_pictures, folder, copy_paste(built(bank, max_pasted=0)))
    data = DetectionDataset(ten_pictures, folder, copy_paste(built(bank, max_pasted=9)))
    again = pickle.loads(pickle.dumps(data))
    differs = False
    for key in range(12):
        image, target = data[3, key]
        same, other = again[3, key]
        assert torch.equal(image, same)
        assert torch.equal(target.boxes, other.boxes)
        assert torch.equal(plain[3, key][0], none[3, key][0])
        differs = differs or not torch.equal(image, plain[3, key][0])
    assert differs


def test_workers_give_the_batches_of_the_process_itself(bank, ten_pictures):
    transform = copy_paste(built(bank, max_pasted=9), source_power=1.0)
    data = DetectionDataset(ten_pictures, ten_pictures.source.parent, transform)
    batches = [[(0, 11), (1, 12)], [(2, 13), (3, 14)], [(4, 15), (0, 11)]]
    alone = list(DataLoader(data, batch_sampler=batches, collate_fn=collate))
    shared = DataLoader(data, batch_sampler=batches, collate_fn=collate, num_workers=2)
    for batch, expected in zip(shared, alone, strict=True):
        assert torch.equal(batch.images, expected.images)
        for target, other in zip(batch.targets, expected.targets, strict=True):
            assert torch.equal(target.boxes, other.boxes)


def test_configured(compose_config, bank, ten_pictures):
    config = compose_config("+augment@bank=instance_bank", "pipeline=classifier")
    node = config.bank.train.bank
    assert config.bank.train.canvas == 1280
    assert (node.max_pasted, node.power, node.least_side, node.largest_share) == (19, 0, 10, 0.5)
    stored = {**node, "folder": "/somebody's/folder"}
    at = "stages.representation.augment.train.bank"
    kept = harmless({at: stored}, Path("final.ckpt"), counts={})  # no file's value of it is used
    assert kept == {at: {**stored, "folder": None}}
