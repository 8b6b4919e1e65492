import pytest
import torch
from torch import nn

from bacl.assembly.build import build_stage
from bacl.stages import DetectionStage


@pytest.fixture(scope="session")
def stage(tiny) -> DetectionStage:
    """A narrow detector with random weights that finds much, of every category."""
    torch.manual_seed(0)
    stage = build_stage(tiny("data.num_classes=12"), "classifier", pretrained=False).eval()
    nn.init.normal_(stage.heads["bacl"].classifiers[0].predictor.weight, std=0.5)
    nn.init.normal_(stage.detector.box_regression.fc.weight, std=0.1)
    return stage
