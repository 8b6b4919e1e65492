"""A logger that cannot end a run."""

from collections.abc import Callable, Iterable
from typing import Any

from lightning.pytorch.loggers import Logger

from bacl.messages.dispensable import Dispensable


class SparedLogger(Logger):
    """Hands everything on to a logger until that fails, which is told once.

    From then on it is left alone: a server that does not answer would keep every step waiting.
    The run's own metrics.csv is no such logger; a resumed run needs all of its rows.
    """

    def __init__(self, inner: Logger) -> None:
        """Keep the logger."""
        super().__init__()
        self.inner = inner
        """What is logged to."""
        self._lost = False

    def attempt(self, call: Callable[[Any], Any]) -> Any:
        """What `call` makes of the logger; None where it fails, or where the logger has before."""
        if self._lost:
            return None
        kind = type(self.inner).__name__
        with Dispensable("nothing more is logged to") as loggers, loggers.part(kind):
            return call(self.inner)
        self._lost = True
        return None

    @property
    def name(self) -> str | None:
        """The logger's."""
        return self.attempt(lambda inner: inner.name)

    @property
    def version(self) -> int | str | None:
        """The logger's."""
        return self.attempt(lambda inner: inner.version)

    @property
    def save_dir(self) -> str | None:
        """The logger's."""
        return self.attempt(lambda inner: inner.save_dir)

    @property
    def experiment(self) -> Any:
        """The logger's; Lightning asks for it before the first step, which starts a W&B run."""
        return self.attempt(lambda inner: inner.experiment)

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Hand them on."""
        self.attempt(lambda inner: inner.log_hyperparams(params, *args, **kwargs))

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Hand them on."""
        self.attempt(lambda inner: inner.log_metrics(metrics, step))

    def log_graph(self, model: Any, input_array: Any = None) -> None:
        """Hand it on."""
        self.attempt(lambda inner: inner.log_graph(model, input_array))

    def save(self) -> None:
        """Have the logger write what it keeps."""
        self.attempt(lambda inner: inner.save())

    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
        """Tell the logger."""
        self.attempt(lambda inner: inner.after_save_checkpoint(checkpoint_callback))

    def finalize(self, status: str) -> None:
        """Close the logger."""
        self.attempt(lambda inner: inner.finalize(status))


def attempt_all(loggers: Iterable[Logger], call: Callable[[Any], Any]) -> None:
    """Show something in each logger that is spared; others are the run's own files."""
    for logger in loggers:
        if isinstance(logger, SparedLogger):
            logger.attempt(call)
