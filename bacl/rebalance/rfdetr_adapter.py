"""RF-DETR: `pip install 'bacl[rebalance-rfdetr]'`.

Row k of its classifier is the k-th category of a data set that it was fine-tuned on, or category k
of COCO; one more row stands for nothing. Nothing is fetched: a model is built without weights.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib import import_module
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torchvision.transforms.v2 import functional

from bacl.messages.errors import OptionError, UserError
from bacl.options.ranges import Named
from bacl.rebalance.other_checkpoint import PLAIN
from bacl.rebalance.query_adapter import Matches, Outputs, QueryAdapter, layers_of

CLASSIFIER = "class_embed.weight"
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
"""Of pixels in [0, 1]; RF-DETR's."""
SAYS = ("model_config", "args")
"""Parts of a checkpoint that say what its model was built with."""
OTHERS = {"pretrain_weights", "device", "num_classes", "model_name", "license"}
"""Fields of a configuration that are not the file's to say, or that weights say."""
Builder = Literal["RFDETRNano", "RFDETRSmall", "RFDETRMedium", "RFDETRLarge"]


class RFDETRAdapter(QueryAdapter):
    """One of RF-DETR's detectors.

    Args:
        builder: name of its class.
        fields: of its configuration, where they are neither its own nor said by the checkpoint.
        options: see `ToolkitAdapter`.
    """

    spare_rows: ClassVar[int] = 1
    packages: ClassVar[tuple[str, ...]] = ("rfdetr", "transformers")

    def __init__(
        self, builder: Builder = "RFDETRNano", fields: Named | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        self.builder = builder
        self.fields = dict(fields or {})

    @property
    def options(self) -> Mapping[str, Any]:
        """See `ToolkitAdapter.options`."""
        return {"builder": self.builder, "fields": self.fields}

    @cached_property
    def configuration(self) -> Any:
        """RF-DETR's own, of plain values: its own parser refuses what it does not know.

        Raises:
            OptionError: a field has no such value.
            OtherCheckpointError: the weights are of no such detector.
        """
        kind = getattr(_library("rfdetr.config"), f"{self.builder}Config")
        if CLASSIFIER not in self.checkpoint.weights:
            raise self.checkpoint.refusal(f"no {CLASSIFIER}, which an RF-DETR has")
        known = set(kind.model_fields) - OTHERS
        said = {key: value for key, value in self._said().items() if key in known}
        rows = len(self.checkpoint.weights[CLASSIFIER])
        fixed = {"num_classes": rows - 1, "device": str(self.device), "pretrain_weights": "none"}
        try:
            return kind(**{**said, **self.fields, **fixed})
        except ValueError as error:
            told = " ".join(str(error).split())[:300]
            raise OptionError(f"rebalance.fields: {told}") from error

    def _said(self) -> dict[str, Any]:
        """Fields that the checkpoint says, the first part of it before the others."""
        parts = [self.checkpoint.content.get(name) for name in reversed(SAYS)]
        parts = [vars(part) if isinstance(part, tuple(PLAIN.values())) else part for part in parts]
        return {key: part[key] for part in parts if isinstance(part, dict) for key in part}

    def build(self, weights: Mapping[str, Tensor]) -> nn.Module:
        """See `ToolkitAdapter.build`."""
        build = _library("rfdetr.models").build_model_from_config
        model: nn.Module = build(self.configuration)
        return model

    def classifier(self, model: nn.Module) -> nn.Linear:
        """See `ToolkitAdapter.classifier`."""
        layer = model.class_embed
        assert isinstance(layer, nn.Linear)
        return layer

    def picture(self, image: Tensor) -> Tensor:
        """See `QueryAdapter.picture`; as RF-DETR's own `predict`."""
        side = [self.configuration.resolution] * 2
        resized = functional.resize(image / 255, side, antialias=False)
        return functional.normalize(resized, MEAN, STD).unsqueeze(0)

    def match(self, outputs: Outputs, objects: Mapping[str, Tensor], groups: int) -> Matches:
        """See `QueryAdapter.match`."""
        (found,) = self._matcher(dict(outputs), [dict(objects)], group_detr=groups)
        return found[0], found[1]

    @cached_property
    def _matcher(self) -> nn.Module:
        training = _library("rfdetr.config").TrainConfig(dataset_dir=".", output_dir=".")
        build = _library("rfdetr.models").build_criterion_from_config
        criterion, _ = build(self.configuration, training)
        matcher: nn.Module = criterion.matcher
        return matcher

    def grouped_modules(self, model: nn.Module) -> Sequence[nn.Module]:
        """See `QueryAdapter.grouped_modules`."""
        transformer = model.transformer
        assert isinstance(transformer, nn.Module)
        decoder = transformer.decoder
        assert isinstance(decoder, nn.Module)
        return [model, transformer, *layers_of(decoder)]

    def groups(self, model: nn.Module) -> int:
        """See `QueryAdapter.groups`."""
        return int(self.configuration.group_detr)


def _library(name: str) -> Any:
    try:
        with torch.random.fork_rng(devices=[]):  # what it imports may draw
            return import_module(name)
    except ImportError as error:
        raise UserError(
            f"adapter=rfdetr needs RF-DETR, and {name} cannot be imported ({error}): "
            "pip install 'bacl[rebalance-rfdetr]'"
        ) from error
