import torch

from bacl.detectors.fpn import FeaturePyramid


def identity_pyramid():
    """A pyramid of one channel whose convolutions pass their input on."""
    pyramid = FeaturePyramid((1, 1, 1), 1)
    for layer in [*pyramid.lateral, *pyramid.output]:
        torch.nn.init.dirac_(layer.weight)
    return pyramid


def test_sums_from_the_top_down_by_hand():
    features = [
        torch.full((1, 1, 8, 8), 1.0),
        torch.full((1, 1, 4, 4), 10.0),
        torch.zeros(1, 1, 2, 2),
    ]
    features[2][0, 0, 0, 1] = 100
    finest, middle, coarse, coarsest = identity_pyramid()(features)
    assert torch.equal(coarse, features[2])
    assert middle[0, 0].tolist() == [[10, 10, 110, 110]] * 2 + [[10] * 4] * 2
    assert finest[0, 0, 0].tolist() == [11] * 4 + [111] * 4
    assert finest[0, 0, 4].tolist() == [11] * 8
    assert coarsest.tolist() == [[[[0]]]]


def test_last_level_takes_every_second_position():
    features = [torch.zeros(1, 1, 20, 20), torch.zeros(1, 1, 10, 10), torch.rand(1, 1, 5, 5)]
    pyramid = identity_pyramid()(features)
    assert torch.equal(pyramid[3], features[2][:, :, ::2, ::2])


def test_odd_sizes_fit():
    features = [torch.rand(1, 2, 7, 9), torch.rand(1, 3, 4, 5), torch.rand(1, 4, 2, 3)]
    shapes = [tuple(x.shape) for x in FeaturePyramid((2, 3, 4), 6)(features)]
    assert shapes == [(1, 6, 7, 9), (1, 6, 4, 5), (1, 6, 2, 3), (1, 6, 1, 2)]
