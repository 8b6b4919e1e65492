"""Many jobs as one training: the plan of what trains together, and each job's share of it.

Imports: assembly, callbacks, evaluation, heads, loggers, options, runs, stages.
"""
