"""Jobs that one process does alone."""

from lightning.fabric.plugins.environments import TorchElasticEnvironment
from omegaconf import DictConfig

from bacl.inspection.process_count import processes
from bacl.messages.errors import OptionError
from bacl.options.composed import plain


def require_not_launched(config: DictConfig) -> None:
    """Refuse torchrun with several processes, each of which would do all of the job.

    Raises:
        OptionError: names the mend.
    """
    if TorchElasticEnvironment.detect() and (count := TorchElasticEnvironment().world_size()) > 1:
        raise OptionError(
            f"job={config.job} works in one process, and torchrun has started {count}: give the "
            "command to python alone, `python run.py …`"
        )


def require_one_process(config: DictConfig, why: str) -> None:
    """Refuse options, or torchrun, by which several processes would share a job.

    Args:
        config: with the trainer's options.
        why: it is in one process, for the message.

    Raises:
        OptionError: names options and mend.
    """
    require_not_launched(config)
    options = plain(config.trainer)
    devices, nodes = options["devices"], options["num_nodes"]
    if processes(devices, nodes, options["accelerator"]) > 1:
        raise OptionError(
            f"trainer.devices={devices} trainer.num_nodes={nodes}: job={config.job} works in one "
            f"process; {why}: trainer.devices=1 trainer.num_nodes=1"
        )
