import copy
import errno

import pytest
import torch

from bacl.detectors import kept_features
from bacl.detectors.kept_features import FrozenPart, KeptFeatures, bytes_of
from bacl.files.atomic import UnwritableError

SIZES = [(64, 96), (96, 64)]


@pytest.fixture(scope="module")
def built(build):
    return build("small", "detector.each_alone=true").eval()


@pytest.fixture
def detector(built):
    return copy.deepcopy(built)


@pytest.fixture
def images():
    return torch.randn(2, 3, 96, 96)


@pytest.fixture(params=[True, False], ids=["pyramid", "backbone"])
def whole(request):
    return request.param


@pytest.fixture
def keep(detector, tmp_path, whole):
    def made(room=10**9, part=None):
        return KeptFeatures(part or FrozenPart(detector, whole), tmp_path, room, 0)

    return made


def files(folder):
    return sorted(folder.rglob("*.pt"))


@torch.no_grad()
def pyramid(detector, images, kept=None):
    if kept is not None:
        detector.features = kept
    return detector.pyramid(images, SIZES)


def test_what_is_read_is_what_is_computed_to_the_bit(detector, images, keep, tmp_path):
    expected = pyramid(detector, images)
    writing, reading = keep(), keep()
    for kept in (writing, reading):
        for level, other in zip(pyramid(detector, images, kept), expected, strict=True):
            assert torch.equal(level, other)
            assert level.stride() == other.stride()  # convolutions round by it
    assert (writing.found, writing.computed) == (0, 2)
    assert (reading.found, reading.computed) == (2, 0)
    assert len(files(tmp_path)) == 2


def test_files_take_no_more_than_was_told(detector, images, keep, tmp_path, whole):
    pyramid(detector, images, keep())
    probed = FrozenPart(detector, whole).probed()
    sizes = [path.stat().st_size for path in files(tmp_path)]
    for size in sizes:
        assert bytes_of(probed, *SIZES[0]) - kept_features.OVERHEAD < size
        assert size <= bytes_of(probed, *SIZES[0])
    assert bytes_of(probed, *SIZES[0]) == bytes_of(probed, *SIZES[1])


def test_a_bit_of_another_picture_makes_another_file(detector, images, keep, tmp_path):
    pyramid(detector, images, keep())
    images[0, 2, 63, 95] = torch.nextafter(images[0, 2, 63, 95], torch.tensor(9.0))
    images[0, 2, 64, 95] += 1  # outside of the picture: nothing
    kept = keep()
    pyramid(detector, images, kept)
    assert (kept.found, kept.computed) == (1, 1)


def test_gradients_of_a_pyramid_that_trains_are_the_same(detector, images, tmp_path):
    detector.backbone.requires_grad_(False)
    gradients = []
    part = FrozenPart(detector, whole=False)
    for features in (detector.features, *(KeptFeatures(part, tmp_path, 10**9, 0) for _ in "ab")):
        detector.features = features
        detector.zero_grad()
        sum(level.square().sum() for level in detector.pyramid(images, SIZES)).backward()
        gradients.append([parameter.grad.clone() for parameter in detector.fpn.parameters()])
    for other in gradients[1:]:
        assert all(torch.equal(a, b) for a, b in zip(gradients[0], other, strict=True))


@pytest.mark.parametrize("damage", [b"", b"no archive", None])
def test_a_damaged_file_is_computed_and_written_again(detector, images, keep, tmp_path, damage):
    expected = pyramid(detector, images, keep())
    path = files(tmp_path)[0]
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] if damage is None else damage)
    kept = keep()
    for level, other in zip(pyramid(detector, images, kept), expected, strict=True):
        assert torch.equal(level, other)
    assert (kept.found, kept.computed) == (1, 1)
    assert path.read_bytes() == content


def test_a_file_that_holds_something_else_is_no_features(detector, images, keep, tmp_path):
    pyramid(detector, images, keep())
    for path, content in zip(files(tmp_path), ([1], {"maps": "none"}), strict=True):
        torch.save(content, path)
    kept = keep()
    pyramid(detector, images, kept)
    assert (kept.found, kept.computed) == (0, 2)


def test_nothing_is_written_beyond_the_room_there_is(detector, images, keep, tmp_path, whole):
    one = bytes_of(FrozenPart(detector, whole).probed(), *SIZES[0])
    expected = pyramid(detector, images)
    kept = keep(room=one)
    for level, other in zip(pyramid(detector, images, kept), expected, strict=True):
        assert torch.equal(level, other)
    assert len(files(tmp_path)) == 1


def test_a_full_disk_is_told_with_what_goes_on_without(
    detector, images, keep, tmp_path, monkeypatch
):
    def full(content, file):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(UnwritableError, match=r"No space left.*cache=null ends the run alike"):
        pyramid(detector, images, keep())
    assert not list(tmp_path.rglob(".*"))


def name_of(detector, whole=True):
    part = FrozenPart(detector, whole)
    return part.identity(part.probed())


def test_an_extractor_is_told_from_every_other(detector, monkeypatch):
    def shifted(copied):
        copied.backbone.layer4[0].bn2.running_mean += 1e-6

    def of_another_option(copied):  # which no weight tells
        copied.backbone.layer4[0].bn2.eps = 1e-2

    def of_another_pyramid(copied):
        copied.fpn.lateral[3].bias.data[0] += 1e-6

    name = name_of(detector)
    assert name_of(copy.deepcopy(detector)) == name
    assert name_of(detector, whole=False) != name
    for change in (shifted, of_another_option, of_another_pyramid):
        other = copy.deepcopy(detector)
        change(other)
        assert name_of(other) != name
    with torch.autocast("cpu", torch.bfloat16):
        assert name_of(detector) != name
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    assert name_of(detector) != name


def test_what_comes_after_the_features_and_what_is_drawn_change_nothing(detector):
    other = copy.deepcopy(detector)
    for part in (other.rpn, other.box_head, other.box_regression):
        for parameter in part.parameters():
            torch.nn.init.ones_(parameter)
    torch.manual_seed(123)
    assert name_of(other) == name_of(detector)
    other.fpn.lateral[3].bias.data[0] += 1e-6
    assert name_of(other, whole=False) == name_of(detector, whole=False)
