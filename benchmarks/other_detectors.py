"""Trains a detector of another toolkit, by its own losses, on COCO-style annotations.

The detectors that docs/rebalance.md balances: `python benchmarks/other_detectors.py torchvision
train.json pictures out.pth --minutes 15`, or `rfdetr`. One thread; the file is the toolkit's own.
"""

import argparse
import json
import math
import time
from collections import defaultdict
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.io import ImageReadMode, decode_image
from torchvision.models import detection
from torchvision.transforms.v2 import functional as F

BATCH = 8
SIDE = 160
"""Pixels of the pictures' sides in the network."""
RFDETR = {
    "resolution": SIDE, "patch_size": 16, "positional_encoding_size": 10, "num_windows": 1,
    "out_feature_indexes": [1, 2, 3], "num_queries": 24, "group_detr": 4,
}  # fmt: skip
"""Fields of RF-DETR's Nano for pictures of 160 pixels, learnt from nothing on one core."""


class Pictures:
    """Pictures (3, H, W) in [0, 1] with boxes (N, 4) xyxy in pixels; labels count from `first`."""

    def __init__(self, annotations: Path, folder: Path, first: int) -> None:
        content = json.loads(annotations.read_text(encoding="utf-8"))
        self.folder, self.pictures = folder, content["images"]
        ids = sorted(category["id"] for category in content["categories"])
        label = {category: number for number, category in enumerate(ids, start=first)}
        self.num_classes = len(ids)
        self.objects: dict[int, list[tuple[list[float], int]]] = defaultdict(list)
        for each in content["annotations"]:
            self.objects[each["image_id"]].append((each["bbox"], label[each["category_id"]]))

    def batch(self, numbers: Tensor) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
        """Pictures and targets."""
        pairs = [self._one(self.pictures[number]) for number in numbers.tolist()]
        return [picture for picture, _ in pairs], [target for _, target in pairs]

    def _one(self, record: dict) -> tuple[Tensor, dict[str, Tensor]]:
        path = self.folder / record["file_name"]
        picture = decode_image(str(path), ImageReadMode.RGB)
        own = self.objects[record["id"]]
        boxes = torch.tensor([box for box, _ in own], dtype=torch.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        labels = torch.tensor([label for _, label in own], dtype=torch.int64)
        return picture / 255, {"boxes": boxes, "labels": labels}


class TorchvisionLosses(nn.Module):
    """A detector of torchvision without any weights, and its losses."""

    first = 1  # background is 0
    rate, optimiser = 0.02, staticmethod(lambda p, lr: torch.optim.SGD(p, lr, 0.9))

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.model = detection.fasterrcnn_mobilenet_v3_large_320_fpn(
            weights=None,
            weights_backbone=None,
            num_classes=num_classes + 1,
            min_size=SIDE,
            max_size=SIDE,
            rpn_post_nms_top_n_train=300,
            box_batch_size_per_image=64,
        )

    def forward(self, pictures: list[Tensor], targets: list[dict[str, Tensor]]) -> Tensor:
        """The sum of its losses."""
        return sum(self.model(pictures, targets).values())

    def content(self) -> dict:
        """As torchvision's reference scripts save it."""
        return {"model": self.model.state_dict()}


class RFDETRLosses(nn.Module):
    """A small RF-DETR without any weights, and its losses."""

    first = 0
    rate, optimiser = 4e-4, staticmethod(lambda p, lr: torch.optim.AdamW(p, lr))

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        from rfdetr.config import RFDETRNanoConfig, TrainConfig
        from rfdetr.models import build_criterion_from_config, build_model_from_config

        # A name in place of null: nothing is fetched when a model is built alone.
        self.fields = RFDETR | {"num_classes": num_classes}
        config = RFDETRNanoConfig(**self.fields, pretrain_weights="none", device="cpu")
        training = TrainConfig(dataset_dir=".", output_dir=".", multi_scale=False)
        self.model = build_model_from_config(config, training)
        self.criterion, _ = build_criterion_from_config(config, training)

    def forward(self, pictures: list[Tensor], targets: list[dict[str, Tensor]]) -> Tensor:
        """The weighted sum of its losses; boxes are centre and size over the picture's sides."""
        side = [SIDE, SIDE]
        images = torch.stack([F.resize(picture, side) for picture in pictures])
        images = F.normalize(images, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        for picture, target in zip(pictures, targets, strict=True):
            height, width = picture.shape[-2:]
            low, high = target["boxes"].split(2, dim=1)
            centred = torch.cat(((low + high) / 2, high - low), dim=1)
            target["boxes"] = centred / torch.tensor([width, height] * 2)
        found = self.criterion(self.model(images, targets), targets)
        weights = self.criterion.weight_dict
        return sum(weights[name] * value for name, value in found.items() if name in weights)

    def content(self) -> dict:
        """As RF-DETR's training saves it: weights, and the fields that they were built with."""
        return {"model": self.model.state_dict(), "args": self.fields}


DETECTORS = {"torchvision": TorchvisionLosses, "rfdetr": RFDETRLosses}


def train(losses: nn.Module, pictures: Pictures, minutes: float) -> None:
    """Warm-up, then a rate that falls to zero when the time is over, by a cosine.

    Minutes of the processor, whatever else it does.
    """
    optimiser = losses.optimiser(losses.parameters(), losses.rate)
    began, step, share = time.process_time(), 0, 0.0
    losses.train()
    while share < 1:
        order = torch.randperm(len(pictures.pictures))
        for numbers in order.split(BATCH):
            share = (time.process_time() - began) / (60 * minutes)
            if share >= 1:
                break
            fall = (1 + math.cos(math.pi * share)) / 2
            optimiser.param_groups[0]["lr"] = losses.rate * fall * min(1, (step + 1) / 60)
            loss = losses(*pictures.batch(numbers))
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(losses.parameters(), 10.0)
            optimiser.step()
            step += 1
            if step % 10 == 0:
                print(f"step {step}, {share:.0%} of the time, loss {loss.item():.3f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("toolkit", choices=DETECTORS)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--minutes", type=float, default=15)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    kind = DETECTORS[asked.toolkit]
    pictures = Pictures(asked.annotations, asked.pictures, kind.first)
    losses = kind(pictures.num_classes)
    train(losses, pictures, asked.minutes)
    torch.save(losses.content(), asked.output)


if __name__ == "__main__":
    main()
