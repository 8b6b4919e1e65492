"""One file becomes two by a draw that leaves no category to the validation alone."""

import json

import numpy as np
import pytest

from bacl.data.annotations.table import AnnotationTable
from bacl.data.split import SplitBuilder, chosen_for_validation
from bacl.messages.errors import OptionError


@pytest.fixture
def source(tmp_path):
    """Thirty pictures of the first category, of which one has the second, and two the third."""
    images = [{"id": 10 + n, "file_name": f"{n}.jpg", "width": 20, "height": 10} for n in range(30)]
    shown = [(n, 1) for n in range(30)] + [(4, 2), (7, 3), (8, 3)]
    boxes = [
        {"id": n, "image_id": 10 + image, "category_id": category, "bbox": [1, 1, 5, 5], "area": 25}
        for n, (image, category) in enumerate(shown, 1)
    ]
    categories = [{"id": number, "name": f"c{number}"} for number in (1, 2, 3)]
    path = tmp_path / "all.json"
    path.write_text(json.dumps({"images": images, "annotations": boxes, "categories": categories}))
    return path


def builder(source, share=0.2, seed=0):
    folder = source.parent / "split"
    return SplitBuilder(source, folder / "train.json", folder / "val.json", share, seed)


def test_both_files_together_are_the_one(source):
    build = builder(source)
    build()
    whole = json.loads(source.read_text())
    parts = [json.loads(path.read_text()) for path in (build.train, build.val)]
    assert [len(part["images"]) for part in parts] == [24, 6]
    for section in ("images", "annotations"):
        joined = sorted((*parts[0][section], *parts[1][section]), key=lambda each: each["id"])
        assert joined == whole[section]
    for part in parts:
        assert part["categories"] == whole["categories"]
        ids = {image["id"] for image in part["images"]}
        assert {box["image_id"] for box in part["annotations"]} <= ids


@pytest.mark.parametrize("seed", range(8))
def test_the_last_picture_of_a_category_is_trained_on(source, seed):
    table = AnnotationTable.open(source)
    chosen = chosen_for_validation(table, 0.9, seed)
    assert not chosen[4]  # the only one of the second category
    assert not (chosen[7] and chosen[8])
    assert chosen.sum() == 27  # nine tenths, with two to spare


def test_the_draw_is_that_of_the_seed(source):
    table = AnnotationTable.open(source)
    first, again, other = (chosen_for_validation(table, 0.5, seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_files_of_another_draw_are_not_taken_for_these(source):
    build = builder(source)
    build()
    written = build.train.read_bytes()
    build()  # what is there is kept
    assert build.train.read_bytes() == written
    with pytest.raises(OptionError, match=r"train\.json is of another draw.*'seed': 1"):
        builder(source, seed=1)()
    build.train.write_text(source.read_text())
    with pytest.raises(OptionError, match=r"train\.json is not made by this split"):
        build()


def test_a_picture_that_cannot_be_spared_is_an_error(source):
    with pytest.raises(OptionError, match="none can be spared"):
        builder(source, share=0.01)()
