import json

import numpy as np
import pytest
from torchvision.transforms import v2

from bacl.data.annotations.table import AnnotationTable
from bacl.data.augmentation.copy_paste import CopyPaste
from bacl.data.dataset import DetectionDataset, NothingToTrainOnError
from bacl.data.samplers import RepeatFactorBatches
from bacl.data.selection import Choice, Selection, shortened
from bacl.data.split_messages import listed_names, require_named
from bacl.messages.errors import OptionError

BOX = (1, 1, 20, 20)


@pytest.fixture
def table(tmp_path, write_set):
    """Six images: two good, one small with the only object of kind 3, two empty, one crowd."""
    sizes = [(40, 50), (50, 40), (31, 90), (40, 40), (20, 40), (40, 40)]
    boxes = {0: [(*BOX, 1)], 1: [(*BOX, 2)], 2: [(*BOX, 3), (*BOX, 1)], 5: [(*BOX, 1)]}
    file = write_set(tmp_path, sizes, boxes)
    content = json.loads(file.read_text())
    content["annotations"][-1]["iscrowd"] = 1
    file.write_text(json.dumps(content))
    return AnnotationTable.open(file)


def dataset(table, transform=None, **choice):
    return DetectionDataset(
        table, table.source.parent, transform or v2.Identity(), choice=Choice(**choice)
    )


def test_what_is_trained_on_and_why_the_rest_is_not(table):
    selection = Selection(table, Choice())
    assert selection.records.tolist() == [0, 1]
    assert selection.lost_categories() == ["kind 3"]
    assert selection.summary() == (
        "annotations.json: trains on 2 of 6 images; left out: 2 without objects "
        "(datamodule.negatives=true keeps them), 1 with ignored objects alone, 1 with a side under "
        "32 pixels (datamodule.min_side=1 keeps them)"
    )


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        ({"negatives": True}, [0, 1, 3]),
        ({"min_side": 1}, [0, 1, 2]),
        ({"min_side": 1, "negatives": True}, [0, 1, 2, 3, 4]),
        ({"min_side": 41}, []),
    ],
)
def test_small_and_empty_images_are_kept_where_that_is_asked_for(table, options, rows):
    assert Selection(table, Choice(**options)).records.tolist() == rows
    if rows:
        data = dataset(table, **options)
        found = [data[index][1] for index in range(len(data))]
        assert [target.image_id - 100 for target in found] == rows
        empty = [target.image_id - 100 for target in found if not len(target.boxes)]
        assert empty == [row for row in rows if row in (3, 4)]
    else:
        with pytest.raises(NothingToTrainOnError, match="3 with a side under 41 pixels"):
            dataset(table, **options)


def test_everything_kept_tells_nothing_more(table):
    summary = Selection(table, Choice(min_side=1, negatives=True)).summary()
    assert summary.endswith("5 of 6 images; left out: 1 with ignored objects alone")


def test_a_picture_to_do_without_keeps_its_place_and_another_is_drawn_for_it(ten_pictures):
    whole, less = dataset(ten_pictures), dataset(ten_pictures, leave_out={"4.png"})
    assert len(whole) == len(less) == 10
    np.testing.assert_array_equal(whole.aspect_ratios, less.aspect_ratios)
    drawn = [less[4, key][1].image_id for key in range(30)]
    assert 104 not in drawn
    assert len(set(drawn)) > 3
    assert drawn == [less[4, key][1].image_id for key in range(30)]
    for index in (0, 3, 5):
        assert less[index, 7][1].image_id == whole[index, 7][1].image_id == 100 + index


def test_evaluation_does_without_it(ten_pictures):
    folder = ten_pictures.source.parent
    choice = Choice(leave_out={"4.png"})
    data = DetectionDataset(ten_pictures, folder, v2.Identity(), keep_empty=True, choice=choice)
    assert [data[index][1].image_id for index in range(len(data))] == [
        100 + number for number in range(10) if number != 4
    ]


def test_nothing_is_left(ten_pictures):
    names = {f"{number}.png" for number in range(10)}
    with pytest.raises(NothingToTrainOnError, match=r"10 named in datamodule\.leave_out"):
        dataset(ten_pictures, leave_out=names)


def test_copy_paste_pastes_into_pictures_without_objects_and_from_those_with_some(table):
    augment = CopyPaste(
        canvas=64, scale=(1.0, 1.0), flip_probability=0.5, max_pasted=9, box_tolerance=2,
        area_threshold=5,
    )  # fmt: skip
    folder, choice = table.source.parent, Choice(negatives=True)
    data = DetectionDataset(table, folder, augment, load_masks=True, choice=choice)
    counts = {len(data[2, key][1].boxes) for key in range(20)}
    assert counts == {0, 1}
    for key in range(20):
        _, target = data[2, key]
        assert target.masks.bitmaps().shape == (len(target.boxes), 64, 64)
        assert target.image_id == 103


@pytest.mark.parametrize(("min_side", "kept"), [(32, [0, 1, 3]), (1, [0, 1, 2, 3, 4])])
def test_repeat_factors_are_those_of_the_file_whatever_is_left_out(table, min_side, kept):
    """Four of its images have annotations, two of them kind 1, one kind 2, one kind 3."""
    data = dataset(table, negatives=True, min_side=min_side)
    assert data.records.tolist() == kept
    batches = RepeatFactorBatches(
        data, threshold=0.8, batch_size=1, seed=0, group_by_aspect_ratio=True
    )
    common, rare = np.sqrt(0.8 / 0.5), np.sqrt(0.8 / 0.25)
    of_all = np.array([common, rare, rare, 1, 1])
    np.testing.assert_allclose(batches.factors, of_all[kept])


def test_repeat_factors_of_a_picture_count_what_is_too_small_to_train_on(tmp_path, write_set):
    boxes = {0: [(*BOX, 1), (1, 1, 0.5, 9, 2)], 1: [(*BOX, 1)]}
    table = AnnotationTable.open(write_set(tmp_path, [(40, 50)] * 2, boxes))
    data = dataset(table)
    assert data.category_pairs()[1].tolist() == [0, 0]
    batches = RepeatFactorBatches(
        data, threshold=1.0, batch_size=1, seed=0, group_by_aspect_ratio=True
    )
    np.testing.assert_allclose(batches.factors, [2**0.5, 1])


def test_names_of_the_option_and_of_a_text_file(tmp_path, ten_pictures):
    assert listed_names(None) == frozenset()
    assert listed_names(["a.jpg", 7]) == {"a.jpg", "7"}
    (tmp_path / "bad.txt").write_text("3.png\n\nfolder/ä b.png\n", encoding="utf-8")
    assert listed_names(str(tmp_path / "bad.txt")) == {"3.png", "folder/ä b.png"}
    with pytest.raises(OptionError, match=r"datamodule\.leave_out=a\.jpg: no text file"):
        listed_names("a.jpg")
    require_named({"3.png"}, [ten_pictures])
    with pytest.raises(OptionError, match=r"leave_out: 33\.png: no file_name of an image of"):
        require_named({"33.png"}, [ten_pictures])


def test_long_lists_are_shortened():
    assert shortened(list("abc")) == "a, b, c"
    assert shortened([str(n) for n in range(12)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"
