"""Other toolkits' detectors: what their classifiers see, learnt from here, and handed back.

Imports: checkpoints, data, detectors, heads, losses, options, stages.
"""
