"""Trees of classes, from files and from clusters, and what Forest R-CNN makes of them."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from bacl.data.statistics import CategoryStatistics
from bacl.losses import Forest, class_trees
from bacl.losses.class_trees import clustered, read_trees, write_trees
from bacl.messages.errors import OptionError

C = 6
SHAPES = SimpleNamespace(
    box_shapes=np.array([[0, 0], [0.1, 0], [5, 5], [5, 5.1], [0, 9], [0.1, 9]])
)


def groups(tree: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(tree == parent).tolist()) for parent in set(tree.tolist())}


def test_classes_of_like_shapes_have_one_parent():
    pairs = {frozenset({0, 1}), frozenset({2, 3}), frozenset({4, 5})}
    assert groups(clustered(SHAPES.box_shapes, 3, seed=0)) == pairs
    loss = Forest(C, [3], SHAPES, seed=0)
    assert groups(loss.tree_parents[0, :C].numpy()) == pairs
    assert loss.tree_parents[0, C] == 3  # background's own


def test_the_scale_of_a_coordinate_does_not_matter_and_the_seed_repeats():
    points = np.random.default_rng(0).random((40, 3))
    tree = clustered(points, 5, seed=1)
    assert groups(clustered(points * [1, 1000, 1e-3], 5, seed=1)) == groups(tree)
    assert (clustered(points, 5, seed=1) == tree).all()


def test_points_lie_nearest_to_the_mean_of_their_own_cluster():
    points = np.random.default_rng(0).standard_normal((60, 2))
    points /= points.std(axis=0)
    tree = clustered(points, 6, seed=0)
    means = np.stack([points[tree == parent].mean(axis=0) for parent in range(6)])
    distances = ((points[:, None] - means) ** 2).sum(axis=2)
    assert (distances.argmin(axis=1) == tree).all()


@pytest.mark.parametrize("points", [np.zeros((4, 2)), np.ones((1, 2))])
def test_classes_that_nothing_is_known_of_have_parents_too(points):
    tree = clustered(points, 50, seed=0)
    assert tree.shape == (len(points),)
    assert ((tree >= 0) & (tree < 50)).all()


def test_neither_unknown_shapes_nor_a_model_without_numbers_are_clustered(monkeypatch):
    monkeypatch.setattr(class_trees, "_first_centres", lambda *_: pytest.fail("was clustered"))
    labels = [str(label) for label in range(C)]
    unknown = Forest(C, [3, 1000], CategoryStatistics.unknown(labels), seed=0)
    assert unknown.tree_parents.tolist() == [[0] * C + [3], [0] * C + [1000]]
    with torch.device("meta"):
        assert Forest(C, [3], SHAPES, seed=0).tree_parents.shape == (1, C + 1)


def test_points_that_are_alike_have_one_parent_whatever_their_number():
    assert clustered(np.full((3, 2), 0.1), 2, seed=0).tolist() == [0, 0, 0]


def test_distances_are_in_memory_by_blocks_and_say_the_same(monkeypatch):
    points = np.random.default_rng(0).random((40, 3))
    tree, plain, sizes = clustered(points, 5, seed=1), class_trees._distances, []

    def sized(*args: np.ndarray) -> np.ndarray:
        sizes.append(plain(*args).size)
        return plain(*args)

    monkeypatch.setattr(class_trees, "BLOCK", 50)
    monkeypatch.setattr(class_trees, "_distances", sized)
    assert (clustered(points, 5, seed=1) == tree).all()
    assert max(sizes) == 50


def test_trees_of_a_file(tmp_path):
    file = tmp_path / "trees.json"
    write_trees(file, [np.array([0, 0, 1, 1, 2, 2]), np.array([1, 0, 1, 0, 1, 0])])
    loss = Forest(C, [3, 2], SHAPES, seed=0, trees=file)
    assert loss.tree_parents.tolist() == [[0, 0, 1, 1, 2, 2, 3], [1, 0, 1, 0, 1, 0, 2]]
    published = [[0, 0, 1, 1, 2, 2, 3], [0] * 7]
    file.write_text(json.dumps([published]))
    assert read_trees(file, [3], C).tolist() == [[0, 0, 1, 1, 2, 2]]
    file.write_text(json.dumps([[[0, 0, 1, 1, 2, 2], [0] * 6]]))
    assert read_trees(file, [3], C).tolist() == [[0, 0, 1, 1, 2, 2]]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "no trees of classes"),
        ("[[0, 0, 1]]", "trees.json: tree 0 has the parents of 3 classes, but the data have 6"),
        ("[[0, 0, 1, 1, 2, 2, 0]]", "tree 0 has the parents of 7 classes, but the data have 6"),
        ("[[0, 0, 1, 1, 2, 2, 3]]", "tree 0 has the parents of 7 classes, but the data have 6"),
        ("[[[0, 0, 1, 1, 2, 2, 2], [0]]]", "tree 0 has the parents of 7 classes, but the"),
        ("[[[0, 0, 1, 1, 2, 2, 0, 3], [0]]]", "tree 0 has the parents of 8 classes, but the"),
        (
            "[[0, 0, 1, 1, 2, 2], [0, 0, 0, 0, 0, 0]]",
            r"has 2 trees, where parents=\[3\] asks for 1",
        ),
        ("[[0, 0, 1, 1, 2, 3]]", r"a parent is not in \[0, parents\), for parents=\[3\]"),
        ('[["a", "b", "c", "d", "e", "f"]]', "a parent is no whole number"),
        ("[[0, 0, 1, 1, 2, 0.5]]", "a parent is no whole number"),
        ("[1]", "no trees of classes"),
    ],
)
def test_files_without_fitting_trees_are_refused(tmp_path, content, told):
    file = tmp_path / "trees.json"
    file.write_text(content)
    with pytest.raises(OptionError, match=told):
        Forest(C, [3], SHAPES, seed=0, trees=file)
    with pytest.raises(OptionError, match="no trees of classes"):
        Forest(C, [3], SHAPES, seed=0, trees=tmp_path / "absent.json")


def test_statistics_of_other_classes_are_refused():
    with pytest.raises(ValueError, match="has 6 classes, expected 5"):
        Forest(5, [3], SHAPES, seed=0)


def test_a_class_whose_parent_is_unlikely_scores_less():
    loss = Forest(C, [3], SHAPES, seed=0)
    logits = torch.zeros(2, loss.num_logits)
    parent = int(loss.tree_parents[0, 2])
    logits[1, C + 1 + parent] = 3.0
    before, after = loss.probabilities(logits)
    assert after[2] == after[3] > before[2]
    assert after[0] < before[0]
    torch.testing.assert_close(before, torch.full((C + 1,), 1 / (C + 1)))
