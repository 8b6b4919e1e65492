"""Hydra launchers of multiruns. Nothing here imports torch before a job has to be grouped.

Imports: jobs, reporting, evaluation, options.
"""
