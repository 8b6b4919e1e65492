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
    return SampledRoIs([boxes[:2], boxes[2:]], labels, objects, truth, objects > 0)


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
