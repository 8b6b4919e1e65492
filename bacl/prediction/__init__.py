"""What job=predict is made of: where pictures come from, and what is written and drawn meanwhile.

Imports: data, detectors, evaluation, reporting.
"""
