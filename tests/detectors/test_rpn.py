from dataclasses import replace

import pytest
import torch

BATCH = (128, 192)


@pytest.fixture
def rpn(build):
    return build("small", "detector.rpn.sampler.count=100000").rpn


@pytest.fixture
def examples(rpn, monkeypatch):
    """Runs a training step of the RPN: (targets, batch shape) -> x and y (S, 2) per image.

    These are the positions of the sampled anchors. With room for every example all are drawn.
    """

    def run(targets, batch=BATCH):
        shapes = [[-(-side // stride) for side in batch] for stride in rpn.anchors.strides]
        pyramid = [torch.randn(2, rpn.head.conv.in_channels, *shape) for shape in shapes]
        boxes = torch.cat(rpn.anchors(shapes))
        positions = (boxes[:, :2] + boxes[:, 2:]) / 2
        seen = []
        original = rpn.head.at
        with monkeypatch.context() as patch:
            patch.setattr(rpn.head, "at", lambda *args: seen.append(args) or original(*args))
            rpn(pyramid, targets)
        (_, images, anchors) = seen[0]
        return [positions[anchors[images == image]] for image in range(2)]

    return run


def test_no_anchor_of_the_batch_padding_is_an_example(examples, target):
    small = target([[8, 8, 40, 40]], [1], (50, 100))
    assert small.padded_size == (64, 128)
    first, second = examples([target([[8, 8, 40, 40]], [1], BATCH), small])
    # Up to the padding's edge, on the finest level, and not beyond.
    assert first.amax(0).tolist() == [188, 124]
    assert second.amax(0).tolist() == [124, 60]
    assert len(first) > 2 * len(second) > 0


def test_padding_of_its_own_is_part_of_an_image(examples, target):
    """As of a copy-paste canvas, on which objects may lie beside the picture."""
    small = target([[8, 8, 40, 40]], [1], (50, 100))
    canvas, own = examples([replace(small, padded_size=BATCH), small])
    assert canvas.amax(0).tolist() == [188, 124]
    assert own.amax(0).tolist() == [124, 60]


def test_an_image_has_the_same_examples_in_any_batch(examples, target):
    small = target([[60, 20, 100, 50]], [1], (50, 100))
    beside_large, _ = examples([small, target([[8, 8, 40, 40]], [1], BATCH)])
    alone, _ = examples([small, small], batch=(64, 128))
    assert torch.equal(beside_large.sort(0).values, alone.sort(0).values)
