import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from bacl.data.augmentation.transforms import Augmentation
from bacl.data.datamodule import DetectionDataModule
from bacl.data.samplers import RandomBatches

WIDTH, HEIGHT = 96, 72
CATEGORIES = [(3, "ant"), (5, "bee"), (9, "fly")]


def write_pictures(folder, count, seed):
    """Pictures of colours and noise with one to three boxes each; where they and the boxes lie."""
    draws = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    images, annotations = [], []
    for number in range(count):
        pixels = draws.integers(0, 60, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        for place in range(1 + number % 3):  # each box of a colour of its own
            pixels[10:40, 4 + 28 * place : 28 + 28 * place, (number + place) % 3] += 180
        Image.fromarray(pixels).save(folder / f"{number}.png")
        images.append(
            {"id": 10 + number, "file_name": f"{number}.png", "height": HEIGHT, "width": WIDTH}
        )
        for place in range(1 + number % 3):
            x, y = 4 + 28 * place, 6 + int(draws.integers(0, 20))
            category = CATEGORIES[(number + place) % 3][0]
            annotations.append(
                {
                    "id": len(annotations) + 1, "image_id": 10 + number, "category_id": category,
                    "bbox": [x, y, 24, 30], "area": 720, "iscrowd": 0,
                }
            )  # fmt: skip
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for number, name in CATEGORIES],
    }
    (folder / "annotations.json").write_text(json.dumps(content), encoding="utf-8")
    return {"annotations": str(folder / "annotations.json"), "images": str(folder)}


@pytest.fixture(scope="session")
def splits(tmp_path_factory):
    """Seven training and four validation pictures."""
    folder = tmp_path_factory.mktemp("pictures")
    return SimpleNamespace(
        train=write_pictures(folder / "train", 7, 0), val=write_pictures(folder / "val", 4, 1)
    )


@pytest.fixture
def data(splits):
    """The data module of these, as pictures lie in their files."""
    return DetectionDataModule(
        splits.train,
        splits.val,
        Augmentation(train=nn.Identity(), test=nn.Identity()),
        lambda **options: RandomBatches(group_by_aspect_ratio=False, **options),
        batch_size=2,
        val_batch_size=2,
        num_workers=0,
        seed=0,
        min_side=1,
    )


def spread(layer, features, seed=1):
    """Weights of a classifier whose logits of these features differ by about one."""
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        layer.weight.normal_(generator=draws)
        logits = features @ layer.weight.T
        layer.weight /= logits.std(dim=0).unsqueeze(1)
        layer.bias.copy_(-(logits / logits.std(dim=0)).mean(dim=0))
