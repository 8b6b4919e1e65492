"""job=predict: detections of any pictures, with nothing but a finished stage's checkpoint."""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from omegaconf import DictConfig
from torch.utils.data import DataLoader

from bacl.assembly.accepting import acceptance, in_words
from bacl.assembly.rebuilt import Restored
from bacl.assembly.restored import command_overrides, keep_head, restore_model
from bacl.assembly.trainer import build_fabric, prepare_process
from bacl.data.batch import Batch, Detections, Target
from bacl.data.images.image_folder import (
    Collated,
    FoundImages,
    PictureDataset,
    Unreadable,
    collate_readable,
    find_images,
)
from bacl.data.images.orientation import UPRIGHT
from bacl.data.images.picture_file import read_picture
from bacl.data.images.traits import Trait, told_traits
from bacl.detectors.acceptance import Acceptance
from bacl.evaluation.prediction_files import PredictionFiles
from bacl.messages.dispensable import Dispensable
from bacl.messages.errors import OptionError, UserError
from bacl.messages.shown import visible
from bacl.processes.progress import count_progress
from bacl.reporting import figures

PARTS = ("waiting for pictures", "detection", "writing", "drawing")


class UnreadableError(UserError):
    """Not a single picture could be read."""


@dataclass
class Watch:
    """Where the time goes."""

    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count a block as this part."""
        start = perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += perf_counter() - start

    def summary(self) -> str:
        """Seconds of every part."""
        return ", ".join(f"{name} {self.seconds[name]:.1f} s" for name in PARTS)


def run(config: DictConfig, folder: Path) -> None:
    """Detect objects in `predict.images` with `checkpoint=…`, or with the run's own last stage.

    Pictures are read, detected and written batch by batch: memory does not grow with their number.

    Raises:
        OptionError: an option of `predict` has no such value, or is missing.
        UnreadableError: no picture can be read.
    """
    prepare_process()
    options = config.predict
    _check(config)
    output = Path(options.output or Path("predictions") / _stem(str(options.images)))
    found = find_images(str(options.images), excluded=output)
    model = restore_model(config, folder, command_overrides())
    if options.head is not None:
        keep_head(model.stage, model.only_head(options.head, "predict.head"))
    print(f"{options.images}: {found.summary()}")
    words = options.score_threshold, options.one_label
    accept = {h: acceptance(model, h, *words, "predict.score_threshold") for h in model.stage.heads}
    watch, start = Watch(), perf_counter()
    traits: list[Trait] = []
    with _files(output, model, found, options) as files:
        drawn = _predict(config, model, found, accept, files, output / "pictures", watch, traits)
        done = len(found.names) - len(files.unreadable)
        _tell_unreadable(files.unreadable, len(found.names))
    for line in told_traits(str(options.images), np.array(traits, dtype=np.int64), UPRIGHT):
        print(line)
    seconds = perf_counter() - start
    print(f"{done} pictures in {seconds:.1f} s ({done / seconds:.1f}/s): {watch.summary()}")
    print(f"Detections{f' and {drawn} drawn pictures' if drawn else ''}: {output}")


def _predict(
    config: DictConfig,
    model: Restored,
    found: FoundImages,
    accept: Mapping[str, Acceptance],
    files: PredictionFiles,
    pictures: Path,
    watch: Watch,
    traits: list[Trait],
) -> int:
    """Fill the files and the pictures' traits; returns the number of pictures drawn."""
    options, tried, drawn = config.predict, 0, 0
    fabric = build_fabric(config)
    stage = fabric.setup_module(model.stage)
    stage.mark_forward_method("detect")
    hidden = not config.trainer.enable_progress_bar
    with (
        count_progress("predicting", len(found.names), "pictures", hidden) as advance,
        Dispensable(f"{pictures}: not drawn") as drawings,
    ):
        for collated in _watched(_loader(config, model, found), watch):
            files.leave_out(collated.unreadable)
            traits += collated.traits
            if (batch := collated.batch) is not None:
                with watch.part("detection"):
                    detections = _detect(stage, batch.to(fabric.device, non_blocking=True))
                    accepted = {n: list(map(accept[n], own)) for n, own in detections.items()}
                with watch.part("writing"):
                    files.write(batch.targets, detections, accepted)
                with watch.part("drawing"):
                    wanted = batch.targets[: _remaining(options.pictures, tried)]
                    tried += len(wanted)
                    drawn += _draw(pictures, found, wanted, accepted, model, config, drawings)
            advance(len(collated.unreadable) + len(collated.traits))
    return drawn


def _detect(stage: Any, batch: Batch) -> dict[str, list[Detections]]:
    """Every head's detections on the CPU, by a stage that Fabric has wrapped."""
    return {head: [each.to("cpu") for each in found] for head, found in stage.detect(batch).items()}


def _draw(
    folder: Path,
    found: FoundImages,
    targets: Sequence[Target],
    detections: Mapping[str, Sequence[Detections]],
    model: Restored,
    config: DictConfig,
    drawings: Dispensable,
) -> int:
    """Draw pictures; returns how many could be drawn."""
    done = 0
    for position, target in enumerate(targets):
        name = found.names[target.image_id - 1]
        own = {head: each[position] for head, each in detections.items()}
        path = folder / drawn_name(name, found.known_names)
        with drawings.part(name):
            picture = read_picture(found.folder / name, model.reading)
            figures.draw_predictions(
                path, picture.permute(1, 2, 0).numpy(), own, model.categories.names,
                in_words(config.predict.score_threshold, config.predict.one_label),
            )  # fmt: skip
            done += 1
    return done


def drawn_name(name: str, names: Collection[str]) -> str:
    """The JPEG that a picture is drawn to: no other one of `names` is drawn to it."""
    if name.lower().endswith((".jpg", ".jpeg")):
        return name
    drawn = f"{name}.jpg"
    while drawn in names:
        drawn += ".jpg"
    return drawn


def _loader(config: DictConfig, model: Restored, found: FoundImages) -> DataLoader[Collated]:
    options = config.datamodule
    batches = -(-len(found.names) // options.val_batch_size)
    workers = min(options.num_workers, batches, os.cpu_count() or 1)
    return DataLoader(
        PictureDataset(found, model.augmentation.test, model.reading),  # type: ignore[arg-type]
        batch_size=options.val_batch_size,
        num_workers=workers,
        collate_fn=collate_readable,
    )


def _watched(loader: Iterable[Collated], watch: Watch) -> Iterator[Collated]:
    """The same items; the time until each comes is waiting."""
    items = iter(loader)
    while True:
        with watch.part("waiting for pictures"):
            item = next(items, None)
        if item is None:
            return
        yield item


def _files(
    output: Path, model: Restored, found: FoundImages, options: DictConfig
) -> PredictionFiles:
    heads = list(model.stage.heads)
    ids, names = model.categories.ids, model.categories.names
    notes: dict[str, Any] = {
        "checkpoint": str(model.path.absolute()),
        "stage": model.name,
        "heads": heads,
    }
    notes["accepted"] = {name: options[name] for name in ("score_threshold", "one_label")}
    return PredictionFiles(output, heads, found, ids, names, notes)


def _tell_unreadable(unreadable: Sequence[Unreadable], total: int) -> None:
    if not unreadable:
        return
    lines = "\n".join(f"  {visible(each.name)}: {visible(each.reason)}" for each in unreadable)
    if len(unreadable) == total:
        raise UnreadableError(f"no picture could be read:\n{lines}")
    print(f"{len(unreadable)} of {total} files could not be read and are left out:\n{lines}")


def _check(config: DictConfig) -> None:
    options = config.predict
    if options.images is None:
        raise OptionError(
            "predict.images is not set: name a folder, a file or a pattern, predict.images=photos"
        )
    if config.trainer.devices not in (1, "1", "auto"):
        raise OptionError(f"trainer.devices={config.trainer.devices}: job=predict uses one device")


def _remaining(pictures: int | None, tried: int) -> int | None:
    """How many more pictures to draw; None for all."""
    return None if pictures is None else max(0, pictures - tried)


def _stem(images: str) -> str:
    """A name for the folder of the results: that of the folder, file or of the pattern's folder."""
    parts = [part for part in Path(images).absolute().parts if not set(part) & set("*?[]")]
    return Path(parts[-1]).stem or "all"
