"""The table that a multirun ends with."""

import csv
from dataclasses import dataclass
from pathlib import Path

import pytest
import rich

from bacl.evaluation.measures import undeclared
from bacl.launchers.job_table import show_summary, write_summary
from bacl.runs.outcome import Outcome


@dataclass
class EndedJob:
    """What a summary reads of a job."""

    title: str
    outcome: Outcome
    folder: Path = Path("runs/x")


def done(title: str, **measures: float | None) -> EndedJob:
    declared = undeclared(list(measures))
    return EndedJob(title, Outcome("done", "classifier", 12.5, "", {"bacl": measures}, declared))


FAILED = EndedJob("alpha=[2]", Outcome("failed", reason="diverged [step 3]"))
LVIS = done("alpha=0", AP=0.25, AP50=0.5, APs=0.1, APr=-1.0, APc=0.2, APf=0.305)
COCO_LT = done("alpha=1", AP=0.3, AP50=0.5, APs=0.1, AP1=0.1, AP2=None, AP3=0.2, AP4=0.4)


def written(tmp_path, jobs):
    write_summary(tmp_path / "sweep.csv", jobs)
    with (tmp_path / "sweep.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_columns_are_the_groups_of_the_jobs(tmp_path):
    first, second = written(tmp_path, [COCO_LT, FAILED])
    assert first == {
        "job": "alpha=1", "status": "done", "head": "bacl", "AP": "30.0", "AP50": "50.0",
        "AP_1": "10.0", "AP_2": "", "AP_3": "20.0", "AP_4": "40.0",
        "seconds": "12.5", "folder": "runs/x", "reason": "",
    }  # fmt: skip
    assert list(second) == list(first)
    assert second["reason"] == "diverged [step 3]"
    assert second["AP"] == second["AP_1"] == ""
    (row,) = written(tmp_path, [LVIS])
    assert [name for name in row if name.startswith("AP")] == [
        *("AP", "AP50", "AP_r", "AP_c", "AP_f")
    ]
    assert (row["AP_r"], row["AP_f"]) == ("", "30.5")  # -1: no rare category to average


def test_jobs_without_a_result_have_no_groups(tmp_path):
    (row,) = written(tmp_path, [FAILED])
    assert [name for name in row if name.startswith("AP")] == ["AP", "AP50"]


@pytest.mark.parametrize("jobs", [[COCO_LT, FAILED], [FAILED]])
def test_the_console_tells_the_same(capsys, monkeypatch, jobs):
    monkeypatch.setattr(rich.get_console(), "width", 120)
    show_summary(jobs)
    shown = capsys.readouterr().out
    assert "failed: diverged [step 3]" in shown  # brackets are no markup
    assert "alpha=[2]" in shown
    assert ("AP_4" in shown and "40.0" in shown) == (COCO_LT in jobs)
