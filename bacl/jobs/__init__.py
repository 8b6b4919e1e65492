"""What `python run.py job=…` can do: one module each, with `run(config, folder)`."""

JOBS = {
    "fit": "bacl.jobs.fit",
    "test": "bacl.jobs.test",
    "prepare": "bacl.jobs.prepare",
    "import": "bacl.jobs.import_checkpoint",
    "export": "bacl.jobs.export",
}
