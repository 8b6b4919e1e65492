"""The jobs that a command can ask for, by name: the module of each has `run(config, folder)`."""

JOBS = {
    "fit": "bacl.jobs.fit",
    "rebalance": "bacl.jobs.rebalance",
    "test": "bacl.jobs.test",
    "predict": "bacl.jobs.predict",
    "import": "bacl.jobs.import_checkpoint",
    "export": "bacl.jobs.export",
    "cost": "bacl.jobs.cost",
    "data": "bacl.jobs.inspect_data",
    "prepare": "bacl.jobs.prepare",
    "report": "bacl.jobs.report",
    "doctor": "bacl.jobs.doctor",
}
STARTED_BY_LAUNCHERS = {"fit_group": "bacl.jobs.fit_group", "test_group": "bacl.jobs.test_group"}
"""Jobs that nobody asks for by name."""
TRAINING = {"fit", "fit_group", "rebalance"}
"""Jobs whose folder is a run."""
