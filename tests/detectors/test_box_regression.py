import pytest
import torch

from bacl.detectors.box_regression import BoxRegression
from bacl.detectors.boxes import BoxCoder
from bacl.detectors.matching import BACKGROUND, SampledRoIs

CLASSES, DIM = 5, 6


@pytest.fixture
def regression():
    layer = BoxRegression(DIM, CLASSES, BoxCoder((0.1, 0.1, 0.2, 0.2)))
    torch.nn.init.normal_(layer.fc.weight)
    torch.nn.init.normal_(layer.fc.bias)
    return layer


def random_rois(labels):
    labels = torch.tensor(labels, dtype=torch.int64)
    corner = torch.rand(len(labels), 2) * 20
    boxes = torch.cat((corner, corner + 5 + torch.rand(len(labels), 2)), 1)
    objects = torch.where(labels == CLASSES, BACKGROUND, 0)
    truth = torch.where(
        labels.unsqueeze(1) == CLASSES, torch.zeros(4), boxes + torch.rand_like(boxes)
    )
    rows = (labels < CLASSES).nonzero().flatten()
    positives = [rows[rows < 2], rows[rows >= 2]]
    return SampledRoIs(
        [boxes[:2], boxes[2:]], labels, objects, truth, -(objects > 0).long(), positives
    )


def loop_loss(layer, features, rois):
    deltas = layer(features)
    boxes, total = torch.cat(rois.boxes), deltas.sum() * 0
    for row, label in enumerate(rois.labels.tolist()):
        if label < CLASSES:
            goal = layer.coder.encode(rois.object_boxes[row : row + 1], boxes[row : row + 1])[0]
            total = total + (deltas[row, 4 * label : 4 * label + 4] - goal).abs().sum()
    return total / len(features)


def test_loss_and_gradients_equal_the_dense_loop(regression):
    rois = random_rois([3, 5, 0, 3, 5, 5, 4])
    features = torch.rand(7, DIM, requires_grad=True)
    inputs = [features, *regression.parameters()]
    results = []
    for loss in (regression.loss(features, rois), loop_loss(regression, features, rois)):
        results.append([loss, *torch.autograd.grad(loss, inputs)])
    for sparse, dense in zip(*results, strict=True):
        torch.testing.assert_close(sparse, dense)


@pytest.mark.parametrize("labels", [[5, 5, 5], []])
def test_no_positives_give_zero_with_a_graph(regression, labels):
    loss = regression.loss(torch.rand(len(labels), DIM), random_rois(labels))
    assert loss == 0
    loss.backward()
    assert not regression.fc.weight.grad.any()
    assert not regression.fc.bias.grad.any()


def test_gradient_reaches_the_layer_from_frozen_features(regression):
    regression.loss(torch.rand(3, DIM), random_rois([1, 5, 5])).backward()
    touched = regression.fc.weight.grad.unflatten(0, (CLASSES, 4)).abs().sum((1, 2)) > 0
    assert touched.tolist() == [False, True, False, False, False]


def test_initial_weights_are_small():
    layer = BoxRegression(100, 30, BoxCoder((1, 1, 1, 1)))
    assert layer.fc.weight.std().item() == pytest.approx(0.001, rel=0.1)
    assert not layer.fc.bias.any()


def test_smooth_l1_is_half_the_square_below_beta():
    layer = BoxRegression(DIM, CLASSES, BoxCoder((0.1, 0.1, 0.2, 0.2)), beta=0.5)
    torch.nn.init.zeros_(layer.fc.weight)
    with torch.no_grad():
        layer.fc.bias.copy_(torch.tensor([0.2, -0.4, 0.5, 2.0]).repeat(CLASSES))
    box = torch.tensor([[0.0, 0, 10, 10]])
    rois = SampledRoIs(
        [box.repeat(2, 1)], torch.tensor([1, 5]), torch.tensor([0, -1]),
        torch.cat((box, torch.zeros(1, 4))), torch.tensor([0, 1]), [torch.tensor([0])],
    )  # fmt: skip
    # 0.2² / (2 · 0.5) + 0.4² / 1 + 0.5 - 0.25 + 2 - 0.25 = 2.2, over two RoIs
    assert layer.loss(torch.rand(2, DIM), rois).item() == pytest.approx(1.1)


@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_class_agnostic_deltas_serve_every_class(beta):
    layer = BoxRegression(DIM, CLASSES, BoxCoder((0.1, 0.1, 0.2, 0.2)), beta, class_agnostic=True)
    torch.nn.init.normal_(layer.fc.weight)
    features = torch.rand(7, DIM)
    assert layer(features).shape == (7, 4)
    rois = random_rois([3, 5, 0, 3, 5, 5, 4])
    positives = [0, 2, 3, 6]
    goals = layer.coder.encode(rois.object_boxes[positives], torch.cat(rois.boxes)[positives])
    errors = (layer(features)[positives] - goals).abs()
    if beta:
        errors = torch.where(errors < 1, errors.square() / 2, errors - 0.5)
    loss = layer.loss(features, rois)
    torch.testing.assert_close(loss, errors.sum() / 7)
    rois.labels = torch.where(rois.labels < CLASSES, 1, CLASSES)
    assert torch.equal(layer.loss(features, rois), loss)
