"""What watches a training: progress, divergence, interruption, measurements and their loggers.

Imports: checkpoints, reporting, evaluation, heads, data, options.
"""
