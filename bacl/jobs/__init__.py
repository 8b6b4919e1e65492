"""What `python run.py job=…` can do: one module each, with `run(config, folder)`."""

JOBS = ("fit", "test", "predict", "export", "cost", "prepare", "report", "doctor")
STARTED_BY_LAUNCHERS = ("fit_group",)
"""Jobs that nobody asks for by name."""
