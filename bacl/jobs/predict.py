"""job=predict: detections of pictures, videos, cameras, with nothing but a finished checkpoint."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig

from bacl.assembly.accepting import acceptance, in_words
from bacl.assembly.one_process import require_not_launched
from bacl.assembly.rebuilt import Restored
from bacl.assembly.restored import command_overrides, keep_head, restore_model
from bacl.assembly.trainer import build_fabric, prepare_process
from bacl.data.batch import Batch, Detections
from bacl.data.images.image_folder import Collated, Unreadable, find_images
from bacl.data.images.orientation import UPRIGHT
from bacl.data.images.tiles import Tiling
from bacl.data.images.traits import Trait, told_traits
from bacl.data.images.video_source import names_video, without_password
from bacl.detectors.acceptance import Acceptance
from bacl.detectors.programs import learns_no_more
from bacl.files.digests import Memory, known_digest
from bacl.messages.errors import OptionError, UserError
from bacl.messages.shown import visible
from bacl.options.composed import flat, plain
from bacl.prediction.kept_batches import KeptBatch, KeptBatches, prediction_key
from bacl.prediction.output import Predicted
from bacl.prediction.outputs import Outputs
from bacl.prediction.picture_sources import PictureSource, VideoSource, source_stem
from bacl.prediction.tiled import with_tiles
from bacl.prediction.watch import PARTS, Watch
from bacl.prediction.written import written_of
from bacl.processes.progress import count_progress

MADE_OF_IT = {
    *("predict.output", "predict.pictures", "predict.outputs", "predict.score_threshold"),
    *("predict.one_label", "datamodule.num_workers", "trainer.enable_progress_bar"),
}
"""Options that say what is made of detections, and how; not which ones there are."""


class UnreadableError(UserError):
    """Not a single picture could be read."""


def run(config: DictConfig, folder: Path) -> None:
    """Detect objects in `predict.images` with `checkpoint=…`, or with the run's own last stage.

    Pictures are read ahead, detected batch by batch, and written and drawn meanwhile: memory does
    not grow with their number.

    Raises:
        OptionError: an option of `predict` has no such value, or is missing.
        PictureError: a video cannot be opened, or gives no frame.
        UnreadableError: no picture can be read.
        UnwritableError: a file of results cannot be written.
    """
    prepare_process()
    options = config.predict
    _check(config)
    output = Path(options.output or Path("predictions") / _stem(str(options.images)))
    source = _source(config, output)
    model = restore_model(config, folder, command_overrides())
    learns_no_more(model.stage.detector)
    if options.head is not None:
        keep_head(model.stage, model.only_head(options.head, "predict.head"))
    print(_told_of(source, str(options.images)))
    heads, words = list(model.stage.heads), (options.score_threshold, options.one_label)
    accept = {h: acceptance(model, h, *words, "predict.score_threshold") for h in heads}
    written = written_of(
        source, output, heads, (model.categories.ids, model.categories.names), in_words(*words),
        _notes(config, model), options.outputs, options.pictures, model.reading,
    )  # fmt: skip
    watch, start = Watch(), perf_counter()
    traits: list[Trait] = []
    kept = _kept(config, model, source, output)
    with Outputs(written.outputs) as outputs:
        for collated, batch in _predicted(config, model, accept, source, watch, kept):
            written.results.leave_out(collated.unreadable)
            traits += collated.traits
            if batch is not None:
                with watch.part(PARTS[2]):
                    outputs.write(batch)
        with watch.part(PARTS[2]):
            outputs.finish()
        if kept is not None and not traits:
            kept.remove()  # the next command looks again
        _tell_unreadable(written.results.unreadable, len(traits))
    if kept is not None:
        kept.remove()
    named = without_password(str(options.images))
    for line in told_traits(named, np.array(traits, dtype=np.int64), UPRIGHT):
        print(line)
    seconds = perf_counter() - start
    speed = f"{len(traits) / seconds:.1f}/s"
    print(f"{len(traits)} {source.unit} in {seconds:.1f} s ({speed}): {watch.summary()}")
    for line in written.tally.lines(source.unit):
        print(line)
    drawn = written.drawing.done if written.drawing else 0
    print(f"Detections{f' and {drawn} drawn {source.unit}' if drawn else ''}: {output}")


def _source(config: DictConfig, output: Path) -> PictureSource | VideoSource:
    options, given = config.datamodule, config.predict.images
    sizes = options.val_batch_size, options.num_workers
    tile = config.predict.tile
    if names_video(str(given)):
        if tile is not None:
            raise OptionError(f"predict.tile={tile}: pictures are tiled, no videos; leave it out")
        return VideoSource(given, *sizes)
    tiling = None if tile is None else Tiling(tile, config.predict.overlap)
    return PictureSource(find_images(str(given), excluded=output), *sizes, tiling)


def _told_of(source: PictureSource | VideoSource, given: str) -> str:
    if isinstance(source, PictureSource):
        return f"{given}: {source.found.summary()}"
    if source.facts.live:
        return f"{source.name}: live; Ctrl-C ends it, and what was written is whole then"
    count = "" if source.total is None else f"{source.total} frames, "
    return f"{source.name}: {count}{source.facts.rate:g} a second"


def _notes(config: DictConfig, model: Restored) -> dict[str, Any]:
    """Of the model, for images.json."""
    return {
        "checkpoint": str(model.path.absolute()),
        "stage": model.name,
        "heads": list(model.stage.heads),
        "accepted": {name: config.predict[name] for name in ("score_threshold", "one_label")},
    }


def _predicted(
    config: DictConfig,
    model: Restored,
    accept: Mapping[str, Acceptance],
    source: PictureSource | VideoSource,
    watch: Watch,
    kept: KeptBatches | None,
) -> Iterator[tuple[Collated, Predicted | None]]:
    """What was read, with what was found in it; first what an interrupted command has found."""
    fabric = build_fabric(config)
    stage = fabric.setup_module(model.stage)
    stage.mark_forward_method("detect")
    hidden = not config.trainer.enable_progress_bar
    known = 0
    with count_progress("predicting", source.total, source.unit, hidden) as advance:
        for earlier in kept.known() if kept else ():
            known += 1
            yield earlier.collated, _again(earlier, accept, source)
            advance(len(earlier.collated.unreadable) + len(earlier.targets))
        if known:
            print(f"{known} of its batches, found by an interrupted command, are taken as they are")
        batches = source.batches(model.augmentation.test, model.reading, known)
        for number, collated in enumerate(_watched(batches, watch), known):
            found = None
            if (batch := collated.batch) is not None:
                with watch.part(PARTS[1]):
                    own = _detected(config, stage, collated, batch, fabric.device)
                    taken = {head: list(map(accept[head], each)) for head, each in own.items()}
                named = source.named(batch.targets, collated.frames)
                found = Predicted(batch.targets, named, collated.frames, own, taken)
            if kept is not None:
                kept.keep(number, collated, batch.targets if batch else [], own if batch else {})
            yield collated, found
            advance(len(collated.unreadable) + len(collated.traits))


def _again(
    earlier: KeptBatch, accept: Mapping[str, Acceptance], source: PictureSource | VideoSource
) -> Predicted | None:
    """A batch of an interrupted command, with what is accepted of it now."""
    own, targets = earlier.detections, earlier.targets
    taken = {head: list(map(accept[head], each)) for head, each in own.items()}
    return Predicted(targets, source.named(targets, []), [], own, taken) if targets else None


def _kept(
    config: DictConfig, model: Restored, source: PictureSource | VideoSource, output: Path
) -> KeptBatches | None:
    """What an interrupted prediction of pictures goes on from; None for a video."""
    if isinstance(source, VideoSource):
        return None
    values = flat(plain(config, resolve=False))
    options = {key: value for key, value in values.items() if key not in MADE_OF_IT}
    # A word may say what is so by default, and not in the checkpoint.
    options["words"] = [x for x in command_overrides() if x.partition("=")[0] not in MADE_OF_IT]
    options["heads"] = list(model.stage.heads)
    digest = known_digest([model.path], str(model.path.resolve()), Memory.of_user())
    return KeptBatches(output, prediction_key(source.found, digest, options))


def _detected(
    config: DictConfig, stage: Any, collated: Collated, batch: Batch, device: torch.device
) -> Mapping[str, Sequence[Detections]]:
    """Every head's detections of a batch, and of the tiles of its pictures."""
    detect = partial(_detect, stage, device)
    own, select = detect(batch), stage.detector.postprocess
    if not any(collated.tiles):
        return own
    sizes = [target.original_size for target in batch.targets]
    rule = select.tolerated_iou, select.max_detections
    size = config.datamodule.val_batch_size
    return with_tiles(own, collated.tiles, sizes, detect, rule, size)


def _detect(stage: Any, device: torch.device, batch: Batch) -> dict[str, list[Detections]]:
    """Every head's detections on the CPU, by a stage that Fabric has wrapped."""
    batch = batch.to(device, non_blocking=True)
    return {head: [each.to("cpu") for each in found] for head, found in stage.detect(batch).items()}


def _watched(batches: Iterable[Collated], watch: Watch) -> Iterator[Collated]:
    """The same items; the time until each comes is waiting."""
    items = iter(batches)
    while True:
        with watch.part(PARTS[0]):
            item = next(items, None)
        if item is None:
            return
        yield item


def _tell_unreadable(unreadable: Sequence[Unreadable], read: int) -> None:
    if not unreadable:
        return
    lines = "\n".join(f"  {visible(each.name)}: {visible(each.reason)}" for each in unreadable)
    if not read:
        raise UnreadableError(f"no picture could be read:\n{lines}")
    total = len(unreadable) + read
    print(f"{len(unreadable)} of {total} files could not be read and are left out:\n{lines}")


def _check(config: DictConfig) -> None:
    options = config.predict
    if options.images is None:
        raise OptionError(
            "predict.images is not set: name a folder, a file, a pattern, a video, the number of a "
            "camera or an address, predict.images=photos"
        )
    overlap = [text for text in command_overrides() if text.startswith("predict.overlap=")]
    if overlap and options.tile is None:
        raise OptionError(f"{overlap[0]}: of tiles; set their side too, predict.tile=640")
    if config.trainer.devices not in (1, "1", "auto"):
        raise OptionError(f"trainer.devices={config.trainer.devices}: job=predict uses one device")
    require_not_launched(config)


def _stem(images: str) -> str:
    """A name for the folder of the results: that of the folder, file or of the pattern's folder."""
    if names_video(images):
        return source_stem(without_password(images))
    path = Path(os.path.normpath(Path(images).absolute()))  # no `..`; links keep their names
    parts = [part for part in path.parts if not set(part) & set("*?[]")]
    return Path(parts[-1]).stem or "all"
