"""Exported detectors keep torchvision's conventions."""

import torch
from torch import nn

from bacl.assembly.build import build_stage
from bacl.data.batch import Detections
from bacl.export import ExportableDetector

CONVENTIONS = (
    "detector/parts@detector=torchvision",
    "detector.rpn.inference={per_level:50,total:50}",
    "detector.postprocess.score_threshold=0.01",
)


def test_detections_are_those_of_the_stage(tiny, detections_of, assert_same_detections):
    torch.manual_seed(0)
    config = tiny("data.num_classes=12", "~detector.rpn.anchors.scale", *CONVENTIONS)
    stage = build_stage(config, "classifier", pretrained=False).eval()
    nn.init.normal_(stage.heads["bacl"].classifiers[0].predictor.weight, std=0.5)
    nn.init.normal_(stage.detector.box_regression.fc.weight, std=0.1)
    assert not stage.detector.pooling.aligned
    assert stage.detector.postprocess.min_side > 0
    size = (75, 90)  # 96 columns are three cells of stride 32, two of 48
    picture = torch.randint(256, (3, *size), dtype=torch.uint8)
    model = ExportableDetector(stage.detector, stage.heads["bacl"])
    expected = detections_of(stage, picture, (96, 96), "bacl")
    canvas = torch.zeros(3, 96, 96, dtype=torch.uint8)
    canvas[:, : size[0], : size[1]] = picture
    outputs = [output[0] for output in model(canvas[None], torch.tensor([size]))]
    count = int((outputs[1] > 0).sum())
    assert count > 10
    assert_same_detections(Detections(*(each[:count] for each in outputs)), expected)
