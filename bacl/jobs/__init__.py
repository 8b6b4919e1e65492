"""What `python run.py job=…` does: a module for each job, with `run(config, folder)`.

Imports: assembly, checkpoints, data, detectors, evaluation, export, heads, inspection, loggers,
losses, one_pass, options, prediction, rebalance, reporting, runs, speed, stages.
"""
