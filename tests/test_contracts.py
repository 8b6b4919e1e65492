"""What others extend: a class that leaves a method of its contract out fails when it is made."""

from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn

from bacl.detectors.backbone import Backbone
from bacl.detectors.fpn import STRIDES
from bacl.detectors.region_detector import RegionDetector
from bacl.heads import AddedFeatures, Calibration, Predictor
from bacl.indicators import LongTermIndicator, ScalarIndicator
from bacl.losses import ClassificationLoss

PARTS = {"num_classes": 3, "feature_dim": 2, "backbone": nn.Identity(), "pooling": nn.Identity()}
PARTS["backbone"].channels, PARTS["backbone"].strides = (1,), STRIDES[:-1]
PARTS["pooling"].require_strides = lambda strides: None
PYRAMID = nn.Identity()
PYRAMID.channels, PYRAMID.strides = 1, lambda maps: STRIDES
PROPOSALS = nn.Identity()
PROPOSALS.anchors = SimpleNamespace(strides=STRIDES)
PARTS |= {"fpn": lambda channels: PYRAMID, "rpn": lambda channels: PROPOSALS}

CONTRACTS: dict[type[nn.Module], tuple[set[str], dict[str, Any]]] = {
    ClassificationLoss: ({"forward", "probabilities"}, {"num_classes": 3}),
    LongTermIndicator: ({"log_ratio", "strength"}, {"num_classes": 3}),
    ScalarIndicator: ({"values", "strength"}, {"num_classes": 3}),
    AddedFeatures: ({"added"}, {}),
    Calibration: ({"forward"}, {}),
    Predictor: ({"forward"}, {}),
    Backbone: ({"stages", "run_stage"}, {}),
    RegionDetector: (
        {"training_regions", "inference_regions", "run_layers", "fixed_regions"},
        PARTS,
    ),
}


def with_methods(contract: type[nn.Module], names: set[str]) -> type[nn.Module]:
    return type("Extension", (contract,), {name: lambda self: None for name in names})


@pytest.mark.parametrize("contract", CONTRACTS)
def test_a_class_with_every_method_of_the_contract_can_be_made(contract):
    methods, arguments = CONTRACTS[contract]
    assert isinstance(with_methods(contract, methods)(**arguments), nn.Module)


@pytest.mark.parametrize(
    ("contract", "forgotten"),
    [(contract, name) for contract, (methods, _) in CONTRACTS.items() for name in sorted(methods)],
)
def test_a_class_that_forgets_a_method_cannot_be_made(contract, forgotten):
    methods, arguments = CONTRACTS[contract]
    with pytest.raises(TypeError, match=rf"abstract method '?{forgotten}'?"):
        with_methods(contract, methods - {forgotten})(**arguments)
