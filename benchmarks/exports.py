"""Every export of every detector against the model it was made of, in pictures of several sizes.

`python benchmarks/exports.py` tries all of conf/detector, `python benchmarks/exports.py small
cascade_small` some, `--speed` times them; `--pictures photos` takes pictures of a folder in place
of drawn letters. Weights are random: norms have the statistics of the pictures, and each of the
last layers is scaled, by what it gives for them, until scores and boxes are spread as those of a
trained detector, so that an agreement means something (untrained scores are nearly tied).
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from PIL import Image
from torch import Tensor, nn
from torchvision.io import decode_image, write_jpeg

from bacl.assembly.build import build_stage
from bacl.assembly.rebuilt import Restored, restore_alone
from bacl.checkpoints.handover import Categories, save_stage
from bacl.detectors.box_regression import BoxRegression
from bacl.detectors.norms import FixedNorm
from bacl.export.detection_agreement import Agreement
from bacl.export.openvino import OpenVINOProgram, convert
from bacl.export.order import Order
from bacl.export.runtimes import RUNTIMES
from bacl.export.trial_batch import Trial, compared, trials
from bacl.export.trial_pictures import drawn
from bacl.export.tried import Finds
from bacl.export.weights_only import write_mmdet, write_weights
from bacl.messages.errors import UserError
from bacl.options.composed import plain
from bacl.stages import DetectionStage

CONF = Path(__file__).parents[1] / "conf"
CLASSES = 20
SIDE, PICTURES = (160, 224), 3
OTHERS = ((192, 160), (160, 256), (160, 160))
"""Further sizes. All are multiples of 32: random weights find much in the padding, where every box
is empty and all scores are equal; trained ones find nothing there."""
FIXED = list(SIDE)
ONE_SIZE, OTHER_SIZES = "one_size", "other_sizes"
"""Folders of pictures."""
LAYERS: tuple[tuple[str, float, float], ...] = (
    ("rpn.head.objectness", 2.0, 0.0),
    ("rpn.head.deltas", 0.3, 0.0),
)
"""Name of a layer, spread and mean of what it is to give."""
CLASSIFIER, BOXES = (2.0, -4.0), (1.0, 0.0)
REPEATS = 5
PROPOSALS = 200
"""Of an image: enough for every part to have work, and files are tried in seconds."""
DETECTORS = sorted(
    path.stem
    for path in (CONF / "detector").glob("*.yaml")
    if path.stem != "dumped"  # sees no pictures: job=export refuses it
)


def lively(layer: nn.Module, run: Callable[[], object], spread: float, mean: float) -> None:
    """Scale and shift a layer, so that every channel has this mean and all have this spread."""
    seen: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen.append(output.flatten(2).transpose(1, 2).flatten(0, 1) if output.dim() > 2 else output)

    handle = layer.register_forward_hook(keep)
    run()
    handle.remove()
    rows = torch.cat(seen)
    means = rows.mean(0)
    factor = spread / (rows - means).std().clamp(min=1e-12)
    with torch.no_grad():
        layer.weight.mul_(factor)
        layer.bias.copy_(mean - factor * (means - layer.bias))


def norms_know(detector: nn.Module, run: Callable[[], object]) -> None:
    """Let norms have the statistics of the pictures: without, a deep random net is silent."""
    batch_norms = [part for part in detector.modules() if isinstance(part, nn.BatchNorm2d)]
    fixed_norms = [part for part in detector.modules() if isinstance(part, FixedNorm)]
    handles = [norm.register_forward_pre_hook(measured) for norm in fixed_norms]
    for norm in batch_norms:
        norm.train().momentum = 1.0
    run()
    for norm in batch_norms:
        norm.eval()
    for handle in handles:
        handle.remove()


def measured(norm: FixedNorm, inputs: tuple[Tensor, ...]) -> None:
    """Give a norm the statistics of what comes to it."""
    with torch.no_grad():
        norm.running_mean.copy_(inputs[0].mean((0, 2, 3)))
        norm.running_var.copy_(inputs[0].var((0, 2, 3)))


def enliven(stage: DetectionStage, trial: Trial) -> None:
    """Let a random detector find things of every category, with scores far apart."""
    (head,) = stage.heads.values()
    run = partial(trial.expected, stage.detector, head, None)
    norms_know(stage.detector, run)
    parts = dict(stage.detector.named_modules())
    for name, spread, mean in LAYERS:
        lively(parts[name], run, spread, mean)
    regressions = [x for x in parts.values() if isinstance(x, BoxRegression)]
    for classifier, regression in zip(head.classifiers, regressions, strict=True):
        lively(classifier.predictor, run, *CLASSIFIER)
        lively(regression.fc, run, *BOXES)


def restored(detector: str, folder: Path, pictures: Path) -> Restored:
    """A lively detector with random weights, as a checkpoint gives it."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose(
            "config",
            [
                "+experiment=bacl_demo", f"detector={detector}", f"data.num_classes={CLASSES}",
                "stages.representation.augment.train={short_sides:[160],max_size:256}",
                f"detector.rpn.inference={{per_level:{PROPOSALS},total:{PROPOSALS}}}",
            ],
        )  # fmt: skip
    torch.manual_seed(0)
    stage = build_stage(config, "representation", pretrained=False).eval()
    categories = Categories(list(range(CLASSES)), [f"kind {n}" for n in range(CLASSES)])
    path = folder / "final.ckpt"

    def save() -> Restored:
        described = plain(config)
        save_stage(path, stage.detector, dict(stage.heads.items()), categories, described)
        return restore_alone(path)

    order = order_of(save(), pictures)
    enliven(stage, trials(order.pictures.images, None)[0])
    return save()


def order_of(model: Restored, pictures: Path, size: list[int] | None = None) -> Order:
    """What is exported, by the options as they are."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        options = plain(compose("config").export)
    options |= {"pictures": str(pictures), "image_size": size}
    return Order(model, next(iter(model.stage.heads)), options)


def export_openvino(source: Path, order: Order, output: Path) -> Agreement:
    """As `RUNTIMES["openvino"].export`, of an ONNX file that is there."""
    threshold = mask_threshold(order)

    def opened(path: Path) -> Finds:
        program = OpenVINOProgram(path)
        return lambda trial: trial.found(program, threshold)

    made = lambda path: convert(source, path, order.notes)  # noqa: E731
    return order.write(output, made, opened, rounds=True)


def mask_threshold(order: Order) -> float | None:
    branch = order.model.stage.detector.mask
    return None if branch is None else branch.threshold


def other_sizes(kind: str, order: Order, output: Path) -> Agreement:
    """Of a file that takes pictures of any size."""
    program, find = RUNTIMES[kind].opened(output), order.finds(order.model)
    folder = Path(order.options["pictures"]).parent / OTHER_SIZES
    each = [trials([decode_image(path)], None)[0] for path in sorted(folder.iterdir())]
    found = [trial.found(program, mask_threshold(order)) for trial in each]
    return compared(map(find, each), found)


def exports(order: Order, folder: Path) -> Iterator[tuple[str, Path, Callable[[], Agreement]]]:
    """Every format that can be written here, its file, and what writes it."""
    files = {kind: folder / f"x{runtime.suffix}" for kind, runtime in RUNTIMES.items()}
    weights, published = folder / "x.safetensors", folder / "x.pth"
    yield "safetensors", weights, partial(write_weights, order, weights)
    yield "mmdet", published, partial(write_mmdet, order, published)
    for kind in ("torch", "onnx"):
        yield kind, files[kind], partial(RUNTIMES[kind].export, order, files[kind])
    source, made = files["onnx"], files["openvino"]
    if find_spec("openvino") and source.exists():
        yield "openvino", made, partial(export_openvino, source, order, made)


@contextmanager
def ordered(detector: str, pictures: Path, fixed: bool) -> Iterator[tuple[Path, Restored, Order]]:
    """A folder for the while, a model, and what is to be exported of it."""
    with tempfile.TemporaryDirectory() as name:
        model = restored(detector, Path(name), pictures)
        size = FIXED if fixed or not model.stage.detector.backbone.any_size else None
        yield Path(name), model, order_of(model, pictures, size)


def rows(detector: str, pictures: Path, formats: set[str], fixed: bool) -> Iterator[list[str]]:
    """What agrees, format by format."""
    with ordered(detector, pictures, fixed) as (folder, _, order):
        for kind, file, export in exports(order, folder):
            if not formats or kind in formats:
                began = time.process_time()
                told = cells(partial(tried, kind, order, file, export))
                seconds = time.process_time() - began
                sizes = "×".join(map(str, order.size)) if order.size else "any"
                yield [detector, kind, sizes, *told, f"{seconds:.0f}"]


def tried(kind: str, order: Order, file: Path, export: Callable[[], Agreement]) -> Agreement:
    result = export()
    if kind in RUNTIMES and order.size is None:
        result = result.plus(other_sizes(kind, order, file))
    return result


def cells(find: Callable[[], Agreement]) -> list[str]:
    try:
        result = find()
    except UserError as error:
        return [str(error), "", "", ""]
    masks = "–" if result.mask_pixels is None else f"{result.mask:.1e}"
    matched = f"{result.matched} of {result.expected}"
    return [matched, f"{result.box:.1e}", f"{result.score:.1e}", masks]


def speeds(detector: str, pictures: Path, formats: set[str], fixed: bool) -> Iterator[list[str]]:
    """Processor seconds of a picture, of all threads, the least of several."""
    with ordered(detector, pictures, fixed) as (folder, model, order):
        one = trials(order.pictures.images, order.size)[1]
        yield [detector, "the model", seconds(partial(order.finds(model), one))]
        for kind, file, export in exports(order, folder):
            if kind in RUNTIMES and (not formats or kind in formats):
                export()
                run = partial(RUNTIMES[kind].opened(file), one.images, one.sizes)
                yield [detector, kind, seconds(run)]


def seconds(run: Callable[[], object]) -> str:
    run()
    times = []
    for _ in range(REPEATS):
        began = time.process_time()
        run()
        times.append(time.process_time() - began)
    return f"{min(times):.3f}"


def prepared(folder: Path, source: Path | None) -> Path:
    """Pictures of the sizes that are tried, in two folders; the path of the first.

    Args:
        folder: where they are written.
        source: a folder of pictures to cut them from; None: letters.
    """
    sizes = (SIDE,) * PICTURES + OTHERS
    if source is None:
        pictures = drawn(len(sizes))
    else:
        pictures = [decode_image(path) for path in large_enough(source, sizes)]
    for number, (picture, (height, width)) in enumerate(zip(pictures, sizes, strict=True)):
        place = folder / (ONE_SIZE if number < PICTURES else OTHER_SIZES)
        place.mkdir(exist_ok=True)
        write_jpeg(picture[:, :height, :width].contiguous(), f"{place}/{number}.jpg", quality=95)
    return folder / ONE_SIZE


def large_enough(source: Path, sizes: Sequence[tuple[int, int]]) -> list[Path]:
    """The first files of a folder that hold pictures of all these sizes, one for each."""
    height, width = (max(sides) for sides in zip(*sizes, strict=True))
    found: list[Path] = []
    for path in sorted(source.iterdir()):
        with Image.open(path) as picture:
            if picture.mode == "RGB" and picture.height >= height and picture.width >= width:
                found.append(path)
        if len(found) == len(sizes):
            return found
    raise SystemExit(f"{source}: {len(found)} pictures of {height} x {width}, not {len(sizes)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("detectors", nargs="*", help="of conf/detector; all by default")
    parser.add_argument("--pictures", type=Path, help="a folder; letters are drawn without one")
    parser.add_argument("--formats", default="", help="names, with commas; all by default")
    parser.add_argument("--fixed", action="store_true", help="files of one size: quicker to make")
    parser.add_argument("--speed", action="store_true", help="time them in place of comparing")
    chosen = parser.parse_args()
    formats = {each for each in chosen.formats.split(",") if each}
    with tempfile.TemporaryDirectory() as folder:
        pictures = prepared(Path(folder), chosen.pictures)
        for detector in chosen.detectors or DETECTORS:
            found = partial(speeds, detector) if chosen.speed else partial(rows, detector)
            for row in found(pictures, formats, chosen.fixed):
                print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
