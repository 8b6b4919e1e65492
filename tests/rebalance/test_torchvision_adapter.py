"""Against torchvision itself, with random weights."""

import functools
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from torchvision.models import detection
from torchvision.ops import box_iou

from bacl.assembly.instantiate import instantiate
from bacl.data.batch import Batch
from bacl.data.statistics import CategoryStatistics
from bacl.heads import Classifier, Head
from bacl.losses.cross_entropy import SoftmaxCrossEntropy
from bacl.messages.errors import UserError
from bacl.rebalance.classifier_rows import with_background
from bacl.rebalance.dump import VAL
from bacl.rebalance.dumped_batch import collate_rows
from bacl.rebalance.dumped_data import DumpedImages
from bacl.rebalance.dumped_detector import DumpedDetector
from bacl.rebalance.toolkit_scores import SoftmaxScores
from bacl.rebalance.torchvision_adapter import TorchvisionAdapter
from tests.rebalance.conftest import spread

CONF = Path(__file__).parents[2] / "conf"
BUILDER = "fasterrcnn_mobilenet_v3_large_320_fpn"
SIZES = {
    "min_size": 72,
    "max_size": 96,
}  # those of the pictures: overlaps are no matter of rounding


RESIZED = {"min_size": 50, "max_size": 96}
"""72 x 96 pixels become 50 x 66: 96 * 50 / 72 = 66.7 is rounded down, so sides differ in scale."""


def theirs(weights=None, sizes=SIZES, builder=BUILDER):
    model = getattr(detection, builder)(
        weights=None, weights_backbone=None, num_classes=4, **sizes, box_score_thresh=0.05
    )
    if weights is not None:
        model.load_state_dict(weights, strict=True)
    return model.eval()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return made(BUILDER, tmp_path_factory.mktemp("torchvision") / "theirs.pth")


def made(builder, path):
    """A file of a detector with random weights that finds things in pictures like the data's."""
    torch.manual_seed(0)
    model, seen = theirs(builder=builder), []
    pictures = torch.rand(4, 3, 72, 96) * 0.3
    for number, picture in enumerate(pictures):
        picture[number % 3, 10:40, 20 * number : 30 + 20 * number] += 0.7
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # statistics of these pictures: features that differ
    with torch.no_grad():
        model.backbone.train()(pictures)
        for own in model.rpn.head.parameters():
            own *= 0.05  # proposals all over the picture
        for own in model.roi_heads.box_predictor.bbox_pred.parameters():
            own *= 0.001  # features are large here; boxes stay in the picture
    model.eval()
    model.roi_heads.box_head.train()  # norms of the second versions
    with torch.no_grad():
        model(list(pictures))
    model.eval()
    layer = model.roi_heads.box_predictor.cls_score
    hook = layer.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        model(list(pictures))
    hook.remove()
    spread(layer, seen[0])
    torch.save({"model": model.state_dict(), "epoch": 7}, path)
    return path


@pytest.fixture(scope="module")
def weights(checkpoint):
    return torch.load(checkpoint, weights_only=True)["model"]


@pytest.fixture
def adapter(checkpoint, tmp_path):
    return TorchvisionAdapter(
        BUILDER, rois=24, **SIZES, checkpoint=str(checkpoint), dump=str(tmp_path / "dump"), shard=3
    )


@functools.cache
def judging():
    """The detector that job=rebalance judges by, with torchvision's own limits of a picture."""
    limits = "detector.postprocess.score_threshold=0.05", "detector.postprocess.max_detections=100"
    chosen = "+experiment=rebalance", "adapter=torchvision", "data.num_classes=3"
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", [*chosen, *limits])
    return instantiate(config.detector, DumpedDetector)


def detections(dump, data, layer):
    """What the dump's rows and a classifier come to, by the selection of adapter=torchvision."""
    detector = judging()
    statistics = CategoryStatistics.of(data.train_table)
    head = Head(
        {
            "first": Classifier(
                1024, SoftmaxCrossEntropy(3), calibration=SoftmaxScores(3, statistics)
            )
        },
        {"first": 1.0},
    )
    with torch.no_grad():
        for own, value in zip(head.classifiers[0].predictor.parameters(), layer, strict=True):
            own.copy_(value)
        rows = DumpedImages(dump, VAL, data.val_set)
        batch: Batch = collate_rows([rows[index] for index in range(len(rows))])
        regions = detector.inference_regions(detector.pyramid(batch.images), batch.sizes)
        scores = [head.scores(each.levels) for each in regions]
        return detector.detect_together(regions, scores, batch.sizes)


def assert_same(ours, found):
    assert len(found["scores"]) > 0
    torch.testing.assert_close(ours.scores, found["scores"], rtol=1e-4, atol=1e-6)
    assert torch.equal(ours.labels + 1, found["labels"])
    torch.testing.assert_close(ours.boxes, found["boxes"], rtol=1e-4, atol=1e-2)


def test_at_the_start_detections_are_torchvisions_own(adapter, data, weights):
    dump = adapter.dump(data)
    found = detections(dump, data, with_background(*dump.classifier, has_one=True))
    model = theirs(weights)
    for ours, index in zip(found, range(len(data.val_set)), strict=True):
        image, _ = data.val_set[index]
        with torch.no_grad():
            assert_same(ours, model([image / 255])[0])


@pytest.fixture
def resizing(checkpoint, tmp_path):
    where = {"checkpoint": str(checkpoint), "dump": str(tmp_path / "resized")}
    return TorchvisionAdapter(BUILDER, rois=24, **RESIZED, **where)


def test_boxes_that_the_border_leaves_without_a_side_are_no_detections():
    """As in torchvision's RoIHeads, which leaves them out before any suppression."""
    proposals = torch.tensor([[0.0, 71.995, 24.0, 72.0], [0.0, 71.98, 24.0, 72.0]])
    scores = torch.tensor([[0.6, 0.0, 0.0, 0.4], [0.5, 0.0, 0.0, 0.5]])
    (found,) = judging().postprocess.together(
        [proposals], [torch.zeros(2, 12)], [scores], [(72, 96)]
    )
    assert found.scores.tolist() == [0.5]


def test_boxes_of_resized_pictures_come_back_in_pixels_of_the_file(resizing, data, weights):
    dump = resizing.dump(data)
    found = detections(dump, data, with_background(*dump.classifier, has_one=True))
    model = theirs(weights, RESIZED)
    for index, ours in enumerate(found):
        with torch.no_grad():
            assert_same(ours, model([data.val_set[index][0] / 255])[0])


def test_training_rows_of_resized_pictures_are_features_at_their_boxes(resizing, data, weights):
    dump, model = resizing.dump(data), theirs(weights, RESIZED)
    for place in range(len(dump.description.splits["train"].images)):
        image, target = data.train_set[place]
        rows = dump.image("train", dump.place("train", target.image_id))
        with torch.no_grad():
            images, _ = model.transform([image / 255])
            assert images.image_sizes == [(50, 66)]
            boxes = [rows.boxes * torch.tensor([66 / 96, 50 / 72, 66 / 96, 50 / 72])]
            maps = model.backbone(images.tensors)
            pooled = model.roi_heads.box_roi_pool(maps, boxes, images.image_sizes)
            features = model.roi_heads.box_head(pooled)
        assert rows.boxes[:, 3].max() > 50  # pixels of the file
        torch.testing.assert_close(rows.features, features, rtol=1e-3, atol=1e-2)
        overlaps = box_iou(rows.boxes, target.boxes).max(dim=1).values
        assert torch.equal(rows.objects >= 0, overlaps >= 0.5)


def test_the_file_that_is_handed_back_detects_what_was_judged(adapter, data, checkpoint, tmp_path):
    dump = adapter.dump(data)
    weight, bias = with_background(*dump.classifier, has_one=True)
    weight, bias = weight.flip(0), bias.roll(1)  # another classifier
    path = adapter.hand_back(tmp_path, weight, bias)
    content, before = (torch.load(file, weights_only=True) for file in (path, checkpoint))
    assert content["epoch"] == 7
    changed = [k for k, v in content["model"].items() if not torch.equal(v, before["model"][k])]
    assert sorted(changed) == [f"roi_heads.box_predictor.cls_score.{x}" for x in ("bias", "weight")]
    model = theirs(content["model"])
    for ours, index in zip(detections(dump, data, (weight, bias)), range(4), strict=True):
        with torch.no_grad():
            assert_same(ours, model([data.val_set[index][0] / 255])[0])


def test_a_mask_rcnn_asks_for_no_masks_of_objects_and_keeps_all_its_weights(tmp_path):
    theirs_masks = detection.maskrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=4
    )
    torch.save(theirs_masks.state_dict(), tmp_path / "theirs.pth")
    where = {"checkpoint": str(tmp_path / "theirs.pth"), "dump": str(tmp_path / "dump")}
    adapter = TorchvisionAdapter("maskrcnn_resnet50_fpn", **where)
    model = adapter.build(theirs_masks.state_dict())
    assert not model.roi_heads.has_mask()
    assert model.state_dict().keys() == theirs_masks.state_dict().keys()


@pytest.mark.slow
@pytest.mark.parametrize(
    "builder",
    [
        "fasterrcnn_mobilenet_v3_large_fpn", "fasterrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn",
        "fasterrcnn_resnet50_fpn_v2", "maskrcnn_resnet50_fpn_v2",
    ],
)  # fmt: skip
def test_other_builders_are_judged_as_they_detect_and_load_what_is_handed_back(
    builder, data, tmp_path
):
    """Masks, too: the layer that classifies is the same, and nothing else of the file changes."""
    path = made(builder, tmp_path / "theirs.pth")
    where = {"checkpoint": str(path), "dump": str(tmp_path / "dump")}
    adapter = TorchvisionAdapter(builder, rois=24, **SIZES, **where)
    dump = adapter.dump(data)
    as_it_came = with_background(*dump.classifier, has_one=True)
    turned = as_it_came[0].flip(0), as_it_came[1].roll(1)
    back = adapter.hand_back(tmp_path / "run", *turned)
    for layer, file in ((as_it_came, path), (turned, back)):
        weights = torch.load(file, weights_only=True)["model"]
        model = theirs(weights, builder=builder)
        for index, ours in enumerate(detections(dump, data, layer)):
            with torch.no_grad():
                assert_same(ours, model([data.val_set[index][0] / 255])[0])


def test_training_rows_are_matched_as_a_plain_loop_matches(adapter, data):
    dump = adapter.dump(data)
    for index in range(len(data.train_set)):
        _, target = data.train_set[index]
        rows = dump.image("train", dump.place("train", target.image_id))
        assert len(rows.features) <= 24
        for box, label, own in zip(rows.boxes, rows.labels, rows.objects, strict=True):
            overlaps = box_iou(box[None], target.boxes)[0]
            if own < 0:
                assert label == 3
                assert overlaps.max() < 0.5 + 1e-4
            else:
                assert own == overlaps.argmax()
                assert overlaps.max() >= 0.5 - 1e-4
                assert label == target.labels[own]
        assert np.bincount(rows.extra_objects).tolist() == [16] * len(target.boxes)  # Eq. 10
        assert rows.logits is None


def test_a_dump_is_repeated_to_the_bit(adapter, data, tmp_path):
    first = adapter.dump(data).folder
    again = TorchvisionAdapter(
        BUILDER, rois=24, **SIZES, checkpoint=str(adapter.checkpoint.path),
        dump=str(tmp_path / "again"), shard=3,
    )  # fmt: skip
    torch.manual_seed(5)  # draws are the dump's own
    second = again.dump(data).folder
    for file in sorted(path.name for path in first.iterdir() if path.suffix != ".lock"):
        assert (first / file).read_bytes() == (second / file).read_bytes(), file


def test_a_run_of_another_seed_shares_the_dump(adapter, data, checkpoint):
    folder = adapter.dump(data).folder
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    again = {"checkpoint": str(checkpoint), "dump": str(folder), "shard": 3}
    data.seed = 7  # the run's
    TorchvisionAdapter(BUILDER, rois=24, **SIZES, **again).dump(data)
    assert before == {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(UserError, match=r"something else \(source.seed\)"):
        TorchvisionAdapter(BUILDER, rois=24, **SIZES, **again, seed=7).dump(data)


def test_a_checkpoint_of_another_detector_is_refused(weights, tmp_path):
    other = {k: v for k, v in weights.items() if "fpn.inner_blocks.0" not in k}
    torch.save(other, tmp_path / "other.pth")
    adapter = TorchvisionAdapter(
        BUILDER, checkpoint=str(tmp_path / "other.pth"), dump=str(tmp_path / "dump")
    )
    with pytest.raises(UserError, match=r"other.pth: not of this detector.*rebalance.builder"):
        _ = adapter.model


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"model": {"weight": "text"}}, "neither weights by name"),
        ([1, 2], "no dictionary"),
        ({"w": torch.zeros(2)}, "no roi_heads.box_predictor.cls_score.weight"),
        ({"model": pytest.raises}, "save the weights alone"),
    ],
)
def test_files_that_are_no_weights_are_refused(content, told, tmp_path):
    torch.save(content, tmp_path / "odd.pth")
    adapter = TorchvisionAdapter(BUILDER, checkpoint=str(tmp_path / "odd.pth"), dump="dump")
    with pytest.raises(UserError, match=told):
        _ = adapter.model


def test_a_missing_file_and_none_at_all_are_told():
    with pytest.raises(UserError, match=r"rebalance.checkpoint is not set"):
        TorchvisionAdapter(BUILDER, checkpoint=None, dump="dump")
    with pytest.raises(UserError, match=r"no/such.pth: no such file"):
        TorchvisionAdapter(BUILDER, checkpoint="no/such.pth", dump="dump")
