from dataclasses import replace

import pytest
import torch

BATCH = (128, 192)


@pytest.fixture
def rpn(build):
    return build("small", "detector.rpn.sampler.count=100000").rpn


@pytest.fixture
def sampled(rpn, monkeypatch):
    """Runs a training step of the RPN: targets -> sampled (images, anchors)."""

    def run(targets):
        seen = []
        original = rpn.head.at

        def at(pyramid, images, anchors):
            seen.append((images, anchors))
            return original(pyramid, images, anchors)

        monkeypatch.setattr(rpn.head, "at", at)
        rpn(pyramid_of(rpn), targets)
        return seen[0]

    return run


def pyramid_of(rpn):
    shapes = [(-(-BATCH[0] // stride), -(-BATCH[1] // stride)) for stride in rpn.anchors.strides]
    return [torch.randn(2, rpn.head.conv.in_channels, *shape) for shape in shapes]


def centres(rpn):
    """(N, 2) x and y of the grid position of every anchor."""
    boxes = torch.cat(rpn.anchors([(x.shape[2], x.shape[3]) for x in pyramid_of(rpn)]))
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def test_no_anchor_of_the_batch_padding_is_an_example(rpn, sampled, target):
    targets = [target([[8, 8, 40, 40]], [1], BATCH), target([[8, 8, 40, 40]], [1], (50, 100))]
    images, anchors = sampled(targets)
    x, y = centres(rpn)[anchors].unbind(1)
    assert targets[1].padded_size == (64, 128)
    # With room for every example all negatives are drawn: up to the padding's edge, not beyond.
    assert (x[images == 0].max(), y[images == 0].max()) == (188, 124)
    assert (x[images == 1].max(), y[images == 1].max()) == (124, 60)


def test_padding_of_its_own_is_part_of_an_image(rpn, sampled, target):
    """A copy-paste canvas: objects may lie beside the destination's picture."""
    one = target([[8, 8, 40, 40]], [1], (50, 100))
    images, anchors = sampled([replace(one, padded_size=BATCH), one])
    x, y = centres(rpn)[anchors[images == 0]].unbind(1)
    assert (x.max(), y.max()) == (188, 124)


def test_an_image_has_the_same_examples_in_any_batch(rpn, sampled, target, monkeypatch):
    """Matches too, where the anchor that overlaps an object most would lie in the padding."""
    small = target([[60, 20, 100, 50]], [1], (50, 100))
    large = target([[8, 8, 40, 40]], [1], BATCH)
    images, anchors = sampled([small, large])
    beside = {tuple(row) for row in centres(rpn)[anchors[images == 0]].tolist()}
    monkeypatch.setattr("test_rpn.BATCH" if False else f"{__name__}.BATCH", (64, 128))
    images, anchors = sampled([small, small])
    assert {tuple(row) for row in centres(rpn)[anchors[images == 0]].tolist()} == beside
