"""Writes one split of the built-in data set: pictures and an LVIS-format annotation file."""

import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from bacl.data.builtin.glyphs import Glyph, glyphs
from bacl.data.builtin.profile import frequency, spread, training_counts, validation_counts
from bacl.data.builtin.scenes import PlacedGlyph, SceneRules, compose, draw

GENERATOR = 1
"""Raised whenever the same recipe gives other files; a folder of another generator is refused."""
SPLITS = ("train", "val")
SPLIT_IDS = 10_000_000
"""Image ids of a split start at 1 above its number times this."""
FILLED = 0.8
"""Different categories of an image, as a share of its objects, on average."""
JPEG_QUALITY = 92

Record = dict[str, Any]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Recipe:
    """Everything the files depend on; kept in the marker and in each file's info."""

    num_categories: int
    num_train: int
    num_val: int
    seed: int
    rules: SceneRules
    negatives_per_image: int
    not_exhaustive_rate: float
    annotations_only: bool

    def parameters(self) -> Record:
        """The recipe and the generator's version, as JSON gives them back."""
        flat = {"generator": GENERATOR, **asdict(self)}
        flat |= flat.pop("rules")
        record: Record = json.loads(json.dumps(flat))
        return record


@lru_cache(maxsize=4)
def categories(number: int) -> tuple[Glyph, ...]:
    """The glyphs in the order of their labels: by name, so a label says nothing of frequency."""
    return tuple(sorted(glyphs(number), key=lambda glyph: glyph.name))


def image_counts(recipe: Recipe) -> Labels:
    """Images of each split and label that show the category, (2, C)."""
    number = recipe.num_categories
    objects = FILLED * sum(recipe.rules.objects_per_image) / 2
    train = training_counts(number, recipe.num_train, int(objects * recipe.num_train))
    val = validation_counts(train, recipe.num_val, int(objects * recipe.num_val))
    rank = {glyph.name: i for i, glyph in enumerate(glyphs(number))}
    return np.stack([train, val])[:, [rank[glyph.name] for glyph in categories(number)]]


def write_split(folder: Path, recipe: Recipe, split: int, processes: int, quiet: bool) -> None:
    """Writes `folder`/train.json and `folder`/train/*.jpg, or those of val for split 1.

    Args:
        folder: where the split goes; it must not hold one yet.
        recipe: what to make.
        split: 0 for training, 1 for validation.
        processes: that make scenes side by side.
        quiet: show no progress bar.
    """
    name = SPLITS[split]
    (folder / name).mkdir()
    counts = image_counts(recipe)
    instances = np.zeros(recipe.num_categories, np.int64)
    images, written = [], 0
    with (folder / f"{name}.json").open("w", encoding="utf-8") as file:
        file.write(f'{{"info":{json.dumps(_info(recipe, name))},"licenses":[],"annotations":[')
        scenes = _scenes(folder / name, recipe, split, counts[split], processes)
        total, title = (recipe.num_train, recipe.num_val)[split], f"built-in set, {name}"
        for image, annotations in track(scenes, title, total=total, disable=quiet):
            images.append(image)
            for annotation in annotations:
                instances[annotation["category_id"] - 1] += 1
                file.write(",\n" if written else "\n")
                written += 1
                file.write(json.dumps({"id": written, **annotation}, separators=(",", ":")))
        records = _category_records(recipe, counts, split, instances)
        file.write(f'],\n"images":{json.dumps(images)},\n"categories":{json.dumps(records)}}}\n')


def _info(recipe: Recipe, split: str) -> Record:
    return {
        "description": f"BACL built-in data set, {split}: scenes of look-alike letters",
        "version": str(GENERATOR),
        "parameters": recipe.parameters(),
    }


def _scenes(
    images: Path, recipe: Recipe, split: int, counts: Labels, processes: int
) -> Iterator[tuple[Record, list[Record]]]:
    """The records of each image in order; its picture has been written."""
    number = (recipe.num_train, recipe.num_val)[split]
    random = np.random.default_rng(np.random.SeedSequence(recipe.seed, spawn_key=(split,)))
    most = recipe.rules.objects_per_image[1]
    jobs = list(enumerate(spread(counts, number, most, random)))
    make = partial(_scene, images, recipe, split)
    with ExitStack() as stack:
        done: Iterator[tuple[Record, list[Record]]] = map(make, jobs)
        if processes > 1:
            # Not forked: the parent may hold the threads and locks of torch.
            pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"))
            done = stack.enter_context(pool).map(make, jobs, chunksize=16)
        yield from done


def _scene(
    images: Path, recipe: Recipe, split: int, job: tuple[int, Labels]
) -> tuple[Record, list[Record]]:
    """Makes image number job[0] of a split, of the labels job[1]: its record and annotations."""
    index, present = job
    random = np.random.default_rng(np.random.SeedSequence(recipe.seed, spawn_key=(split, index)))
    scene = compose(recipe.rules, categories(recipe.num_categories), present, random)
    annotated, not_exhaustive = _annotated(scene, recipe.not_exhaustive_rate, random)
    absent = np.setdiff1d(np.arange(recipe.num_categories), present)
    negatives = random.permutation(absent)[: recipe.negatives_per_image]
    image = {
        "id": split * SPLIT_IDS + index + 1,
        "file_name": f"{index + 1:08d}.jpg",
        "height": recipe.rules.image_size,
        "width": recipe.rules.image_size,
        "neg_category_ids": (np.sort(negatives) + 1).tolist(),
        "not_exhaustive_category_ids": [label + 1 for label in not_exhaustive],
    }
    if not recipe.annotations_only:
        picture = draw(scene, recipe.rules.image_size, random)
        picture.save(images / image["file_name"], quality=JPEG_QUALITY)
    return image, [_annotation(placed, image["id"]) for placed in annotated]


def _annotated(
    scene: list[PlacedGlyph], rate: float, random: np.random.Generator
) -> tuple[list[PlacedGlyph], list[int]]:
    """The objects that get an annotation, and the labels of which one got none."""
    labels, objects = np.unique([placed.label for placed in scene], return_counts=True)
    hidden = labels[(objects > 1) & (random.uniform(size=len(labels)) < rate)].tolist()
    last = {placed.label: i for i, placed in enumerate(scene)}
    left_out = {last[label] for label in hidden}
    return [placed for i, placed in enumerate(scene) if i not in left_out], hidden


def _annotation(placed: PlacedGlyph, image_id: int) -> Record:
    x1, y1, x2, y2 = placed.box
    return {
        "image_id": image_id,
        "category_id": placed.label + 1,
        "bbox": [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)],
        "area": round(placed.area, 2),
        "segmentation": placed.segmentation(),
    }


def _category_records(
    recipe: Recipe, counts: Labels, split: int, instances: Labels
) -> list[Record]:
    """As in LVIS, `frequency` is the training images' in both files, the counts are the file's."""
    groups = frequency(counts[0])
    return [
        {
            "id": label + 1,
            "name": glyph.name,
            "synset": f"{glyph.name}.n.01",
            "synonyms": [glyph.name],
            "def": f"the glyph {glyph.name.replace('_', ' ')}",
            "frequency": groups[label],
            "image_count": int(counts[split, label]),
            "instance_count": int(instances[label]),
        }
        for label, glyph in enumerate(categories(recipe.num_categories))
    ]
