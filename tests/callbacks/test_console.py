import logging
import re

import pytest
import rich
from rich.console import Console

from bacl.callbacks.console import ProgressBar
from bacl.callbacks.itinerary import Itinerary


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(rich, "get_console", lambda: Console(force_terminal=True))


def test_lines_with_losses_where_there_is_no_terminal(fit, caplog):
    with caplog.at_level(logging.INFO):
        fit(ProgressBar(line_seconds=0), enable_progress_bar=True)
    lines = [r.getMessage() for r in caplog.records if r.name == "bacl.callbacks.console"]
    assert len(lines) == 8
    assert lines[5].startswith("epoch 2/2, step 6/8, ")
    assert [part.split()[0] for part in lines[5].split(": ")[1].split(", ")] == [
        "box",
        "bacl",
        "bce",
    ]


def test_a_line_tells_the_stage_and_the_time_of_all_stages(fit, caplog):
    bar = ProgressBar(line_seconds=0, itinerary=Itinerary(0, [2, 1]))
    with caplog.at_level(logging.INFO):
        fit(bar, enable_progress_bar=True)
    lines = [r.getMessage() for r in caplog.records if r.name == "bacl.callbacks.console"]
    left = r"0:00:0\d \(of all stages about 0:00:0\d\) left"
    assert re.match(rf"stage 1 of 2, epoch 1/2, step 2/8, \d\.\d\d s/step, {left}: box", lines[1])


def test_the_stages_to_come_take_as_long_for_each_epoch():
    assert Itinerary(0, [6, 3]).left(2, 60, 30) == "0:01:00 (of all stages about 0:02:00)"
    assert Itinerary(1, [6, 3]).left(2, 60, 30) == "0:01:00"
    assert Itinerary(1, [6, 3]).stage == "stage 2 of 2"
    assert not Itinerary(0, [6]).stage


def test_a_bar_tells_the_stage(fit, terminal, monkeypatch):
    bar, told = ProgressBar(itinerary=Itinerary(0, [2, 1])), []
    describe = bar._get_train_description
    monkeypatch.setattr(
        bar, "_get_train_description", lambda epoch: told.append(describe(epoch)) or told[-1]
    )
    fit(bar, enable_progress_bar=True)
    assert told[0].startswith("Stage 1 of 2, epoch 0/1")


def test_lines_wait_for_their_time(fit, caplog):
    with caplog.at_level(logging.INFO):
        fit(ProgressBar(line_seconds=1e6), enable_progress_bar=True)
    assert len([r for r in caplog.records if r.name == "bacl.callbacks.console"]) <= 1


def test_bar_shows_losses_without_version_number(fit, terminal, capsys, tmp_path):
    from bacl.loggers.csv_logger import CSVLogger

    bar = ProgressBar(every=1)
    fit(bar, enable_progress_bar=True, logger=CSVLogger(tmp_path))
    assert set(bar._shown) == {"left", "box", "bacl", "bce"}


def test_values_are_read_once_in_every_steps(fit, terminal, monkeypatch):
    bar = ProgressBar(every=4)
    shown = []
    original = bar.get_metrics
    monkeypatch.setattr(
        bar, "get_metrics", lambda *args: shown.append(original(*args)) or shown[-1]
    )
    fit(bar, enable_progress_bar=True)
    assert len(shown) == 10  # eight steps and two ends of an epoch
    # the first step, the fourth, the eighth, and both ends of an epoch
    assert len({id(values) for values in shown}) <= 5


@pytest.fixture
def validated(stage):
    class Validated(type(stage)):
        def validation_step(self, batch, batch_idx):
            pass

        def on_validation_epoch_end(self):
            logging.getLogger("bacl.evaluation").info("AP is computed here")

    return Validated()


@pytest.mark.parametrize(
    ("limits", "counts"), [({}, ["2/5", "4/5", "5/5"]), ({"limit_val_batches": 2}, ["2/4", "4/4"])]
)
def test_validation_has_lines_too(fit, validated, caplog, limits, counts):
    options = {"enable_progress_bar": True, "epochs": 1, "num_sanity_val_steps": 1, **limits}
    with caplog.at_level(logging.INFO):
        fit(ProgressBar(line_seconds=0), stage=validated, **options)
    lines = [r.getMessage() for r in caplog.records if r.name.startswith("bacl.")]
    first = next(i for i, line in enumerate(lines) if line.startswith("validation"))
    # The check before the training, which also computes, has no line.
    assert lines[0] == "AP is computed here"
    assert lines[1].startswith("epoch 1/1, step 1/4")
    expected = [rf"validation: {count} images, \d:\d\d:\d\d left" for count in counts]
    expected += [r"validation: all images done in \d:\d\d:\d\d, computing AP", lines[0]]
    for line, pattern in zip(lines[first : first + len(expected)], expected, strict=True):
        assert re.fullmatch(pattern, line)


def test_lines_of_a_validation_wait_for_their_time(fit, validated, caplog):
    with caplog.at_level(logging.INFO):
        fit(ProgressBar(line_seconds=1e6), stage=validated, enable_progress_bar=True)
    assert not [r for r in caplog.records if "left" in r.getMessage()][1:]
    assert len([r for r in caplog.records if "computing AP" in r.getMessage()]) == 2
