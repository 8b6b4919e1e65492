from types import SimpleNamespace

import pytest
import torch
from torch import nn

from bacl.assembly.build import build_stage
from bacl.assembly.data import open_data
from bacl.detectors.blended_regression import BlendedBoxRegression
from bacl.detectors.box_regression import BoxRegression
from bacl.detectors.boxes import BoxCoder
from bacl.detectors.matching import SampledRoIs

C, D = 3, 5
COUNTED = SimpleNamespace(frequency=["f", "r", "c"])
CODER = BoxCoder((0.1, 0.1, 0.2, 0.2))


def blended(*groups: str) -> BlendedBoxRegression:
    module = BlendedBoxRegression(D, C, CODER, COUNTED, groups or ("r", "c", "f"))
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module


def rois(labels: list[int]) -> SampledRoIs:
    boxes = torch.rand(len(labels), 4).sort(dim=1).values * 50 + torch.tensor([0.0, 0, 9, 9])
    positives = torch.arange(len(labels))
    objects = boxes + torch.rand(len(labels), 4)
    return SampledRoIs([boxes], torch.tensor(labels), positives, objects, positives, [positives])


@pytest.mark.parametrize(
    ("groups", "mixed"), [((), {0, 1, 2}), (("r",), {1}), (("r", "c"), {1, 2})]
)
def test_the_layer_of_a_category_is_the_mean_of_its_own_and_the_shared_one(groups, mixed):
    module, features = blended(*groups), torch.randn(4, D)
    deltas = module(features).unflatten(1, (C, 4))
    for label in range(C):
        rows = slice(4 * label, 4 * label + 4)
        weight, bias = module.fc.weight[rows], module.fc.bias[rows]
        if label in mixed:
            weight, bias = (module.shared.weight + weight) / 2, (module.shared.bias + bias) / 2
        torch.testing.assert_close(deltas[:, label], features @ weight.T + bias)


def test_worked_numbers():
    """W_0 = [1, 2], W_i = [3, -1]: [2, 0.5]."""
    module = BlendedBoxRegression(2, 1, CODER, SimpleNamespace(frequency=["r"]))
    module.shared.weight.data[:] = torch.tensor([1.0, 2.0])
    module.fc.weight.data[:] = torch.tensor([3.0, -1.0])
    assert module(torch.eye(2)).T.tolist() == [[2.0, 0.5]] * 4


def test_the_loss_is_that_of_all_deltas():
    module, features, sampled = blended("r"), torch.randn(6, D), rois([0, 1, 2, 1, 0, 2])
    whole = module(features).unflatten(1, (C, 4))
    own = whole[torch.arange(6), sampled.labels]
    targets = CODER.encode(sampled.object_boxes, sampled.boxes[0])
    expected = (own - targets).abs().sum() / 6
    torch.testing.assert_close(module.loss(features, sampled), expected)


def test_the_shared_layer_learns_from_blended_categories_alone():
    module, features = blended("r"), torch.randn(2, D)
    module.loss(features, rois([0, 2])).backward()
    assert not module.shared.weight.grad.any()
    module.loss(features, rois([0, 1])).backward()
    assert module.shared.weight.grad.any()


def test_without_blended_categories_it_is_the_plain_one():
    module, plain = blended("r"), BoxRegression(D, C, CODER)
    module.blended[:] = False
    plain.fc.load_state_dict(module.fc.state_dict())
    features = torch.randn(3, D)
    assert torch.equal(module(features), plain(features))


def test_a_detector_is_configured_with_it(tiny):
    config = tiny(
        "+box_regression@detector.box_regression=cab", "detector.box_regression.groups=[r]"
    )
    table = open_data(config)
    detector = build_stage(config, "classifier", pretrained=False).detector
    assert detector.box_regression.blended.tolist() == (table.frequency == "r").tolist()
    assert detector.box_regression(torch.zeros(2, 32)).shape == (2, 4 * table.num_categories)
