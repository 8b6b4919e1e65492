"""The annotation table against the file it was built from."""

import json
import os
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from bacl.data.annotations import table_cache
from bacl.data.annotations.json_stream import stream_records
from bacl.data.annotations.run_lengths import decoded_runs, mask_areas
from bacl.data.annotations.stored_annotations import DamagedTableError
from bacl.data.annotations.table import AnnotationTable
from bacl.data.annotations.table_build import frequency_groups
from bacl.data.annotations.validation import AnnotationError
from bacl.data.categories import check_categories
from bacl.files.atomic import UnwritableError

SQUARE = [[2, 1, 6, 1, 6, 5, 2, 5]]  # 4 x 4 pixels


def image(identifier, **changes):
    return {
        "id": identifier,
        "height": 10,
        "width": 20,
        "file_name": f"{identifier}.jpg",
        **changes,
    }


def annotation(identifier, image_id=7, category_id=5, **changes):
    return {
        "id": identifier,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": [2, 1, 4, 4],
        "area": 16,
        **changes,
    }


def tiny(**changes):
    """Two images, not in order of id; three categories with gaps between their ids."""
    content = {
        "images": [image(7), image(3)],
        "annotations": [annotation(1, 3), annotation(2, 7, 30), annotation(3, 3, 9)],
        "categories": [{"id": i, "name": f"n{i}"} for i in (30, 5, 9)],
    }
    return content | changes


@pytest.fixture
def open_table(tmp_path):
    """Writes an annotation file and opens its table."""

    def write_and_open(content, name="train.json"):
        path = tmp_path / name
        path.write_text(json.dumps(content))
        return AnnotationTable.open(path)

    return write_and_open


def only(open_table, **changes):
    """The table of one image with one annotation."""
    return open_table(tiny(images=[image(7)], annotations=[annotation(1, **changes)]))


def test_annotations_are_sorted_by_image_and_labels_by_category_id(open_table):
    table = open_table(tiny())
    assert table.image_ids.tolist() == [7, 3]
    assert table.offsets.tolist() == [0, 1, 3]
    assert table.annotation_ids.tolist() == [2, 1, 3]
    assert table.category_ids.tolist() == [5, 9, 30]
    assert table.category_names == ["n5", "n9", "n30"]
    assert table.labels.tolist() == [2, 0, 1]
    assert (table.num_images, table.num_annotations, table.num_categories) == (2, 3, 3)
    assert table.rows(1) == slice(1, 3)
    assert table.file_names() == ["7.jpg", "3.jpg"]


@pytest.mark.parametrize(
    "name",
    ["lvis_val_100/lvis_val_100.json", "cocovoc_lt/annotations/train.json"],
)
def test_columns_equal_the_file(shared, tmp_path, name):
    path = shared / "data" / name
    content = json.loads(path.read_text())
    table = AnnotationTable.open(path, cache=tmp_path)
    by_id = sorted(content["categories"], key=lambda category: category["id"])
    labels = {category["id"]: label for label, category in enumerate(by_id)}
    records = {a["id"]: a for a in content["annotations"]}
    for row, (identifier, label) in enumerate(zip(table.annotation_ids, table.labels, strict=True)):
        record = records[identifier]
        assert table.boxes[row].tolist() == record["bbox"]
        assert table.areas[row] == record["area"]
        assert label == labels[record["category_id"]]
        for polygon, stored in zip(record["segmentation"], table.polygons(row), strict=True):
            assert stored.ravel().tolist() == polygon
    for number, record in enumerate(content["images"]):
        assert table.image_ids[number] == record["id"]
        assert table.image_sizes[number].tolist() == [record["height"], record["width"]]
        assert table.negative(number).tolist() == [labels[i] for i in record["neg_category_ids"]]
        partly = [labels[i] for i in record["not_exhaustive_category_ids"]]
        assert table.not_exhaustive(number).tolist() == partly
        own = table.annotation_ids[table.rows(number)].tolist()
        assert own == [a["id"] for a in content["annotations"] if a["image_id"] == record["id"]]
    assert table.frequency.tolist() == [category["frequency"] for category in by_id]
    assert table.image_counts.tolist() == [category["image_count"] for category in by_id]
    assert table.instance_counts.tolist() == [category["instance_count"] for category in by_id]


def test_masks_equal_those_of_the_official_api(shared, tmp_path):
    from pycocotools.coco import COCO

    path = shared / "data/lvis_val_100/lvis_val_100.json"
    table = AnnotationTable.open(path, cache=tmp_path)
    official = COCO(path)
    for number in range(10):
        rows = range(table.offsets[number], table.offsets[number + 1])
        masks, identifiers = table.masks(number, rows), table.annotation_ids[table.rows(number)]
        for mask, identifier in zip(masks, identifiers, strict=True):
            expected = official.annToMask(official.anns[identifier])
            assert np.array_equal(mask, expected)


def test_touched_file_keeps_its_table_and_changed_file_gets_another(open_table):
    table = open_table(tiny())
    built = (table.folder / "table.json").stat().st_ino
    os.utime(table.source, ns=(1, 1))
    touched = AnnotationTable.open(table.source)
    assert (touched.folder / "table.json").stat().st_ino == built
    changed = open_table(tiny(annotations=[]))
    assert changed.num_annotations == 0
    assert changed.folder != table.folder
    assert table.annotation_ids.tolist() == [2, 1, 3]  # whoever has the old one open keeps it


def test_table_lies_in_the_user_cache_where_the_folder_is_read_only(tmp_path, monkeypatch):
    path = tmp_path / "file" / "train.json"
    path.parent.mkdir()
    path.write_text(json.dumps(tiny()))
    (path.parent / ".bacl-tables").write_text("in the way")  # also holds for root, unlike a mode
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    table = AnnotationTable.open(path)
    assert table.folder.is_relative_to(tmp_path / "cache" / "bacl" / "tables")
    assert AnnotationTable.open(path).folder == table.folder
    monkeypatch.setenv("XDG_CACHE_HOME", str(path))
    with pytest.raises(UnwritableError, match="nowhere to put the annotation table"):
        AnnotationTable.open(path)


def test_concurrent_builders_leave_one_table(tmp_path):
    path = tmp_path / "train.json"
    path.write_text(json.dumps(tiny()))
    with ThreadPoolExecutor(8) as pool:
        tables = list(pool.map(AnnotationTable.open, [path] * 8))
    assert len({table.folder for table in tables}) == 1
    entries = [entry for entry in (tmp_path / ".bacl-tables").iterdir() if entry.is_dir()]
    assert entries == [tables[0].folder]
    assert all(table.annotation_ids.tolist() == [2, 1, 3] for table in tables)


def test_a_table_that_another_has_just_put_in_its_place_is_not_replaced(tmp_path, monkeypatch):
    """Whoever looked before the first had finished, looks again when it is its turn."""
    path = tmp_path / "train.json"
    path.write_text(json.dumps(tiny()))
    installed = []
    install = table_cache._install

    def slow(temporary, folder):
        time.sleep(0.1)
        installed.append(temporary)
        install(temporary, folder)

    monkeypatch.setattr(table_cache, "_install", slow)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(AnnotationTable.open, [path] * 4))
    assert len(installed) == 1


@pytest.mark.parametrize(
    ("above", "used", "kept"),
    [("things", False, False), ("things", True, True), ("other", False, True)],
)
def test_the_name_of_all_others_is_no_class(open_table, above, used, kept):
    content = tiny()
    for category in content["categories"]:
        category["supercategory"] = above
    content["categories"].append({"id": 0, "name": "things", "supercategory": "none"})
    if used:
        content["annotations"].append(annotation(99, 7, 0))
    table = open_table(content)
    assert ("things" in table.category_names) == kept
    assert (table.root == "things") == ("no class" in table.summary()) == (not kept)


def test_failed_build_leaves_nothing(open_table, tmp_path):
    with pytest.raises(AnnotationError):
        open_table(tiny(images=[image(7, height=0)]))
    assert list((tmp_path / ".bacl-tables").iterdir()) == []


def test_a_table_that_is_removed_under_a_worker_is_told(open_table):
    table = open_table(tiny())
    pickled = pickle.dumps(table)
    (table.folder / "boxes.npy").write_bytes(b"")
    with pytest.raises(DamagedTableError, match=r"damaged .*delete that folder"):
        pickle.loads(pickled)


def test_pickles_as_a_path(open_table, shared, tmp_path):
    large = AnnotationTable.open(shared / "data/cocovoc_lt/annotations/train.json", cache=tmp_path)
    pickled = pickle.dumps(large)
    assert len(pickled) < 500
    assert np.array_equal(pickle.loads(pickled).boxes, large.boxes)


def test_a_pickled_table_keeps_the_categories_it_was_given(open_table):
    images = [image(i) for i in range(11)]
    many = [annotation(i, i, 9) for i in range(11)]
    train = open_table(tiny(images=images, annotations=many), "other.json")
    table = open_table(tiny()).with_categories(train.categories)
    assert table.frequency.tolist() == ["r", "c", "r"]
    assert pickle.loads(pickle.dumps(table)).frequency.tolist() == ["r", "c", "r"]


def test_columns_are_mapped_and_read_only(open_table):
    table = open_table(tiny())
    assert isinstance(table.boxes, np.memmap)
    assert isinstance(table.labels, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        table.boxes[0] = 0


def test_groups_are_derived_where_the_file_has_none(open_table):
    counts = np.array([0, 1, 10, 11, 100, 101])
    assert frequency_groups(counts).tolist() == ["r", "r", "r", "c", "c", "f"]
    images = [image(i) for i in range(101)]
    annotations = [annotation(i, i, 5) for i in range(101)]
    annotations += [annotation(200 + i, i, 9) for i in range(11)]
    annotations += [annotation(300 + i, 0, 30) for i in range(50)]  # many in one image: rare
    table = open_table(tiny(images=images, annotations=annotations))
    assert table.frequency.tolist() == ["f", "c", "r"]
    assert table.image_counts.tolist() == [101, 11, 1]
    assert table.instance_counts.tolist() == [101, 11, 50]
    assert table.frequency_derived


def test_groups_of_the_file_win(open_table):
    categories = [{"id": i, "name": f"n{i}", "frequency": "f"} for i in (5, 9, 30)]
    table = open_table(tiny(categories=categories))
    assert table.frequency.tolist() == ["f", "f", "f"]
    assert not table.frequency_derived


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"iscrowd": 1}, "crowd"),
        ({"ignore": 1}, "ignored"),
        ({"bbox": [2, 1, 0.9, 4]}, "degenerate"),
        ({"bbox": [2, 6, 4, -4]}, "degenerate"),
        ({"area": 0}, "degenerate"),
        ({"bbox": [20, 1, 4, 4]}, "outside"),
        ({"bbox": [2, -4, 4, 4]}, "outside"),
    ],
)
def test_what_is_not_trained_on_is_counted(open_table, changes, kind):
    table = only(open_table, **changes)
    assert table.trainable.tolist() == [False]
    report = table.report()
    odd = ("crowd", "ignored", "degenerate", "outside")
    assert [name for name in odd if report[name]] == [kind]
    assert report["trainable"] == 0
    assert f"not trained on: 1 {kind}" in table.summary()
    assert table.ignore.tolist() == [kind in ("crowd", "ignored")]
    assert table.instance_counts[0] == (kind not in ("crowd", "ignored"))


def test_the_summary_is_logged_once_per_process(open_table, caplog):
    with caplog.at_level("INFO"):
        table = open_table(tiny(), "logged_once.json")
        AnnotationTable.open(table.source)
    messages = [record.message for record in caplog.records]
    expected = "logged_once.json: 2 images, 3 annotations, 3 categories (3 r, 0 c, 0 f)"
    assert messages.count(expected) == 1


def test_a_box_over_the_edge_is_trained_on_and_counted(open_table):
    table = only(open_table, bbox=[-3, 1, 4, 4])
    assert table.trainable.tolist() == [True]
    assert table.report()["clipped"] == 1
    assert table.boxes.tolist() == [[-3, 1, 4, 4]]  # the dataset clips, the table keeps the file


def test_missing_area_is_that_of_the_mask_else_of_the_box(open_table):
    whole = annotation(1, bbox=[0, 0, 5, 6])
    del whole["area"]
    outlined = {**whole, "id": 2, "segmentation": SQUARE}
    table = open_table(tiny(images=[image(7)], annotations=[whole, outlined]))
    assert table.areas.tolist() == [30, 16]
    assert table.report()["without_area"] == 2
    assert table.report()["without_segmentation"] == 1


def test_polygons_and_both_run_length_forms_give_one_mask(open_table):
    mask = np.zeros((10, 20), dtype=np.uint8)
    mask[1:5, 2:6] = 1
    compressed = coco_mask.encode(np.asfortranarray(mask))
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *changes, flat.size]).tolist()
    forms = [
        SQUARE,
        {"size": [10, 20], "counts": compressed["counts"].decode()},
        {"size": [10, 20], "counts": runs},
    ]
    annotations = [annotation(n, segmentation=form) for n, form in enumerate(forms, 1)]
    table = open_table(tiny(images=[image(7)], annotations=annotations))
    assert table.masks(0, [0, 1, 2]).dtype == np.uint8
    assert np.array_equal(table.masks(0, [2, 0, 1]), np.stack([mask] * 3))
    assert [len(table.polygons(row)) for row in range(3)] == [1, 0, 0]


@pytest.mark.parametrize("density", [0.0, 0.01, 0.5, 1.0])
def test_decoded_runs_are_those_that_were_encoded(density):
    mask = np.random.default_rng(0).random((70, 300)) < density
    mask[20:60, 100:200] = True  # long runs need several characters
    flat = np.concatenate([[0], mask.ravel(order="F"), [0]])
    code = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
    runs = decoded_runs(code)
    assert runs.sum() == mask.size
    ends = np.cumsum(runs)
    starts = np.flatnonzero(np.diff(flat) == 1)  # the first pixel of every run of ones
    assert np.array_equal(ends[:-1:2] if len(runs) % 2 else ends[::2], starts)


def test_a_mask_may_have_several_polygons_and_none_means_the_box(open_table):
    two = [*SQUARE, [10, 1, 14, 1, 14, 5, 10, 5], [1, 1, 2, 2]]  # the last encloses nothing
    annotations = [
        annotation(1, segmentation=two),
        annotation(2, segmentation=[]),
        annotation(3, segmentation=None),
    ]
    table = open_table(tiny(images=[image(7)], annotations=annotations))
    masks = table.masks(0, range(3))
    assert masks.sum(axis=(1, 2)).tolist() == [32, 16, 16]
    assert masks[1, 1:5, 2:6].all()
    assert table.masks(0, []).shape == (0, 10, 20)
    assert table.report()["small_polygons"] == 1
    assert table.report()["without_segmentation"] == 2


def test_lvis_v1_images_are_named_by_their_url(open_table):
    url = "http://images.cocodataset.org/train2017/000000391895.jpg"
    record = image(7, coco_url=url)
    del record["file_name"]
    table = open_table(tiny(images=[record], annotations=[]))
    assert table.file_name(0) == "train2017/000000391895.jpg"


def test_validation_takes_the_labels_and_groups_of_training(open_table):
    frequency = {5: "f", 9: "r", 30: "c"}
    groups = [{"id": i, "name": f"n{i}", "frequency": f} for i, f in frequency.items()]
    train = open_table(tiny(categories=groups), "train.json")
    images = [image(7, neg_category_ids=[9], not_exhaustive_category_ids=[30])]
    val = open_table(
        tiny(images=images, categories=groups[1:], annotations=[annotation(1, 7, 30)]),
        "val.json",
    )
    assert val.labels.tolist() == [1]
    mapped = check_categories(train, val)
    assert mapped.labels.tolist() == [2]
    assert mapped.negative(0).tolist() == [1]
    assert mapped.not_exhaustive(0).tolist() == [2]
    assert mapped.frequency.tolist() == ["f", "r", "c"]
    assert mapped.instance_counts.tolist() == [0, 0, 1]
    assert mapped.num_categories == 3
    assert pickle.loads(pickle.dumps(mapped)).labels.tolist() == [2]
    same = check_categories(train, open_table(tiny(), "same.json"))
    assert isinstance(same.labels, np.memmap)
    assert same.frequency.tolist() == ["f", "r", "c"]


@pytest.mark.parametrize(
    ("categories", "message"),
    [
        ([{"id": 6, "name": "new"}], r"val.json: category 6 \('new'\): is not a category of .*"),
        ([{"id": 9, "name": "cat"}], r"val.json: category 9 \('cat'\): is 'n9' in the training"),
    ],
)
def test_disagreeing_categories_name_the_first_difference(open_table, categories, message):
    train = open_table(tiny())
    val = open_table(tiny(categories=categories, annotations=[]), "val.json")
    with pytest.raises(AnnotationError, match=message):
        check_categories(train, val)


@pytest.mark.parametrize("block", [1, 2, 3, 7, 64, 10_000])
@pytest.mark.parametrize("indent", [None, 2])
def test_streaming_gives_what_json_load_gives(tmp_path, block, indent):
    path = tmp_path / "train.json"
    content = {"info": {"year": 2017, "x": [1.5e3, None, "}]"]}, "n": -123} | tiny()
    content["categories"][0]["name"] = 'ü"\\[{é'
    path.write_text(json.dumps(content, indent=indent, ensure_ascii=block == 7) + "\n")
    read: dict[str, list] = {"images": [], "annotations": [], "categories": []}
    total = []
    for section, number, record in stream_records(path, read, total.append, block):
        assert number == len(read[section])
        read[section].append(record)
    assert read == {section: content[section] for section in read}
    assert sum(total) == len(path.read_text())


def test_a_large_column_is_flushed_in_pieces(tmp_path):
    from bacl.data.annotations.column_files import ColumnWriter

    path = Path(tmp_path / "column.npy")
    with ColumnWriter(path, "q", flush_at=10) as column:
        for value in range(25):
            column.waiting.append(value)
            column.written()
            assert len(column.waiting) < 10
    assert np.load(path).tolist() == list(range(25))


@pytest.mark.parametrize("count", [0, 1, 255, 256, 700])
def test_areas_of_any_number_of_masks(count):
    bitmaps = np.zeros((30, 30, count), np.uint8, order="F")
    for number in range(count):
        bitmaps[: number % 30, :2, number] = 1
    masks = coco_mask.encode(bitmaps) if count else []
    assert mask_areas(masks).tolist() == [2 * (number % 30) for number in range(count)]
