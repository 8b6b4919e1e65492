"""What options there are, of which type and range.

Imports: nothing.
"""
