"""AP of masks is that of the official lvis package."""

import json

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from bacl.data.annotations.run_lengths import mask_areas
from bacl.data.annotations.table import AnnotationTable
from bacl.data.batch import Detections
from bacl.evaluation.detection_columns import DetectionColumns
from bacl.evaluation.lvis_ap import LVISAveragePrecision
from bacl.evaluation.results_json import load_results
from bacl.evaluation.results_writer import ResultsWriter

# The official package's own call of a deprecated logger method.
pytestmark = pytest.mark.filterwarnings("ignore:The 'warn' method:DeprecationWarning")


def assert_official(metric, boxes, masks):
    summary = metric.compute()
    pairs = ((metric.judgement, boxes, ""), (metric.mask_judgement, masks, "segm/"))
    for evaluation, reference, prefix in pairs:
        curves = evaluation.curves
        np.testing.assert_allclose(curves.precision, reference.eval["precision"], atol=1e-12)
        np.testing.assert_allclose(curves.recall, reference.eval["recall"], atol=1e-12)
        for name, value in reference.results.items():
            assert float(summary[prefix + name]) == pytest.approx(value, abs=1e-6), name
    names = {name for name in summary if "right_label" not in name}
    assert {f"segm/{name}" for name in names if "/" not in name} == {n for n in names if "/" in n}


@pytest.mark.parametrize("seed", range(12))
def test_official_curves_of_random_cases(open_table, random_mask_case, official, tmp_path, seed):
    annotations, results = random_mask_case(seed)
    file, table = open_table(annotations)
    assert results  # the official package cannot read an empty list
    (tmp_path / "results.json").write_text(json.dumps(results))
    for limit in (300, 10):
        metric = LVISAveragePrecision(table, limit, masks=True)
        metric.update(load_results(tmp_path / "results.json", table, masks=True))
        references = [official(file, results, limit, kind) for kind in ("bbox", "segm")]
        assert_official(metric, *references)


def test_random_cases_cover_what_they_should(random_mask_case):
    results = [record for seed in range(12) for record in random_mask_case(seed)[1]]
    areas = mask_areas([record["segmentation"] for record in results])
    boxes = np.array([record["bbox"] for record in results])
    assert (areas == 0).any()
    assert (areas < 0.7 * boxes[:, 2] * boxes[:, 3]).any()
    assert (areas > 96**2).any()


def moved(polygons, old, new):
    """Polygons that lie in box `old` as they would lie in box `new` (xywh)."""
    scale = np.array(new[2:]) / np.array(old[2:])
    points = [np.array(p).reshape(-1, 2) for p in polygons]
    return [((p - old[:2]) * scale + new[:2]).ravel().tolist() for p in points]


def shapes_of(results, annotations, sizes):
    """A mask for each result: the annotated one of most overlap in its box, or an ellipse."""
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    circle = np.stack((np.cos(angles), np.sin(angles)), axis=1) / 2 + 0.5
    for record in results:
        height, width = sizes[record["image_id"]]
        near = [a for a in annotations if a["image_id"] == record["image_id"]]
        overlap = coco_mask.iou(
            np.array([record["bbox"]]), np.array([a["bbox"] for a in near]).reshape(-1, 4),
            [0] * len(near),
        )  # fmt: skip
        if len(near) and overlap.max() > 0.3:
            source = near[int(overlap.argmax())]
            polygons = moved(source["segmentation"], source["bbox"], record["bbox"])
        else:
            polygons = moved([circle.ravel()], [0, 0, 1, 1], record["bbox"])
        code = coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))
        yield record | {"segmentation": {**code, "counts": code["counts"].decode()}}


@pytest.mark.slow
def test_official_curves_of_real_polygons(shared, tmp_path, official):
    folder = shared / "data/lvis_val_100"
    file = folder / "lvis_val_100.json"
    content = json.loads(file.read_text())
    sizes = {image["id"]: (image["height"], image["width"]) for image in content["images"]}
    boxes = json.loads((folder / "synthetic_results.json").read_text())
    results = list(shapes_of(boxes, content["annotations"], sizes))
    (tmp_path / "results.json").write_text(json.dumps(results))
    table = AnnotationTable.open(file, cache=tmp_path / "cache")
    metric = LVISAveragePrecision(table, masks=True)
    metric.update(load_results(tmp_path / "results.json", table, masks=True))
    assert_official(metric, official(file, results), official(file, results, kind="segm"))
    summary = {name: float(value) for name, value in metric.compute().items()}
    assert 0.05 < summary["segm/AP"] < summary["AP"]


SIDE = 100
SQUARE = (10.0, 10.0, 50.0, 50.0)


def bitmap(left, top, right, bottom):
    mask = np.zeros((SIDE, SIDE), np.uint8, order="F")
    mask[top:bottom, left:right] = 1
    return coco_mask.encode(mask)


def one_object(open_table, box=SQUARE, *others):
    """One image with one square object of category 10 of 40 × 40 pixels; image 2 has none.

    `others` are more annotations of the first image.
    """
    left, top, right, bottom = box
    shape = [left, top, right, top, right, bottom, left, bottom]
    truth = {"id": 1, "image_id": 1, "category_id": 10, "area": 1600.0, "segmentation": [shape]}
    truth["bbox"] = [left, top, right - left, bottom - top]
    lists = {"neg_category_ids": [], "not_exhaustive_category_ids": []}
    images = [
        {"id": i, "file_name": f"{i}.jpg", "height": SIDE, "width": SIDE} | lists for i in (1, 2)
    ]
    categories = [{"id": 10, "name": "category", "frequency": "r"}]
    more = [truth | {"id": number} | other for number, other in enumerate(others, 2)]
    content = {"images": images, "categories": categories, "annotations": [truth, *more]}
    return open_table(content)[1]


def found(*masks, box=SQUARE, scores=None):
    count = len(masks)
    scores = [0.9 - 0.1 * i for i in range(count)] if scores is None else scores
    boxes = torch.tensor(box).repeat(count, 1).reshape(-1, 4)
    labels = torch.zeros(count, dtype=torch.int64)
    return Detections(boxes, torch.tensor(scores).float(), labels, list(masks))


def test_the_mask_counts_and_not_the_box_by_hand(open_table):
    table = one_object(open_table)
    metric = LVISAveragePrecision(table, masks=True)
    metric.update([found(bitmap(10, 10, 50, 41))], [1])  # 31 of 40 rows: IoU 0.775
    summary = metric.compute()
    assert float(summary["AP"]) == pytest.approx(1)
    assert float(summary["segm/AP"]) == pytest.approx(0.6)  # thresholds 0.5 to 0.75
    assert float(summary["segm/APr"]) == pytest.approx(0.6)
    assert float(summary["segm/AP75"]) == pytest.approx(1)
    assert float(summary["segm/APm"]) == pytest.approx(0.6)
    figures = metric.per_category()
    assert figures["segm/AP"] == pytest.approx([0.6])
    assert figures["AP"] == pytest.approx([1])
    metric.reset()
    assert metric.mask_judgement is None


def test_more_masks_than_pycocotools_can_measure_at_once(open_table):
    table = one_object(open_table)
    many = [bitmap(10, 10, 50, 50)] * 300
    metric = LVISAveragePrecision(table, masks=True)
    metric.update([found(*many, scores=[0.5] * 300)], [1])
    assert (metric.detections().mask_areas == 1600).all()
    assert float(metric.compute()["segm/AP"]) == pytest.approx(1)


def test_an_empty_mask_does_not_exist(open_table):
    table = one_object(open_table)
    metric = LVISAveragePrecision(table, masks=True)
    metric.update([found(bitmap(0, 0, 0, 0), bitmap(10, 10, 50, 50))], [1])
    summary = metric.compute()
    assert float(summary["segm/AP"]) == pytest.approx(1)


def test_areas_are_those_of_the_masks(open_table):
    # The false positive's box is of medium size, its mask is small: it does not count for APm.
    table = one_object(open_table)
    metric = LVISAveragePrecision(table, masks=True)
    far = bitmap(60, 60, 65, 65)
    metric.update([found(far, bitmap(10, 10, 50, 50), scores=[0.9, 0.8])], [1])
    summary = metric.compute()
    assert float(summary["segm/APm"]) == pytest.approx(1)
    assert float(summary["segm/AP"]) == pytest.approx(0.5)


def test_masks_within_a_crowd_are_neither_right_nor_wrong(open_table):
    code = bitmap(50, 50, SIDE, SIDE)
    crowd = {
        "iscrowd": 1, "bbox": [50, 50, 50, 50], "area": 2500,
        "segmentation": {"size": code["size"], "counts": code["counts"].decode()},
    }  # fmt: skip
    inside = [bitmap(left, 60, left + 10, 80) for left in (55, 70)]  # of the crowd's area 0.08
    masks = [*inside, bitmap(10, 10, 50, 50)]
    for others, expected in (([crowd], 1), ([], 1 / 3)):
        metric = LVISAveragePrecision(one_object(open_table, SQUARE, *others), masks=True)
        metric.update([found(*masks)], [1])
        assert float(metric.compute()["segm/AP"]) == pytest.approx(expected)


def test_without_detections(open_table):
    metric = LVISAveragePrecision(one_object(open_table), masks=True)
    metric.update([found()], [1])
    summary = metric.compute()
    assert float(summary["segm/AP"]) == 0
    assert float(summary["segm/APc"]) == -1


def test_boxes_alone_cost_no_masks(open_table):
    metric = LVISAveragePrecision(one_object(open_table))
    metric.update([found(bitmap(10, 10, 50, 50))], [1])
    assert not [name for name in metric.compute() if name.startswith("segm/")]
    assert len(metric.detections().codes) == 0
    assert not [name for name in metric.per_category() if name.startswith("segm/")]


def test_repeated_and_mixed_images_keep_their_masks(open_table):
    table = one_object(open_table)
    masks = [bitmap(10, 10, 50, 41), bitmap(1, 2, 3, 4), bitmap(0, 0, SIDE, SIDE)]
    first, second = found(*masks[:2]), found(masks[2])
    together = LVISAveragePrecision(table, masks=True)
    together.update([first, second], [1, 2])
    apart = LVISAveragePrecision(table, masks=True)
    for detections, image_id in ((second, 2), (first, 1), (second, 2)):
        apart.update([detections], [image_id])
    assert together.compute() == apart.compute()
    columns = apart.detections()
    assert [columns.masks[row]["counts"] for row in range(3)] == [
        masks[i]["counts"] for i in (2, 0, 1)
    ]
    assert columns.mask_areas.tolist() == [SIDE**2, 31 * 40, 4]


@pytest.mark.parametrize(
    ("detections", "message"),
    [
        (Detections(torch.ones(1, 4), torch.ones(1), torch.zeros(1).long()), "image id 2.*no mask"),
        (found({"size": [9, 9], "counts": b"a9"}), r"image id 2.*\[9, 9\].*\[100, 100\]"),
    ],
)
def test_bad_masks_are_named(open_table, detections, message):
    metric = LVISAveragePrecision(one_object(open_table), masks=True)
    with pytest.raises(ValueError, match=message):
        metric.update([found(), detections], [1, 2])


def test_masks_must_fit_their_detections():
    one = found(bitmap(1, 1, 2, 2))
    one.masks = one.masks * 2
    with pytest.raises(ValueError, match="2 masks were given for 1 detections"):
        DetectionColumns.from_detections([one], [1])
    two = found(bitmap(1, 1, 2, 2), {"size": [9, 9], "counts": b"a9"})
    with pytest.raises(ValueError, match=r"sizes \[\(9, 9\), \(100, 100\)\]"):
        DetectionColumns.from_detections([two], [1])


@pytest.mark.parametrize("name", ["results.json", "results.json.gz"])
def test_what_is_read_is_what_was_written(open_table, tmp_path, name):
    table = one_object(open_table)
    draw = np.random.default_rng(0)
    masks = [
        coco_mask.encode(np.asfortranarray(draw.random((SIDE, SIDE)) > 0.97)) for _ in range(3)
    ]
    # Backslashes of the code are what json must escape.
    assert any(b"\\" in mask["counts"] for mask in masks)
    given = DetectionColumns.from_detections([found(*masks[:2]), found(masks[2])], [2, 1])
    with ResultsWriter(tmp_path / name, table) as writer:
        writer.write_columns(given)
    read = load_results(tmp_path / name, table, masks=True)
    assert read.image_ids.tolist() == [1, 2]
    for row, source in enumerate((2, 0, 1)):
        assert read.masks[row] == {"size": [SIDE, SIDE], "counts": masks[source]["counts"]}
    assert read.mask_areas.tolist() == [float(coco_mask.area(masks[i])) for i in (2, 0, 1)]
    assert len(load_results(tmp_path / name, table).codes) == 0


def test_results_of_both_kinds_in_one_file(open_table, tmp_path):
    table = one_object(open_table)
    plain = Detections(torch.ones(2, 4), torch.ones(2), torch.zeros(2, dtype=torch.int64))
    masked = found(bitmap(1, 1, 9, 9))
    with ResultsWriter(tmp_path / "results.json", table) as writer:
        writer.write_columns(DetectionColumns.from_detections([plain, masked], [1, 2]))
    records = json.loads((tmp_path / "results.json").read_text())
    assert ["segmentation" in record for record in records] == [False, False, True]
    assert records[2]["segmentation"]["size"] == [SIDE, SIDE]


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        (None, "record 0.segmentation: None, expected compressed run lengths"),
        ([[1, 1, 2, 2, 3, 3]], "record 0.segmentation: .*expected compressed"),
        ({"size": [9, 9], "counts": "a9"}, "record 0.segmentation: .*size: .100, 100"),
        ({"size": [SIDE, SIDE], "counts": [10000]}, "record 0.segmentation: .*expected"),
        ({"size": [SIDE, SIDE], "counts": "a9"}, "record 0.segmentation: the runs add up to"),
        ({"size": [SIDE, float(SIDE)], "counts": "a9"}, "record 0.segmentation: .*expected"),
        ({"size": [SIDE, SIDE], "counts": "a9o"}, "'a9o', which is no text of compressed"),
    ],
)
def test_bad_masks_of_a_file_are_named(open_table, tmp_path, segmentation, message):
    record = {"image_id": 1, "category_id": 10, "bbox": [0, 0, 1, 1], "score": 0.5}
    file = tmp_path / "results.json"
    file.write_text(json.dumps([record | {"segmentation": segmentation}]))
    with pytest.raises(ValueError, match=message):
        load_results(file, one_object(open_table), masks=True)
