"""Files of weights: hand-over between stages, published checkpoints in and out.

Imports: data, detectors, heads, losses, options.
"""
