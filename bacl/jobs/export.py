"""job=export: a finished stage with one head as a file that others run or load."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from bacl.assembly.restored import command_overrides, restore_model
from bacl.assembly.trainer import prepare_process
from bacl.export.order import Order
from bacl.export.runtimes import RUNTIMES
from bacl.export.snippets import loading, snippet
from bacl.export.tried import TRIED
from bacl.export.weights_only import write_mmdet, write_weights
from bacl.heads.predictors import class_module
from bacl.losses.class_trees import clustered, write_trees
from bacl.messages.errors import OptionError
from bacl.options.composed import plain

Format = Callable[[Order, Path], list[str]]
"""Writes a file and returns what is to be told of it."""


def program(name: str, order: Order, output: Path) -> list[str]:
    """A file that another runtime runs."""
    told = _tried(order, output, RUNTIMES[name].export(order, output).line())
    example = snippet(name, output, order.notes, order.pictures.first)
    return [*told, "", "What runs it, from a picture to detections:", "", example]


def safetensors(order: Order, output: Path) -> list[str]:
    """Weights and a json, of which nothing is executed; `bacl.load` takes them."""
    told = _tried(order, output, write_weights(order, output).line())
    return [*told, "", "What runs it:", "", loading(output, order.pictures.first)]


def mmdet(order: Order, output: Path) -> list[str]:
    """A file that MMDetection and the paper's release load."""
    return _tried(order, output, write_mmdet(order, output).line())


def trees(order: Order, output: Path) -> list[str]:
    """Trees of classes for `head=forest`: clusters of the rows of the head's last classifier."""
    model = order.model
    classes = class_module(model.stage.live_heads[order.head].classifiers[-1].predictor)
    rows = classes.get_parameter("weight")[: len(model.categories.ids)]
    points = rows.detach().double().cpu().numpy()
    parents = order.options["parents"]
    write_trees(output, [clustered(points, each, seed=0) for each in parents])
    return []


FORMATS: dict[str, tuple[str, Format]] = {
    **{name: (each.suffix, partial(program, name)) for name, each in RUNTIMES.items()},
    "safetensors": (".safetensors", safetensors),
    "mmdet": (".pth", mmdet),
    "trees": (".json", trees),
}
"""`export.format`: suffix of the file, and what writes it from one head of a model."""


def run(config: DictConfig, folder: Path) -> None:
    """Write `checkpoint=…`, or the run's own last stage, as `export.format` to `export.output`.

    Raises:
        OptionError: an option of `export` has no such value, or is missing.
        MissingPackageError: the format needs packages that are not installed.
        DisagreementError: the file finds other things than the model; it was not written.
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
    if output.suffix != suffix:
        raise OptionError(f"export.output={output}: a file of this format ends in {suffix}")
    told = write(Order(model, head, options, _folders(config)), output)
    print(f"{model.path} -> {output}: stage {model.name}, head {head}, {_megabytes(output)}")
    for line in told:
        print(line.rstrip())


def _tried(order: Order, output: Path, line: str) -> list[str]:
    return [f"tried on {order.pictures.source}: {line} ({output.name}{TRIED})"]


def _folders(config: DictConfig) -> list[str]:
    """Of the validation pictures, where the command's data are known."""
    images = OmegaConf.select(config, "data.val.images", throw_on_resolution_failure=False)
    every = [images] if isinstance(images, str) else list(images or [])
    return [str(each) for each in every if each is not None]


def _megabytes(path: Path) -> str:
    """Of a file and the weights beside it."""
    parts = {path, path.with_suffix(".bin")} if path.suffix == ".xml" else {path}
    return f"{sum(part.stat().st_size for part in parts) / 1e6:.1f} MB"
