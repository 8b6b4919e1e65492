"""The detector, its training and its detections give what the published code gave."""

from dataclasses import replace

import pytest
import torch

from tests.published.groups import GROUPS
from tests.published.recorded import CLASSES, NotRecordedError, pyramid, stage, targets


@pytest.mark.parametrize("name", GROUPS)
def test_recorded_numbers(name):
    try:
        differences = list(GROUPS[name]())
    except NotRecordedError as reason:
        pytest.skip(str(reason))
    assert differences
    assert [row for row in differences if not row.agrees] == []


def test_regions_without_objects_have_zero_box_loss_and_a_graph():
    none = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    detector = stage("representation").detector
    detector.zero_grad()
    regions = detector.training_regions(pyramid(), [replace(t, **none) for t in targets()])
    assert (regions.levels[0].labels == CLASSES).all()
    assert regions.losses["box"] == 0
    assert regions.losses["rpn_box"] == 0
    sum(regions.losses.values()).backward()
    assert not detector.box_regression.fc.weight.grad.any()
    assert detector.rpn.head.conv.weight.grad.any()
    detector.zero_grad()
