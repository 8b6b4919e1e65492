"""What names a run: its folder is found again by the same command, on any machine."""

import hashlib
import re
from collections.abc import Sequence

# Options that change neither what is learned nor how it is judged: a run may go on with others.
# Where the data lie is free, what they hold is not (`data.content`, see `bacl.jobs.build`).
FREE = (
    *("job", "stage", "name", "seed", "checkpoint", "output", "logger", "report", "predict"),
    *("export", "cost", "checkpoint_every_minutes"),
    *("data.root", "data.train", "data.val", "data.builder.root", "data.builder.processes"),
    *("data.builder.source", "data.builder.target", "data.builder.annotations"),
    *("datamodule.num_workers", "datamodule.val_batch_size", "datamodule.pin_memory"),
    *("datamodule.leave_out", "datamodule.max_pixels", "datamodule.outside_links"),
    "datamodule.check_pictures",
    *("trainer.accelerator", "trainer.devices", "trainer.num_nodes", "trainer.strategy"),
    *("trainer.log_every_n_steps", "trainer.profiler", "trainer.benchmark"),
    *("trainer.enable_progress_bar", "trainer.enable_model_summary", "trainer.limit_val_batches"),
    *("trainer.check_val_every_n_epoch", "trainer.num_sanity_val_steps"),
)
CHOICES = ("experiment", "trainer", "sweep")
"""Groups whose choice names no folder: an experiment sets `name`, a trainer is hardware, a sweep is
many runs."""
LONGEST = 150  # file systems allow 255 bytes


def variant(overrides: Sequence[str]) -> str:
    """A folder name from command-line overrides, `default` where none of them changes the result.

    >>> variant(["+experiment=bacl_demo", "seed=1", "head.loss.alpha=0.7"])
    'head.loss.alpha=0.7'
    """
    named = sorted(variant_parts(overrides))
    text = re.sub(r"[^A-Za-z0-9_.,=+~@-]+", "_", ",".join(named)) or "default"
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def variant_parts(overrides: Sequence[str]) -> list[str]:
    """The overrides that change what is learned or how it is judged."""
    keys = ((text, text.split("=")[0].lstrip("+~")) for text in overrides)
    return [text for text, key in keys if key not in CHOICES and not is_free(key)]


def is_free(key: str) -> bool:
    """Whether a run may go on with another value of this option."""
    return any(key == name or key.startswith(f"{name}.") for name in FREE)
