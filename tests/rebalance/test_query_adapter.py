import pytest
import torch

from bacl.detectors.postprocess import Postprocess
from bacl.rebalance.classifier_rows import SILENT
from bacl.rebalance.dump import TRAIN, VAL
from bacl.rebalance.dumped_batch import collate_rows
from bacl.rebalance.dumped_data import DumpedImages
from bacl.rebalance.dumped_detector import DumpedDetector
from bacl.rebalance.toolkit_scores import SigmoidScores
from tests.rebalance.query_detector import GROUPS, QUERIES, D, QueryDetector, StandInAdapter


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(3)
    return QueryDetector().eval()


@pytest.fixture
def adapter(model, tmp_path):
    torch.save({"model": model.state_dict()}, tmp_path / "theirs.pth")
    return StandInAdapter(checkpoint=str(tmp_path / "theirs.pth"), dump=str(tmp_path / "dump"))


def centred(boxes, width=96, height=72):
    low, high = boxes.split(2, dim=1)
    return torch.cat(((low + high) / 2, high - low), dim=1) / torch.tensor([width, height] * 2)


def test_rows_are_the_queries_of_use_and_their_labels_what_they_are_matched_to(
    adapter, data, model
):
    dump = adapter.dump(data)
    for index in range(len(data.train_set)):
        image, target = data.train_set[index]
        rows = dump.image(TRAIN, dump.place(TRAIN, target.image_id))
        with torch.no_grad():
            found = model(image.unsqueeze(0) / 255)
        logits = rows.features @ model.class_embed.weight.T + model.class_embed.bias
        torch.testing.assert_close(logits, found["pred_logits"][0])  # the first group, as in use
        torch.testing.assert_close(centred(rows.boxes), found["pred_boxes"][0])
        objects = {"labels": target.labels, "boxes": centred(target.boxes)}
        query, own = adapter.match(found, objects, 1)
        wanted = torch.full((QUERIES,), -1)
        wanted[query] = own
        assert torch.equal(rows.objects, wanted)
        labels = [int(target.labels[each]) if each >= 0 else 3 for each in wanted]
        assert rows.labels.tolist() == labels


def test_an_object_is_seen_once_by_each_group_and_nothing_drops_out(adapter, data):
    dump = adapter.dump(data)
    for place, image in enumerate(dump.description.splits[TRAIN].images):
        rows = dump.image(TRAIN, place)
        counts = torch.bincount(rows.extra_objects)
        assert counts.tolist() == [GROUPS] * len(counts), image
        matched = rows.features[rows.objects >= 0]
        assert all(bool((rows.extra_features == row).all(dim=1).any()) for row in matched)
        assert len(rows.extra_features.unique(dim=0)) == len(rows.extra_features)
    assert not any(module.training for module in adapter.model.modules())


def best_pairs(logits, boxes, count):
    """The best (query, category) pairs by a plain loop, as the toolkit selects."""
    pairs = [
        (float(logits[query, label].sigmoid()), query, label)
        for query in range(QUERIES)
        for label in range(3)
    ]
    pairs.sort(key=lambda each: -each[0])
    return pairs[:count], boxes


def test_detections_are_the_best_pairs_of_query_and_category(adapter, data, model):
    dump = adapter.dump(data)
    detector = DumpedDetector(3, D, lambda decode: Postprocess(0.0, 1.0, 9, decode))
    rows = DumpedImages(dump, VAL, data.val_set)
    batch = collate_rows([rows[index] for index in range(len(rows))])
    for number, region in enumerate(detector.inference_regions(batch.images, batch.sizes)):
        image, _ = data.val_set[number]
        with torch.no_grad():
            found = model(image.unsqueeze(0) / 255)
            scores = SigmoidScores.scored(model.class_embed(region.levels[0].features))
        detections = detector.detect(region, scores, batch.sizes[number])
        pairs, boxes = best_pairs(found["pred_logits"][0], found["pred_boxes"][0], 9)
        torch.testing.assert_close(detections.scores, torch.tensor([each[0] for each in pairs]))
        assert detections.labels.tolist() == [each[2] for each in pairs]
        centre, size = boxes[[each[1] for each in pairs]].split(2, dim=1)
        corners = torch.cat((centre - size / 2, centre + size / 2), dim=1)
        pixels = corners * torch.tensor([96, 72, 96, 72])
        limits = torch.tensor([96, 72, 96, 72])
        torch.testing.assert_close(detections.boxes, pixels.clamp(min=0).minimum(limits))


def test_categories_alone_are_handed_back_and_the_row_of_nothing_is_silent(adapter, data, tmp_path):
    adapter.dump(data)
    weight, bias = torch.randn(4, D), torch.randn(4)
    content = torch.load(adapter.hand_back(tmp_path, weight, bias), weights_only=True)["model"]
    assert torch.equal(content["class_embed.weight"][:3], weight[:3])
    assert torch.equal(content["class_embed.bias"], torch.tensor([*bias[:3].tolist(), SILENT]))
    QueryDetector().load_state_dict(content, strict=True)


def test_weights_that_are_kept_twice_are_changed_twice(model, data, tmp_path):
    again = {f"model.{name}": value for name, value in model.state_dict().items()}
    torch.save({"model": model.state_dict(), "state_dict": again}, tmp_path / "both.pth")
    adapter = StandInAdapter(checkpoint=str(tmp_path / "both.pth"), dump=str(tmp_path / "dump"))
    adapter.dump(data)
    path = adapter.hand_back(tmp_path, torch.zeros(4, D), torch.zeros(4))
    content = torch.load(path, weights_only=True)
    for name, value in content["model"].items():
        assert torch.equal(content["state_dict"][f"model.{name}"], value)
