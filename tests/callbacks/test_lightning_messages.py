import logging
import warnings

import pytest
from lightning.pytorch import Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_info, rank_zero_only

from bacl.callbacks import lightning_messages as messages
from bacl.callbacks.lightning_messages import tidy_messages

NAMES = ("lightning", "lightning.pytorch.utilities.rank_zero", "bacl")


@pytest.fixture
def untidied(monkeypatch, caplog):
    """Loggers as Lightning leaves them; restored afterwards. Returns what is said."""
    loggers = [logging.getLogger(name) for name in NAMES]
    before = [(logger.handlers, logger.filters, logger.level) for logger in loggers]
    for logger in loggers:
        logger.filters = []
    loggers[0].handlers = [logging.StreamHandler()]
    monkeypatch.setattr(messages, "_FILTER", messages._Filter())
    with caplog.at_level(logging.INFO), warnings.catch_warnings():
        yield caplog
    for logger, (handlers, filters, level) in zip(loggers, before, strict=True):
        logger.handlers, logger.filters = handlers, filters
        logger.setLevel(level)


def make_trainer():
    Trainer(logger=False, accelerator="cpu", enable_checkpointing=False)


def test_advertisements_are_dropped_and_accelerators_named_once(untidied):
    tidy_messages()
    tidy_messages()
    make_trainer()
    make_trainer()
    rank_zero_info("a line of Lightning's")
    rank_zero_info("a line of Lightning's")
    assert "litlogger" not in untidied.text
    assert "TPU" not in untidied.text
    assert untidied.text.count("GPU available") == 1
    assert untidied.text.count("a line of Lightning's") == 2


def test_lightning_still_says_what_is_dropped(untidied):
    """When this fails a filter has become useless and can go."""
    make_trainer()
    make_trainer()
    assert "litlogger" in untidied.text
    assert "TPU available" in untidied.text
    assert untidied.text.count("GPU available") == 2


def test_lines_appear_once_where_the_root_logger_shows_them(untidied):
    logger = logging.getLogger("lightning")
    assert logger.handlers
    tidy_messages()
    assert not logger.handlers


def test_lightnings_own_handler_stays_where_it_is_the_only_one(untidied, monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    tidy_messages()
    assert logging.getLogger("lightning").handlers


def test_known_noise_is_silent_and_other_warnings_are_not(untidied):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        tidy_messages()
        warnings.warn("Found 9 module(s) in eval mode at the start of training.", stacklevel=1)
        warnings.warn("`isinstance(treespec, LeafSpec)` is deprecated, use", stacklevel=1)
        warnings.warn("Checkpoint directory /a exists and is not empty.", stacklevel=1)
        warnings.warn("something else", stacklevel=1)
    assert [str(warning.message) for warning in seen] == ["something else"]


def test_only_the_first_process_tells_of_its_progress(untidied, monkeypatch):
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    tidy_messages()
    logging.getLogger("bacl.data").info("1,000 images")
    logging.getLogger("bacl.data").warning("an image is missing")
    assert "1,000 images" not in untidied.text
    assert "an image is missing" in untidied.text
