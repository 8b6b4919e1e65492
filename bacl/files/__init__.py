"""Files that are whole or absent, locked while in use, and read without executing anything in them.

Imports: messages.
"""
