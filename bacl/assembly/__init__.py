"""From a configuration, or from what a checkpoint says of itself, to objects.

Imports: callbacks, checkpoints, data, detectors, heads, inspection, loggers, options, stages.
"""
