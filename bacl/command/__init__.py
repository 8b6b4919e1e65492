"""From the words of a command to a configuration that can be meant, and what can be asked for.

Imports: options.
"""
