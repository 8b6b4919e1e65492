"""Tables and figures of what was measured.

Imports: data, evaluation, inspection, loggers, speed.
"""
