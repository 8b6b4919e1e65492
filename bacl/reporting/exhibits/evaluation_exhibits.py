"""All that loggers show of the evaluated variants of a stage, none of it made before it is asked.

A panel is a function of its data and a line here.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from bacl.data.annotations.table import AnnotationTable
from bacl.data.statistics import CategoryStatistics
from bacl.evaluation.errors.suspicions import LabelSuspicions
from bacl.evaluation.evaluation import Evaluation
from bacl.loggers.exhibits import Exhibit
from bacl.reporting.error_results import ErrorResults
from bacl.reporting.exhibits.boxed_pictures import boxed_pictures
from bacl.reporting.exhibits.category_table import category_table
from bacl.reporting.exhibits.confused_pairs import confused_pairs
from bacl.reporting.exhibits.suspicion_table import suspicion_table
from bacl.reporting.figures.detection_grid import DetectionSample


def evaluation_exhibits(
    evaluations: Mapping[str, Evaluation],
    statistics: CategoryStatistics,
    table: AnnotationTable,
    suspicions: Sequence[LabelSuspicions],
    samples: Callable[[], Iterable[DetectionSample]],
    score_threshold: float | None,
) -> dict[str, Callable[[], Exhibit]]:
    """What makes each panel, by its key.

    Args:
        evaluations: by variant, the reference first.
        statistics: of the training data.
        table: of the validation data.
        suspicions: of label errors.
        samples: images with what was found in them, loaded when they are asked for.
        score_threshold: of the boxes; None: each variant's own.
    """
    names = table.category_names
    makers: dict[str, Callable[[], Exhibit]] = {
        "examples/detections": lambda: boxed_pictures(samples(), names, score_threshold),
        "tables/categories": partial(category_table, evaluations, statistics),
    }
    if errors := ErrorResults.of(evaluations, names):
        makers["tables/confused_pairs"] = partial(confused_pairs, errors)
    if suspicions:
        makers["tables/label_errors"] = partial(suspicion_table, suspicions, table)
    return makers
