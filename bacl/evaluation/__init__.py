"""Average precision and its parts, and what a detector costs in parameters, work and time.

Imports: data, options.
"""
