"""Annotation files: from a json of any size to checked columns that all processes share."""
