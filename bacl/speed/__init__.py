"""What a detector costs: parameters, multiply-adds, and the time of an image.

Imports: detectors, heads, indicators.
"""
