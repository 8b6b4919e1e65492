"""A small detector of queries with the interface of RF-DETR's, and an adapter for it."""

from typing import ClassVar

import torch
from torch import nn

from bacl.rebalance.query_adapter import QueryAdapter, layers_of

QUERIES, GROUPS, D = 5, 3, 8


class Layer(nn.Module):
    """Lets the queries of a group look at each other, in training of their own group alone."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Linear(D, D)
        self.dropout = nn.Dropout(0.5)

    def forward(self, queries):
        groups = queries.split(QUERIES, dim=1) if self.training else [queries]
        mixed = [group + self.mix(group.mean(dim=1, keepdim=True)) for group in groups]
        return self.dropout(torch.cat(mixed, dim=1))


class QueryDetector(nn.Module):
    """`class_embed` reads the queries of all decoder layers; K = 4 rows."""

    def __init__(self, rows=4):
        super().__init__()
        self.query_feat = nn.Embedding(QUERIES * GROUPS, D)
        self.transformer = nn.Module()
        self.transformer.decoder = nn.Module()
        self.transformer.decoder.layers = nn.ModuleList([Layer(), Layer()])
        self.class_embed = nn.Linear(D, rows)
        self.bbox_embed = nn.Linear(D, 4)
        self.see = nn.Linear(3, D)

    def forward(self, images):
        count = QUERIES * (GROUPS if self.training else 1)
        queries = self.query_feat.weight[:count].unsqueeze(0)
        queries = queries + self.see(images.mean(dim=(2, 3))).unsqueeze(1)
        layers = []
        for layer in self.transformer.decoder.layers:
            queries = layer(queries)
            layers.append(queries)
        hs = torch.stack(layers)
        logits, boxes = self.class_embed(hs), self.bbox_embed(hs).sigmoid()
        return {"pred_logits": logits[-1], "pred_boxes": boxes[-1]}


class StandInAdapter(QueryAdapter):
    """Matches greedily, objects in order, by the logit of the object's row less the distance."""

    spare_rows: ClassVar[int] = 1
    packages: ClassVar[tuple[str, ...]] = ()

    def build(self, weights):
        return QueryDetector(len(weights["class_embed.weight"]))

    def classifier(self, model):
        return model.class_embed

    def picture(self, image):
        return image.unsqueeze(0) / 255

    def match(self, outputs, objects, groups):
        (logits,), (boxes,) = outputs["pred_logits"], outputs["pred_boxes"]
        pairs = []
        for first in range(0, len(logits), len(logits) // groups):
            free = list(range(first, first + len(logits) // groups))
            for own, (label, box) in enumerate(zip(*objects.values(), strict=True)):
                apart = (boxes - box).abs().sum(dim=1)
                best = max(free, key=lambda query: float(logits[query, label] - apart[query]))
                free.remove(best)
                pairs.append((best, own))
        found = torch.tensor(pairs).reshape(-1, 2)
        return found[:, 0], found[:, 1]

    def grouped_modules(self, model):
        return [model, *layers_of(model.transformer.decoder)]

    def groups(self, model):
        return GROUPS
