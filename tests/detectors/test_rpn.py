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
        original = rpn.head.find
        with monkeypatch.context() as patch:
            patch.setattr(rpn.head, "find", lambda *args: seen.append(args) or original(*args))
            rpn(pyramid, targets)
        (_, images, anchors, _) = seen[0]
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


@pytest.mark.parametrize("beta", [0.0, 0.2])
def test_box_loss_is_smooth_below_beta(build, target, monkeypatch, beta):
    rpn = build("small", f"detector.rpn.beta={beta}").rpn
    seen = {}
    at, encode = rpn.head.at, rpn.coder.encode

    def spy(name, original, *args):
        seen[name] = original(*args)
        return seen[name]

    monkeypatch.setattr(rpn.head, "at", lambda *args: spy("outputs", at, *args))
    monkeypatch.setattr(rpn.coder, "encode", lambda *args: spy("goals", encode, *args))
    pyramid = [torch.randn(1, 64, 32 // 2**level, 32 // 2**level) for level in range(5)]
    _, losses = rpn(pyramid, [target([[10.0, 20, 60, 90]], [0], (128, 128))])
    logits, deltas = seen["outputs"]
    goals = seen["goals"]
    expected = 0.0
    for error in (deltas[: len(goals)] - goals).abs().flatten().tolist():
        expected += error**2 / (2 * beta) if error < beta else error - beta / 2
    assert len(goals) > 0
    assert losses["rpn_box"].item() == pytest.approx(expected / len(logits), rel=1e-5)
