"""What `python run.py job=…` can do: one module each, with `run(config, folder)`."""

JOBS = ("fit", "test", "prepare", "cost", "doctor")
