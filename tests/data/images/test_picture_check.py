import json
import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from bacl.data import split_messages
from bacl.data.annotations.table import AnnotationTable
from bacl.data.dataset import DetectionDataset
from bacl.data.images import picture_check
from bacl.data.images.image_files import quoted
from bacl.data.images.picture_check import check_pictures
from bacl.data.images.picture_file import PictureError, Reading, read_picture
from bacl.data.images.picture_record import PictureRecord
from bacl.data.loading import BatchLoader, collate_or_error
from bacl.data.selection import Choice
from bacl.data.split_messages import tell_pictures


@pytest.fixture
def data(ten_pictures):
    """Builds the data set of ten pictures."""
    return partial(DetectionDataset, ten_pictures, ten_pictures.source.parent, v2.Identity())


def cut(path, share=0.6):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def swapped_size(path):
    with Image.open(path) as picture:
        turned = picture.transpose(Image.Transpose.ROTATE_90)
    turned.save(path)


DAMAGES = {
    "missing": (lambda path: path.unlink(), "in none of the image folders"),
    "cut off": (cut, r"3\.png: cannot be read \("),
    "empty": (lambda path: path.write_bytes(b""), r"3\.png: is an empty file"),
    "web page": (lambda path: path.write_text("<html>404</html>"), "is a web page"),
    "pointer": (
        lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid x\n"),
        "is a Git LFS pointer",
    ),
    "text": (lambda path: path.write_text("x"), "is a text file"),
    "other": (lambda path: path.write_bytes(bytes(9)), "is no picture of a known format"),
    "other size": (swapped_size, r"is 48 x 64 pixels, not 64 x 48|is 64 x 48 pixels, not 48 x 64"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_bad_picture_is_told_in_one_line_before_it_is_needed(data, damage):
    damaged, message = DAMAGES[damage]
    damaged(data().files.locate(3))
    with pytest.raises(PictureError, match=message) as caught:
        check_pictures(data().files, data().records)
    text = str(caught.value)
    assert "\n" not in text
    assert "image 103 of" in text
    assert text.endswith("""datamodule.leave_out='["3.png"]')""")
    kept = data(choice=Choice(leave_out={"3.png"}))
    check_pictures(kept.files, kept.records[~kept.selection.named])


def test_a_jpeg_that_is_cut_off_is_found_by_its_end(tmp_path, write_set):
    file = write_set(tmp_path, [(200, 200)], {0: [(1, 1, 99, 99, 1)]})
    with Image.open(tmp_path / "0.png") as picture:
        picture.save(tmp_path / "0.png", "JPEG")
    dataset = DetectionDataset(AnnotationTable.open(file), tmp_path, v2.Identity())
    check_pictures(dataset.files, dataset.records)
    with (tmp_path / "0.png").open("ab") as longer:  # some cameras write more behind the picture
        longer.write(bytes(10_000))
    check_pictures(dataset.files, dataset.records)
    cut(tmp_path / "0.png", 0.3)
    with pytest.raises(PictureError, match="truncated"):
        check_pictures(dataset.files, dataset.records)


def test_many_bad_pictures_are_listed_in_a_file_that_the_option_takes(tmp_path, write_set):
    boxes = {number: [(1, 1, 9, 9, 1)] for number in range(14)}
    file = write_set(tmp_path, [(40, 40)] * 14, boxes)
    dataset = DetectionDataset(AnnotationTable.open(file), tmp_path, v2.Identity())
    for number in range(12):
        (tmp_path / f"{number}.png").write_text("x")
    with pytest.raises(PictureError, match=r"^12 of 14 pictures .*cannot be used") as caught:
        check_pictures(dataset.files, dataset.records)
    lines = str(caught.value).splitlines()
    assert len(lines) == 13  # ten, how many more, and what to do
    listed = Path(lines[-1].partition("leave_out=")[2]).read_text(encoding="utf-8")
    assert listed.split() == [f"{number}.png" for number in range(12)]


def test_a_second_look_opens_what_has_changed_alone(data, monkeypatch):
    opened = []

    def watched(path, limit):
        opened.append(path.name)
        return real(path, limit)

    real = picture_check.opened
    monkeypatch.setattr(picture_check, "opened", watched)
    files, rows = data().files, data().records
    check_pictures(files, rows)
    assert len(opened) == 10
    opened.clear()
    check_pictures(data().files, rows)
    assert opened == []
    os.utime(files.locate(4), ns=(1, 1))
    check_pictures(files, rows)
    assert opened == ["4.png"]
    opened.clear()
    PictureRecord(files).path.write_bytes(b"damaged")
    check_pictures(files, rows)
    assert len(opened) == 10


def test_a_record_that_describes_another_array_says_nothing(data):
    path = PictureRecord(data().files).path
    check_pictures(data().files, data().records)
    whole = path.read_bytes()
    assert (PictureRecord(data().files).stamps > 0).any()
    for damaged in (
        whole.replace(b"(10, 3)", b"(9" + b"9" * 10 + b", 3)").replace(b" " * 5, b"", 1),
        whole.replace(b"<i8", b"<f8"), whole.replace(b"NUMPY", b"numpy"), whole + b"x", b"",
    ):  # fmt: skip
        assert damaged != whole
        path.write_bytes(damaged)
        assert (PictureRecord(data().files).stamps == -1).all()


def test_a_pipe_in_place_of_the_record_is_not_waited_for(data):
    path = PictureRecord(data().files).path
    os.mkfifo(path)
    assert check_pictures(data().files, data().records) == []
    assert path.is_file()


def test_what_is_bad_is_looked_at_again(data):
    files, rows = data().files, data().records
    path = files.locate(2)
    whole = path.read_bytes()
    path.write_text("x")
    for _ in range(2):
        with pytest.raises(PictureError):
            check_pictures(files, rows)
    path.write_bytes(whole)
    assert check_pictures(files, rows) == []


def test_other_limits_have_a_record_of_their_own(data):
    check_pictures(data().files, data().records)
    small = data(reading=Reading(max_pixels=100))
    with pytest.raises(PictureError, match=r"datamodule\.max_pixels=100 allows"):
        check_pictures(small.files, small.records)


def test_a_folder_that_cannot_be_written_needs_no_record(data, monkeypatch):
    monkeypatch.setattr(np, "save", lambda *_: (_ for _ in ()).throw(PermissionError(13, "no")))
    assert check_pictures(data().files, data().records) == []


def test_deep_and_animated_pictures_are_counted_each_time(tmp_path, write_set):
    boxes = {number: [(1, 1, 9, 9, 1)] for number in range(3)}
    file = write_set(tmp_path, [(40, 40)] * 3, boxes)
    Image.fromarray(np.full((40, 40), 4095, dtype=np.uint16)).save(tmp_path / "0.png")
    frame = Image.new("RGB", (40, 40))
    frame.save(tmp_path / "1.png", "TIFF", save_all=True, append_images=[frame])
    dataset = DetectionDataset(AnnotationTable.open(file), tmp_path, v2.Identity())
    for _ in range(2):
        deep, frames = check_pictures(dataset.files, dataset.records)
        assert "annotations.json: 1 of 3 pictures have more than 8 bits" in deep
        assert "1 of 3 pictures have several frames" in frames


@pytest.mark.parametrize("workers", [0, 2])
def test_a_picture_that_breaks_later_is_told_in_one_line_after_the_batches_before(data, workers):
    cut(data().files.locate(3))
    batches = [[(0, 1)], [(1, 2)], [(3, 3)], [(4, 4)]]
    loader = BatchLoader(
        data(), batch_sampler=batches, num_workers=workers, collate_fn=collate_or_error
    )
    seen = []
    with pytest.raises(PictureError) as caught:
        seen += [target.image_id for batch in loader for target in batch.targets]
    text = str(caught.value)
    assert "3.png" in text
    assert "\n" not in text
    plain = DataLoader(data(), batch_sampler=batches[:2], collate_fn=collate_or_error)
    assert len(list(plain)) == 2


def test_links_that_lead_out_are_followed_only_where_that_is_asked_for(tmp_path, write_set):
    file = write_set(tmp_path / "set", [(40, 40)] * 3, {n: [(1, 1, 9, 9, 1)] for n in range(3)})
    (tmp_path / "set/0.png").rename(tmp_path / "secret.png")
    (tmp_path / "set/0.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "set/1.png").rename(tmp_path / "set/inside.png")
    (tmp_path / "set/1.png").symlink_to("inside.png")
    table = AnnotationTable.open(file)
    build = partial(DetectionDataset, table, transform=v2.Identity())
    with pytest.raises(PictureError, match=r"leads out of the image folder, to .*secret\.png"):
        build(images=tmp_path / "set")[0]
    assert build(images=tmp_path / "set")[1][1].image_id == 101
    assert build(images=tmp_path / "set", outside_links=True)[0][1].image_id == 100
    assert build(images=[tmp_path / "set", tmp_path])[0][1].image_id == 100
    (tmp_path / "linked").symlink_to(tmp_path / "set")
    assert build(images=tmp_path / "linked")[2][1].image_id == 102


def test_a_linked_folder_that_leads_out(tmp_path, write_set):
    file = write_set(tmp_path / "set", [(40, 40)], {0: [(1, 1, 9, 9, 1)]})
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "set/0.png").rename(tmp_path / "elsewhere/0.png")
    (tmp_path / "set/sub").symlink_to(tmp_path / "elsewhere")
    content = json.loads(file.read_text())
    content["images"][0]["file_name"] = "sub/0.png"
    file.write_text(json.dumps(content))
    dataset = DetectionDataset(AnnotationTable.open(file), tmp_path / "set", v2.Identity())
    with pytest.raises(PictureError, match="leads out"):
        check_pictures(dataset.files, dataset.records)


def test_no_size_limit_of_pillow_is_in_the_way(tmp_path):
    Image.new("1", (20_000, 10_000)).save(tmp_path / "x.png")
    with pytest.raises(PictureError, match="20000 x 10000 pixels are more than"):
        read_picture(tmp_path / "x.png")


def test_postscript_is_not_run(tmp_path):
    (tmp_path / "x.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 48\n")
    with pytest.raises(PictureError, match="is a text file"):
        read_picture(tmp_path / "x.jpg")


def test_names_are_quoted_for_a_shell():
    assert quoted(["a b.jpg", "it's.jpg"]) == """'["a b.jpg","it'\\''s.jpg"]'"""
    assert quoted(['"\\.jpg']) == """'["\\"\\\\.jpg"]'"""


def test_a_process_looks_once_at_the_pictures_of_a_split(data, monkeypatch):
    looked = []

    def watched(files, rows):
        looked.append(len(rows))
        return check_pictures(files, rows)

    monkeypatch.setattr(split_messages, "check_pictures", watched)
    broken = data().files.locate(3)
    whole = broken.read_bytes()
    broken.write_bytes(b"")
    for _ in range(2):  # what is bad is looked at again
        with pytest.raises(PictureError):
            tell_pictures(data())
    broken.write_bytes(whole)
    for _ in range(2):
        tell_pictures(data())
    tell_pictures(data(choice=Choice(leave_out={"3.png"})))
    tell_pictures(data(reading=Reading(max_pixels=10_000)))
    assert looked == [10, 10, 10, 9, 10]


def test_a_process_that_has_looked_looks_again_with_one_that_has_not(data, monkeypatch):
    tell_pictures(data())
    monkeypatch.setattr(split_messages, "gather_objects", lambda own: [own, False])
    monkeypatch.setattr(split_messages, "check_pictures", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        tell_pictures(data())
