"""CPU seconds of the error tables beside those of the AP computation, one thread.

    OMP_NUM_THREADS=1 python benchmarks/errors.py [--images 2476] [--detections 300] [--heads 2]

The default is an eighth of LVIS v1 val, with generated detections (`benchmarks/lvis_ap.py`). What
is looked at of every variant is timed apart from what is made of all of them at the end.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from bacl.data.annotations.table import AnnotationTable
from bacl.evaluation.errors.detection_kinds import detection_kinds
from bacl.evaluation.errors.error_findings import ErrorFindings
from bacl.evaluation.errors.error_parts import error_parts
from bacl.evaluation.errors.label_suspicions import label_suspicions
from bacl.evaluation.errors.overlapping_pairs import overlapping_pairs
from bacl.evaluation.lvis_ap import LVISAveragePrecision
from bacl.evaluation.results_json import load_results
from bacl.evaluation.truth import GroundTruth
from bacl.reporting.error_results import ErrorResults
from bacl.reporting.error_tables import error_tables
from benchmarks.lvis_ap import generate


def timed(what: str, work: Callable[[], Any]) -> Any:
    """Do some work, and tell how long it took."""
    began = time.process_time()
    found = work()
    print(f"{what:44}{time.process_time() - began:8.2f} s")
    return found


def main() -> None:
    """Time everything once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2476)
    parser.add_argument("--detections", type=int, default=300)
    parser.add_argument("--categories", type=int, default=1203)
    parser.add_argument("--heads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        generate(folder, arguments.images, arguments.detections, arguments.categories)
        table = AnnotationTable.open(folder / "annotations.json", cache=folder / "cache")
        detections = load_results(folder / "detections.json", table)
        metric = LVISAveragePrecision(table)
        metric.update(detections)
        timed("each variant: AP and all other measures", metric.compute)
        truth = GroundTruth.from_table(table, metric.rules)
        given = (truth, detections, metric.rules, metric.verdicts)
        found = timed("each variant: errors", lambda: ErrorFindings.of(*given))
        everything = np.ones(len(detections.scores), bool)
        pairs = overlapping_pairs(truth, detections, everything)
        kinds = detection_kinds(truth, metric.verdicts, detections.labels, pairs)
        timed("  of these TIDE's parts", lambda: error_parts(truth, metric.verdicts, kinds))
        heads = {f"head {number}": found for number in range(arguments.heads)}
        results = ErrorResults(heads, metric.grouping, table.category_names)
        timed(f"{len(heads)} heads: rates and their errors", lambda: results.rates)
        timed(f"{len(heads)} heads: confusions", lambda: results.confusions)
        timed(f"{len(heads)} heads: tables in words", lambda: list(error_tables(results)))
        ids = np.asarray(table.category_ids)
        timed(f"{len(heads)} heads: files", lambda: results.write(folder, ids))
        timed(f"{len(heads)} heads: label errors", lambda: label_suspicions([*heads.values()]))


if __name__ == "__main__":
    main()
