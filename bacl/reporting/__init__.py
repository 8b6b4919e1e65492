"""Tables and figures of what was measured.

Imports: data, evaluation, loggers, speed.
"""
