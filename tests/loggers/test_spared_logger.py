import pytest
from lightning.pytorch.loggers import Logger

from bacl.loggers.exhibits import Figure, show
from bacl.loggers.spared_logger import SparedLogger, attempt_all


class FailingLogger(Logger):
    """Fails from the given call on."""

    def __init__(self, works: int = 0, error: type[BaseException] = ConnectionError):
        super().__init__()
        self.works, self.error, self.calls = works, error, []

    name, version = "failing", 0

    def _call(self, what):
        self.calls.append(what)
        if len(self.calls) > self.works:
            raise self.error("the server is gone")

    @property
    def experiment(self):
        return self._call("experiment")

    def log_hyperparams(self, params):
        self._call("hyperparams")

    def log_metrics(self, metrics, step=None):
        self._call(step)

    def save(self):
        self._call("save")

    def finalize(self, status):
        self._call(status)


def test_a_logger_that_fails_is_told_once_and_left_alone(caplog):
    inner = FailingLogger(works=2)
    logger = SparedLogger(inner)
    logger.log_hyperparams({})
    for step in range(4):
        logger.log_metrics({"loss": 1.0}, step)
        logger.save()
    assert logger.experiment is None
    assert logger.name is None
    logger.finalize("success")
    assert inner.calls == ["hyperparams", 0, "save"]
    [record] = caplog.records
    assert "FailingLogger (ConnectionError: the server is gone)" in record.getMessage()


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_the_end_of_the_process_passes_and_the_logger_is_still_closed(end):
    inner = FailingLogger(error=end)
    with pytest.raises(end):
        SparedLogger(inner).save()
    logger = SparedLogger(FailingLogger(works=1, error=end))
    logger.log_metrics({}, 0)
    with pytest.raises(end):
        logger.log_metrics({}, 1)
    with pytest.raises(end):
        logger.finalize("failed")
    assert logger.inner.calls == [0, 1, "failed"]


@pytest.mark.parametrize("works", range(5))
def test_a_training_ends_well_with_a_logger_that_does_not(works, fit, caplog):
    trainer = fit(logger=[SparedLogger(FailingLogger(works=works))])
    assert trainer.global_step == 8
    assert sum("nothing more is logged" in each.getMessage() for each in caplog.records) == 1


def test_figures_and_tables_are_spared_too(tmp_path, caplog):
    logger = SparedLogger(FailingLogger())
    attempt_all([logger], lambda inner: inner.log_table())
    show([logger], {"figure": Figure(tmp_path / "missing.png")}, 0)
    assert len(caplog.records) == 1
