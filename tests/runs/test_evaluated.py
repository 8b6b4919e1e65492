"""What an evaluation writes comes before what it shows, and only the former can end a run."""

import errno
import json
import shutil
from types import SimpleNamespace

import pytest

from bacl.files.atomic import UnwritableError
from bacl.heads.failures import Failures
from bacl.jobs import test as test_job
from bacl.messages.errors import OptionError, UserError
from bacl.reporting.results import RunResults
from bacl.runs import drawings as draw
from bacl.runs.evaluated import evaluate


@pytest.fixture
def alone(finished, tmp_path, tiny):
    """Evaluates a copy of the finished stage; returns the folder of the results."""
    (tmp_path / "classifier").mkdir()
    shutil.copy(finished / "classifier/final.ckpt", tmp_path / "classifier")

    def run():
        test_job.run(tiny("job=test"), tmp_path)
        (folder,) = tmp_path.glob("classifier/test_*")
        return folder

    return run


def failing(*arguments, **options):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_figures_that_cannot_be_drawn_are_one_warning_after_the_results(alone, monkeypatch, caplog):
    monkeypatch.setattr(draw, "draw_ap_by_count", failing)
    monkeypatch.setattr(draw, "draw_detection_grid", failing)
    monkeypatch.setattr(RunResults, "console_table", failing)
    monkeypatch.setattr("bacl.runs.conclusion.write_page", failing)
    folder = alone()
    assert json.loads((folder / "results.json").read_text(encoding="utf-8"))["bacl"]
    assert (folder / "results.md").exists()
    assert (folder / "per_category.csv").exists()
    drawn = {path.name for path in (folder / "figures").iterdir()}
    others = {"weight_norms.png", "shift_curves.png", "errors.png", "confusion.png"}
    assert drawn == others | {"thresholds.png", "reliability.png"}
    told = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    drawn = [text for text in told if "not drawn: ap_by_count.png, detections.png (" in text]
    assert len(drawn) == 1
    assert sum("not shown: table of results" in text for text in told) == 1
    assert sum("not written: report.html (" in text for text in told) == 1
    assert not (folder / "report.html").exists()


def test_a_run_has_a_page(finished):
    text = (finished / "classifier/report.html").read_text(encoding="utf-8")
    assert "could not be made" not in text
    assert text.count("<section") >= 7


def test_results_that_cannot_be_written_are_an_error_before_anything_is_drawn(
    alone, monkeypatch, tmp_path
):
    monkeypatch.setattr("bacl.reporting.spreadsheet.cell_of", failing)
    with pytest.raises(UnwritableError, match=r"per_category\.csv cannot be written: No space"):
        alone()
    assert not list(tmp_path.rglob("*.png"))


def test_a_reference_that_the_checkpoint_does_not_have_is_refused():
    with pytest.raises(OptionError, match=r"^report\.reference=baclx: .*did you mean bacl"):
        test_job._check_reference("baclx", {"bacl", "baseline"})
    test_job._check_reference("bacl", {"bacl", "baseline"})


def test_where_all_fail_on_another_process_the_end_says_why():
    stage = SimpleNamespace(failed_variants=Failures(), live_heads=dict.fromkeys("ab"), metrics={})

    def validate():
        for name in "ab":
            stage.failed_variants.note(name, "ValueError: no groups here in the evaluation")
        stage.variants = {}

    with pytest.raises(
        UserError, match=r"no variant could be evaluated:\na: ValueError: no gr.*\nb:"
    ):
        evaluate(SimpleNamespace(stage=stage, validate=validate), {"html": False})
