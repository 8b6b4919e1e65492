"""job=predict: detections of pictures, videos, cameras, with nothing but a finished checkpoint."""

from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from bacl.assembly.accepting import acceptance, in_words
from bacl.assembly.one_process import require_not_launched
from bacl.assembly.rebuilt import Restored
from bacl.assembly.restored import command_overrides, keep_head, restore_model
from bacl.assembly.trainer import build_fabric, prepare_process
from bacl.data.images.image_folder import find_images
from bacl.data.images.tiles import Tiling
from bacl.data.images.video_source import names_video, without_password
from bacl.detectors.programs import learns_no_more
from bacl.files.digests import Memory, known_digest
from bacl.files.lock import alone_in
from bacl.messages.errors import OptionError
from bacl.options.composed import flat, plain
from bacl.prediction.batch_detector import BatchDetector
from bacl.prediction.detected_batches import DetectedBatches
from bacl.prediction.frame_source import FrameSource
from bacl.prediction.kept_batches import KeptBatches
from bacl.prediction.kept_key import prediction_key
from bacl.prediction.picture_source import PictureSource
from bacl.prediction.prediction import Prediction
from bacl.prediction.source import Source
from bacl.prediction.source_names import results_name
from bacl.prediction.tiled import TileBatches
from bacl.prediction.watch import Watch
from bacl.prediction.written import DescribedModel, WantedFiles, written_of

MADE_OF_IT = {
    *("predict.output", "predict.pictures", "predict.outputs", "predict.score_threshold"),
    *("predict.one_label", "datamodule.num_workers", "trainer.enable_progress_bar"),
}
"""Options that say what is made of detections, and how; not which ones there are."""


def run(config: DictConfig, folder: Path) -> None:
    """Detect objects in `predict.images` with `checkpoint=…`, or with the run's own last stage.

    Pictures are read ahead, detected batch by batch, and written and drawn meanwhile: memory does
    not grow with their number.

    Raises:
        BusyFolderError: another prediction is written into the same folder.
        OptionError: an option of `predict` has no such value, or is missing.
        PictureError: a video cannot be opened, or gives no frame.
        UnreadableError: no picture can be read.
        UnwritableError: a file of results cannot be written.
    """
    prepare_process()
    _check(config)
    images = str(config.predict.images)
    output = Path(config.predict.output or Path("predictions") / results_name(images))
    source = _source(config, output)
    model = restore_model(config, folder, command_overrides())
    learns_no_more(model.stage.detector)
    if config.predict.head is not None:
        keep_head(model.stage, model.only_head(config.predict.head, "predict.head"))
    print(source.told())
    with alone_in(output):
        prediction = _prediction(config, model, source, output)
        account = prediction.carry_out(hidden=not config.trainer.enable_progress_bar)
    for line in (
        *account.lines(without_password(images), prediction.batches.watch.summary()),
        *prediction.written.tally.lines(source.unit),
    ):
        print(line)
    drawn = prediction.written.num_drawn
    print(f"Detections{f' and {drawn} drawn {source.unit}' if drawn else ''}: {output}")


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


def _source(config: DictConfig, output: Path) -> Source:
    given, tiling = config.predict.images, _tiling(config)
    sizes = config.datamodule.val_batch_size, config.datamodule.num_workers
    if names_video(str(given)):
        return FrameSource(given, *sizes, tiling)
    return PictureSource(str(given), find_images(str(given), excluded=output), *sizes, tiling)


def _tiling(config: DictConfig) -> Tiling | None:
    options = config.predict
    return None if options.tile is None else Tiling(options.tile, options.overlap)


def _prediction(config: DictConfig, model: Restored, source: Source, output: Path) -> Prediction:
    options = config.predict
    words = options.score_threshold, options.one_label
    kept = _kept(config, model, source, output)
    accept = {
        head: acceptance(model, head, *words, "predict.score_threshold")
        for head in model.stage.heads
    }
    again = kept is not None and kept.of_this
    wanted = WantedFiles(output, options.outputs, options.pictures, again)
    written = written_of(source, wanted, _described(config, model))
    return Prediction(source, _batches(config, model, source, kept), accept, written)


def _described(config: DictConfig, model: Restored) -> DescribedModel:
    words = {name: config.predict[name] for name in ("score_threshold", "one_label")}
    heads = list(model.stage.heads)
    notes = {
        "checkpoint": str(model.path.absolute()),
        "stage": model.name,
        "heads": heads,
        "accepted": words,
    }
    taken = in_words(*words.values())
    return DescribedModel(heads, model.categories, taken, model.reading, notes)


def _batches(
    config: DictConfig, model: Restored, source: Source, kept: KeptBatches | None
) -> DetectedBatches:
    """What the network finds, where it is not known already."""
    fabric = build_fabric(config)
    stage = fabric.setup_module(model.stage)
    stage.mark_forward_method("detect")
    tiling, transform = _tiling(config), model.augmentation.test
    size = config.datamodule.val_batch_size
    tiles = None if tiling is None else TileBatches(tiling, transform, size)
    detect = BatchDetector(stage, fabric.device, tiles)
    read = partial(source.batches, transform, model.reading)
    return DetectedBatches(read, source.again, detect, kept, Watch())


def _kept(config: DictConfig, model: Restored, source: Source, output: Path) -> KeptBatches | None:
    """What an interrupted prediction goes on from; None where the source is no files."""
    if source.files is None:
        return None
    values = flat(plain(config, resolve=False))
    options = {key: value for key, value in values.items() if key not in MADE_OF_IT}
    # A word may say what is so by default, and not in the checkpoint.
    options["words"] = [x for x in command_overrides() if x.partition("=")[0] not in MADE_OF_IT]
    options["heads"] = list(model.stage.heads)
    digest = known_digest([model.path], str(model.path.resolve()), Memory.of_user())
    return KeptBatches(output, prediction_key(source.files, digest, options))
