"""From images to pyramids, regions, boxes and levels; a detector knows no classifier.

Imports: data.batch, data.uploads, options.
"""
