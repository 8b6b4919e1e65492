"""AP of a trained model on annotated pictures."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from bacl.assembly.harmless import counts_categories
from bacl.assembly.instantiate import instantiate
from bacl.assembly.rebuilt import Restored, give_statistics
from bacl.data.annotations.category_view import CategoryView
from bacl.data.annotations.table import AnnotationTable
from bacl.data.categories import as_trained
from bacl.data.dataset import DetectionDataset
from bacl.data.loading import batch_loader
from bacl.data.samplers import EvaluationBatches
from bacl.data.split_messages import tell_pictures
from bacl.inference.computing import as_in_a_job
from bacl.inference.model import Model
from bacl.messages.errors import OptionError, require
from bacl.options.composed import plain
from bacl.options.problems import problem
from bacl.options.ranges import HeadName
from bacl.stages.detection import Variant
from bacl.stages.modules import Modules

Place = str | PathLike[str]


def evaluate(
    model: Model,
    annotations: Place,
    images: Place | Sequence[Place],
    batch_size: int | None = None,
    num_workers: int = 0,
    variants: Mapping[str, Variant] | None = None,
) -> dict[str, dict[str, float]]:
    """Average precision of every head of a model, as `job=test` computes it, to the bit.

    The network looks at each picture once, for all variants. Rules, groups and masks are those of
    the metric that the model was trained with; the groups are of its training data, of which the
    checkpoint has the counts.

    Args:
        model: from `bacl.load`; it computes where it is (`model.to`).
        annotations: a COCO- or LVIS-format json. Its categories are the model's, or some of them.
        images: the folder with the pictures, or several.
        batch_size: images per batch; None takes as many as in the evaluation of its run, and gives
            the same numbers to the bit.
        num_workers: processes that load pictures; 0 loads them in this one.
        variants: heads with other calibrations or suppressions, by names like those of heads. A
            calibration goes by the counts of the model's training data, whatever it was built with.
            None takes the heads as they are.

    Returns:
        Measures by head, or by variant: "AP", "AP50", "AP75", of sizes ("APs", "APm", "APl"), of
        groups ("APr", "APc", "APf" of LVIS, "AP1" and on of COCO-LT) and recalls ("AR@300", …);
        those that compare categories ("AP@20", "AP_pool", "right_label", each with groups, as
        "right_label_r"). All in [0, 1] and -1 where there is nothing to average; with masks
        "segm/AP" and so on too.

    Raises:
        UserError: in one line, what is wrong with annotations or pictures, that the categories are
            not the model's, that there is no such head, or that an older checkpoint does not hold
            the counts for the groups or for a calibration.
    """
    size = model.batch_size if batch_size is None else batch_size
    require("batch_size", size, 1)
    require("num_workers", num_workers, 0)
    restored, stage = model.restored, model.restored.stage
    _check(variants or {}, restored)
    table = _table(restored, Path(annotations))
    folders = [images] if isinstance(images, str | PathLike) else images
    dataset = _dataset(restored, table, [Path(folder) for folder in folders])
    tell_pictures(dataset)
    loader = batch_loader(dataset, EvaluationBatches(dataset, size), num_workers)
    make_metric = _metric(restored)
    try:
        stage.variants = variants or {}
        stage.judge_on(table, make_metric)
        with as_in_a_job():
            for number, batch in enumerate(loader):
                stage.validation_step(batch.to(model.device), number)
        return {
            head: {name: float(value) for name, value in metric.compute().items()}
            for head, metric in stage.metrics.items()
        }
    finally:
        stage.variants, stage.metrics = {}, Modules()  # these hold all detections


def _check(variants: Mapping[str, Variant], restored: Restored) -> None:
    """Refuse variants that cannot be, and let the others go by what the model was trained with."""
    for name, variant in variants.items():
        if told := problem(name, HeadName):
            raise OptionError(f"variants: {name!r}: {told}")
        restored.known_head(variant.head, "variants: head")
        if variant.calibration is not None:
            give_statistics(variant.calibration, restored.statistics, restored.path)


def _table(restored: Restored, annotations: Path) -> AnnotationTable:
    """The annotations with the model's labels and groups."""
    table, trained = AnnotationTable.open(annotations), restored.categories
    groups = trained.training.frequency if trained.training else _own_groups(table, restored)
    view = CategoryView(np.array(trained.ids, dtype=np.int64), trained.names, groups)
    return as_trained(table, view, restored.path)


def _dataset(
    restored: Restored, table: AnnotationTable, folders: Sequence[Path]
) -> DetectionDataset:
    """The pictures, those without objects among them, as the model looks at them."""
    transform, reading = restored.augmentation.test, restored.reading
    return DetectionDataset(table, folders, transform, keep_empty=True, reading=reading)


def _metric(restored: Restored) -> Callable[..., Any]:
    """Makes the metric that the model was trained with."""
    metric: Callable[..., Any] = instantiate(restored.config.metric)
    return partial(metric, **_counted(restored))


def _counted(restored: Restored) -> dict[str, Any]:
    """Options of the metric that are counts of the training data.

    Raises:
        OptionError: the checkpoint does not hold them.
    """
    nodes = plain(restored.config.metric).items()
    names = [name for name, node in nodes if counts_categories(node)]
    if names and restored.categories.training is None:
        raise OptionError(_without_counts(restored))
    return dict.fromkeys(names, restored.categories.training)


def _own_groups(table: AnnotationTable, restored: Restored) -> np.ndarray:
    """The file's groups, by the model's labels."""
    known = dict(zip(table.category_ids.tolist(), table.frequency.tolist(), strict=True))
    if table.frequency_derived or not known.keys() >= set(restored.categories.ids):
        raise OptionError(_without_counts(restored))
    return np.array([known[each] for each in restored.categories.ids])


def _without_counts(restored: Restored) -> str:
    return (
        f"{restored.path}: was written by an earlier version, without the counts of its training "
        "data that tell the groups of categories apart; evaluate it with job=test, which reads them"
    )
