"""Where measurements go: csv, wandb, TensorBoard; none but the csv can end a run.

Imports: options.
"""
