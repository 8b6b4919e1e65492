"""A run: its name, folder and lock, its stages one after the other, their results and its end.

Imports: assembly, callbacks, checkpoints, data, detectors, evaluation, heads, loggers, losses,
options, reporting, speed, stages.
"""
