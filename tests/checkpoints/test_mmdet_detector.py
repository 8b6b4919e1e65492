"""Files of MMDetection and of the paper's release as the start of a training."""

import re
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from torch import nn

from bacl.assembly.build import build_stage, only_head
from bacl.checkpoints.category_match import CategoryMatch
from bacl.checkpoints.detector_start import DetectorStart
from bacl.checkpoints.mmdet import published_state
from bacl.checkpoints.mmdet_detector import is_mmdet, mmdet_detector
from bacl.checkpoints.mmdet_file import PublishedFile, read_published
from bacl.detectors.mask_head import NormalisedMaskPredictor, PlainMaskPredictor
from bacl.losses import BinaryCrossEntropyWithObjectness, SoftmaxCrossEntropy
from bacl.runs.carried_rows import carried_rows

CONF = Path(__file__).parents[2] / "conf"
SMALL = (
    "detector.feature_dim=16", "detector.backbone.width=8", "detector.fpn.channels=8",
    "detector.rpn.channels=8", "data.num_classes=3",
)  # fmt: skip
NAMES = ("ant", "bee", "cat")
STOCK = """
model = dict(rpn_head=dict(loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=True)),
    roi_head=dict(bbox_head=dict(type='Shared2FCBBoxHead',
        loss_cls=dict(
            type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)),
        mask_head=dict(type='FCNMaskHead')))
"""


def built(*overrides: str, stage: str = "end_to_end") -> tuple[nn.Module, nn.Module]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        pipeline = [f"pipeline={stage}"] if stage == "end_to_end" else []
        config = compose("config", overrides=[*SMALL, *pipeline, *overrides])
    made = build_stage(config, stage, pretrained=False)
    return made.detector, made.live_heads[only_head(made, stage)]


def file(detector: nn.Module, head: nn.Module, config: str = "") -> PublishedFile:
    state = published_state(detector, head)
    return PublishedFile(Path("theirs.pth"), state, NAMES, config)


@pytest.mark.parametrize("kind", ["small", "cascade_small", "mask_small"])
def test_all_of_it_has_its_place(kind):
    options = f"detector={kind}", "head=cross_entropy"
    old, new = built(*options), built(*options, "seed=1")
    for value in (*old[0].parameters(), *old[1].parameters()):
        nn.init.normal_(value)
    normed = STOCK.replace("FCNMaskHead'", "FCNMaskHead', conv_cfg=dict(type='NormedConv2d')")
    theirs = file(*old, normed)
    assert is_mmdet(theirs)
    trained = mmdet_detector(theirs)
    assert trained.mask_predictor is NormalisedMaskPredictor
    match = CategoryMatch.of(NAMES, trained.names)
    start = DetectorStart.of(new[0], trained, match)
    assert not start.left_out
    assert not start.lacking
    new[0].load_state_dict(new[0].state_dict() | start.state)
    carried_rows("any", new[1], trained, match).load()
    for one, other in zip(old, new, strict=True):
        for key, value in one.named_parameters():
            assert torch.equal(value, other.get_parameter(key)), key


def test_what_scores_of_a_classifier_mean_stands_in_the_configuration():
    theirs = built("head=cross_entropy")
    for config, loss in (
        (STOCK, SoftmaxCrossEntropy),
        (STOCK.replace("use_sigmoid=False", "use_sigmoid=True"), None),
        (STOCK.replace("CrossEntropyLoss', use_sigmoid=False", "SeesawLoss'"), None),
        ("", None),
    ):
        trained = mmdet_detector(file(*theirs, config))
        (head,) = trained.heads.values()
        assert head.loss is loss
        assert trained.mask_predictor is (PlainMaskPredictor if config else None)
    own = built("head=cross_entropy")[1]
    told = carried_rows("any", own, trained, CategoryMatch.of(NAMES, NAMES)).without
    assert told == "bbox_head: how it scores is not known"


def test_the_papers_classifier_has_sigmoids():
    theirs = file(*built("head=bacl", stage="classifier"))
    trained = mmdet_detector(theirs)
    (head,) = trained.heads.values()
    assert head.loss is BinaryCrossEntropyWithObjectness
    statistics = {"loss_cls.cm_numerator", "loss_cls.num_gt", "feature_prototype"}
    assert statistics <= {re.sub(r".*bbox_head\.", "", key) for key in trained.left_out}


def test_a_files_configuration_and_names(tmp_path):
    for note, names in (("config", "CLASSES"), ("cfg", "dataset_meta")):
        said = {"CLASSES": NAMES} if names == "CLASSES" else {names: {"classes": NAMES}}
        content = {"meta": {note: STOCK} | said, "state_dict": {"neck.x": torch.zeros(1)}}
        torch.save(content, tmp_path / "file.pth")
        found = read_published(tmp_path / "file.pth")
        assert found.config == STOCK
        assert found.category_names == NAMES


CASCADE_R101 = ["roi_head.bbox_head.1.fc_reg.weight", "backbone.layer3.22.conv1.weight"]


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (CASCADE_R101, "cascade_rcnn_r101"),
        (["roi_head.mask_head.conv_logits.weight"], "mask_rcnn_r50"),
        (["roi_head.bbox_head.fc_reg.weight"], "faster_rcnn_r50"),
    ],
)
def test_the_detector_that_takes_all_of_it(keys, told):
    state = dict.fromkeys(keys, torch.zeros(1))
    assert mmdet_detector(PublishedFile(Path("x"), state, None)).suggestion == f"detector={told}"
