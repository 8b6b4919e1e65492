"""Records how balanced each classifier is while it learns (the paper's Fig. 5)."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray

from bacl.callbacks.classifier_exhibits import classifier_exhibits
from bacl.data.datamodule import data_of
from bacl.data.statistics import CategoryStatistics
from bacl.evaluation.groups import Grouping, shared_grouping
from bacl.files.atomic import replacing
from bacl.heads import Classifier, FeatureDistributions, Head, classifiers_by_name
from bacl.heads.predictors import class_module
from bacl.loggers.exhibits import Figure, show, show_made, showcases
from bacl.loggers.measurements import Quantity, named
from bacl.messages.dispensable import Dispensable
from bacl.messages.errors import in_one_line
from bacl.reporting.figures import draw_weight_norms
from bacl.stages import DetectionStage

Row = dict[str, NDArray]
_log = logging.getLogger(__name__)


class ClassifierRecorder(Callback):
    """Keeps the state of every head in `pl_module.heads` before the first and after each epoch.

    `<default_root_dir>/heads/<head>.npz`, or `<head>.<level>.npz` for each classifier of a cascade,
    holds, one row per record:

    - `epochs` (E,) int64: finished epochs;
    - `weight_norm` (E, K) float32: L2 norm of each row of the predictor's weights; rows [0, C) are
      the foreground categories';
    - `strength` (E, C) float32: the long-term indicator's l_i, where the loss has an indicator;
    - `seen` (E, C) bool: categories with a feature distribution, where the head follows them.

    Mean norms per group go to the loggers, and Fig. 5 is drawn beside the records. All
    state is in the files: a resumed run replaces the rows that it repeats. The groups are those of
    `pl_module.metrics`, the counts those of `trainer.datamodule.statistics`.
    """

    def __init__(self) -> None:
        self._figures = Dispensable("not drawn while training")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record where training starts; a resumed run has that row."""
        if trainer.global_step == 0:
            self._record(trainer, pl_module, 0)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the epoch and log the mean norms of the groups."""
        rows = self._record(trainer, pl_module, trainer.current_epoch + 1)
        groups = _grouping(pl_module).present
        for name, row in rows.items():
            head, _, level = name.partition(".")
            norms = row["weight_norm"][: data_of(trainer).statistics.num_categories]
            means = {
                Quantity("classifier", head, f"{level}/weight_norm_{group.key}".lstrip("/")): float(
                    norms[group.members].mean()
                )
                for group in groups
            }
            pl_module.log_dict(named(means), sync_dist=True)  # equal on all processes

    def _record(self, trainer: Trainer, pl_module: LightningModule, epochs: int) -> dict[str, Row]:
        heads = dict(cast(DetectionStage, pl_module).heads.items())
        rows = {name: measure(head) for name, head in classifiers_by_name(heads).items()}
        if trainer.is_global_zero:
            folder = Path(trainer.default_root_dir) / "heads"
            for name, row in rows.items():
                append_row(folder / f"{name}.npz", epochs, row)
            grouping = _grouping(pl_module)
            norms = {name: row["weight_norm"] for name, row in rows.items()}
            self._draw(trainer, folder, norms, grouping)
            _show_classifiers(trainer, folder, heads, norms, grouping)
        return rows

    def _draw(
        self, trainer: Trainer, folder: Path, norms: Mapping[str, NDArray], grouping: Grouping
    ) -> None:
        statistics, step = data_of(trainer).statistics, trainer.global_step
        with self._figures as figures, figures.part("weight_norms.png"):
            path = draw_norms(folder, norms, statistics, grouping)
            show(trainer.loggers, {"classifier/weight_norms": Figure(path)}, step)


@torch.no_grad()
def measure(classifier: Classifier) -> Row:
    """One record of a classifier: `weight_norm` (K,); `strength`, `seen` (C,) where it has them."""
    row = {
        "weight_norm": class_module(classifier.predictor)
        .get_parameter("weight")
        .float()
        .norm(dim=1)
    }
    if classifier.criterion.indicator is not None:
        row["strength"] = classifier.criterion.indicator.strength().float()
    if isinstance(classifier.hallucination, FeatureDistributions):
        row["seen"] = classifier.hallucination.seen
    return {name: value.cpu().numpy() for name, value in row.items()}


def draw_norms(
    folder: Path, norms: Mapping[str, NDArray], statistics: CategoryStatistics, grouping: Grouping
) -> Path:
    """Draw Fig. 5 of the classifiers' norms (K,) into weight_norms.png, and return its path."""
    counts = statistics.instance_counts.numpy()
    return draw_weight_norms(
        folder / "weight_norms.png", of_categories(norms, statistics), counts, grouping
    )


def of_categories(
    norms: Mapping[str, NDArray], statistics: CategoryStatistics
) -> dict[str, NDArray]:
    """The categories' norms (C,), without that of the background."""
    return {name: norm[: statistics.num_categories] for name, norm in norms.items()}


def weight_norms(heads: Mapping[str, Head], num_categories: int) -> dict[str, list[NDArray]]:
    """The categories' norms (C,) of each classifier of every head, as they are."""
    return {
        name: [
            measure(classifier)["weight_norm"][:num_categories]
            for classifier in classifiers_by_name({name: head}).values()
        ]
        for name, head in heads.items()
    }


def last_norms(folder: Path) -> dict[str, NDArray]:
    """The latest recorded weight norms (K,) of every head in a folder of records."""
    rows = {path.stem: _read_rows(path) for path in sorted(folder.glob("*.npz"))}
    return {name: row["weight_norm"][-1] for name, row in rows.items() if row is not None}


def append_row(path: Path, epochs: int, row: Row) -> None:
    """Add a record to an .npz file, in place of those of the same or a later epoch.

    A damaged file begins anew: nothing is computed from it.
    """
    rows = {"epochs": np.array([epochs]), **{name: value[None] for name, value in row.items()}}
    before = _read_rows(path)
    if before is not None and _fits(before, rows):
        earlier = before["epochs"] < epochs
        rows = {n: np.concatenate([before[n][earlier], value]) for n, value in rows.items()}
    with replacing(path) as temporary:
        np.savez(temporary, allow_pickle=False, **rows)


def _read_rows(path: Path) -> dict[str, NDArray] | None:
    """The records in a file; None where there is none, or it is damaged, which is told."""
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            rows = {name: file[name] for name in file.files}
        if rows["weight_norm"].ndim != 2 or len(rows["epochs"]) != len(rows["weight_norm"]):
            raise ValueError("not one row of norms for each record")
        if not len(rows["epochs"]):
            raise ValueError("no records")
    except Exception as error:  # zip, npy and pickled files fail in ways of their own
        _log.warning("%s is damaged and does not count (%s)", path, in_one_line(error))
        return None
    return rows


def _fits(before: Row, rows: Row) -> bool:
    """Whether the rows of two records have the same names and sizes."""
    shapes = [{name: value.shape[1:] for name, value in part.items()} for part in (before, rows)]
    return shapes[0] == shapes[1] and len({len(value) for value in before.values()}) == 1


def _grouping(pl_module: LightningModule) -> Grouping:
    return shared_grouping(dict(cast(DetectionStage, pl_module).metrics.items()))


def _show_classifiers(
    trainer: Trainer,
    folder: Path,
    heads: Mapping[str, Head],
    norms: Mapping[str, NDArray],
    grouping: Grouping,
) -> None:
    """In the loggers that can; without any nothing is made."""
    if not showcases(trainer.loggers):
        return
    statistics = data_of(trainer).statistics
    makers = classifier_exhibits(
        classifiers_by_name(heads), of_categories(norms, statistics), statistics, grouping, folder
    )
    show_made(trainer.loggers, makers, trainer.global_step)
