"""job=export: a finished stage with one head as a file that others run or load."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from bacl.assembly.restored import command_overrides, restore_model
from bacl.assembly.trainer import prepare_process
from bacl.assembly.typed import key_of
from bacl.export.order import Order
from bacl.export.runtimes import OPTIONS, RUNTIMES
from bacl.export.snippets import loading, snippet
from bacl.export.tried import TRIED
from bacl.export.weights_only import write_mmdet, write_weights
from bacl.heads.predictors import class_module
from bacl.losses.class_trees import clustered, write_trees
from bacl.messages.errors import OptionError
from bacl.options.composed import plain

COMMON = ("format", "output", "head")
"""Options that every format reads."""
TRIAL = ("pictures", "tried", "tolerance")
"""Those of the trial."""


@dataclass(frozen=True)
class Format:
    """A kind of files."""

    suffix: str
    write: Callable[[Order, Path], list[str]]
    """Writes a file and returns what is to be told of it."""
    options: tuple[str, ...]
    """Of `export`, that it reads beside `COMMON`."""


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


FORMATS = {
    **{
        name: Format(each.suffix, partial(program, name), (*OPTIONS, *TRIAL, *each.options))
        for name, each in RUNTIMES.items()
    },
    "safetensors": Format(".safetensors", safetensors, TRIAL),
    "mmdet": Format(".pth", mmdet, TRIAL),
    "trees": Format(".json", trees, ("parents",)),
}
"""By `export.format`."""


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
    chosen = FORMATS[options["format"]]
    _refuse_unread(options["format"], chosen)
    model = restore_model(config, folder, command_overrides())
    head = model.only_head(options["head"], "export.head")
    beside = model.path.with_name(f"{model.path.stem}_{head}{chosen.suffix}")
    output = Path(options["output"] or beside)
    if output.suffix != chosen.suffix:
        raise OptionError(f"export.output={output}: a file of this format ends in {chosen.suffix}")
    told = chosen.write(Order(model, head, options, _folders(config)), output)
    print(f"{model.path} -> {output}: stage {model.name}, head {head}, {_megabytes(output)}")
    for line in told:
        print(line.rstrip())


def _refuse_unread(name: str, chosen: Format) -> None:
    """Options of the command that would change nothing in a file of this format."""
    paths = [key_of(text).split(".") for text in command_overrides()]
    given = [path[1] for path in paths if path[0] == "export" and len(path) > 1]
    for option in given:
        if option not in (*COMMON, *chosen.options):
            raise OptionError(
                f"export.{option}: export.format={name} does not read it; leave it out (it is read "
                f"by {', '.join(key for key, each in FORMATS.items() if option in each.options)})"
            )


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
