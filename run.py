"""BACL: python run.py +experiment=bacl_demo (experiments: conf/experiment)."""

import os
import re
import sys
from importlib import import_module
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from bacl.errors import UserError
from bacl.jobs import JOBS, STARTED_BY_LAUNCHERS
from bacl.jobs.check import check_command
from bacl.jobs.naming import variant

OmegaConf.register_new_resolver("variant", variant)


@hydra.main(config_path="conf", config_name="config", version_base="1.3")
def main(config: DictConfig) -> float | None:
    """Run one job on one composed configuration."""
    modules = JOBS | STARTED_BY_LAUNCHERS
    if config.job not in modules:
        raise SystemExit(f"job={config.job}: unknown; jobs are {', '.join(JOBS)}")
    # torch is imported with the job, so that --help and configuration errors come at once
    job = import_module(modules[config.job])
    try:
        return job.run(config, Path(HydraConfig.get().runtime.output_dir))
    except (UserError, InstantiationException) as error:
        if HydraConfig.get().mode == RunMode.MULTIRUN or "HYDRA_FULL_ERROR" in os.environ:
            raise
        print(error, file=sys.stderr)
        raise SystemExit(getattr(error, "exit_status", 1)) from None


MULTIRUN = {"-m", "--multirun"}
SEVERAL = re.compile(r"^\+sweep=([^\[,]+,.*)$")


def completed(arguments: list[str]) -> list[str]:
    """The command line with what goes without saying."""
    # No experiment or sweep is chosen by default, so Hydra wants the plus; both are welcome.
    chosen = ("experiment=", "sweep=")
    arguments = [f"+{text}" if text.startswith(chosen) else text for text in arguments]
    # Several sweeps are one multirun of all their rows, not a multirun over sweeps.
    arguments = [SEVERAL.sub(r"+sweep=[\1]", text) for text in arguments]
    sweeps = any(text.startswith("+sweep=") for text in arguments)
    if sweeps and "job=report" not in arguments:
        # The sweep's file says how it is launched.
        return ["--multirun", *[text for text in arguments if text not in MULTIRUN]]
    if MULTIRUN & set(arguments):
        # Hydra wants it before all overrides.
        arguments = ["--multirun", *[text for text in arguments if text not in MULTIRUN]]
        if any(text.startswith("hydra/launcher=") for text in arguments):
            return arguments
        return [*arguments, "hydra/launcher=process"]
    check_command(arguments)
    return arguments


if __name__ == "__main__":
    sys.argv[1:] = completed(sys.argv[1:])
    main()
