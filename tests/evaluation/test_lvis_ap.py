import copy
import json

import numpy as np
import pytest
import torch

from bacl.data.annotations.table import AnnotationTable
from bacl.data.batch import Detections
from bacl.evaluation import object_matching as matching
from bacl.evaluation.lvis_ap import LVISAveragePrecision
from bacl.evaluation.results_json import load_results

# The official package's own call of a deprecated logger method.
pytestmark = pytest.mark.filterwarnings("ignore:The 'warn' method:DeprecationWarning")
SIZE = 40.0


def image(image_id, negative=(), partial=()):
    lists = {
        "neg_category_ids": list(negative),
        "not_exhaustive_category_ids": list(partial),
    }
    return {"id": image_id, "file_name": f"{image_id}.jpg", "height": 99, "width": 99, **lists}


def annotation(number, image_id, category_id, box=(0, 0, SIZE, SIZE), area=SIZE**2, **extra):
    fields = {"id": number, "image_id": image_id, "category_id": category_id}
    return fields | {"bbox": list(box), "area": area} | extra


def truth(images, annotations, frequencies="rcf"):
    categories = [
        {"id": 10 * (i + 1), "name": f"category {i}", "frequency": frequency}
        for i, frequency in enumerate(frequencies)
    ]
    return {"categories": categories, "images": images, "annotations": annotations}


def found(*rows):
    """Detections from (label, score) or (label, score, xyxy)."""
    boxes = [row[2] if len(row) > 2 else (0, 0, SIZE, SIZE) for row in rows]
    return Detections(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor([row[1] for row in rows], dtype=torch.float32),
        torch.tensor([row[0] for row in rows], dtype=torch.int64),
    )


def per_image(results, table):
    """A results list as (detections, image ids) for update; boxes become float32."""
    label = {int(category): i for i, category in enumerate(table.category_ids)}
    ids = table.image_ids.tolist()
    rows = {image_id: [] for image_id in ids}
    for result in results:
        x, y, w, h = result["bbox"]
        box = (x, y, x + w, y + h)
        rows[result["image_id"]].append((label[result["category_id"]], result["score"], box))
    return [found(*rows[image_id]) for image_id in ids], ids


def assert_official(metric, reference):
    summary = metric.compute()
    curves = metric.judgement.curves
    np.testing.assert_allclose(curves.precision, reference.eval["precision"], atol=1e-12)
    np.testing.assert_allclose(curves.recall, reference.eval["recall"], atol=1e-12)
    assert set(summary) >= set(reference.results)
    for name, value in reference.results.items():
        assert float(summary[name]) == pytest.approx(value, abs=1e-6), name


@pytest.mark.parametrize("max_detections", [300, 10])
def test_reference_numbers_of_real_annotations(shared, tmp_path, max_detections):
    folder = shared / "data/lvis_val_100"
    table = AnnotationTable.open(folder / "lvis_val_100.json", cache=tmp_path)
    metric = LVISAveragePrecision(table, max_detections)
    metric.update(load_results(folder / "synthetic_results.json", table))
    summary = metric.compute()
    expected = json.loads((folder / "synthetic_results_reference.json").read_text())
    expected = expected[f"max_dets_{max_detections}"]
    assert set(summary) >= set(expected)
    for name, value in expected.items():
        assert float(summary[name]) == pytest.approx(value, abs=1e-6), name


@pytest.mark.slow
def test_official_curves_of_real_annotations(shared, tmp_path, official):
    folder = shared / "data/lvis_val_100"
    file = folder / "lvis_val_100.json"
    results = json.loads((folder / "synthetic_results.json").read_text())
    table = AnnotationTable.open(file, cache=tmp_path)
    metric = LVISAveragePrecision(table)
    metric.update(load_results(folder / "synthetic_results.json", table))
    assert_official(metric, official(file, results))


@pytest.mark.parametrize("seed", range(40))
def test_official_curves_of_random_cases(open_table, random_case, official, tmp_path, seed):
    annotations, results = random_case(seed)
    if not results:  # the official package cannot read an empty list
        results = [{"image_id": annotations["images"][0]["id"], "category_id": 10**6}]
        results[0] |= {"bbox": [0.0, 0.0, 1.0, 1.0], "score": 0.5}
    file, table = open_table(annotations)
    known = [r for r in results if r["category_id"] in table.category_ids]
    (tmp_path / "results.json").write_text(json.dumps(known))
    for max_detections in (300, 10):
        metric = LVISAveragePrecision(table, max_detections)
        metric.update(load_results(tmp_path / "results.json", table))
        assert_official(metric, official(file, results, max_detections))


@pytest.mark.parametrize("order", [(0, 30), (30, 0)])
def test_official_choice_between_equal_overlaps(open_table, official, order):
    objects = [annotation(i + 1, 1, 10, (x, 0, 60, 10), 600) for i, x in enumerate(order)]
    file, table = open_table(truth([image(1)], objects))
    boxes = [(15.0, 0.0, 75.0, 10.0), (0.0, 0.0, 60.0, 10.0)]  # the first is 0.6 near to both
    metric = LVISAveragePrecision(table)
    metric.update([found((0, 0.9, boxes[0]), (0, 0.8, boxes[1]))], [1])
    records = [
        {"image_id": 1, "category_id": 10, "bbox": [x, 0.0, 60.0, 10.0], "score": score}
        for x, score in ((15.0, 0.9), (0.0, 0.8))
    ]
    assert_official(metric, official(file, records))
    # It takes the annotation that comes last; the second detection needs the one at 0.
    assert metric.per_category()["recall"][0] == pytest.approx(0.5 if order[1] == 0 else 0.65)


def test_random_cases_cover_what_they_should(random_case):
    cases = [random_case(seed) for seed in range(40)]
    objects = [a for annotations, _ in cases for a in annotations["annotations"]]
    counts = [
        sum(r["image_id"] == i["id"] for r in results)
        for annotations, results in cases
        for i in annotations["images"]
    ]
    assert any(a["area"] == 0 for a in objects)
    assert any(a.get("ignore") for a in objects)
    assert any(r["bbox"][2] == 0 for _, results in cases for r in results)
    assert 0 in counts
    assert max(counts) > 10
    assert any(not annotations["annotations"] for annotations, _ in cases)


def test_detections_of_a_network_agree_with_the_official_package(open_table, random_case, official):
    annotations, results = random_case(36)
    file, table = open_table(annotations)
    detections, ids = per_image(results, table)
    metric = LVISAveragePrecision(table)
    metric.update(detections, ids)
    columns = metric.detections()
    records = [
        {"image_id": i, "category_id": int(table.category_ids[label]), "bbox": box, "score": score}
        for i, label, box, score in zip(
            np.repeat(columns.image_ids, columns.counts).tolist(),
            columns.labels.tolist(),
            columns.boxes.tolist(),
            columns.scores.tolist(),
            strict=True,
        )
    ]
    assert_official(metric, official(file, records))


def test_small_blocks_change_nothing(open_table, random_case, monkeypatch):
    annotations, results = random_case(36)
    _, table = open_table(annotations)
    metrics = [LVISAveragePrecision(table) for _ in range(2)]
    for metric, pairs in zip(metrics, (1 << 18, 1), strict=True):
        monkeypatch.setattr(matching, "_PAIRS_AT_ONCE", pairs)
        metric.update(*per_image(results, table))
        metric.compute()
    one, other = (metric.judgement.curves for metric in metrics)
    assert (one.precision > 0).any()
    assert np.array_equal(one.precision, other.precision)
    assert np.array_equal(one.recall, other.recall)


@pytest.mark.parametrize(
    ("label", "lists", "expected"),
    [
        (0, {}, 0.5),  # category 10 is present: the false positive above the true one counts
        (0, {"partial": [10]}, 1.0),  # annotated only in part: it is ignored
        (1, {}, 1.0),  # category 20 is neither present nor verified to be absent
        (1, {"negative": [20]}, 1.0),  # verified to be absent, but another category's matter
    ],
)
def test_federated_rules_by_hand(open_table, label, lists, expected):
    images = [image(1, **lists)]
    _, table = open_table(truth(images, [annotation(1, 1, 10)]))
    metric = LVISAveragePrecision(table)
    metric.update([found((0, 0.5), (label, 0.9, (60, 60, 99, 99)))], [1])
    summary = metric.compute()
    assert float(summary["APr"]) == pytest.approx(expected)
    assert float(summary["AP"]) == pytest.approx(expected)
    assert float(summary["APc"]) == -1  # no object of category 20 or 30
    assert float(summary["APf"]) == -1


def test_false_positive_on_a_verified_negative(open_table):
    images = [image(1), image(2, negative=[10])]
    _, table = open_table(truth(images, [annotation(1, 1, 10)]))
    metric = LVISAveragePrecision(table)
    metric.update([found((0, 0.5)), found((0, 0.9))], [1, 2])
    assert float(metric.compute()["AP"]) == pytest.approx(0.5)


def test_localisation_sets_the_thresholds_that_are_passed(open_table):
    _, table = open_table(truth([image(1)], [annotation(1, 1, 10)]))
    metric = LVISAveragePrecision(table)
    metric.update([found((0, 0.5, (0, 0, SIZE, 0.77 * SIZE)))], [1])  # IoU 0.77: 6 of 10 thresholds
    summary = metric.compute()
    assert float(summary["AP"]) == pytest.approx(0.6)
    assert (float(summary["AP50"]), float(summary["AP75"])) == (pytest.approx(1), pytest.approx(1))
    assert float(summary["AR@300"]) == pytest.approx(0.6)
    assert float(summary["APm"]) == pytest.approx(0.6)  # 40 by 40
    assert float(summary["APs"]) == -1


def test_only_the_best_of_an_image_count(open_table):
    _, table = open_table(truth([image(1)], [annotation(1, 1, 10), annotation(2, 1, 20)]))
    metric = LVISAveragePrecision(table, max_detections=1)
    metric.update([found((0, 0.9), (1, 0.8))], [1])
    metric.compute()
    figures = metric.per_category()
    assert figures["AP"].round(9).tolist() == [1, 0, -1]
    assert figures["num_detections"].tolist() == [1, 0, 0]


def test_per_category(open_table):
    boxes = [(0, 0, SIZE, SIZE), (50, 50, SIZE, SIZE)]
    objects = [annotation(i + 1, 1, 10, box) for i, box in enumerate(boxes)]
    objects += [annotation(3, 2, 20), annotation(4, 2, 20, area=0.0)]
    _, table = open_table(truth([image(1), image(2, partial=[20])], objects))
    metric = LVISAveragePrecision(table)
    with pytest.raises(RuntimeError, match="compute"):
        metric.per_category()
    metric.update([found((0, 0.9), (2, 0.4)), found()], [1, 2])
    metric.compute()
    figures = metric.per_category()
    # One of two objects found: precision 1 at the 51 recalls 0 to 0.5.
    assert figures["AP"] == pytest.approx([51 / 101, 0, -1])
    assert figures["AP50"] == pytest.approx([51 / 101, 0, -1])
    assert figures["recall"] == pytest.approx([0.5, 0, -1])
    assert figures["num_ground_truth"].tolist() == [2, 1, 0]
    assert figures["num_detections"].tolist() == [1, 0, 1]
    metric.update([], [])
    with pytest.raises(RuntimeError, match="compute"):
        metric.per_category()


@pytest.mark.parametrize("seen", [True, False])
@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_without_detections(open_table, seen):
    _, table = open_table(truth([image(1)], [annotation(1, 1, 10)]))
    metric = LVISAveragePrecision(table)
    if seen:
        metric.update([found()], [1])
    summary = {name: float(value) for name, value in metric.compute().items()}
    zero = {"AP", "AP50", "AP75", "APm", "APr", "AR@300", "ARm@300"}
    zero |= {"AP@3", "AP@3_r", "AP_pool", "AP_pool_r", "right_label", "right_label_r"}
    zero |= {"AP_fixed", "AP_fixed_r"}
    assert {name for name, value in summary.items() if value == 0} == zero
    assert {value for name, value in summary.items() if name not in zero} == {-1}


def test_without_any_object(open_table):
    _, table = open_table(truth([image(1, negative=[10])], []))
    metric = LVISAveragePrecision(table)
    metric.update([found((0, 0.9))], [1])
    assert {float(value) for value in metric.compute().values()} == {-1.0}


def test_images_order_batches_and_repetitions_do_not_matter(open_table, random_case):
    annotations, results = random_case(36)
    _, table = open_table(annotations)
    detections, ids = per_image(results, table)
    together, apart = LVISAveragePrecision(table), LVISAveragePrecision(table)
    together.update(detections, ids)
    for row in [*reversed(range(len(ids))), 0, 1]:  # two images again, as a padded sampler does
        apart.update(detections[row : row + 1], ids[row : row + 1])
    assert together.compute() == apart.compute()
    assert float(together.compute()["AP"]) > 0
    one, other = together.judgement, apart.judgement
    assert np.array_equal(one.curves.precision, other.curves.precision)
    assert np.array_equal(one.num_detections, other.num_detections)


def test_reset_and_copies(open_table):
    _, table = open_table(truth([image(1)], [annotation(1, 1, 10)]))
    metric = LVISAveragePrecision(table)
    metric.update([found((0, 0.9))], [1])
    twin = copy.deepcopy(metric)
    metric.reset()
    metric.update([found()], [1])
    assert float(metric.compute()["AP"]) == 0
    assert float(twin.compute()["AP"]) == pytest.approx(1)


def test_frequency_groups_can_be_given(open_table):
    _, table = open_table(truth([image(1)], [annotation(1, 1, 10)]))
    metric = LVISAveragePrecision(table, frequency=["f", "c", "r"])
    metric.update([found((0, 0.9))], [1])
    summary = metric.compute()
    assert (float(summary["APf"]), float(summary["APr"])) == (pytest.approx(1), -1)


@pytest.mark.parametrize(
    ("frequency", "message"),
    [(["r", "", "f"], "1 categories .*'category 1'.*frequency="), (["r"], "3 categories")],
)
def test_missing_frequency_groups(open_table, frequency, message):
    _, table = open_table(truth([image(1)], [annotation(1, 1, 10)]))
    with pytest.raises(ValueError, match=message):
        LVISAveragePrecision(table, frequency=frequency)


@pytest.mark.parametrize(
    ("detections", "ids", "message"),
    [
        ([found((0, 0.9))], [77], "image id 77 .*not in the annotation table"),
        ([found((0, float("nan")))], [1], "image id 1: the score .* nan"),
        ([found(), found((0, 0.5, (0, 0, float("inf"), 1)))], [1, 2], "image id 2: the box .*inf"),
        ([found((0, 0.9), (3, 0.8))], [2], r"image id 2: the label .* 3; .*\[0, 3\)"),
        ([found()], [1, 2], "1 detections were given for 2 image ids"),
    ],
)
def test_bad_input_is_named(open_table, detections, ids, message):
    _, table = open_table(truth([image(1), image(2)], [annotation(1, 1, 10)]))
    with pytest.raises(ValueError, match=message):
        LVISAveragePrecision(table).update(detections, ids)


def split(results, ids):
    return [result for result in results if result["image_id"] in ids]


def test_two_processes(open_table, random_mask_case, tmp_path, two_processes):
    annotations, results = random_mask_case(36)
    _, table = open_table(annotations)
    ids = sorted({result["image_id"] for result in results})
    assert len(ids) > 2
    shares = {
        "overlap": (split(results, ids[:2]), split(results, ids[1:])),  # one image is on both
        "one_idle": (results, []),
    }
    files = {}
    for name, lists in shares.items():
        files[name] = [tmp_path / f"{name}_{rank}.json" for rank in range(2)]
        for file, share in zip(files[name], lists, strict=True):
            file.write_text(json.dumps(share))

    def evaluated(metric, file):
        detections = load_results(file, table, masks=True)
        if len(detections.image_ids):  # a process without images never calls update
            metric.update(detections)
        return {name: float(value) for name, value in metric.compute().items()}

    def found_by(rank):
        metric = LVISAveragePrecision(table, masks=True)
        by_name = {}
        for name in shares:
            summary = evaluated(metric, files[name][rank])
            by_name[name] = summary, len(metric.image_ids)  # the local ones again
            metric.reset()
        return by_name

    expected = evaluated(LVISAveragePrecision(table, masks=True), files["one_idle"][0])
    assert expected["AP"] > 0
    assert expected["segm/AP"] > 0
    assert expected["segm/AP"] != expected["AP"]
    for rank, by_name in enumerate(two_processes(found_by)):
        for name, (summary, parts) in by_name.items():
            assert summary == pytest.approx(expected)
            assert parts == (0 if (name, rank) == ("one_idle", 1) else 1)


def test_a_part_of_the_images_is_judged_by_its_own_objects(open_table):
    everything = truth(
        [image(1), image(2), image(3)],
        [annotation(1, 1, 10), annotation(2, 2, 10), annotation(3, 3, 20), annotation(4, 2, 30)],
    )
    wrong = found((1, 0.9), (2, 0.8))
    metric = LVISAveragePrecision(open_table(everything)[1])
    metric.seen_only = True
    metric.update([found((0, 0.9)), wrong], [1, 3])
    first = metric.compute()
    alone = [a for a in everything["annotations"] if a["image_id"] != 2]
    part = truth([image(1), image(3)], alone)
    expected = LVISAveragePrecision(open_table(part, "part.json")[1])
    expected.update([found((0, 0.9)), wrong], [1, 3])
    assert first == expected.compute()
    assert metric.part == "2 of 3 images"
    assert metric.per_category()["num_ground_truth"].tolist() == [1, 1, 0]
    metric.update([found()], [2])
    assert metric.compute()["APr"] < first["APr"]
    assert metric.part == ""


def test_images_that_no_results_file_lists_are_missed(open_table):
    metric = LVISAveragePrecision(
        open_table(truth([image(1), image(2)], [annotation(1, 1, 10), annotation(2, 2, 10)]))[1]
    )
    metric.update([found((0, 0.9))], [1])
    assert metric.compute()["AP50"] < 0.6
    assert metric.part == ""
