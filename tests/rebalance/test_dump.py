import json
from dataclasses import asdict

import pytest
import torch
from safetensors.torch import load_file, save_file

from bacl.rebalance.description import Description, DumpError, Split
from bacl.rebalance.dump import (
    Dump,
    check_logits,
    missing,
    places_missing,
    write_classifier,
    write_missing,
)
from bacl.rebalance.image_rows import ImageRows, RowsError
from bacl.rebalance.shards import Shard, shard_path

C, D = 2, 3
IMAGES = [7, 3, 9, 4, 8]


def rows_of(image_id, trains=True, count=None):
    """Rows of an image, the first of its second object."""
    draws = torch.Generator().manual_seed(image_id)
    count = image_id % 4 if count is None else count
    rows = ImageRows(
        image_id, torch.rand(count, D, generator=draws), torch.rand(count, 4, generator=draws)
    )
    rows.boxes[:, 2:] += rows.boxes[:, :2]
    if trains:
        rows.labels = torch.tensor([1, *[C] * count])[:count]
        rows.objects = torch.tensor([1, *[-1] * count])[:count]
        rows.extra_features = torch.rand(2, D, generator=draws)
        rows.extra_objects = torch.tensor([0, 1])
    else:
        rows.deltas = torch.rand(count, 4 * C, generator=draws)
    return rows


def description(**changes):
    split = Split(IMAGES, [(10, 20)] * 5, 2)
    said = {
        "categories": [(1, "a"), (2, "b")],
        "image_counts": [1, 1],
        "instance_counts": [1, 1],
        "feature_dim": D,
        "rule": "softmax",
        "splits": {"train": split, "val": split},
        "source": {"checkpoint": "x"},
    }
    return Description(**said | changes)


@pytest.fixture
def folder(tmp_path):
    """A whole dump of five images in three shards for each split."""
    described = description()
    described.write(tmp_path)
    write_classifier(tmp_path, "classifier.safetensors", torch.ones(C + 1, D), torch.zeros(C + 1))
    for name, trains in (("train", True), ("val", False)):
        images = (rows_of(number, trains) for number in IMAGES)
        write_missing(tmp_path, name, described.splits[name], images, torch.float32)
    return tmp_path


def test_what_was_written_is_read_image_by_image(folder):
    dump = Dump(folder)
    dump.check([1, 2])
    for place, image in enumerate(IMAGES):
        for name, trains in (("train", True), ("val", False)):
            found, wanted = dump.image(name, place).tensors(), rows_of(image, trains).tensors()
            assert found.keys() == wanted.keys()
            for key, value in wanted.items():
                assert torch.equal(found[key], value), key
    assert dump.place("train", 9) == 2
    assert dump.place("train", 99) is None


def test_a_kill_costs_the_shard_under_way_and_the_rest_is_as_if_there_was_none(folder, tmp_path):
    split, other = description().splits["train"], tmp_path / "killed"
    other.mkdir()

    def killed():
        for number in IMAGES[:3]:
            yield rows_of(number)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_missing(other, "train", split, killed(), torch.float32)
    assert [path.name for path in other.iterdir()] == ["train-00000.safetensors"]
    left = list(places_missing(other, "train", split))
    assert left == [2, 3, 4]
    asked = []

    def others():
        for place in left:
            asked.append(IMAGES[place])
            yield rows_of(IMAGES[place])

    write_missing(other, "train", split, others(), torch.float32)
    assert asked == [9, 4, 8]
    assert missing(other, "train", split) == []
    for number in range(3):
        paths = (shard_path(each, "train", number) for each in (folder, other))
        assert len({path.read_bytes() for path in paths}) == 1


def test_half_precision_halves_features_and_leaves_boxes(tmp_path):
    split = Split([7], [(1, 1)], 1)
    write_missing(tmp_path, "val", split, iter([rows_of(7, trains=False)]), torch.float16)
    found = Shard(shard_path(tmp_path, "val", 0)).image(0)
    assert found.features.dtype == found.deltas.dtype == torch.float16
    assert found.boxes.dtype == torch.float32


def test_a_dump_of_something_else_is_refused_by_what_differs(folder):
    description().write(folder)
    with pytest.raises(DumpError, match=r"something else \(source.checkpoint\).*rebalance.dump"):
        description(source={"checkpoint": "y"}).write(folder)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"format": 2}, "format is 2"),
        ({"rule": "cosine"}, "rule"),
        ({"image_counts": [1]}, "counts"),
        ({"splits": {}}, "splits are not"),
        ({"feature_dim": None}, "feature_dim"),
        (
            dict.fromkeys(
                ["splits"], dict.fromkeys(["train", "val"], asdict(Split([1, 1], [(1, 1)] * 2, 2)))
            ),
            "an image twice",
        ),
    ],
)
def test_a_description_that_cannot_be_meant_is_refused(folder, change, told):
    path = folder / "dump.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DumpError, match=told):
        Dump(folder)


def test_a_dump_that_is_not_there_is_told(tmp_path):
    with pytest.raises(DumpError, match=r"dump.json: no such file"):
        Dump(tmp_path)


def test_other_categories_are_refused(folder):
    with pytest.raises(DumpError, match="a dump of 2 categories"):
        Dump(folder).check([1, 2, 3])


def test_a_missing_and_a_damaged_shard_are_told_by_name(folder):
    path = shard_path(folder, "val", 1)
    content = path.read_bytes()
    path.write_bytes(content[:-5])
    with pytest.raises(DumpError, match=r"val-00001.safetensors: damaged"):
        Dump(folder).check([1, 2])
    path.unlink()
    with pytest.raises(DumpError, match=r"val-00001.safetensors: no such file"):
        Dump(folder).check([1, 2])


def test_a_shard_of_other_images_is_refused(folder):
    shard_path(folder, "val", 1).replace(shard_path(folder, "val", 0))
    with pytest.raises(DumpError, match="of other images"):
        Dump(folder).image("val", 0)


def test_rows_are_compared_with_the_images_objects():
    rows = rows_of(7)  # the first row is of object 1, of category 1; objects 0 and 1 are repeated
    rows.check_objects(torch.tensor([0, 1]))
    rows_of(4, trains=False).check_objects(torch.tensor([], dtype=torch.int64))
    for categories, told in (([0, 0], "labels"), ([0], "objects"), ([], "objects")):
        with pytest.raises(RowsError, match=f"image 7: `{told}` is"):
            rows.check_objects(torch.tensor(categories, dtype=torch.int64))
    for wrong in (2, -1):
        rows.extra_objects[1] = wrong
        with pytest.raises(RowsError, match="`extra_objects` is other, expected from 0 to 1"):
            rows.check_objects(torch.tensor([0, 1]))
    rows.extra_objects, rows.objects[1] = None, -2
    with pytest.raises(RowsError, match="`objects` is other, expected from -1 to 1"):
        rows.check_objects(torch.tensor([0, 1]))


def changed(path, change):
    content = load_file(path)
    change(content)
    save_file(content, path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda c: c.update(iou=torch.zeros(len(c["features"]))), "a tensor `iou`.*leave it out"),
        (lambda c: c["labels"].__setitem__(-1, C + 1), "image 3: `labels`.*dump it again"),
        (lambda c: c["boxes"].__setitem__((-1, 0), 9), "image 3: `boxes`"),
        (lambda c: c.update(rows=c["rows"].float()), "`rows` is no"),
        (lambda c: c.update(image_ids=c["image_ids"][:1], rows=c["rows"].sum(0, True),
                            extra_rows=c["extra_rows"].sum(0, True)), "of other images.*delete"),
    ],
)  # fmt: skip
def test_a_shard_that_another_program_wrote_wrongly_is_told_by_its_name(folder, change, told):
    changed(shard_path(folder, "train", 0), change)
    with pytest.raises(DumpError, match=f"train-00000.safetensors: .*{told}"):
        Dump(folder).image("train", 1)  # not the shard's first


def test_logits_that_the_classifier_does_not_make_are_refused():
    rows = rows_of(7)
    weight, bias = torch.randn(C + 1, D), torch.randn(C + 1)
    rows.logits = rows.features @ weight.T + bias
    check_logits(rows, weight, bias)
    rows.logits[1, 0] += 0.1
    with pytest.raises(DumpError, match="image 7: the classifier's weights make other logits"):
        check_logits(rows, weight, bias)
    rows.logits[1, 0] = torch.nan
    with pytest.raises(DumpError):
        check_logits(rows, weight, bias)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("features", torch.zeros(3, D + 1)),
        ("features", torch.full((3, D), torch.nan)),
        ("boxes", torch.zeros(2, 4)),
        ("boxes", torch.tensor([[0.0, 0, 1, 1], [2, 0, 1, 1], [0, 0, 1, 1]])),
        ("boxes", torch.tensor([[0.0, 0, 1, 1], [0, 2, 1, 1], [0, 0, 1, 1]])),
        ("features", torch.zeros(3, D, dtype=torch.int64)),
        ("labels", torch.tensor([1, 2, 3])),
        ("labels", torch.tensor([1.0, 2, 2])),
        ("objects", torch.tensor([1.0, -1, -1])),
        ("extra_objects", torch.tensor([0.0, 1])),
        ("labels", None),
        ("objects", torch.tensor([1, 0, -1])),
        ("deltas", torch.zeros(3, 5)),
        ("extra_objects", None),
    ],
)
def test_rows_that_do_not_fit_together_are_told_by_name(name, value):
    rows = rows_of(7)
    rows.check(C, D, trains=True)
    setattr(rows, name, value)
    with pytest.raises(RowsError, match=f"image 7: `{name}` is"):
        rows.check(C, D, trains=True)
