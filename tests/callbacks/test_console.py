import logging

import pytest
import rich
from lightning.pytorch import Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from rich.console import Console

from bacl.callbacks.console import ProgressBar, silence_advertisements


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(rich, "get_console", lambda: Console(force_terminal=True))


def test_advertisements_are_dropped_and_nothing_else(caplog):
    silence_advertisements()
    silence_advertisements()
    with caplog.at_level(logging.INFO):
        Trainer(logger=False, accelerator="cpu", enable_checkpointing=False)
        rank_zero_info("a line of Lightning's")
    assert "litlogger" not in caplog.text
    assert "a line of Lightning's" in caplog.text
    assert "GPU available" in caplog.text


def test_lightning_still_advertises_on_that_logger(caplog):
    """When this fails the filter has become useless and can go."""
    logger = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    filters, logger.filters = logger.filters, []
    with caplog.at_level(logging.INFO):
        Trainer(logger=False, accelerator="cpu", enable_checkpointing=False)
    logger.filters = filters
    assert "litlogger" in caplog.text


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
