from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torchvision import tv_tensors
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.transforms import v2

from bacl.data.augmentation.transforms import Augmentation, ResizeShortSide, scaled_size
from bacl.data.collate import IMAGENET_MEAN, IMAGENET_STD

REPOSITORY = Path(__file__).parents[3]


def sample(height, width, boxes, masks=False):
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    content = {
        "image": tv_tensors.Image(torch.randint(256, (3, height, width), dtype=torch.uint8)),
        "boxes": tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=(height, width)),
        "labels": torch.arange(len(boxes)),
    }
    if masks:
        content["masks"] = tv_tensors.Mask(
            torch.randint(2, (len(boxes), height, width), dtype=torch.uint8)
        )
    return content


def test_sizes_equal_the_published_ones(shared):
    table = np.load(shared / "published/e_preprocess.npz")["shape_table_h_w_s_newh_neww_padh_padw"]
    for height, width, side, new_height, new_width, *_ in table.tolist():
        resize = ResizeShortSide([side], 1333)
        assert resize.resized((height, width), side) == [new_height, new_width]


@pytest.mark.parametrize("side", [640, 672, 704, 736, 768, 800])
def test_boxes_equal_the_published_ones(shared, side):
    published = np.load(shared / "published/e_preprocess.npz")
    boxes = [[10.5, 20.25, 200, 300], [400, 100, 639, 426]]
    resized = ResizeShortSide([side], 1333)(sample(427, 640, boxes))
    np.testing.assert_allclose(resized["boxes"], published[f"train{side}_boxes"], rtol=1e-6)
    flipped = v2.RandomHorizontalFlip(1.0)(resized)
    np.testing.assert_allclose(
        flipped["boxes"], published[f"train{side}_boxes_flipped"], rtol=1e-5, atol=1e-4
    )


def test_normalisation_equals_the_published_one(shared):
    published = np.load(shared / "published/e_preprocess.npz")["test_patch_300_500"]
    mean, std = IMAGENET_MEAN.numpy()[:, None, None], IMAGENET_STD.numpy()[:, None, None]
    pixels = np.rint(published * std + mean)
    np.testing.assert_allclose((pixels - mean) / std, published, atol=1e-6)


def test_sides_are_rounded_half_up():
    assert scaled_size((3, 5), 0.5) == [2, 3]


def test_the_long_side_is_limited():
    assert ResizeShortSide([800], 1333).resized((300, 1200), 800) == [333, 1333]


@pytest.mark.parametrize("size", [(61, 97), (97, 61), (20, 31), (40, 200)])
def test_a_resize_as_torchvisions_detectors_do_it(size):
    theirs = GeneralizedRCNNTransform(32, 50, [0.0] * 3, [1.0] * 3).eval()
    picture = sample(*size, [[0, 0, size[1], size[0]]])
    images, _ = theirs([picture["image"] / 255])
    (height, width), resize = images.image_sizes[0], ResizeShortSide([32], 50, "down", False)
    assert resize.resized(size, 32) == [height, width]
    assert resize.frames(np.array([size]), np.random.default_rng(0)).size.tolist() == [
        [width, height]
    ]
    resized = resize(picture)
    expected = 255 * images.tensors[0, :, :height, :width]
    # Ours stay whole numbers, and are rounded after each axis.
    assert (resized["image"].float() - expected).abs().max() < 1.1
    assert resized["boxes"].tolist()[0] == pytest.approx([0, 0, width, height])


def test_image_boxes_and_masks_go_together():
    resized = ResizeShortSide([20], 100)(sample(10, 15, [[0, 0, 15, 10]], masks=True))
    assert resized["image"].shape == (3, 20, 30)
    assert resized["image"].dtype == torch.uint8
    assert resized["masks"].shape == (1, 20, 30)
    assert resized["boxes"].tolist() == [[0, 0, 30, 20]]


def test_every_short_side_is_drawn():
    resize = ResizeShortSide([8, 16, 24], 1000)
    drawn = [resize(sample(8, 8, []))["image"].shape[-1] for _ in range(60)]
    assert set(drawn) == {8, 16, 24}
    assert min(drawn.count(side) for side in set(drawn)) > 8


def test_an_image_without_objects_is_resized():
    resized = ResizeShortSide([20], 100)(sample(10, 15, [], masks=True))
    assert resized["boxes"].shape == (0, 4)
    assert resized["masks"].shape == (0, 20, 30)


@pytest.mark.parametrize(
    "option", sorted(path.stem for path in (REPOSITORY / "conf/augment").glob("*.yaml"))
)
def test_every_option_builds_and_keeps_objects_in_the_image(option):
    with initialize_config_dir(str(REPOSITORY / "conf"), version_base="1.3"):
        augment = instantiate(compose(overrides=[f"+augment={option}", "+image_size=64"]).augment)
    assert isinstance(augment, Augmentation)
    tested = augment.test(sample(48, 64, [[0, 0, 64, 48]]))
    height, width = tested["image"].shape[-2:]
    assert tested["boxes"].tolist() == [[0, 0, width, height]]
