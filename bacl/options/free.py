"""Options that a run may go on with other values of."""

# Options that change neither what is learned nor how it is judged: a run may go on with others.
# Where the data lie is free, what they hold is not (`data.content`, see `bacl.assembly.build`).
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


def is_free(key: str) -> bool:
    """Whether a run may go on with another value of this option."""
    return any(key == name or key.startswith(f"{name}.") for name in FREE)
