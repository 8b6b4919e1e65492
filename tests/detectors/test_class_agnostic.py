"""A detector with four deltas for all classes, beside one that has the same four for each."""

from collections.abc import Callable

import pytest
import torch

from bacl.detectors.faster_rcnn import FasterRCNN

AGNOSTIC = "detector.box_regression.class_agnostic=true"
SIZE = (96, 128)


def twins(build: Callable[..., FasterRCNN], name: str) -> tuple[FasterRCNN, FasterRCNN]:
    """A class-agnostic detector, and a class-specific one whose classes share its deltas."""
    torch.manual_seed(0)
    agnostic, specific = build(name, AGNOSTIC), build(name)
    layer = agnostic.box_regression.fc
    torch.nn.init.normal_(layer.weight, std=0.1)
    torch.nn.init.normal_(layer.bias, std=0.1)
    state = agnostic.state_dict()
    state["box_regression.fc.weight"] = layer.weight.detach().repeat(agnostic.num_classes, 1)
    state["box_regression.fc.bias"] = layer.bias.detach().repeat(agnostic.num_classes)
    specific.load_state_dict(state)
    return agnostic.eval(), specific.eval()


@pytest.mark.parametrize("name", ["small", "mask_small"])
def test_detections_are_those_of_equal_deltas_for_each_class(build, name):
    detectors = twins(build, name)
    torch.manual_seed(1)
    picture, scores = torch.randn(1, 3, *SIZE), None
    found = []
    with torch.no_grad():
        for detector in detectors:
            (regions,) = detector.inference_regions(detector.pyramid(picture), [SIZE])
            count, classes = len(regions.proposals), detector.num_classes
            scores = torch.rand(count, classes + 1) if scores is None else scores
            found.append(detector.detect(regions, scores, SIZE))
    agnostic, specific = found
    assert len(agnostic.boxes) > 50
    torch.testing.assert_close(agnostic.boxes, specific.boxes, rtol=1e-4, atol=1e-3)
    assert torch.equal(agnostic.labels, specific.labels)
    assert torch.equal(agnostic.scores, specific.scores)


def test_losses_and_gradients_are_those_of_equal_deltas(build, target):
    agnostic, specific = twins(build, "small")
    targets = [target([[10.0, 10, 40, 50], [60, 20, 90, 45]], [3, 7], SIZE)]
    picture, losses = torch.randn(1, 3, *SIZE), []
    for detector in (agnostic, specific):
        torch.manual_seed(2)
        regions = detector.training_regions(detector.pyramid(picture), targets, {})
        regions.losses["box"].backward()
        losses.append(regions.losses["box"].detach())
    torch.testing.assert_close(*losses)
    own = agnostic.box_regression.fc.weight.grad
    each = specific.box_regression.fc.weight.grad.unflatten(0, (-1, 4))
    torch.testing.assert_close(own, each.sum(0), rtol=1e-4, atol=1e-6)
    trunk = [detector.box_head.state_dict(keep_vars=True) for detector in (agnostic, specific)]
    for name, parameter in trunk[0].items():
        torch.testing.assert_close(parameter.grad, trunk[1][name].grad, rtol=1e-4, atol=1e-6)


def test_boxes_that_are_blended_of_classes_cannot_be_agnostic(compose_config):
    from bacl.command.check import wrong_command

    config = compose_config(
        "+experiment=bacl_demo", "+box_regression@detector.box_regression=cab", AGNOSTIC
    )
    (line,) = wrong_command(config)
    assert line.startswith("detector.box_regression.class_agnostic=true: expected false")
