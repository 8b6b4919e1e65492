"""Processes that compute together: sums over them, signals to them, and their common end.

Imports: messages.
"""
