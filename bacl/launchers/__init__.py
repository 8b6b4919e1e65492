"""Hydra launchers of multiruns. Nothing here imports torch before a job has to be grouped.

Imports: command, evaluation, one_pass, options, reporting, runs.
"""
