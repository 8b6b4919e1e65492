"""What watches a training: progress, divergence, interruption, measurements and their loggers.

Imports: data, evaluation, heads, indicators, loggers, options, reporting, stages.
"""
