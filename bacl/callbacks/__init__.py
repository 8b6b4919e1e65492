"""What watches a training: progress, divergence, interruption, measurements and their loggers.

Imports: data, detectors, evaluation, heads, indicators, loggers, options, reporting, speed,
stages.
"""
