"""The long-tailed choice of COCO's annotations, on small files of COCO's format."""

import json

import numpy as np
import pytest

from bacl.data.annotations.table import AnnotationTable
from bacl.data.annotations.validation import AnnotationError
from bacl.data.coco_lt import PUBLISHED, COCOLTBuilder, build
from bacl.data.dataset import DetectionDataset
from bacl.data.lvis import RELEASES
from bacl.data.missing_files import MissingDataError
from bacl.data.statistics import CategoryStatistics
from bacl.evaluation.coco_ap import groups_by_count
from bacl.messages.errors import OptionError


def annotation(number, image, category, **changes):
    shape = {"bbox": [1.5, 2.25, 30.125, 20.0], "area": 301.3671875, "iscrowd": 0}
    outline = {"segmentation": [[1.5, 2.25, 31.6, 2.25, 31.6, 22.25]]}
    return {"id": number, "image_id": image, "category_id": category} | shape | outline | changes


def coco(num_images=60, seed=0):
    """Category 1 in every image, 3 in every second, 7 in every third, up to four times each."""
    draw = np.random.default_rng(seed)
    images = [
        {"id": 500 + n, "file_name": f"{n:012}.jpg", "height": 48, "width": 64, "license": 1}
        for n in range(num_images)
    ]
    annotations = []
    for place, image in enumerate(images):
        for category, every in ((1, 1), (3, 2), (7, 3)):
            for _ in range(draw.integers(1, 5) if place % every == 0 else 0):
                annotations.append(annotation(len(annotations) + 10, image["id"], category))
    names = {1: "person", 3: "car", 7: "train"}
    return {
        "info": {"year": 2017},
        "licenses": [{"id": 1, "name": "some"}],
        "images": images,
        "annotations": annotations,
        "categories": [{"id": key, "name": name} for key, name in names.items()],
    }


def counts_of(content, category):
    own = [a for a in content["annotations"] if a["category_id"] == category]
    return len({a["image_id"] for a in own}), len(own)


def published(content, **wanted):
    """Published counts: (images, instances) by name, all there are where nothing is said."""
    categories = []
    for category in content["categories"]:
        images, instances = wanted.get(category["name"], counts_of(content, category["id"]))
        categories.append({**category, "image_count": images, "instance_count": instances})
    return {"images": len(content["images"]), "categories": categories}


@pytest.fixture
def make(tmp_path):
    """Builds from a dictionary: (content, published, seed) -> (what is written, what is found)."""

    def run(content, wanted, seed=0):
        source, target = tmp_path / "instances_train2017.json", tmp_path / "out" / "coco_lt.json"
        source.write_text(json.dumps(content))
        found = build(source, target, seed, wanted)
        return json.loads(target.read_text()), found

    return run


def test_counts_are_the_published_ones(make):
    content = coco()
    wanted = published(content, car=(9, 12), train=(3, 3))
    chosen, found = make(content, wanted)
    assert counts_of(chosen, 1) == counts_of(content, 1)
    assert counts_of(chosen, 3) == (9, 12)
    assert counts_of(chosen, 7) == (3, 3)
    assert found["differences"] == {}
    assert found["instances"] == len(chosen["annotations"])
    assert chosen["info"]["coco_lt"] == found


def test_records_are_the_sources_own_and_nothing_is_left_over(make):
    content = coco()
    content["annotations"] = [a for a in content["annotations"] if a["category_id"] != 1]
    wanted = published(content, person=(0, 0), car=(9, 12), train=(3, 3))
    chosen, found = make(content, wanted)
    assert all(a in content["annotations"] for a in chosen["annotations"])
    assert all(image in content["images"] for image in chosen["images"])
    assert chosen["categories"] == content["categories"]
    kept = {a["image_id"] for a in chosen["annotations"]}
    assert {image["id"] for image in chosen["images"]} == kept
    assert len(kept) == found["images"] < len(content["images"])


def test_order_of_the_file_does_not_matter_and_the_seed_does(make):
    content = coco()
    wanted = published(content, car=(9, 12), train=(3, 3))
    first, _ = make(content, wanted)
    again, _ = make(content, wanted)
    assert again == first
    draw = np.random.default_rng(1)
    shuffled = dict(reversed(content.items()))
    for section in ("images", "annotations", "categories"):
        shuffled[section] = [content[section][n] for n in draw.permutation(len(content[section]))]
    other, _ = make(shuffled, wanted)
    ids = [{a["id"] for a in each["annotations"]} for each in (first, other)]
    assert ids[0] == ids[1]
    reseeded, _ = make(content, wanted, seed=1)
    assert {a["id"] for a in reseeded["annotations"]} != ids[0]
    assert counts_of(reseeded, 3) == (9, 12)


def test_crowd_regions_come_last(make):
    content = coco()
    for record in content["annotations"]:
        record["iscrowd"] = int(record["category_id"] == 3 and record["id"] % 3 == 0)
    few, _ = make(content, published(content, car=(9, 12)))
    assert not any(a["iscrowd"] for a in few["annotations"])
    everything, _ = make(content, published(content))
    crowds = sum(a["iscrowd"] for a in content["annotations"])
    assert sum(a["iscrowd"] for a in everything["annotations"]) == crowds > 0


def test_more_instances_than_the_images_hold_come_from_further_images(make):
    content = coco()
    images, instances = counts_of(content, 7)
    chosen, found = make(content, published(content, train=(2, instances - 1)))
    assert counts_of(chosen, 7)[1] == instances - 1
    assert found["differences"]["train"]["instances"] == 0
    assert 0 < found["differences"]["train"]["images"] <= images - 2


def test_a_category_with_too_few_is_taken_whole_and_told(make, caplog):
    content = coco()
    images, instances = counts_of(content, 7)
    chosen, found = make(content, published(content, train=(images + 4, instances + 9)))
    assert counts_of(chosen, 7) == (images, instances)
    assert found["differences"] == {"train": {"instances": -9, "images": -4}}
    assert "train has -9 instances and -4 images" in caplog.text


@pytest.mark.parametrize("names", [{1: "person", 3: "bus", 7: "train"}, {1: "person", 3: "car"}])
def test_other_categories_are_refused(make, names):
    content = coco()
    wanted = published(content)
    content["categories"] = [{"id": key, "name": name} for key, name in names.items()]
    with pytest.raises(AnnotationError, match=r"category (3|7): is .*expected .*instances_train"):
        make(content, wanted)


def builder(folder, **changes):
    target = folder / "coco_lt_train.json"
    paths = {"source": folder / "instances.json", "target": target, "annotations": target}
    return COCOLTBuilder(**{**paths, "seed": 0, **changes})


def test_what_is_there_is_kept(tmp_path):
    own = tmp_path / "coco_lt_train.json"
    own.write_text("official")
    one = builder(tmp_path)
    assert one.sources == []
    one()
    assert own.read_text() == "official"


def test_what_was_made_with_another_seed_is_refused(tmp_path):
    content = coco()
    (tmp_path / "instances.json").write_text(json.dumps(content))
    counts = tmp_path / "published.json"
    counts.write_text(json.dumps(published(content, car=(9, 12))))
    for _ in range(2):
        builder(tmp_path, published=counts)()
    with pytest.raises(OptionError, match=r"data\.builder\.seed=3.*made with seed 0"):
        builder(tmp_path, published=counts, seed=3)()
    target = tmp_path / "coco_lt_train.json"
    whole = target.read_text()
    for damaged in (whole.replace('"seed"', '"s"'), whole.replace('"coco_lt": {', '"coco_lt": [')):
        target.write_text(damaged)
        with pytest.raises(AnnotationError, match=r"info: is damaged .*; delete the file"):
            builder(tmp_path, published=counts)()


def test_another_training_file_needs_nothing(tmp_path):
    one = builder(tmp_path, annotations=tmp_path / "official.json")
    assert one.sources == []
    one()
    assert list(tmp_path.iterdir()) == []


def test_missing_source_says_how_to_get_it(tmp_path):
    one = builder(tmp_path)
    assert one.sources == [tmp_path / "instances.json"]
    with pytest.raises(MissingDataError, match=r"job=prepare data=coco_lt.*data\.builder\.source"):
        one()


def test_builder_makes_a_set_that_trains_without_its_crowds(tmp_path):
    content = coco()
    for record in content["annotations"]:
        record["iscrowd"] = int(record["category_id"] == 1 and record["id"] % 2)
    (tmp_path / "instances.json").write_text(json.dumps(content))
    counts = tmp_path / "published.json"
    counts.write_text(json.dumps(published(content, car=(9, 12), train=(3, 3))))
    one = builder(tmp_path, published=counts)
    one()
    table = AnnotationTable.open(one.target)
    assert table.exhaustive
    statistics = CategoryStatistics.of(table)
    groups = groups_by_count(statistics.instance_counts.numpy(), (5, 20))
    members = [np.flatnonzero(group.members).tolist() for group in groups.groups]
    assert members == [[2], [1], [0]]
    crowds = int(table.crowd.sum())
    assert crowds == sum(a["iscrowd"] for a in content["annotations"]) > 0
    _, labels = DetectionDataset(table, tmp_path, lambda sample: sample).category_pairs()
    assert len(labels) == table.num_annotations - crowds


def test_published_counts_are_those_of_the_reference(shared):
    ours = json.loads(PUBLISHED.read_text())
    reference = shared / "data/lvis_stats/coco_lt_simcal_categories.json"
    expected = [
        (row["coco_id"], row["name"], row["image_count"], row["instance_count"])
        for row in json.loads(reference.read_text())
    ]
    assert [tuple(category.values()) for category in ours["categories"]] == expected


def test_published_groups_of_the_paper():
    categories = json.loads(PUBLISHED.read_text())["categories"]
    counts = np.array([category["instance_count"] for category in categories])
    assert (len(counts), counts.sum(), counts.max(), counts.min()) == (80, 666_493, 262_465, 11)
    assert RELEASES["coco_lt"].train.counts == {"annotations": counts.sum(), "categories": 80}
    groups = groups_by_count(counts, (20, 400, 8000)).groups
    sizes = [int(group.members.sum()) for group in groups]
    assert sizes == [4, 24, 32, 20]
