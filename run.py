"""BACL: python run.py +experiment=bacl_demo (experiments: conf/experiment)."""

import os
import sys
from importlib import import_module
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from bacl.errors import UserError
from bacl.jobs import JOBS
from bacl.jobs.check import check_command
from bacl.jobs.naming import variant

OmegaConf.register_new_resolver("variant", variant)


@hydra.main(config_path="conf", config_name="config", version_base="1.3")
def main(config: DictConfig) -> float | None:
    """Run one job on one composed configuration."""
    if config.job not in JOBS:
        raise SystemExit(f"job={config.job}: unknown; jobs are {', '.join(JOBS)}")
    # torch is imported with the job, so that --help and configuration errors come at once
    job = import_module(JOBS[config.job])
    try:
        return job.run(config, Path(HydraConfig.get().runtime.output_dir))
    except (UserError, InstantiationException) as error:
        if HydraConfig.get().mode == RunMode.MULTIRUN or "HYDRA_FULL_ERROR" in os.environ:
            raise
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    # No experiment is chosen by default, so Hydra wants the plus; both spellings are welcome.
    sys.argv = [f"+{text}" if text.startswith("experiment=") else text for text in sys.argv]
    if not {"-m", "--multirun"} & set(sys.argv):
        check_command(sys.argv[1:])
    main()
