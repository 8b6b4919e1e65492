"""What `python run.py job=…` does: a module for each job, with `run(config, folder)`.

Imports: assembly, checkpoints, data, evaluation, export, loggers, one_pass, options, reporting,
runs, speed, stages.
"""
