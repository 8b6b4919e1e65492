"""What Lightning and PyTorch say in the terminal: each line once, and only what tells something."""

import logging
import warnings

from lightning.pytorch.utilities.rank_zero import rank_zero_only

from bacl.messages.shown import visible_lines

# Lightning 2.6 says all of this on one logger, without a switch: it recommends two other products
# at every start, and it looks for accelerators once for every stage.
_LIGHTNING = logging.getLogger("lightning.pytorch.utilities.rank_zero")
_DROPPED = ("litlogger", "litmodels", "TPU available", "Loading `train_dataloader`")
_ONCE = ("GPU available",)

_NOISE = (
    # Lightning 2.6 calls what PyTorch 2.14 deprecates.
    r".*`isinstance\(treespec, LeafSpec\)` is deprecated",
    r".*`broadcast_buffers` is deprecated",
    # A resumed stage finds its own checkpoint.
    r"Checkpoint directory .* exists and is not empty",
    # Of a 1 by 1 convolution: both strides describe the same memory.
    r"Grad strides do not match bucket view strides",
    # Frozen modules are meant to be in eval mode.
    r"Found \d+ module\(s\) in eval mode at the start of training",
)


class _Filter(logging.Filter):
    """Drops lines by what they contain, some of them after the first time."""

    def __init__(self) -> None:
        super().__init__()
        self.said: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is shown."""
        message = record.getMessage()
        if any(part in message for part in _DROPPED) or message in self.said:
            return False
        if message.startswith(_ONCE):
            self.said.add(message)
        return True


class _Defusing(logging.Filter):
    """Shows what names from data hold, instead of letting it act on the terminal."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Replace the message; every line is shown."""
        record.msg, record.args = visible_lines(record.getMessage()), None
        return True


_FILTER, _DEFUSING = _Filter(), _Defusing()


def tidy_messages() -> None:
    """Let every line appear once, and only the first process speak; a second call changes nothing.

    Lightning brings a handler of its own. Where the root logger has one too, as under Hydra, all
    its lines would appear twice.
    """
    if logging.getLogger().hasHandlers():
        logging.getLogger("lightning").handlers.clear()
    _LIGHTNING.addFilter(_FILTER)
    for handler in logging.getLogger().handlers:
        handler.addFilter(_DEFUSING)
    if rank_zero_only.rank:  # type: ignore[attr-defined]
        logging.getLogger("bacl").setLevel(logging.WARNING)
    for message in _NOISE:
        warnings.filterwarnings("ignore", message=message)  # has no effect the second time
    # They name no file, and what they are about is either read right or refused.
    warnings.filterwarnings("ignore", module=r"PIL\.")
