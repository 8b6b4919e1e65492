import logging

import pytest
import rich
from rich.console import Console

from bacl.callbacks.console import ProgressBar


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


def test_lines_wait_for_their_time(fit, caplog):
    with caplog.at_level(logging.INFO):
        fit(ProgressBar(line_seconds=1e6), enable_progress_bar=True)
    assert len([r for r in caplog.records if r.name == "bacl.callbacks.console"]) <= 1


def test_bar_shows_losses_without_version_number(fit, terminal, capsys, tmp_path):
    from bacl.callbacks.csv_logger import CSVLogger

    bar = ProgressBar(every=1)
    fit(bar, enable_progress_bar=True, logger=CSVLogger(tmp_path))
    assert set(bar._shown) == {"box", "bacl", "bce"}


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
