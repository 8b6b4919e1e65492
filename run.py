"""BACL: python run.py +experiment=bacl_demo; python run.py alone says what else there is."""

import os
import sys
from importlib import import_module
from pathlib import Path

from bacl.processes.cores import limit_threads
from bacl.processes.interruption import INTERRUPTION

if __name__ == "__main__":
    INTERRUPTION.listen()  # what follows takes a while

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from bacl.command.completion import completed
from bacl.command.known_jobs import JOBS, STARTED_BY_LAUNCHERS
from bacl.command.once_composed import composed_once
from bacl.command.settled import settle_command
from bacl.messages.errors import UserError
from bacl.messages.shown import accept_all_letters, visible_lines
from bacl.options.comparison import require_right_options
from bacl.processes.peers import telling_losses
from bacl.runs.naming import variant

# Threads that wait for work sleep, instead of spinning: on cores that others use too, training is
# several times faster. Read when torch is imported, which is later; other processes inherit it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
limit_threads(os.environ)

OmegaConf.register_new_resolver("variant", variant)


@hydra.main(config_path="conf", config_name="config", version_base="1.3")
def main(config: DictConfig) -> float | None:
    """Run one job on one composed configuration."""
    modules = JOBS | STARTED_BY_LAUNCHERS
    if config.job not in modules:
        raise SystemExit(f"job={config.job}: unknown; jobs are {', '.join(JOBS)}")
    # torch is imported with the job, so that --help and configuration errors come at once
    job = import_module(modules[config.job])
    folder = Path(HydraConfig.get().runtime.output_dir)
    INTERRUPTION.place = f"in job={config.job}"
    try:
        with telling_losses():
            require_right_options(config)  # not every way to here has compared them
            settle_command(config, folder)
            return job.run(config, folder)
    except (UserError, InstantiationException) as error:
        if HydraConfig.get().mode == RunMode.MULTIRUN or "HYDRA_FULL_ERROR" in os.environ:
            raise
        print(visible_lines(str(error)), file=sys.stderr)
        raise SystemExit(getattr(error, "exit_status", 1)) from None
    finally:
        remove_empty(folder)


def remove_empty(folder: Path) -> None:
    """Remove the folder that Hydra made for a job that left nothing there, and those around it.

    Only below the current folder, and only empty ones: nothing else lets itself be removed.
    """
    here = Path.cwd()
    for path in (folder, *folder.parents):
        if here not in path.parents:
            return
        try:
            path.rmdir()
        except OSError:  # not empty, or another process was faster
            return


if __name__ == "__main__":
    accept_all_letters()
    with composed_once():
        sys.argv[1:] = completed(sys.argv[1:])
        main()
