"""Which copies of a picture are told to look like it, and what the search among many costs.

Run: python benchmarks/similar_pictures.py [--images FOLDER] [--count 100000]

Of every fourth picture of a folder a copy is made by compression, another size, exposure, a crop
and a mirror; "others" are pairs of different pictures. The search is timed on random hashes, every
second one twice there, and on the same hash throughout.
"""

import argparse
import io
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from bacl.inspection.picture_facts import appearance
from bacl.inspection.similar_pictures import similar_pairs


def resized(picture: Image.Image, factor: float) -> Image.Image:
    return picture.resize((int(picture.width * factor), int(picture.height * factor)))


def cropped(picture: Image.Image, share: float) -> Image.Image:
    x, y = picture.width * share / 2, picture.height * share / 2
    return picture.crop((int(x), int(y), int(picture.width - x), int(picture.height - y)))


COPIES = {
    "JPEG, quality 50": lambda picture: (picture, 50),
    "JPEG, quality 20": lambda picture: (picture, 20),
    "three quarters of the size": lambda picture: (resized(picture, 0.75), 90),
    "half of the size": lambda picture: (resized(picture, 0.5), 90),
    "1.2 times as bright": lambda picture: (ImageEnhance.Brightness(picture).enhance(1.2), 90),
    "2 % cropped": lambda picture: (cropped(picture, 0.02), 90),
    "10 % cropped": lambda picture: (cropped(picture, 0.1), 90),
    "mirrored": lambda picture: (ImageOps.mirror(picture), 90),
}


def seen(picture: Image.Image, quality: int | None = None) -> tuple[int, bytes]:
    """Hash and thumbnail, of a picture or of what JPEG makes of it."""
    if quality is not None:
        content = io.BytesIO()
        picture.save(content, "JPEG", quality=quality)
        picture = Image.open(content)
    return appearance(picture)[1:]


def columns(found: list[tuple[int, bytes]]) -> tuple[np.ndarray, np.ndarray]:
    levels = np.frombuffer(b"".join(each[1] for each in found), dtype=np.uint8)
    return np.array([each[0] for each in found], dtype=np.uint64), levels.reshape(len(found), -1)


def compare(folder: Path) -> None:
    files = sorted(path for path in folder.iterdir() if path.is_file())
    own = similar_pairs(
        *columns([seen(Image.open(path)) for path in files]), np.zeros(len(files), int)
    )
    print(f"{len(files)} pictures, {len(own[0])} pairs among them")
    chosen = [Image.open(path).convert("RGB") for path in files[::4]]
    count = len(chosen)
    originals = [seen(Image.open(path)) for path in files[::4]]
    for name, copy in COPIES.items():
        both = columns([*originals, *[seen(*copy(picture)) for picture in chosen]])
        one, other = similar_pairs(*both, np.repeat([0, 1], count))
        found = int((other - one == count).sum())
        print(f"{name}: {found} of {count} found, {len(one) - found} others")


def search(count: int) -> None:
    draws = np.random.default_rng(0)
    hashes = draws.integers(0, 2**63, count).astype(np.uint64)
    hashes[1::2] = hashes[:-1:2][: count // 2]
    thumbnails = np.repeat(draws.integers(0, 256, (count // 2 + 1, 256), dtype=np.uint8), 2, axis=0)
    cases = {"every second one twice": hashes, "all alike": np.full(count, hashes[0])}
    for name, outlines in cases.items():
        shown = thumbnails[:count] if name != "all alike" else np.repeat(thumbnails[:1], count, 0)
        began = time.process_time()
        one, _ = similar_pairs(outlines, shown, np.zeros(count, int))
        seconds = time.process_time() - began
        print(f"{count:,} hashes, {name}: {seconds:.1f} s, {len(one):,} pairs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path)
    parser.add_argument("--count", type=int, default=100_000)
    arguments = parser.parse_args()
    if arguments.images:
        compare(arguments.images)
    search(arguments.count)


if __name__ == "__main__":
    main()
