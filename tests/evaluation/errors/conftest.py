import json

import numpy as np
import pytest

from bacl.evaluation.box_overlap import box_overlap
from bacl.evaluation.detection_columns import DetectionColumns
from bacl.evaluation.errors.error_findings import ErrorFindings
from bacl.evaluation.finding_verdicts import find_verdicts
from bacl.evaluation.results_json import load_results
from bacl.evaluation.truth import GroundTruth


def find(truth: GroundTruth, detections: DetectionColumns, rules, **options) -> ErrorFindings:
    overlap = box_overlap(detections.boxes, truth.boxes, truth.crowd)
    verdicts = find_verdicts(truth, detections, detections.areas, overlap, rules)
    return ErrorFindings.of(truth, detections, rules, verdicts, **options)


@pytest.fixture(name="find")
def find_errors():
    """(truth, detections, rules, **options) -> ErrorFindings."""
    return find


@pytest.fixture
def errors_of(open_table, tmp_path):
    """(annotations, results, rules, **options) -> (ErrorFindings, table)."""

    def judge(annotations, results, rules, **options):
        table = open_table(annotations)[1]
        file = tmp_path / "results.json"
        file.write_text(json.dumps(results))
        truth = GroundTruth.from_table(table, rules)
        return find(truth, load_results(file, table), rules, **options), table

    return judge


@pytest.fixture
def federated_case(random_case):
    """As `random_case`, some of the objects crowds: seed -> (annotations, results)."""

    def build(seed):
        annotations, results = random_case(seed)
        draw = np.random.default_rng(seed)
        for each in annotations["annotations"]:
            each["iscrowd"] = int(draw.random() < 0.1)
        return annotations, results

    return build
