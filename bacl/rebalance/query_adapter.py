"""Detectors of queries (DETR): every query is a row, and what it is matched to is its label.

Which queries there are, and which object each is matched to, goes by the scores of the classifier
that the detector came with: nothing upstream depends on the one that is trained. Q: queries of a
group. G: groups that training repeats. K: rows of the classifier. D: width of a query's feature.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from bacl.data.batch import Target
from bacl.rebalance.description import Rule
from bacl.rebalance.image_rows import BACKGROUND, ImageRows
from bacl.rebalance.toolkit_adapter import ToolkitAdapter

Matches = tuple[Tensor, Tensor]
"""Queries (n,) and the objects (n,) of an image that they are matched to."""
Outputs = Mapping[str, Tensor]
"""`pred_logits` (1, n, K) and `pred_boxes` (1, n, 4), centre and size over the picture's sides."""


class QueryAdapter(ToolkitAdapter):
    """A detector whose classifier reads the queries of the last decoder layer.

    An object that is seen several times is one that queries of all the groups are matched to with
    which training repeats itself (Chen et al., "Group DETR", ICCV 2023); with one group it is seen
    once.
    """

    rule: ClassVar[Rule] = "sigmoid"
    first_row: ClassVar[int] = 0
    background_row: ClassVar[int | None] = None

    @abstractmethod
    def picture(self, image: Tensor) -> Tensor:
        """The network's input (1, 3, H, W) for an image (3, H, W) uint8."""

    @abstractmethod
    def match(self, outputs: Outputs, objects: Mapping[str, Tensor], groups: int) -> Matches:
        """As the detector's training matches, each group of queries by itself.

        Args:
            outputs: of an image, its groups one after the other.
            objects: `labels` (N,), rows of the classifier, and `boxes` (N, 4) as those of outputs.
            groups: in the outputs.
        """

    @abstractmethod
    def grouped_modules(self, model: nn.Module) -> Sequence[nn.Module]:
        """Those that run all groups where they are in training mode, themselves and not below."""

    @abstractmethod
    def groups(self, model: nn.Module) -> int:
        """G."""

    def training_rows(self, image: Tensor, target: Target, seed: int) -> ImageRows:
        """See `ToolkitAdapter.training_rows`: the first group's queries; nothing is drawn."""
        groups = self.groups(self.model)
        with self._repeated():
            features, outputs = self._seen(image)
        queries = len(features) // groups
        objects = self._objects(target)
        first = {name: value[:, :queries] for name, value in outputs.items()}
        query, own = self.match(first, objects, 1)
        matched = torch.full((queries,), BACKGROUND, device=features.device)
        matched[query.to(features.device)] = own.to(features.device)
        several, repeated = self.match(outputs, objects, groups)
        labels = torch.cat((target.labels, target.labels.new_tensor([len(self.mapped.own)])))
        rows = self._image_rows(image, target, features[:queries], first)
        rows.labels, rows.objects = labels.to(features.device)[matched], matched
        rows.extra_features, rows.extra_objects = features[several.to(features.device)], repeated
        return rows

    def validation_rows(self, image: Tensor, target: Target) -> ImageRows:
        """See `ToolkitAdapter.validation_rows`."""
        return self._image_rows(image, target, *self._seen(image))

    def _image_rows(
        self, image: Tensor, target: Target, features: Tensor, outputs: Outputs
    ) -> ImageRows:
        logits = self.mapped.taken(outputs["pred_logits"][0].T).T
        return ImageRows(
            target.image_id, features, _corners(outputs["pred_boxes"][0], image), logits=logits
        )

    def _seen(self, image: Tensor) -> tuple[Tensor, Outputs]:
        """What the classifier saw of the last decoder layer's queries (n, D), and what came out."""
        seen: list[Tensor] = []
        hook = self.classifier(self.model).register_forward_pre_hook(
            lambda module, given: seen.append(given[0])
        )
        try:
            found = self.model(self.picture(image))
        finally:
            hook.remove()
        outputs = {name: found[name] for name in ("pred_logits", "pred_boxes")}
        return seen[-1][-1, 0], outputs

    def _objects(self, target: Target) -> dict[str, Tensor]:
        """An image's objects as the detector is trained with."""
        own = torch.tensor(list(self.mapped.own), device=self.device)
        low, high = target.boxes.split(2, dim=1)
        height, width = target.size
        centred = torch.cat(((low + high) / 2, high - low), dim=1)
        boxes = centred / centred.new_tensor([width, height] * 2)
        return {"labels": own[target.labels.to(self.device)], "boxes": boxes.to(self.device)}

    @contextmanager
    def _repeated(self) -> Iterator[None]:
        """Queries of all groups, as in training; what is below, such as dropout, as in use."""
        modules = self.grouped_modules(self.model)
        for module in modules:
            module.training = True
        try:
            yield
        finally:
            for module in modules:
                module.training = False


def _corners(boxes: Tensor, image: Tensor) -> Tensor:
    """Boxes (n, 4) of centre and size over the picture's sides, as corners in its pixels."""
    height, width = image.shape[-2:]
    centre, size = boxes.float().split(2, dim=1)
    corners = torch.cat((centre - size / 2, centre + size / 2), dim=1)
    return corners * corners.new_tensor([width, height] * 2)


def layers_of(decoder: nn.Module) -> list[nn.Module]:
    """A decoder and its layers."""
    return [decoder, *cast(nn.ModuleList, decoder.layers)]
