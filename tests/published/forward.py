"""From images to detections against recorded numbers, with the published weights imported."""

from collections.abc import Iterator

import torch
from torch import Tensor

from bacl.data.batch import Detections
from bacl.detectors.postprocess import Postprocess
from tests.published.difference import Difference, absolute, exact, relative
from tests.published.recorded import (
    KINDS,
    images,
    numbers,
    pyramid,
    random_array,
    recipe,
    stage,
    targets,
)

SLICE = {0: (4, "_slice"), 1: (4, "_slice")}
"""Step and suffix of RPN outputs that are recorded in part, by level."""


def features() -> Iterator[Difference]:
    """Backbone and pyramid."""
    recorded = numbers("e_backbone_rpn")
    with torch.no_grad():
        maps = stage("representation").detector.backbone(images())
    for prefix, found, stride in (("c", maps, 32), ("p", pyramid(), 16)):
        for level, (x, step) in enumerate(zip(found, (8, 4, 2, 1, 1), strict=False)):
            name = f"{prefix}{level + 2}"
            part = x[:, ::stride, ::step, ::step]
            yield relative(f"{name}, values", part, recorded[f"{name}_slice"])
            yield relative(f"{name}, channel means", x.mean((2, 3)), recorded[f"{name}_chanmean"])


def anchors() -> Iterator[Difference]:
    """Every 37th anchor."""
    recorded = numbers("e_backbone_rpn")
    generator = stage("representation").detector.rpn.anchors
    shapes = [tuple(shape) for shape in recorded["featmap_sizes"].tolist()]
    for level, boxes in enumerate(generator(shapes)):
        base = recorded[f"base_anchors_{level}"]
        yield exact(f"base anchors, level {level}", generator.base[level], base)
        yield exact(f"anchors, level {level}", boxes[::37], recorded[f"anchors_{level}_every37"])
        count = torch.tensor(len(boxes))
        yield exact(f"anchors, number, level {level}", count, recorded[f"n_anchors_{level}"])


def rpn_outputs() -> Iterator[Difference]:
    """Objectness and deltas of every level."""
    recorded = numbers("e_backbone_rpn")
    head = stage("representation").detector.rpn.head
    with torch.no_grad():
        outputs = [head(x) for x in pyramid()]
    for level, (x, (logits, deltas)) in enumerate(zip(pyramid(), outputs, strict=True)):
        shape = (*x.shape[2:], 3)
        logits = logits.unflatten(1, shape).permute(0, 3, 1, 2)
        deltas = deltas.flatten(2).unflatten(1, shape).permute(0, 3, 4, 1, 2).flatten(1, 2)
        step, suffix = SLICE.get(level, (1, ""))
        goal = recorded[f"rpn_cls_{level}{suffix}"]
        yield relative(f"RPN objectness, level {level}", logits[:, :, ::step, ::step], goal)
        step = 2 * step if suffix else 1
        goal = recorded[f"rpn_reg_{level}{suffix}"]
        yield relative(f"RPN deltas, level {level}", deltas[:, :, ::step, ::step], goal)


def proposals() -> Iterator[Difference]:
    """1000 at test, 2000 in training, as sets: a few scores tie to rounding and swap places."""
    recorded = numbers("e_backbone_rpn")
    rpn, sizes = stage("representation").detector.rpn, recipe().VALID_SIZE
    with torch.no_grad():
        found = {"test": rpn.proposals(pyramid(), sizes).boxes}
        found["train2000"] = rpn(pyramid(), targets())[0].boxes
    for key, boxes_of in found.items():
        for image, boxes in enumerate(boxes_of):
            theirs = recorded[f"{key}_proposals_img{image}"][:, :4]
            nearest = torch.cdist(theirs, boxes, p=float("inf")).min(dim=1)
            name = f"{key} proposals, image {image}"
            counts = torch.tensor([len(boxes), len(nearest.indices.unique())])
            yield exact(f"{name}, number", counts, torch.full((2,), len(theirs)))
            distance = nearest.values.max().item()
            yield Difference(f"{name}, boxes", distance, 1e-2, "pixels")


def roi_outputs() -> Iterator[Difference]:
    """Logits, deltas and features of the recorded test proposals."""
    recorded = numbers("e_backbone_rpn")
    boxes = [recorded[f"test_proposals_img{image}"][:, :4] for image in range(2)]
    for kind in KINDS:
        detector, (head,) = stage(kind).detector, stage(kind).heads.values()
        goal = numbers("e_detections_C30")
        with torch.no_grad():
            embeddings = detector.roi_features(pyramid(), boxes)
            logits, deltas = (
                head.classifiers[0].predictor(embeddings),
                detector.box_regression(embeddings),
            )
        yield relative(f"{kind}, logits", logits[::20], goal[f"{kind}_cls_score_rows"])
        yield relative(f"{kind}, deltas", deltas[::100], goal[f"{kind}_bbox_pred_rows"])
        if kind == "classifier":
            rows = goal["classifier_embedding_rows"]
            yield relative("classifier, RoI features", embeddings[::100], rows)


def detections() -> Iterator[Difference]:
    """Of all three kinds, at two score thresholds, in pixels of both frames, as sets."""
    for kind in KINDS:
        detector, (head,) = stage(kind).detector, stage(kind).heads.values()
        regions = detector.inference_regions(pyramid(), recipe().VALID_SIZE)
        for image, (region, size) in enumerate(zip(regions, recipe().VALID_SIZE, strict=True)):
            with torch.no_grad():
                probabilities = head.scores(region.levels)
            for threshold in (1e-4, 0.3):
                rule = Postprocess(threshold, 0.5, 300, detector.postprocess.decode, True)
                found = rule(region.proposals, region.deltas, probabilities, size)
                yield from _compared(found, kind, threshold, image)


def masks() -> Iterator[Difference]:
    """All classes' masks of three RoIs, from the imported weights of a Mask R-CNN."""
    recorded = numbers("e_mask_head")
    head = stage("masks").detector.mask.head
    pooled = 0.5 * random_array("mask_head_input", (3, 256, 14, 14))
    with torch.no_grad():
        logits = [head(pooled, torch.full((3,), label)) for label in range(6)]
    yield relative("mask logits", torch.stack(logits, dim=1), recorded["mask_pred"])


def _compared(found: Detections, kind: str, threshold: float, image: int) -> Iterator[Difference]:
    recorded = numbers("e_detections_C30")
    for rescaled in (0, 1):
        key = f"{kind}_thr{threshold:g}_rescale{rescaled}_img{image}"
        if f"{key}_bboxes" not in recorded:
            continue
        boxes, labels = recorded[f"{key}_bboxes"], recorded[f"{key}_labels"]
        ours = (found.rescaled(targets()[image]) if rescaled else found).boxes
        match = _matches(ours, found.labels, boxes, labels)
        name = f"{kind}, score > {threshold:g}, image {image}" + ", original pixels" * rescaled
        lost = max(len(labels), len(found.labels)) - int(match.unique().numel())
        yield Difference(f"{name}, detections", lost, 0, "not in both")
        yield absolute(f"{name}, boxes", ours[match], boxes[:, :4], 1e-2, "pixels")
        scores = found.scores[match]
        yield absolute(f"{name}, scores", scores, boxes[:, 4], 1e-4, "of 1")


def _matches(ours: Tensor, our_labels: Tensor, theirs: Tensor, labels: Tensor) -> Tensor:
    """For each of theirs the nearest of ours with its label."""
    distance = torch.cdist(theirs[:, :4], ours, p=float("inf"))
    return distance.masked_fill(labels.unsqueeze(1) != our_labels, float("inf")).argmin(dim=1)
