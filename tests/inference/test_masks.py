import numpy as np
import torch
from pycocotools import mask as coco_mask

import bacl
from bacl.assembly.build import build_stage
from bacl.checkpoints.handover import Categories, save_stage
from bacl.options.composed import plain


def test_a_mask_detector_gives_masks_of_the_size_of_the_picture(tiny, tmp_path):
    config = tiny("detector=mask_small", "data.num_classes=12")
    stage = build_stage(config, "classifier", pretrained=False)
    categories = Categories(list(range(12)), [f"${{kind}} {label}" for label in range(12)])
    parts = (stage.detector, dict(stage.heads.items()), categories, plain(config))
    save_stage(tmp_path / "final.ckpt", *parts)
    model = bacl.load(tmp_path / "final.ckpt", head="baseline")
    found = model(np.random.default_rng(0).integers(0, 255, (70, 90, 3), np.uint8))
    assert len(found) > 0
    assert (found.masks.shape, found.masks.dtype) == ((len(found), 70, 90), torch.bool)
    areas = [int(coco_mask.area(each)) for each in found.run_lengths]
    assert found.masks.sum((1, 2)).tolist() == areas
    assert found.names[0] == f"${{kind}} {found.labels[0]}"
