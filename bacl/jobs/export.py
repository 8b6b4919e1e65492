"""job=export: a finished stage with one head as a file that others run or load."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from bacl.assembly.accepting import acceptance
from bacl.assembly.rebuilt import Restored
from bacl.assembly.restored import command_overrides, restore_model
from bacl.assembly.trainer import prepare_process
from bacl.checkpoints.mmdet import published_state
from bacl.checkpoints.mmdet_file import write_published
from bacl.detectors.acceptance import Acceptance
from bacl.export import ExportableDetector
from bacl.export.onnx import write_onnx
from bacl.export.program import write_program
from bacl.export.suppression import Survivors, survivors, survivors_operator
from bacl.heads.predictors import class_module
from bacl.losses.class_trees import clustered, write_trees
from bacl.messages.errors import OptionError
from bacl.options.composed import plain

Format = Callable[[Restored, str, Path, dict[str, Any]], None]


def onnx(model: Restored, head: str, output: Path, options: dict[str, Any]) -> None:
    """An ONNX file."""
    write_onnx(
        _detector(model, head, options, survivors_operator), output, _notes(model, head, options)
    )


def torch(model: Restored, head: str, output: Path, options: dict[str, Any]) -> None:
    """A program of torch.export."""
    write_program(_detector(model, head, options, survivors), output, _notes(model, head, options))


def mmdet(model: Restored, head: str, output: Path, options: dict[str, Any]) -> None:
    """A file that MMDetection and the paper's release load."""
    state = published_state(model.stage.detector, model.stage.live_heads[head])
    write_published(output, state, tuple(model.categories.names))


def trees(model: Restored, head: str, output: Path, options: dict[str, Any]) -> None:
    """Trees of classes for `head=forest`: clusters of the rows of the head's last classifier."""
    classes = class_module(model.stage.live_heads[head].classifiers[-1].predictor)
    rows = classes.get_parameter("weight")[: len(model.categories.ids)]
    points = rows.detach().double().cpu().numpy()
    write_trees(output, [clustered(points, parents, seed=0) for parents in options["parents"]])


FORMATS: dict[str, tuple[str, Format]] = {
    "onnx": (".onnx", onnx),
    "torch": (".pt2", torch),
    "mmdet": (".pth", mmdet),
    "trees": (".json", trees),
}
"""`export.format`: suffix of the file, and what writes it from one head of a model."""


def run(config: DictConfig, folder: Path) -> None:
    """Write `checkpoint=…`, or the run's own last stage, as `export.format` to `export.output`.

    Raises:
        OptionError: an option of `export` has no such value, or is missing.
        MissingPackageError: the format needs packages that are not installed.
    """
    prepare_process()
    options = plain(config.export)
    if options["format"] not in FORMATS:
        known = ", ".join(FORMATS)
        raise OptionError(f"export.format={options['format']}: unknown; formats are {known}")
    suffix, write = FORMATS[options["format"]]
    model = restore_model(config, folder, command_overrides())
    head = model.only_head(options["head"], "export.head")
    beside = model.path.with_name(f"{model.path.stem}_{head}{suffix}")
    output = Path(options["output"] or beside)
    write(model, head, output, options)
    print(f"{model.path} -> {output}: stage {model.name}, head {head}, {_megabytes(output)}")


def _detector(
    model: Restored, head: str, options: dict[str, Any], suppress: Survivors
) -> ExportableDetector:
    if options["image_size"] is None:
        raise OptionError(
            "export.image_size is not set: name the input's height and width, multiples of 32 that "
            "hold every picture after its resize, such as export.image_size=[800,1344]"
        )
    return ExportableDetector(
        model.stage.detector,
        model.stage.heads[head],
        options["image_size"],
        options["candidates"],
        suppress,
        _accepted(model, head, options),
    )


def _accepted(model: Restored, head: str, options: dict[str, Any]) -> Acceptance | None:
    """Which detections the file gives; None: all."""
    threshold, one_label = options["score_threshold"], options["one_label"]
    if threshold is None and not one_label:
        return None
    return acceptance(model, head, threshold or 0.0, one_label, "export.score_threshold")


def _notes(model: Restored, head: str, options: dict[str, Any]) -> dict[str, Any]:
    """What a file says of itself: label i is category i of the lists."""
    resize = plain(model.config.stages[model.name].augment)["test"]
    notes = {"categories": model.categories.plain(), "head": head, "test_transform": resize}
    notes["accepted"] = {name: options[name] for name in ("score_threshold", "one_label")}
    if head in model.thresholds:
        notes["thresholds"] = model.thresholds[head].plain()
    return notes


def _megabytes(path: Path) -> str:
    return f"{path.stat().st_size / 1e6:.1f} MB"
