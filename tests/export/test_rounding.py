"""What a file may differ by where the model itself is rounded by more than is tolerated."""

import json
import logging
from pathlib import Path

import pytest
import torch

from bacl.assembly.rebuilt import Restored
from bacl.data.batch import Detections
from bacl.export.detection_agreement import Tolerance
from bacl.export.rounding import Rounding, in_double_precision
from bacl.export.trial_batch import compared, trials
from bacl.export.tried import TRIED, DisagreementError, write_tried

LIMITS = Tolerance(box=0.5, score=1e-3, unmatched=0.0, mask=0.01, rounding=2.0)
EXACT = 0.5


def found(score, *boxes):
    rows = boxes or ((0.0, 0.0, 10.0, 10.0),)
    count = len(rows)
    return Detections(torch.tensor(rows), torch.full((count,), score), torch.zeros(count).long())


def rounding(model, file):
    return Rounding.of([[found(EXACT)]], [[found(EXACT + model)]], [[found(EXACT + file)]])


@pytest.mark.parametrize(
    ("model", "file", "passes"),
    [
        (1.2e-3, -8e-4, True),  # nearer than the model: what they differ by is mostly its own
        (1.2e-3, -2.3e-3, True),  # less than twice as far
        (1.2e-3, 2.5e-3, False),
        (1e-6, 9e-4, True),  # what is tolerated is so of the exact values, too
        (1e-6, 1.1e-3, False),
    ],
)
def test_a_file_may_be_as_far_from_the_exact_values_as_its_model(model, file, passes):
    problems = rounding(model, file).problems(LIMITS)
    assert (not problems) is passes
    if not passes:
        assert problems[0].startswith("scores by")


def test_a_model_that_rounding_does_not_touch_lends_nothing():
    """Boxes that the file alone has are no matter of scores that are rounded."""
    exact, model = [[found(EXACT)]], [[found(EXACT + 0.01)]]
    more = [[found(EXACT, (0.0, 0.0, 10.0, 10.0), (20.0, 0.0, 30.0, 10.0))]]
    (problem,) = Rounding.of(exact, model, more).problems(LIMITS)
    assert "only of one of the two" in problem


def test_a_model_that_comes_to_something_else_lends_no_more_than_half():
    """Else the file of such a model would pass whatever it finds, even nothing."""
    exact, model = [[found(EXACT)]], [[found(EXACT, (50.0, 0.0, 60.0, 10.0))]]
    nothing = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0).long())
    for file in (nothing, found(EXACT, (90.0, 0.0, 99.0, 9.0))):
        (problem,) = Rounding.of(exact, model, [[file]]).problems(LIMITS)
        assert problem == "1 of the detections are only of one of the two (tolerated: 0.5)"
    assert not Rounding.of(exact, model, exact).problems(LIMITS)


def test_a_model_computes_in_double_precision_and_finds_the_same(stage):
    seen = []
    model = Restored(Path("x.ckpt"), "classifier", stage, None, None)
    exact = in_double_precision(model).stage
    exact.heads["bacl"].classifiers[0].predictor.register_forward_hook(
        lambda _, inputs, logits: seen.extend((inputs[0].dtype, logits.dtype))
    )
    assert {each.dtype for each in stage.parameters()} == {torch.float32}  # as it was
    picture = torch.randint(255, (3, 64, 96), dtype=torch.uint8)
    single, own = trials([picture], None)[0], []
    for each in (stage, exact):
        own.append(single.expected(each.detector, each.heads["bacl"], None))
    assert set(seen) == {torch.float64}
    assert compared([own[0]], [own[1]]).problems(Tolerance(0.1, 1e-3, 0.05, 0.0)) == []
    assert len(own[1][0].labels) > 10


def test_numbers_that_are_none_are_never_near():
    assert rounding(float("nan"), 0.01).problems(LIMITS)
    assert rounding(0.01, float("nan")).problems(LIMITS)


@pytest.fixture
def tried(tmp_path):
    """Tries a file of this score; its model has another, and is exactly EXACT."""
    batches, asked = trials([torch.zeros(3, 32, 32, dtype=torch.uint8)], None), []
    always = lambda score: lambda trial: [found(score) for _ in trial.sizes]  # noqa: E731

    def run(model, file, tolerance=LIMITS, error=None):
        def exact():
            asked.append(True)
            if error:
                raise error
            return always(EXACT)

        parts = (lambda path: path.write_text("new")), (lambda _: always(file)), always(model)
        path = tmp_path / "x.onnx"
        write_tried(path, *parts, batches, "pictures", tolerance, exact)
        return json.loads((tmp_path / f"x.onnx{TRIED}").read_text()), len(asked)

    return run


def test_the_exact_model_is_asked_only_where_the_file_differs_by_more(tried):
    figures, asked = tried(EXACT + 1e-4, EXACT)
    assert asked == 0
    assert "in_double_precision" not in figures


def test_a_file_that_rounding_explains_is_written_and_told(tried, caplog):
    with caplog.at_level(logging.INFO, logger="bacl"):
        figures, asked = tried(EXACT + 1.2e-3, EXACT - 8e-4)
    assert asked == 1
    exact = figures["in_double_precision"]
    assert exact["model"]["score"] == pytest.approx(1.2e-3, rel=1e-3)
    assert exact["file"]["score"] == pytest.approx(8e-4, rel=1e-3)
    assert "scores by 0.002 (tolerated: 0.001) by rounding: from the model in" in caplog.text


@pytest.mark.parametrize(
    ("model", "file", "tolerance"),
    [
        (EXACT + 1e-6, EXACT + 1.1e-3, LIMITS),
        (EXACT + 1.2e-3, EXACT - 8e-4, Tolerance(0.5, 1e-3, 0.0, 0.01)),  # rounding=0
    ],
)
def test_one_that_it_does_not_explain_is_refused(tried, tmp_path, model, file, tolerance):
    with pytest.raises(DisagreementError, match=r"x.onnx was not written.*scores by 0.00"):
        tried(model, file, tolerance)
    assert not list(tmp_path.iterdir())


def test_a_model_that_computes_in_float32_alone_is_told(tried, tmp_path):
    error = RuntimeError("expected Float but found Double")
    with pytest.raises(DisagreementError, match=r"cannot be computed in double.*found Double\)"):
        tried(EXACT + 1.2e-3, EXACT - 8e-4, error=error)
    assert not list(tmp_path.iterdir())
