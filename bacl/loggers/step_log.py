"""What a training step measured, for the steps whose measurements are written."""

from collections.abc import Mapping

from lightning.pytorch import LightningModule
from torch import Tensor

from bacl.loggers.measurements import Quantity, named


def log_step(
    module: LightningModule,
    values: Mapping[Quantity, Tensor] | Mapping[Quantity, float],
    images: int,
) -> None:
    """Log a step's values, once in `log_every_n_steps` steps: the trainer writes no others.

    Lightning (2.6) takes as long for a value as a GPU step for dozens of operators, and copies it.

    Args:
        module: that trains.
        values: scalars.
        images: of the step.
    """
    if module.trainer._logger_connector.should_update_logs:  # it has no public way to be asked
        module.log_dict(named(values), batch_size=images)
