"""Parts of the detector alone against recorded numbers: one function per recorded file."""

from collections.abc import Iterator

import torch
from torch import Tensor

from bacl.data.augmentation.transforms import ResizeShortSide
from bacl.detectors.boxes import BoxCoder
from bacl.detectors.postprocess import Postprocess
from bacl.detectors.roi_align import roi_align
from bacl.detectors.roi_pooling import RoIPooling
from tests.published.difference import Difference, exact, relative
from tests.published.recorded import numbers, random_array

STRIDES = (4, 8, 16, 32)


def box_coder() -> Iterator[Difference]:
    """Encoding and decoding, with and without clipping, for both pairs of scales."""
    recorded = numbers("e_box_coder")
    for name, stds in (("rpn", (1, 1, 1, 1)), ("rcnn", (0.1, 0.1, 0.2, 0.2))):
        coder = BoxCoder(stds)
        encoded = coder.encode(recorded["gt"], recorded["boxes"])
        yield relative(f"box coder, {name}, deltas", encoded, recorded[f"{name}_encode"], 1e-6)
        for size, key in ((None, "noshape"), ((256, 320), "256x320")):
            boxes = coder.decode(recorded[f"{name}_deltas"], recorded["boxes"], size)
            goal = recorded[f"{name}_decode_{key}"]
            yield relative(f"box coder, {name}, boxes ({key})", boxes, goal, 1e-6)


def suppression() -> Iterator[Difference]:
    """Per-class suppression of 60 boxes in 7 classes."""
    recorded = numbers("e_nms")
    boxes, scores, goal = (recorded[f"small_{key}"] for key in ("boxes", "scores", "dets"))
    rule = Postprocess(recorded["small_thr"].item(), 0.5, 300, _shifted, suppress_equal=True)
    found = rule(torch.zeros(len(boxes), 4), boxes.flatten(1), scores, (10_000, 10_000))
    yield exact("suppression, labels", found.labels, recorded["small_labels"])
    yield exact("suppression, scores", found.scores, goal[:, 4])
    yield exact("suppression, boxes", found.boxes, goal[:, :4])


def roi_alignment() -> Iterator[Difference]:
    """RoIAlign on four levels: values, levels and gradients."""
    recorded = numbers("e_roialign")
    pyramid = [random_array(f"roialign_feat_{i}", (2, 8, 64 >> i, 80 >> i)) for i in range(4)]
    pyramid = [features.requires_grad_() for features in pyramid]
    rois, pooling = recorded["rois"], RoIPooling(side=7, strides=STRIDES, finest_scale=56)
    yield exact("RoIAlign, levels", pooling.levels(rois), recorded["levels"])
    pooled = pooling(pyramid, rois)
    yield relative("RoIAlign, 7x7", pooled, recorded["bbox7"], 1e-5)
    pooled.backward(random_array("roialign_gradout", tuple(pooled.shape)))
    for level, features in enumerate(pyramid):
        goal = recorded[f"grad_feat_{level}"]
        gradient = features.grad[:, : goal.shape[1]]
        yield relative(f"RoIAlign, gradient of level {level}", gradient, goal, 1e-5)
    goal = recorded["mask14"]
    of_masks = RoIPooling(side=14, strides=STRIDES, finest_scale=56)
    yield relative("RoIAlign, 14x14", of_masks(pyramid, rois[: len(goal)]), goal, 1e-5)
    mine = recorded["levels"] == 0
    alone = roi_align(pyramid[0], rois[mine], 7, 1 / STRIDES[0])
    yield relative("RoIAlign, 7x7, finest level alone", alone, recorded["bbox7"][mine], 1e-5)


def preprocessing() -> Iterator[Difference]:
    """Sizes after the resize; the photograph whose pixels were recorded is not here."""
    table = numbers("e_preprocess")["shape_table_h_w_s_newh_neww_padh_padw"]
    sizes = [
        ResizeShortSide([side], 1333).resized((height, width), side)
        for height, width, side, *_ in table.tolist()
    ]
    yield exact("resized sizes", torch.tensor(sizes), table[:, 3:5])


def _shifted(deltas: Tensor, proposals: Tensor) -> Tensor:
    """A decoder for which deltas are boxes."""
    return proposals + deltas
