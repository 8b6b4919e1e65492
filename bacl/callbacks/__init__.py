"""What watches a training: progress, divergence, interruption, measurements and their loggers.

Imports: data, evaluation, heads, loggers, options, reporting, stages.
"""
