"""How many operators a training step launches: on a GPU, most of the time that it takes."""

import operators
import pytest


@pytest.fixture(scope="module")
def counted():
    with operators.as_on_a_gpu():
        return {name: operators.counted(step) for name, step in operators.steps().items()}


def launched(counted, name: str) -> int:
    return counted[name].launched.total()


def test_a_step_launches_few_operators(counted):
    assert launched(counted, "representation stage") <= 705
    assert launched(counted, "classifier stage") <= 600


def test_a_further_head_launches_fifteen(counted):
    few, more = (launched(counted, operators.of_heads(n)) for n in operators.HEADS)
    assert (more - few) / (operators.HEADS[1] - operators.HEADS[0]) <= 15  # its step too


def test_the_host_waits_as_often_for_nine_heads_as_for_two(counted):
    few, more = (counted[operators.of_heads(n)].waits for n in operators.HEADS)
    assert few == more
    assert few.total() - few["nms"] <= 4


def test_inference_launches_few_operators_and_few_more_for_each_image():
    with operators.as_on_a_gpu():
        one, six = (operators.counted(operators.inference(images)) for images in (1, 6))
    assert one.launched.total() <= 380
    # Of an image: the best of what suppression leaves, deltas of its candidates, its logits and
    # scores. Of six the levels are suppressed at once, by the longest chain of boxes.
    assert six.launched.total() - one.launched.total() <= 5 * 8 + 70
    assert (one.waits["nms"], six.waits["nms"]) == (5, 0)
    of_suppression = {"nms", "equal"}  # the latter by the longest chain, too
    few, more = (sum(n for name, n in x.waits.items() if name not in of_suppression)
                 for x in (one, six))  # fmt: skip
    assert (few, more) == (6, 7)  # the last: how many boxes the levels have left


def test_under_autocast_a_step_launches_few_casts_more():
    with operators.as_on_a_gpu():
        first, second, *_ = operators.steps(bf16=True).values()
        representation, classifier = (operators.counted(x).launched for x in (first, second))
    assert representation.total() <= 729
    assert classifier.total() <= 607
    # A list for each use of weights that learn, and for the levels that RoIs are cut out of,
    # forward and back; weights that do not learn are kept.
    assert representation["_foreach_copy_"] == 2 * (3 + 1 + 1 + 1 + 1) + 1
    assert classifier["_foreach_copy_"] == 2 * 1 + 1 + 1
