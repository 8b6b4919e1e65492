"""job=doctor: whether this machine, these options and these data can run.

It writes nothing but the annotation tables that a first training would build.
"""

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from omegaconf import DictConfig
from torch.nn import functional

from bacl.assembly.build import chosen_stages
from bacl.assembly.data import build_data, open_data
from bacl.assembly.inspection import inspect
from bacl.assembly.instantiate import instantiate
from bacl.assembly.trainer import prepare_process, single_device_trainer
from bacl.assembly.trial import try_to_build
from bacl.data.annotations.table import AnnotationTable
from bacl.data.batch import Detections
from bacl.data.categories import check_categories
from bacl.data.missing_files import incomplete, missing_files
from bacl.evaluation.lvis_ap import LVISAveragePrecision
from bacl.inspection.checks import findings
from bacl.jobs.cost import number_of_classes
from bacl.messages.errors import UserError
from bacl.options.composed import plain
from bacl.reporting.inspection_lines import cost_lines
from bacl.reporting.inspection_report import headline
from bacl.runs.folder import environment
from bacl.runs.timed_steps import TooFewStepsError, time_steps
from bacl.speed.head_memory import HeadMemory, large_matrices
from bacl.stages import DetectionStage


class NotReadyError(UserError):
    """Something that a run needs is missing or wrong."""


def run(config: DictConfig, folder: Path) -> None:
    """Print versions, device, data, a self-test of the evaluation and the cost; OK, or the mends.

    Steps are timed once nothing else is to be mended: they would stumble over the same.

    Raises:
        NotReadyError: lists everything that a run would stumble over.
    """
    prepare_process()
    checks = versions, options, memory, device, data, backbone, evaluation
    problems = _problems(config, checks) or _problems(config, (cost,))
    if problems:
        raise NotReadyError("not ready:\n" + "\n".join(problems))
    print("OK")


def _problems(config: DictConfig, checks: Sequence[Callable[[DictConfig], str]]) -> list[str]:
    """What the checks stumble over, each by its name; what they found is printed."""
    problems = []
    for check in checks:
        try:
            print(f"{check.__name__}: {check(config)}", flush=True)
        except UserError as error:
            print(f"{check.__name__}: see below", flush=True)
            problems.append(f"{check.__name__}: {error}")
    return problems


def versions(config: DictConfig) -> str:
    """Python and packages."""
    found = environment()
    packages = ", ".join(f"{name} {number}" for name, number in found["packages"].items())
    return f"python {found['python']}, {packages}, commit {found['git_commit'][:12]}"


def options(config: DictConfig) -> str:
    """Whether the parts take each other's options; each option by itself was compared before."""
    return f"{', '.join(try_to_build(config))} go together"


def memory(config: DictConfig) -> str:
    """What the heads of each stage hold beside the detector while they train."""
    try:
        number = number_of_classes(config)
    except UserError:  # the data are not there yet, which is told of them
        return "of the heads grows with the categories, which the data will tell"
    told = [_of_heads(name, stage) for name, stage in try_to_build(config, number).items()]
    return f"beside the detector, of {number:,} categories: {'; '.join(told)}"


def _of_heads(name: str, stage: DetectionStage) -> str:
    found = {head: HeadMemory.of(each) for head, each in stage.heads.items()}
    total = sum(each.training for each in found.values()) / 1e9
    statistics = sum(each.statistics for each in found.values()) / 1e9
    told = f"{name} {total:.2f} GB ({', '.join(found)}), {statistics:.2f} of it statistics"
    if large := large_matrices(dict(stage.heads.items())):
        told += (
            f" ({', '.join(large)}: a whole confusion matrix, of which "
            "indicator@head.loss.indicator=sparse_confusion_matrix keeps what matters)"
        )
    return told


def device(config: DictConfig) -> str:
    """What the trainer would use, after a convolution on it that must equal the CPU's."""
    place = single_device_trainer(config).strategy.root_device
    x, weight = torch.randn(1, 8, 16, 16), torch.randn(4, 8, 3, 3)
    found = functional.conv2d(x.to(place), weight.to(place)).cpu()
    if not torch.allclose(found, functional.conv2d(x, weight), rtol=1e-2, atol=1e-2):
        raise NotReadyError(f"a convolution on {place} differs from the CPU's: check the driver")
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return f"{place} ({len(gpus)} GPUs: {', '.join(gpus) or 'none'}), convolution as on the CPU"


def data(config: DictConfig) -> str:
    """Whether annotations and pictures are there and good, and the splits have one vocabulary."""
    paths = plain(config.data)
    train, val = paths["train"], paths["val"]
    if "builder" in paths and not Path(train["annotations"]).is_file():
        return f"{paths['name']}: generated before the first training, in {paths['root']}"
    if missing := missing_files(train, val):
        raise NotReadyError(incomplete(missing, paths["root"], paths["name"]))
    tables = [AnnotationTable.open(split["annotations"]) for split in (train, val)]
    check_categories(*tables)
    build_data(config, next(iter(config.stages.values()))).setup("fit")
    images, categories = [table.num_images for table in tables], tables[0].num_categories
    found = headline(findings(inspect(config.copy(), pictures=False)))
    return (
        f"{images[0]:,} training, {images[1]:,} validation images, {categories:,} categories; in "
        f"their annotations {found} (job=data tells them, and looks at the pictures)"
    )


def backbone(config: DictConfig) -> str:
    """Whether the pretrained weights fit; they are fetched where they are missing, as by a fit."""
    options = config.detector.backbone
    instantiate(options)
    return "random weights" if options.weights is None else f"{options.weights} loaded"


def evaluation(config: DictConfig) -> str:
    """AP of two images where one of two categories is found: 1/2."""
    boxes = [[10.0, 10.0, 30.0, 40.0], [20.0, 5.0, 50.0, 45.0]]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "truth.json"
        path.write_text(json.dumps(_truth(boxes)), encoding="utf-8")
        metric = LVISAveragePrecision(AnnotationTable.open(path))
        metric.update(
            [_found(boxes[0], label=0), _found([60.0, 60.0, 70.0, 70.0], label=1)], [1, 2]
        )
        precision = float(metric.compute()["AP"])
    if abs(precision - 0.5) > 1e-9:
        raise NotReadyError(f"AP of a case known by hand is {precision}, not 0.5")
    return "AP of a case known by hand as expected"


def cost(config: DictConfig) -> str:
    """Time and memory of each stage, by a few of its steps; a stage of a single step has none.

    Raises:
        TooLargeError: the largest batch of the data will not fit into the memory of the device.
        UserError: whatever else stops a training: a picture that cannot be read, an option.
    """
    if not config.inspection.steps:
        return "nothing was timed (inspection.steps=0)"
    if "builder" in config.data and not Path(config.data.train.annotations).is_file():
        return "measured once the data are there"
    config = config.copy()
    open_data(config)
    times, untimed = [], []
    for name in chosen_stages(config):
        try:
            times.append(time_steps(config, name, config.inspection.steps))
        except TooFewStepsError as error:  # which such a training does not stumble over
            untimed.append(f"{name}: not timed: {error}")
    return "; ".join([*cost_lines(times), *untimed])


def _truth(boxes: list[list[float]]) -> dict:
    """Two images with one object each, of one category each."""
    sides = [[x1, y1, x2 - x1, y2 - y1] for x1, y1, x2, y2 in boxes]
    return {
        "images": [{"id": i, "file_name": f"{i}.jpg", "width": 80, "height": 80} for i in (1, 2)],
        "categories": [{"id": i, "name": f"category {i}"} for i in (1, 2)],
        "annotations": [
            {"id": i, "image_id": i, "category_id": i, "bbox": box, "area": box[2] * box[3]}
            for i, box in enumerate(sides, 1)
        ],
    }


def _found(box: list[float], label: int) -> Detections:
    return Detections(torch.tensor([box]), torch.tensor([0.9]), torch.tensor([label]))
