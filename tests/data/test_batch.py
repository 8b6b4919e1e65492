"""A batch on its way to a GPU, with a stand-in that writes down what was asked of it."""

from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.utilities import move_data_to_device

from bacl.data import batch as batch_module
from bacl.data import uint8_images
from bacl.data.batch import Batch, Target
from bacl.data.collate import collate, collate_here, collate_uint8
from bacl.data.images.read_pictures import Collated
from bacl.data.loading import batch_loader
from bacl.data.mask_edges import MaskEdges
from bacl.data.uint8_images import Uint8Images
from bacl.data.uploads import uploaded

GPU = torch.device("cuda", 0)


class Images:
    """In place of a tensor."""

    def __init__(self):
        self.told = []

    def pin_memory(self):
        self.told.append("pinned")
        return self

    def to(self, device, non_blocking=False):
        self.told.append((device, non_blocking))
        return self


def target(number, objects, masks=True):
    """Its values are all different from those of others."""
    labels = torch.arange(objects) + 10 * number
    bitmaps = torch.arange(objects * 16).reshape(objects, 4, 4) % (number + 2) == 0
    edges = MaskEdges.of_bitmaps(bitmaps) if masks else None
    return Target(
        number, labels[:, None] + torch.tensor([0.0, 1, 2, 3]), labels, (4, 4), (32, 32), (8, 8),
        torch.tensor([number]), torch.arange(number), edges,
    )  # fmt: skip


@pytest.fixture
def sent(monkeypatch):
    """What was sent, in order."""
    tensors = []

    def send(tensor, device):
        assert device == GPU
        tensors.append(tensor)
        return tensor.clone()

    monkeypatch.setattr(batch_module, "uploaded", send)
    return tensors


def equal(one, other):
    names = ("boxes", "labels", "negative", "not_exhaustive")
    same = all(torch.equal(getattr(one, name), getattr(other, name)) for name in names)
    if (one.masks is None) != (other.masks is None):
        return False
    edges = one.masks is None or torch.equal(one.masks.edges, other.masks.edges)
    return same and edges and (one.image_id, one.size) == (other.image_id, other.size)


@pytest.mark.parametrize("objects", [[3], [2, 0, 5, 1], [0, 0]])
@pytest.mark.parametrize("masks", [True, False])
def test_a_gpu_is_sent_as_many_tensors_whatever_the_images(sent, objects, masks):
    targets = [target(number, count, masks) for number, count in enumerate(objects)]
    images = Images()
    moved = move_data_to_device(Batch(images, targets), GPU)
    assert images.told == [(GPU, True)]
    assert len(sent) == 4 + masks
    assert all(map(equal, moved.targets, targets))
    assert all(map(equal, targets, [target(n, count, masks) for n, count in enumerate(objects)]))


def test_images_of_which_only_some_have_masks(sent):
    targets = [target(0, 2, masks=False), target(1, 3), target(2, 1, masks=False)]
    moved = Batch(Images(), targets).to(GPU)
    assert all(map(equal, moved.targets, targets))


def test_a_cpu_is_handed_what_is_there(sent):
    given = Batch(torch.zeros(1, 3, 32, 32), [target(1, 2)])
    moved = move_data_to_device(given, torch.device("cpu"))
    assert moved.images is given.images
    assert moved.targets[0].boxes is given.targets[0].boxes
    assert not sent


def test_what_is_sent_is_pinned_before():
    tensor = Images()
    tensor.is_cuda = False
    uploaded(tensor, GPU)
    assert tensor.told == ["pinned", (GPU, True)]
    there = SimpleNamespace(is_cuda=True, to=lambda device: "there")
    assert uploaded(there, GPU) == "there"


@pytest.mark.parametrize("sides", [[(32, 64)], [(40, 50), (64, 33), (1, 7)]])
def test_bytes_become_the_images_that_float32_would_have_been(sides):
    draw = torch.Generator().manual_seed(0)

    def samples():
        for number, (height, width) in enumerate(sides):
            pixels = torch.randint(256, (3, height, width), generator=draw, dtype=torch.uint8)
            yield pixels, target(number, 2)

    given = list(samples())
    expected, bytes_ = collate(given), collate_uint8(given)
    assert bytes_.images.pixels.dtype == torch.uint8
    moved = bytes_.to("cpu")
    assert torch.equal(moved.images, expected.images)
    assert moved.images.is_contiguous()
    assert all(map(equal, moved.targets, expected.targets))


@pytest.mark.parametrize("dtype", [torch.float32, torch.int32, torch.uint16])
def test_images_of_other_numbers_than_bytes_keep_them(dtype):
    pixels = (torch.arange(3 * 8 * 8).reshape(3, 8, 8) * 1.5).to(dtype)
    bytes_ = torch.zeros(3, 40, 8, dtype=torch.uint8)
    samples = [(bytes_, target(0, 1)), (pixels, target(1, 2))]
    assert pixels.float().amax() > 255
    assert torch.equal(collate_uint8(samples).images, collate(samples).images)


def test_bytes_are_what_is_sent(monkeypatch):
    pixels, small = Images(), []
    pixels.float = lambda: torch.ones(1, 3, 32, 32)
    monkeypatch.setattr(uint8_images, "uploaded", lambda value, to: small.append(value) or value)
    Uint8Images(pixels, torch.tensor([[32, 32]])).to(GPU, non_blocking=True)
    assert pixels.told == [(GPU, True)]
    assert [value.numel() for value in small] == [3, 3, 2]


@pytest.mark.parametrize("gpu", [False, True])
def test_loaders_send_bytes_where_there_is_a_gpu(monkeypatch, gpu):
    pixels = torch.zeros(3, 8, 8, dtype=torch.uint8)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    loader = batch_loader([pixels], [[0]], 0, pin_memory=True)
    batch = loader.collate_fn([(pixels, target(0, 1))])
    assert isinstance(batch.images, Uint8Images) is gpu
    assert loader.pin_memory is gpu
    assert collate_here() is (collate_uint8 if gpu else collate)


def test_pictures_without_annotations_are_pinned_too():
    images = Images()
    assert Collated(Batch(images, []), [], []).pin_memory().batch.images is images
    assert images.told == ["pinned"]
    assert Collated(None, [], []).pin_memory().batch is None
