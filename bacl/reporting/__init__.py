"""Tables and figures of what was measured.

Imports: evaluation, data.
"""
