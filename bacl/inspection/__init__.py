"""What is to be known of data before a training; a file for each kind of check.

Imports: checkpoints, data.
"""
