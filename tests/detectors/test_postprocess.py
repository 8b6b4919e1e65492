from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor

from bacl.data.batch import Detections
from bacl.detectors import class_suppression, postprocess, ranking
from bacl.detectors.class_suppression import greatest_tolerated
from bacl.detectors.postprocess import Postprocess

SIZE = (120, 160)


def shifted(deltas: Tensor, boxes: Tensor) -> Tensor:
    return boxes + deltas


def plain_loop(
    proposals: Tensor,
    deltas: Tensor,
    probabilities: Tensor,
    size: tuple[int, int],
    threshold: float,
    iou: float,
    limit: int,
) -> Detections:
    """Decode everything, suppress class by class, sort all survivors."""
    height, width = size
    classes = probabilities.shape[1] - 1
    boxes = proposals[:, None] + deltas.unflatten(1, (-1, 4)).expand(-1, classes, -1)
    boxes = boxes.clamp(torch.zeros(4), torch.tensor([width, height, width, height]))
    survives = torch.zeros(len(proposals), classes, dtype=torch.bool)
    for column in range(classes):
        scores = probabilities[:, column]
        rows = (scores > threshold).nonzero().squeeze(1)
        keep = torchvision.ops.nms(boxes[rows, column], scores[rows], iou)
        survives[rows[keep], column] = True
    proposal, label = survives.nonzero(as_tuple=True)
    scores = probabilities[proposal, label]
    order = scores.argsort(descending=True, stable=True)[:limit]
    return Detections(boxes[proposal, label][order], scores[order], label[order])


def random_case(
    num_proposals: int, classes: int, levels: int = 0, shared: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Proposals around a few objects; with `levels`, scores take that many values: ties."""
    centres = torch.rand(6, 2)[torch.randint(6, (num_proposals,))] * 100 + 20
    centres = centres + 4 * torch.randn(num_proposals, 2)
    half = 10 + 15 * torch.rand(num_proposals, 2)
    proposals = torch.cat((centres - half, centres + half), dim=1)
    deltas = 3 * torch.randn(num_proposals, 4 if shared else 4 * classes)
    probabilities = torch.rand(num_proposals, classes + 1)
    if levels:
        probabilities = (probabilities * levels).ceil() / levels
    return proposals, deltas, probabilities


def assert_same(actual: Detections, expected: Detections) -> None:
    torch.testing.assert_close(actual.labels, expected.labels, rtol=0, atol=0)
    torch.testing.assert_close(actual.scores, expected.scores, rtol=0, atol=0)
    torch.testing.assert_close(actual.boxes, expected.boxes, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("num_proposals", "classes", "levels", "threshold", "limit"),
    [
        pytest.param(200, 40, 0, 1e-4, 30, id="many-classes"),
        pytest.param(300, 1, 0, 1e-4, 30, id="one-class"),
        pytest.param(300, 3, 0, 1e-4, 10_000, id="everything-kept"),
        pytest.param(200, 40, 3, 1e-4, 30, id="three-score-values"),
        pytest.param(150, 20, 1, 1e-4, 7, id="all-scores-equal"),
        pytest.param(200, 40, 0, 0.9, 300, id="high-threshold"),
        pytest.param(200, 40, 2, 0.5, 50, id="threshold-is-a-score"),
        pytest.param(1, 5, 0, 1e-4, 3, id="one-proposal"),
        pytest.param(900, 4, 0, 1e-4, 290, id="several-blocks"),
    ],
)
@pytest.mark.parametrize("iou", [0.3, 0.5, 0.7])
def test_equals_plain_loop(
    num_proposals: int, classes: int, levels: int, threshold: float, limit: int, iou: float
) -> None:
    case = random_case(num_proposals, classes, levels)
    expected = plain_loop(*case, SIZE, threshold, iou, limit)
    assert len(expected.labels) > 0
    assert_same(Postprocess(threshold, iou, limit, shifted)(*case, SIZE), expected)


def test_block_size_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    case = random_case(150, 6, levels=5)
    expected = plain_loop(*case, SIZE, 1e-4, 0.5, 100)
    monkeypatch.setattr(postprocess, "BLOCK", 7)
    assert_same(Postprocess(1e-4, 0.5, 100, shifted)(*case, SIZE), expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_equals_cpu() -> None:
    case = random_case(200, 40, levels=20)
    rule = Postprocess(1e-4, 0.5, 300, shifted)
    proposals, deltas, probabilities = (part.cuda() for part in case)
    found = rule(proposals, deltas, probabilities, SIZE)
    assert found.boxes.is_cuda
    assert_same(found.to("cpu"), rule(*case, SIZE))


def test_classes_share_deltas() -> None:
    case = random_case(100, 12, shared=True)
    expected = plain_loop(*case, SIZE, 1e-4, 0.5, 40)
    assert_same(Postprocess(1e-4, 0.5, 40, shifted)(*case, SIZE), expected)


def test_everything_but_one_per_class_is_suppressed() -> None:
    proposals = torch.tensor([10.0, 20, 50, 60]).repeat(800, 1)
    probabilities = torch.rand(800, 6)
    found = Postprocess(1e-4, 0.5, 300, shifted)(
        proposals, torch.zeros(800, 20), probabilities, SIZE
    )
    best = probabilities[:, :5].amax(0).sort(descending=True)
    torch.testing.assert_close(found.scores, best.values, rtol=0, atol=0)
    torch.testing.assert_close(found.labels, best.indices)


def test_ties_rank_by_proposal_then_label() -> None:
    proposals = torch.tensor([[0.0, 0, 10, 10], [50, 50, 60, 60]])
    found = Postprocess(0.1, 0.5, 3, shifted)(
        proposals, torch.zeros(2, 12), torch.full((2, 4), 0.25), SIZE
    )
    assert found.labels.tolist() == [0, 1, 2]
    torch.testing.assert_close(found.boxes, proposals[[0, 0, 0]])


def test_only_a_survivor_suppresses() -> None:
    """Overlaps 1-2 and 2-3 exceed the threshold, 1-3 does not: 2 is dropped and cannot drop 3."""
    proposals = torch.tensor([[0.0, 0, 10, 10], [3, 0, 13, 10], [6, 0, 16, 10]])
    probabilities = torch.tensor([[0.9, 0], [0.8, 0], [0.7, 0]])
    found = Postprocess(0.1, 0.5, 9, shifted)(proposals, torch.zeros(3, 4), probabilities, SIZE)
    torch.testing.assert_close(found.scores, torch.tensor([0.9, 0.7]))


def test_equal_overlap_survives_unless_told() -> None:
    """Intersection 50, union 100: IoU is exactly 0.5."""
    proposals = torch.tensor([[0.0, 0, 10, 10], [0, 5, 10, 10]])
    case = proposals, torch.zeros(2, 4), torch.tensor([[0.9, 0], [0.8, 0]]), SIZE
    assert len(Postprocess(0.1, 0.5, 9, shifted)(*case).labels) == 2
    assert len(Postprocess(0.1, 0.5, 9, shifted, suppress_equal=True)(*case).labels) == 1


@pytest.mark.parametrize("iou", [0.1, 0.3, 0.5, 0.7, 1.0])
def test_threshold_is_exact_in_float32(iou: float) -> None:
    """The greatest float32 on the keeping side of a threshold that float32 may not hold."""
    for suppress_equal in (False, True):
        tolerated = greatest_tolerated(iou, suppress_equal)
        above = float(np.nextafter(np.float32(tolerated), np.float32(2)))
        kept, dropped = (
            (tolerated < iou, above >= iou) if suppress_equal else (tolerated <= iou, above > iou)
        )
        assert kept
        assert dropped


def test_boxes_are_decoded_only_for_candidates_taken() -> None:
    decoded = []

    def counting(deltas: Tensor, boxes: Tensor) -> Tensor:
        decoded.append(len(deltas))
        return boxes

    case = random_case(300, 50)
    assert len(Postprocess(1e-4, 0.5, 10, counting)(*case, SIZE).labels) == 10
    assert sum(decoded) < 300 * 50 / 50


def test_boxes_are_clipped_and_background_is_ignored() -> None:
    proposals = torch.tensor([[-5.0, -6, 500, 400]])
    found = Postprocess(0.1, 0.5, 9, shifted)(
        proposals, torch.zeros(1, 8), torch.tensor([[0.1, 0.3, 0.9]]), SIZE
    )
    assert found.labels.tolist() == [1]
    assert found.boxes.tolist() == [[0, 0, 160, 120]]


@pytest.mark.parametrize("num_proposals", [0, 5])
def test_nothing_above_threshold(num_proposals: int) -> None:
    found = Postprocess(0.5, 0.5, 9, shifted)(
        torch.zeros(num_proposals, 4),
        torch.zeros(num_proposals, 12),
        torch.full((num_proposals, 4), 0.5),
        SIZE,
    )
    assert found.boxes.shape == (0, 4)
    assert found.scores.shape == found.labels.shape == (0,)
    assert (found.boxes.dtype, found.labels.dtype) == (torch.float32, torch.int64)


def test_diverged_model_is_an_error() -> None:
    proposals, deltas, probabilities = random_case(20, 3)
    rule = Postprocess(1e-4, 0.5, 9, shifted)
    with pytest.raises(ValueError, match="probabilities"):
        rule(proposals, deltas, probabilities.index_fill(0, torch.tensor([4]), torch.nan), SIZE)
    with pytest.raises(ValueError, match="deltas"):
        rule(proposals, deltas * torch.nan, probabilities, SIZE)


@pytest.mark.parametrize("wrong", [(-0.1, 0.5, 9), (0.1, 0.0, 9), (0.1, 1.1, 9), (0.1, 0.5, 0)])
def test_arguments_out_of_range(wrong: tuple[float, float, int]) -> None:
    with pytest.raises(ValueError, match="give a number"):
        Postprocess(*wrong, shifted)


def test_recorded_suppression(shared: Path) -> None:
    """Published multiclass suppression of 60 x 7 boxes; the recording kernel was the CPU's."""
    recorded = np.load(shared / "published" / "e_nms.npz")
    boxes, scores = torch.from_numpy(recorded["small_boxes"]), recorded["small_scores"]
    rule = Postprocess(float(recorded["small_thr"]), 0.5, 300, shifted, suppress_equal=True)
    found = rule(
        torch.zeros(len(boxes), 4), boxes.flatten(1), torch.from_numpy(scores), (10_000, 10_000)
    )
    expected = torch.from_numpy(recorded["small_dets"])
    torch.testing.assert_close(found.labels, torch.from_numpy(recorded["small_labels"]))
    torch.testing.assert_close(found.scores, expected[:, 4], rtol=0, atol=0)
    torch.testing.assert_close(found.boxes, expected[:, :4], rtol=0, atol=0)


@pytest.mark.parametrize("model", ["baseline", "representation", "classifier"])
@pytest.mark.parametrize("image", [0, 1])
def test_recorded_detections_stay(shared: Path, model: str, image: int) -> None:
    """Published detections survived suppression, so suppressing them again changes nothing."""
    recorded = np.load(shared / "published" / "e_detections_C30.npz")
    prefix = f"{model}_thr0.0001_rescale0_img{image}"
    detections = torch.from_numpy(recorded[f"{prefix}_bboxes"])
    labels = torch.from_numpy(recorded[f"{prefix}_labels"])
    probabilities = torch.zeros(len(labels), 31)
    probabilities[torch.arange(len(labels)), labels] = detections[:, 4]
    rule = Postprocess(1e-4, 0.5, 300, shifted, suppress_equal=True)
    found = rule(detections[:, :4], torch.zeros(len(labels), 4), probabilities, (256, 320))
    torch.testing.assert_close(found.labels, labels)
    torch.testing.assert_close(found.boxes, detections[:, :4], rtol=0, atol=0)


@pytest.mark.parametrize("block", [7, 2048])
@pytest.mark.parametrize("by_numpy_on", [("cpu",), ()])
def test_images_together_give_what_each_gives_alone(
    block: int, by_numpy_on: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of different numbers of proposals, with ties; some have too few candidates, or none."""
    monkeypatch.setattr(postprocess, "BLOCK", block)
    monkeypatch.setattr(ranking, "ALONE_ON", by_numpy_on)
    monkeypatch.setattr(class_suppression, "ON_HOST", by_numpy_on)
    rule = Postprocess(0.3, 0.5, 25, shifted)
    cases = [random_case(count, 5, levels=4) for count in (200, 0, 30, 1, 90)]
    cases[2][2].mul_(0.2)  # below the threshold
    sizes = [(120, 160), (50, 50), (120, 160), (90, 100), (40, 160)]
    found = rule.together(*zip(*cases, strict=True), sizes)
    assert [len(each.labels) > 0 for each in found[:3]] == [True, False, False]
    assert len(found[0].labels) == 25
    for each, case, size in zip(found, cases, sizes, strict=True):
        alone = rule(*case, size)
        assert_same(each, alone)
        assert_same(each, plain_loop(*case, size, 0.3, 0.5, 25))


@pytest.mark.filterwarnings("error")
def test_pairs_are_compared_on_the_host_as_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of boxes that are empty, turned round, huge or not finite, without a warning."""
    odd = torch.tensor([0.0, -0.0, torch.inf, -torch.inf, torch.nan, 1e-45, 3e38, 2e19])
    drawn = torch.randint(0, len(odd), (60, 4))
    boxes = torch.where(torch.rand(60, 4) < 0.2, odd[drawn], torch.rand(60, 4) * 9)
    pairs = torch.cartesian_prod(torch.arange(60), torch.arange(60)).unbind(1)
    on_host = class_suppression._iou(boxes, boxes, *pairs)
    monkeypatch.setattr(class_suppression, "ON_HOST", ())
    elsewhere = class_suppression._iou(boxes, boxes, *pairs)
    torch.testing.assert_close(on_host, elsewhere, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("ranked_alone_on", [("cpu",), ()])
def test_a_broken_image_is_told_beside_others(
    ranked_alone_on: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "ALONE_ON", ranked_alone_on)
    cases = [random_case(20, 3) for _ in range(3)]
    rule, sizes = Postprocess(1e-4, 0.5, 9, shifted), [SIZE] * 3
    cases[1][2][3, 1] = torch.inf
    with pytest.raises(ValueError, match="probabilities"):
        rule.together(*zip(*cases, strict=True), sizes)
    cases[1][2][3, 1] = 0.5
    cases[2][1].fill_(torch.nan)
    with pytest.raises(ValueError, match="deltas"):
        rule.together(*zip(*cases, strict=True), sizes)
