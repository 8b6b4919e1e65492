"""Large pictures that are looked at as a whole and in tiles.

What is larger than a tile is seen in the whole, what is small in the whole is seen in a tile.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from bacl.data.batch import Batch, Detections
from bacl.data.collate import collate
from bacl.data.images.tiles import Place, Tiling, tile_of
from bacl.data.images.unannotated import without_objects
from bacl.prediction.detected_batch import Found
from bacl.prediction.tile_merging import merged


@dataclass(frozen=True)
class TileBatches:
    """Tiles as the network takes them; no more are made, and in memory, than go through it at once.

    Args:
        tiling: where they lie.
        transform: of tiles, as of pictures.
        size: tiles of a batch.
    """

    tiling: Tiling
    transform: nn.Module
    size: int

    def of(self, picture: Tensor) -> Iterator[tuple[Sequence[Place], Batch]]:
        """Places and tiles of a picture (3, H, W) uint8, row by row."""
        places = self.tiling.places(picture.shape[1], picture.shape[2])
        for start in range(0, len(places), self.size):
            own = places[start : start + self.size]
            tiles = (tile_of(picture, place) for place in own)
            yield own, collate([without_objects(tile, 0, self.transform) for tile in tiles])


def with_tiles(
    whole: Found,
    pictures: Sequence[Tensor | None],
    tiles: TileBatches,
    detect: Callable[[Batch], Found],
    rule: tuple[float, int],
) -> dict[str, list[Detections]]:
    """Detections of pictures with those of their tiles.

    Args:
        whole: of each picture, looked at as a whole.
        pictures: (3, H, W) uint8, in the same order; where there is None, `whole` is all there is.
        tiles: how they are made.
        detect: finds objects in a batch of tiles, in pixels of each.
        rule: the IoU that is tolerated within a category, and the most detections of a picture.
    """
    found = {head: list(each) for head, each in whole.items()}
    for number, picture in enumerate(pictures):
        if picture is not None:
            size = picture.shape[1], picture.shape[2]
            parts = [(places, detect(batch)) for places, batch in tiles.of(picture)]
            for head, own in found.items():
                placed = [pair for at, part in parts for pair in zip(at, part[head], strict=True)]
                own[number] = merged(own[number], placed, size, rule)
    return found
