"""Training steps of the three stages against recorded numbers, with the recorded draws."""

from collections.abc import Iterator

import torch

from bacl.assembly.build import only_head
from bacl.checkpoints.mmdet_names import published_name
from bacl.data.batch import Batch
from bacl.detectors.matching import BACKGROUND
from bacl.heads import Classifier
from bacl.loggers.measurements import Quantity
from bacl.stages import DetectionStage
from tests.published.difference import Difference, absolute, exact, relative
from tests.published.recorded import images, new_stage, numbers, targets
from tests.published.replay import Replay, swapped_neighbours

LOSSES = {"rpn_objectness": "rpn_cls", "rpn_box": "rpn_bbox", "box": "bbox"}
CLASSIFIER_STEPS = 3
SGD = {"lr": 2e-4, "momentum": 0.9, "weight_decay": 1e-4}
"""Of the recorded steps of the classifier stage."""
COLUMNS = 16
"""Every 16th of prototypes and variances was recorded."""


def baseline() -> Iterator[Difference]:
    """One step, everything trains, softmax."""
    yield from _one_step("baseline", 1000)


def representation() -> Iterator[Difference]:
    """One step, everything trains, sigmoids with objectness."""
    yield from _one_step("representation", 2000)


def classifier() -> Iterator[Difference]:
    """Three SGD steps with box generator, hallucination, margins and weights."""
    stage, recorded = new_stage("classifier"), numbers("e_train_classifier_C30")
    replay = Replay(stage, recorded, 2000)
    (head,) = stage.heads[only_head(stage, "classifier")].classifiers
    trained = [parameter for parameter in stage.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, **SGD)
    for step in range(CLASSIFIER_STEPS):
        swapped = swapped_neighbours(stage, replay, step) if step > 0 else ()
        replay.begin(step, swapped)
        yield from _step(stage, replay, step, f"classifier, step {step}")
        yield from _statistics(head, replay, f"classifier, step {step}")
        optimizer.step()


def _one_step(kind: str, proposals: int) -> Iterator[Difference]:
    stage, recorded = new_stage(kind), numbers(f"e_train_{kind}_C30")
    yield from _step(stage, Replay(stage, recorded, proposals), 0, kind)


def _step(stage: DetectionStage, replay: Replay, step: int, name: str) -> Iterator[Difference]:
    stage.zero_grad()
    loss = stage.training_step(Batch(images(), targets()), step)
    loss.backward()
    yield from _matches(replay, name)
    (head,) = stage.heads
    shared = {Quantity("train", None, ours): theirs for ours, theirs in LOSSES.items()}
    for ours, theirs in (shared | {Quantity("train", head, "classification"): "cls"}).items():
        found = stage.step_losses[ours]
        yield relative(f"{name}, loss {theirs}", found, replay[f"loss_{theirs}"])
    yield relative(f"{name}, loss", loss.detach(), replay["loss"])
    yield from _gradients(stage, replay, name)


def _matches(replay: Replay, name: str) -> Iterator[Difference]:
    """Objects that anchors and proposals are matched to, and the RoIs that are drawn."""
    for part, matches_of in replay.seen.items():
        for image, matches in enumerate(matches_of):
            key = f"{part}_img{image}"
            positives, negatives = replay[f"{key}_pos_inds"], replay[f"{key}_neg_inds"]
            title = f"{name}, {part} matches, image {image}"
            yield exact(f"{title}, objects", matches[positives], replay[f"{key}_pos_assigned_gt"])
            background = torch.full_like(negatives, BACKGROUND)
            yield exact(f"{title}, negatives", matches[negatives], background)
            own = len(targets()[image].boxes) if part == "rcnn" else 0
            count = (matches >= 0).sum() - own
            yield exact(f"{title}, number", count, replay[f"{key}_n_assigned_pos_before_gt_added"])
    for image, boxes in enumerate(replay.rois):
        positives = len(replay[f"rcnn_img{image}_pos_inds"])
        found = torch.cat([boxes[:positives], boxes[positives:][::16]])
        goal = replay.recorded_rois(image)[1]
        yield absolute(f"{name}, RoIs, image {image}", found, goal, 1e-2, "pixels")


def _gradients(stage: DetectionStage, replay: Replay, name: str) -> Iterator[Difference]:
    """Norms, and sums, of every gradient that was recorded."""
    gradients = {}
    for ours, parameter in stage.named_parameters():
        part, _, rest = ours.partition(".")
        rest = rest.split(".", 2)[2] if part == "heads" else rest
        if parameter.grad is not None:
            theirs = published_name(f"{part.removesuffix('s')}.{rest}")
            gradients[theirs] = parameter.grad.double()
    prefix = f"s{replay.step}_gradnorm:"
    for key in replay.recorded.keys(prefix):
        theirs = key.removeprefix(prefix)
        gradient, norm = gradients[theirs], replay[f"gradnorm:{theirs}"]
        yield relative(f"{name}, gradient norm, {theirs}", gradient.norm(), norm)
        # No gradient of this norm has a greater sum; of a sum that cancels, a part says nothing.
        largest = norm * gradient.numel() ** 0.5
        difference = (gradient.sum() - replay[f"gradsum:{theirs}"]).abs() / largest
        title = f"{name}, gradient sum, {theirs}"
        yield Difference(title, difference.item(), 1e-4, "of the largest possible")
    bias = gradients["roi_head.bbox_head.fc_cls.bias"]
    yield relative(f"{name}, gradient, classifier bias", bias, replay["grad_fc_cls_bias"])


def _statistics(head: Classifier, replay: Replay, name: str) -> Iterator[Difference]:
    """Indicator and feature distributions after the step."""
    classes = replay.recorded["gt_classes"]
    indicator, distributions = head.criterion.indicator, head.hallucination
    counts = indicator.counts.float()
    yield exact(f"{name}, samples of the objects' classes", counts[classes], replay["num_gt_rows"])
    yield exact(f"{name}, samples", counts.sum().double(), replay["num_gt_total"])
    diagonal = indicator.strength()[classes]
    yield relative(f"{name}, confusion matrix, diagonal", diagonal, replay["cm_diag_rows"])
    for ours, theirs in (("prototypes", "prototype"), ("variances", "variance")):
        found = getattr(distributions, ours)[classes][:, ::COLUMNS]
        yield relative(f"{name}, {ours}", found, replay[f"{theirs}_rows"])
    yield exact(f"{name}, classes seen", distributions.seen.sum(), replay["used_sum"])
    hallucinated = replay.normals[:, :8]
    yield exact(f"{name}, hallucinated", torch.tensor(len(hallucinated)), replay["n_hallucinated"])
    yield relative(f"{name}, normals drawn", hallucinated, replay["normals_head8"], 1e-6)
