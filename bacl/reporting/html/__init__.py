"""The report of a run as one page: sections, each of which reads what was written or found."""
