"""From annotation files and pictures to batches, and data sets that are made or downloaded.

Imports: options.
"""
