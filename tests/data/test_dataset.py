import json
import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from bacl.data.annotations.table import AnnotationTable
from bacl.data.augmentation.copy_paste import CopyPaste
from bacl.data.augmentation.transforms import ResizeShortSide
from bacl.data.batch import Target
from bacl.data.collate import IMAGENET_MEAN, IMAGENET_STD, collate
from bacl.data.dataset import DetectionDataset, NothingToTrainOnError
from bacl.data.images.picture_file import PictureError

UNCHANGED = v2.Identity()


def dataset(file, transform=UNCHANGED, **options):
    return DetectionDataset(AnnotationTable.open(file), file.parent, transform, **options)


def edited(file, change):
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    return file


def small_copy_paste():
    return CopyPaste(
        canvas=64,
        scale=(0.8, 1.25),
        flip_probability=0.5,
        max_pasted=99,
        box_tolerance=2,
        area_threshold=5,
    )


def equal(first, second):
    (image, target), (other_image, other) = first, second
    return (
        torch.equal(image, other_image)
        and torch.equal(target.boxes, other.boxes)
        and torch.equal(target.labels, other.labels)
        and target.image_id == other.image_id
    )


def test_pixels_boxes_and_labels_of_the_file(tmp_path, write_set):
    file = write_set(
        tmp_path,
        [(40, 50)],
        {0: [(5, 6, 10, 20, 3), (1.5, 2, 3, 4.5, 1)]},
        neg_category_ids=[[2]],
        not_exhaustive_category_ids=[[1, 3]],
    )
    image, target = dataset(file, load_masks=True)[0]
    pixels = np.array(Image.open(tmp_path / "0.png"))
    assert torch.equal(image, torch.from_numpy(pixels).permute(2, 0, 1))
    assert target.boxes.tolist() == [[5, 6, 15, 26], [1.5, 2, 4.5, 6.5]]
    assert target.boxes.dtype == torch.float32
    assert target.labels.tolist() == [2, 0]
    assert target.labels.dtype == torch.int64
    assert (target.image_id, target.size, target.original_size) == (100, (40, 50), (40, 50))
    assert target.negative.tolist() == [1]
    assert target.not_exhaustive.tolist() == [0, 2]
    masks = target.masks.bitmaps()
    assert masks.shape == (2, 40, 50)
    assert masks[0].sum() == masks[0, 6:26, 5:15].sum() == 200
    assert type(target.boxes) is type(image) is torch.Tensor


def test_boxes_are_clipped_and_untrainable_objects_left_out(tmp_path, write_set):
    objects = [(-5, -5, 15, 15, 1), (40, 30, 100, 100, 2), (60, 0, 5, 5, 1), (3, 3, 0.5, 9, 1)]
    file = write_set(tmp_path, [(40, 50)], {0: [*objects, (0, 0, 9, 9, 3)]})
    file = edited(file, lambda content: content["annotations"][4].update(iscrowd=1))
    _, target = dataset(file)[0]
    assert target.boxes.tolist() == [[0, 0, 10, 10], [40, 30, 50, 40]]


def test_training_leaves_out_images_without_objects_and_tiny_ones(tmp_path, write_set):
    box = (1, 1, 9, 9, 2)
    file = write_set(
        tmp_path, [(40, 40), (40, 40), (31, 90), (32, 60)], {1: [box], 2: [box], 3: [box]}
    )
    training = dataset(file)
    assert [training[index][1].image_id for index in range(len(training))] == [101, 103]
    np.testing.assert_allclose(training.aspect_ratios, [1, 60 / 32])
    index, label = training.category_pairs()
    assert (index.tolist(), label.tolist()) == ([0, 1], [1, 1])
    evaluation = dataset(file, keep_empty=True, load_masks=True)
    assert [evaluation[index][1].image_id for index in range(4)] == [100, 101, 102, 103]
    assert evaluation[0][1].boxes.shape == (0, 4)
    assert evaluation[0][1].masks.bitmaps().shape == (0, 40, 40)


def test_nothing_to_train_on(tmp_path, write_set):
    with pytest.raises(NothingToTrainOnError, match=r"annotations\.json: no image"):
        dataset(write_set(tmp_path, [(40, 40)], {}))


def test_size_is_that_of_the_transformed_image(tmp_path, write_set):
    file = write_set(tmp_path, [(40, 50)], {0: [(5, 6, 10, 20, 3)]})
    image, target = dataset(file, ResizeShortSide([80], 1000))[0]
    assert image.shape == (3, 80, 100)
    assert target.size == (80, 100)
    assert target.original_size == (40, 50)
    assert target.boxes.tolist() == [[10, 12, 30, 52]]


@pytest.mark.parametrize(
    "transform", [v2.RandomCrop(24), small_copy_paste()], ids=["v2", "copy-paste"]
)
def test_a_sample_depends_on_its_key_alone(ten_pictures, transform):
    data = DetectionDataset(ten_pictures, ten_pictures.source.parent, transform)
    first = data[3, 7]
    state = torch.get_rng_state()
    torch.rand(5)
    data[4, 8]
    assert equal(data[3, 7], first)
    assert not equal(data[3, 9], first)
    torch.set_rng_state(state)
    data[3, 7]
    assert torch.equal(torch.get_rng_state(), state)  # the caller's draws go on undisturbed


class RemovesSmallPictures(v2.Transform):
    def __call__(self, sample):
        keep = torch.full((len(sample["boxes"]),), sample["image"].shape[1] > 40)
        boxes = sample["boxes"]
        boxes[~keep] = 0
        return sample


def test_a_sample_without_objects_is_replaced_by_one_of_its_key(tmp_path, write_set):
    box = (1, 1, 30, 30, 2)
    file = write_set(tmp_path, [(40, 40), (50, 50), (60, 60)], {n: [box] for n in range(3)})
    data = dataset(file, RemovesSmallPictures())
    drawn = [data[0, key][1].image_id for key in range(20)]
    assert set(drawn) == {101, 102}
    assert drawn == [data[0, key][1].image_id for key in range(20)]


def test_objects_that_a_transform_removes_are_dropped_with_their_masks(tmp_path, write_set):
    file = write_set(tmp_path, [(40, 60)], {0: [(0, 0, 10, 10, 1), (50, 30, 10, 10, 3)]})
    _, target = dataset(file, v2.CenterCrop((40, 50)), load_masks=True)[0]
    assert target.boxes.tolist() == [[0, 0, 5, 10], [45, 30, 50, 40]]
    _, target = dataset(file, v2.CenterCrop((20, 40)), load_masks=True, keep_empty=True)[0]
    assert target.boxes.shape == (0, 4)
    assert target.labels.shape == (0,)
    assert target.masks.bitmaps().shape == (0, 20, 40)


def test_an_augmentation_that_removes_everything(tmp_path, write_set):
    data = dataset(write_set(tmp_path, [(40, 40)], {0: [(1, 1, 9, 9, 2)]}), RemovesSmallPictures())
    with pytest.raises(NothingToTrainOnError, match="lost all their objects"):
        data[0]


def test_copy_paste_takes_polygons_run_lengths_and_boxes(tmp_path, write_set):
    file = write_set(tmp_path, [(64, 64)], {0: [(4, 4, 20, 20, 1)] * 3})

    def change(content):
        run_lengths = [64 * 4 + 4] + [20, 44] * 19 + [20, 64 * 40 + 40]
        content["annotations"][1]["segmentation"] = {"size": [64, 64], "counts": run_lengths}
        del content["annotations"][2]["segmentation"]

    data = dataset(edited(file, change), small_copy_paste(), load_masks=True)
    canvas = data.transform.place(data._load(0))
    np.testing.assert_allclose(canvas.boxes[1:], canvas.boxes[[0, 0]], atol=1)
    assert len(data[0][1].masks) == len(data[0][1].boxes)


@pytest.mark.parametrize("mode", ["L", "CMYK", "P", "RGBA"])
def test_pictures_of_every_mode_become_rgb(tmp_path, write_set, mode):
    file = write_set(tmp_path, [(40, 50)], {0: [(5, 6, 10, 20, 3)]})
    picture = Image.new("RGB", (50, 40), (204, 204, 204)).convert(mode)
    picture.save(tmp_path / "0.png", format="TIFF" if mode == "CMYK" else "PNG")
    image, _ = dataset(file)[0]
    assert image.shape == (3, 40, 50)
    assert (image.int() - 204).abs().max() <= 1


def test_a_stored_rotation_counts_only_if_the_size_asks_for_it(tmp_path, write_set):
    turned = Image.Exif()
    turned[0x0112] = 6  # "turn right to see it upright"
    for size in ((40, 50), (50, 40)):
        folder = tmp_path / str(size[0])
        file = write_set(folder, [size], {0: [(5, 6, 10, 20, 3)]})
        Image.new("RGB", (50, 40)).save(folder / "0.png", format="JPEG", exif=turned)
        assert dataset(file)[0][0].shape == (3, *size)


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (lambda path: path.unlink(), PictureError, "set the folder"),
        (lambda path: path.write_bytes(path.read_bytes()[:1500]), PictureError, "cannot be read"),
        (lambda path: path.write_text("no image"), PictureError, "is a text file"),
        (
            lambda path: Image.new("RGB", (51, 40)).save(path),
            PictureError,
            r"51 x 40 pixels, not 50 x 40",
        ),
    ],
    ids=["missing", "cut off", "no image", "another size"],
)
def test_a_bad_image_file_is_named_with_its_annotation_file(
    tmp_path, write_set, damage, error, message
):
    file = write_set(tmp_path, [(40, 50)], {0: [(5, 6, 10, 20, 3)]})
    damage(tmp_path / "0.png")
    with pytest.raises(error, match=message) as caught:
        dataset(file)[0]
    assert "0.png" in str(caught.value)
    assert f"image 100 of {file}" in str(caught.value)


def test_images_in_several_folders(tmp_path, write_set):
    file = write_set(tmp_path, [(40, 50), (40, 50)], {0: [(5, 6, 9, 9, 3)], 1: [(5, 6, 9, 9, 3)]})
    (tmp_path / "more").mkdir()
    (tmp_path / "1.png").rename(tmp_path / "more/1.png")
    folders = [tmp_path, tmp_path / "more"]
    data = DetectionDataset(AnnotationTable.open(file), folders, UNCHANGED)
    assert [data[index][1].image_id for index in range(2)] == [100, 101]


def test_a_batch_is_normalised_and_padded_with_zeros(ten_pictures):
    data = DetectionDataset(ten_pictures, ten_pictures.source.parent, UNCHANGED, load_masks=True)
    samples = [data[0], data[1]]  # 64 x 48 and 48 x 64
    pixels = samples[0][0].float()
    expected_masks = samples[0][1].masks.bitmaps()
    batch = collate(samples)
    assert batch.images.shape == (2, 3, 64, 64)
    expected = (pixels - IMAGENET_MEAN[:, None, None]) / IMAGENET_STD[:, None, None]
    torch.testing.assert_close(batch.images[0, :, :, :48], expected)
    assert not batch.images[0, :, :, 48:].any()
    assert not batch.images[1, :, 48:].any()
    assert batch.sizes == [(64, 48), (48, 64)]
    assert [target.padded_size for target in batch.targets] == [(64, 64), (64, 64)]
    masks = batch.targets[0].masks.bitmaps()
    assert torch.equal(masks[:, :, :48], expected_masks)
    assert not masks[:, :, 48:].any()


def test_packed_targets_are_the_targets(ten_pictures):
    data = DetectionDataset(ten_pictures, ten_pictures.source.parent, UNCHANGED)
    batch = collate([data[index] for index in range(4)])
    for index, target in enumerate(batch.targets):
        assert torch.equal(target.boxes, data[index][1].boxes)
        assert torch.equal(target.labels, data[index][1].labels)
    storages = {target.boxes.untyped_storage().data_ptr() for target in batch.targets}
    assert len(storages) == 1


@pytest.mark.parametrize("context", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_workers_give_the_batches_of_the_process_itself(ten_pictures, context):
    data = DetectionDataset(ten_pictures, ten_pictures.source.parent, small_copy_paste())
    batches = [[(0, 11), (1, 12)], [(2, 13), (3, 14)], [(4, 15), (0, 11)]]
    alone = list(DataLoader(data, batch_sampler=batches, collate_fn=collate))
    shared = DataLoader(
        data,
        batch_sampler=batches,
        collate_fn=collate,
        num_workers=2,
        multiprocessing_context=context,
    )
    for batch, expected in zip(shared, alone, strict=True):
        assert torch.equal(batch.images, expected.images)
        for target, other in zip(batch.targets, expected.targets, strict=True):
            assert torch.equal(target.boxes, other.boxes)


def test_a_pickled_data_set_holds_no_annotations(ten_pictures):
    data = DetectionDataset(ten_pictures, ten_pictures.source.parent, UNCHANGED)
    again = pickle.loads(pickle.dumps(data))
    assert equal(again[2], data[2])
    assert isinstance(again.table.boxes, np.memmap)


def test_padding_of_an_image_does_not_depend_on_its_batch(ten_pictures):
    data = DetectionDataset(ten_pictures, ten_pictures.source.parent, v2.Resize((20, 40)))
    pasted = DetectionDataset(ten_pictures, ten_pictures.source.parent, small_copy_paste())
    batch = collate([data[0], pasted[0]])
    assert batch.targets[0].padded_size == (32, 64)
    # A copy-paste image fills its canvas, whatever the size of the picture on it.
    canvas = pasted[0][0].shape[1:]
    assert batch.targets[1].padded_size == tuple(-(-side // 32) * 32 for side in canvas)


def test_boxes_in_pixels_of_the_file():
    none = torch.zeros(0, dtype=torch.int64)
    target = Target(1, torch.zeros(0, 4), none, (80, 90), (96, 96), (40, 270), none, none)
    boxes = target.to_original(torch.tensor([[1.0, 2, 3, 4], [0, 0, 90, 80]]))
    assert boxes.tolist() == [[3, 1, 9, 2], [0, 0, 270, 40]]
    assert target.to_original(torch.zeros(0, 4)).shape == (0, 4)


def test_annotated_masks_are_those_of_the_target(ten_pictures):
    data = DetectionDataset(ten_pictures, ten_pictures.source.parent, UNCHANGED, load_masks=True)
    for index in range(len(data)):
        masks = coco_mask.decode(data.annotated_masks(index)).transpose(2, 0, 1)
        assert len(masks) > 0
        assert np.array_equal(masks.astype(bool), data[index][1].masks.bitmaps().numpy())
