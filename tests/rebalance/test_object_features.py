import torch

from bacl.rebalance.dumped_batch import DumpedRows
from bacl.rebalance.object_features import object_features


def rows(**changes):
    """Two images of two objects: two rows of the first, one of background, one of the last."""
    return DumpedRows(
        features=torch.tensor([[1.0, 0.0], [3.0, 0.0], [9.0, 9.0], [0.0, 5.0]]),
        boxes=torch.zeros(4, 4),
        counts=[3, 1],
        objects=torch.tensor([0, 0, -1, 1]),
        foreground=torch.tensor([0, 1, 3]),
        **changes,
    )


def test_matched_rows_stand_for_an_object_where_none_are_repeated():
    found = object_features(rows(), [2, 2])
    assert found.tolist() == [[2.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 5.0]]
    assert found.dtype == torch.float64


def test_repeated_rows_are_taken_before_matched_ones():
    extra = {
        "extra_features": torch.tensor([[4.0, 2.0], [0.0, 4.0], [7.0, 7.0]]),
        "extra_objects": torch.tensor([0, 0, 1]),  # of all objects of the batch
    }
    found = object_features(rows(**extra), [2, 2])
    assert found.tolist() == [[2.0, 3.0], [7.0, 7.0], [0.0, 0.0], [0.0, 5.0]]


def test_a_repeated_feature_of_zeros_is_one():
    extra = {"extra_features": torch.zeros(1, 2), "extra_objects": torch.tensor([3])}
    assert object_features(rows(**extra), [2, 2])[3].tolist() == [0.0, 0.0]


def test_an_image_without_objects_has_none():
    empty = DumpedRows(
        torch.ones(1, 2), torch.zeros(1, 4), [1],
        objects=torch.tensor([-1]), foreground=torch.zeros(0, dtype=torch.int64),
    )  # fmt: skip
    assert object_features(empty, [0]).shape == (0, 2)
