"""Contenders that cannot be built with the data of a run, and the configuration without them."""

from lightning.pytorch.utilities.rank_zero import rank_zero_info
from omegaconf import DictConfig, open_dict

from bacl.assembly.instantiate import instantiate
from bacl.messages.dispensable import reason
from bacl.options.composed import last_stage


def buildable(config: DictConfig) -> tuple[DictConfig, dict[str, str]]:
    """The configuration without heads of its last stage that cannot be built, and why, by head.

    Where none can, it is as it was: what builds it tells why.

    Args:
        config: of a run whose data have been opened.
    """
    stage, failed = last_stage(config), {}
    for name, node in config.stages[stage].heads.items():
        try:
            instantiate(node)
        except Exception as error:  # of one head's options with these data
            failed[str(name)] = reason(error)
    if len(failed) == len(config.stages[stage].heads):
        return config, {}
    rest = config.copy()
    for name, why in failed.items():
        rank_zero_info(f"{name}: left out, it cannot be built with these data: {why}")
        with open_dict(rest):
            del rest.stages[stage].heads[name]
    return rest, failed
