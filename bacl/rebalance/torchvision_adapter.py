"""Detectors of torchvision: Faster R-CNN and Mask R-CNN, of any number of classes.

Background is their class 0. Boxes are classified in the frame of the resized picture and come back
in pixels of the file. R: sampled RoIs. C: categories.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, cast

import torch
from torch import Tensor, nn
from torchvision.models import detection
from torchvision.models.detection.faster_rcnn import FasterRCNN, FastRCNNPredictor
from torchvision.models.detection.image_list import ImageList

from bacl.data.batch import Target
from bacl.heads import BoxGenerator
from bacl.options.ranges import Count, Pixels
from bacl.rebalance.description import Rule
from bacl.rebalance.image_rows import BACKGROUND, ImageRows
from bacl.rebalance.toolkit_adapter import ToolkitAdapter

CLASSIFIER = "roi_heads.box_predictor.cls_score.weight"
Builder = Literal[
    "fasterrcnn_resnet50_fpn",
    "fasterrcnn_resnet50_fpn_v2",
    "fasterrcnn_mobilenet_v3_large_fpn",
    "fasterrcnn_mobilenet_v3_large_320_fpn",
    "maskrcnn_resnet50_fpn",
    "maskrcnn_resnet50_fpn_v2",
]


class TorchvisionAdapter(ToolkitAdapter):
    """One of torchvision's detectors with a classifier of RoIs.

    Training rows are drawn as in torchvision's own training: proposals in training's numbers,
    objects added, a quarter positive at IoU 0.5.

    Args:
        builder: function of `torchvision.models.detection` that makes the detector.
        rois: training rows of an image.
        min_size: of the resized picture's shorter side, where it is not the builder's own.
        max_size: of its longer side.
        options: see `ToolkitAdapter`.
    """

    rule: ClassVar[Rule] = "softmax"
    first_row: ClassVar[int] = 1
    background_row: ClassVar[int | None] = 0
    packages: ClassVar[tuple[str, ...]] = ("torchvision",)

    def __init__(
        self,
        builder: Builder,
        rois: Count = 128,
        min_size: Pixels | None = None,
        max_size: Pixels | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.builder = builder
        self.rois = rois
        given = {"min_size": min_size, "max_size": max_size}
        self.sizes = {name: size for name, size in given.items() if size is not None}
        self.jitter = BoxGenerator()

    @property
    def options(self) -> Mapping[str, Any]:
        """See `ToolkitAdapter.options`."""
        return {"builder": self.builder, "rois": self.rois, **self.sizes}

    def build(self, weights: Mapping[str, Tensor]) -> FasterRCNN:
        """See `ToolkitAdapter.build`; nothing is fetched.

        Raises:
            OtherCheckpointError: the weights are of no such detector.
        """
        if CLASSIFIER not in weights:
            raise self.checkpoint.refusal(
                f"no {CLASSIFIER}, which detectors of torchvision such as {self.builder} have"
            )
        make = getattr(detection, self.builder)
        classes, rois = len(weights[CLASSIFIER]), {"box_batch_size_per_image": self.rois}
        options = {"weights": None, "weights_backbone": None, "num_classes": classes}
        model: FasterRCNN = make(**options, **rois, **self.sizes)
        # Without it a Mask R-CNN asks for no masks of objects; it has no weights, all others stay.
        model.roi_heads.mask_roi_pool = None
        return model

    def classifier(self, model: nn.Module) -> nn.Linear:
        """See `ToolkitAdapter.classifier`."""
        predictor = cast(FasterRCNN, model).roi_heads.box_predictor
        return cast(FastRCNNPredictor, predictor).cls_score

    def training_rows(self, image: Tensor, target: Target, seed: int) -> ImageRows:
        """See `ToolkitAdapter.training_rows`; objects are jittered as Eq. 10 says."""
        model = cast(FasterRCNN, self.model)
        images, targets = self._resized(image, target)
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(seed)
            maps, proposals = self._proposals(images, targets, training=True)
            proposals, matched, labels, _ = model.roi_heads.select_training_samples(
                proposals, targets
            )
            around = self.jitter(targets[0]["boxes"], images.image_sizes[0])
        extra = self._features(maps, [around], images)
        features = self._features(maps, proposals, images)
        foreground = labels[0] > 0
        count = len(target.boxes)
        return ImageRows(
            target.image_id,
            features,
            self._in_file(proposals[0], images, image),
            labels=torch.where(foreground, labels[0] - 1, self._background),
            objects=torch.where(foreground, matched[0], BACKGROUND),
            extra_features=extra,
            extra_objects=torch.arange(count).repeat_interleave(self.jitter.proposals_per_box),
            logits=self._logits(features),
        )

    def validation_rows(self, image: Tensor, target: Target) -> ImageRows:
        """See `ToolkitAdapter.validation_rows`."""
        images, _ = self._resized(image, None)
        maps, proposals = self._proposals(images, None, training=False)
        features = self._features(maps, proposals, images)
        predictor = cast(FastRCNNPredictor, cast(FasterRCNN, self.model).roi_heads.box_predictor)
        deltas = predictor.bbox_pred(features).unflatten(1, (-1, 4))
        return ImageRows(
            target.image_id,
            features,
            self._in_file(proposals[0], images, image),
            deltas=deltas[:, list(self.mapped.own)].flatten(1),
            logits=self._logits(features),
        )

    @property
    def _background(self) -> int:
        """The label of background."""
        return len(self.mapped.own)

    def _resized(
        self, image: Tensor, target: Target | None
    ) -> tuple[ImageList, list[dict[str, Tensor]]]:
        """The picture as the detector's own transform makes it, and its objects likewise.

        Objects are numbered from 1 on, as background is torchvision's 0.
        """
        model = cast(FasterRCNN, self.model)
        truth = target and [
            {"boxes": target.boxes.to(self.device), "labels": target.labels.to(self.device) + 1}
        ]
        images, resized = model.transform([image / 255], truth)
        return images, resized or []

    def _proposals(
        self, images: ImageList, targets: list[dict[str, Tensor]] | None, training: bool
    ) -> tuple[dict[str, Tensor], list[Tensor]]:
        """Feature maps, and the proposals in the numbers of training or of use."""
        model = cast(FasterRCNN, self.model)
        maps = model.backbone(images.tensors)
        model.rpn.training = training  # of itself alone: the number of its proposals
        proposals, _ = model.rpn(images, maps, targets)
        model.rpn.training = False
        return maps, proposals

    def _features(self, maps: dict[str, Tensor], boxes: list[Tensor], images: ImageList) -> Tensor:
        """The classifier's input (·, D) for boxes of the resized picture."""
        heads = cast(FasterRCNN, self.model).roi_heads
        features: Tensor = heads.box_head(heads.box_roi_pool(maps, boxes, images.image_sizes))
        return features

    def _logits(self, features: Tensor) -> Tensor:
        return self.mapped.taken(self.classifier(self.model)(features).T).T

    def _in_file(self, boxes: Tensor, images: ImageList, image: Tensor) -> Tensor:
        """Boxes of the resized picture in pixels of the file."""
        (height, width), (own_height, own_width) = images.image_sizes[0], image.shape[-2:]
        return boxes * boxes.new_tensor([own_width / width, own_height / height] * 2)
