"""Trained models in Python: what `bacl.load` and `bacl.evaluate` are made of.

Imports: assembly, checkpoints, data, detectors, options, stages.
"""
