"""From which score on a detection is taken, for each category, and what is to be expected of that.

Choosing by the images that one is judged by promises too much: what is told is cross-fitted, each
half of the images judged by the thresholds of the other.
"""
