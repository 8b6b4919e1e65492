"""Features of frozen layers on disk: computed once for each picture that goes in."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from bacl.detectors.each_alone import Maps
from bacl.detectors.region_detector import RegionDetector
from bacl.files.atomic import UnwritableError
from bacl.files.kinds import UnreadableFileError
from bacl.files.saving import save
from bacl.files.torch_file import read_torch_file

PROBE = (64, 96)
"""Height and width of the picture whose features tell one extractor from another."""
OVERHEAD = 4096
"""Bytes of a file beside its numbers, at most."""
MAPS = "maps"


class FrozenPart:
    """What of a detector makes features without learning: the backbone, or the pyramid as well.

    Args:
        detector: of which the backbone is frozen.
        whole: whether the pyramid is frozen, too.
    """

    def __init__(self, detector: RegionDetector, whole: bool) -> None:
        self.detector = detector
        self.whole = whole
        self._modules: list[nn.Module] = [detector.backbone, *([detector.fpn] if whole else [])]

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Maps:
        """Features of images (b, 3, h, w)."""
        maps = self.detector.backbone(images)
        return self.detector.fpn(maps) if self.whole else maps

    def pyramid(self, features: Maps) -> Maps:
        """What the pyramid is, of kept features."""
        return features if self.whole else self.detector.fpn(features)

    def probed(self) -> Maps:
        """Features of one made-up picture of `PROBE` pixels."""
        generator = torch.Generator().manual_seed(0)
        image = torch.randn(1, 3, *PROBE, generator=generator)
        return self(image.to(next(self.detector.parameters()).device))

    def identity(self, probed: Maps) -> str:
        """Text that is another one for other weights, options, libraries, processors or threads.

        Options and libraries tell by the bits of `probed`, and those of which it says nothing by
        name.
        """
        digest = hashlib.blake2b(digest_size=16)
        processor = torch.backends.cpu.get_cpu_capability()
        by_name = torch.__version__, torch.get_num_threads(), processor, self.whole
        digest.update(repr(by_name).encode())
        for value in (*self._numbers(), *probed):
            digest.update(repr((value.dtype, tuple(value.shape), value.device.type)).encode())
            digest.update(_bytes(value))
        return digest.hexdigest()

    def _numbers(self) -> Iterator[Tensor]:
        for module in self._modules:
            yield from module.parameters()
            yield from module.buffers()


class KeptFeatures:
    """A detector's `features`: read from a folder, where they are; else computed, and kept there.

    A file is found by the bits of the picture that goes into the network, so another picture,
    augmentation or normalisation has another one. What is damaged is computed again. Several
    processes may use one folder.

    Args:
        part: computes.
        folder: for this part alone (`FrozenPart.identity`).
        room: bytes that may come to lie in it; what is beyond is computed and not kept.
        used: bytes that lie in it already.
    """

    def __init__(self, part: FrozenPart, folder: Path, room: int, used: int) -> None:
        self.part = part
        self.folder = folder
        self.room = room
        self.used = used
        self.found, self.computed = 0, 0

    def __call__(self, detector: RegionDetector, images: Tensor) -> Maps:
        """The pyramid of one image (1, 3, h, w).

        Raises:
            UnwritableError: the disk is full, or refuses the file.
        """
        path = self._path(images)
        maps = self._read(path, images.device)
        if maps is None:
            maps = self.part(images)
            self.computed += 1
            self._keep(path, maps)
        else:
            self.found += 1
        return self.part.pyramid(maps)

    def _path(self, image: Tensor) -> Path:
        digest = hashlib.blake2b(repr(tuple(image.shape)).encode(), digest_size=16)
        digest.update(_bytes(image))
        name = digest.hexdigest()
        return self.folder / name[:2] / f"{name[2:]}.pt"

    def _read(self, path: Path, device: torch.device) -> Maps | None:
        if not path.exists():
            return None
        try:
            content = read_torch_file(path)
        except (UnreadableFileError, FileNotFoundError):  # damaged, or removed by another's limit
            return None
        maps = content.get(MAPS) if isinstance(content, dict) else None
        if not isinstance(maps, list) or not all(isinstance(each, Tensor) for each in maps):
            return None
        return tuple(each.to(device) for each in maps)

    def _keep(self, path: Path, maps: Maps) -> None:
        size = sum(each.numel() * each.element_size() for each in maps) + OVERHEAD
        if self.used + size > self.room:
            return
        try:
            save({MAPS: [each.detach().cpu().clone() for each in maps]}, path)
        except UnwritableError as error:
            raise UnwritableError(
                f"{error}; or go on without keeping features: the same command with cache=null "
                "ends the run alike, on a CPU bit for bit"
            ) from error
        self.used += size


def bytes_of(probed: Maps, height: int, width: int) -> int:
    """Bytes of the file of a picture of so many pixels, at most, by those of the `PROBE`."""
    total = OVERHEAD
    for level in probed:
        stride = -(-PROBE[0] // level.shape[2])
        cells = -(-height // stride) * -(-width // stride)
        total += level.shape[1] * cells * level.element_size()
    return total


def _bytes(value: Tensor) -> memoryview:
    flat = value.detach().cpu().contiguous().flatten()
    return flat.view(torch.uint8).numpy().data
