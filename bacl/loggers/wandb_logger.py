"""Weights & Biases with one run per stage folder, which a resumed run continues."""

import logging
import os
import secrets
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import wandb
from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import WandbLogger as LightningWandbLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from bacl.files.atomic import replacing
from bacl.loggers.exhibits import Exhibit, Showcase
from bacl.loggers.wandb_exhibits import as_wandb
from bacl.messages.dispensable import reason
from bacl.options.ranges import Text

_log = logging.getLogger(__name__)

ID_FILE = "wandb_id.txt"
USERS_DATA_DIR = os.environ.get("WANDB_DATA_DIR")


class WandbLogger(LightningWandbLogger, Showcase):
    """Lightning's W&B logger whose run belongs to a folder.

    The run's id is written into `<save_dir>/wandb_id.txt` at the start, so that a run that was
    killed at any time goes on as the same W&B run. Offline (no account) the run's files stay below
    `save_dir`; upload them later with `wandb sync --append <save_dir>/wandb/offline-run-*`. A run
    that cannot reach W&B when it starts goes offline by itself, with a warning. In a sweep of W&B
    the run is the one that the agent was given.
    """

    def __init__(
        self,
        save_dir: str | os.PathLike[str],
        project: Text,
        offline: bool,
        name: Text | None = None,
        **options: Any,
    ) -> None:
        """Prepare the run; it starts at the first use.

        Args:
            save_dir: the stage's folder.
            project: W&B project.
            offline: write to `save_dir` only.
            name: display name; by default the last two parts of the folder's path.
            **options: of `wandb.init`, such as entity, group, tags, notes.
        """
        folder = Path(save_dir)
        super().__init__(
            name=name or "/".join(folder.resolve().parts[-2:]),
            save_dir=folder,
            id=self._run_id(folder),
            offline=offline,
            project=project,
            **options,
        )
        # Lightning always passes it on, and wandb warns that it has no meaning any more.
        self._wandb_init.pop("anonymous", None)

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The W&B run of the folder, if it is open already, else a new process of it.

        The run that an earlier stage of this process left open is finished first.
        """
        if self._experiment is None and wandb.run is not None:
            if wandb.run.id == self._id:
                self._experiment = wandb.run
            else:
                wandb.finish()
        if self._experiment is None:
            self._keep_files_together()
        try:
            return super().experiment
        except Exception as error:
            if self._offline:
                raise
            self._go_offline(error)
            return super().experiment

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace) -> None:
        """Log every option as a value of its own, `head/loss/alpha`.

        So each is a column of the table of runs, and an axis of parallel coordinates. Its name has
        slashes, as those of metrics: a dot may be nesting or not, and W&B asks for both in other
        ways; a sweep's own key, `head.loss.alpha`, stands beside it.
        """
        options = vars(params) if isinstance(params, Namespace) else params
        super().log_hyperparams(flat(options))

    @rank_zero_only
    def show(self, exhibits: Mapping[str, Exhibit], step: int) -> None:
        """Show all of them as one entry of the run."""
        shown = {key: as_wandb(exhibit) for key, exhibit in exhibits.items()}
        self.experiment.log({**shown, "trainer/global_step": step})

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Close the run of a training that failed, so that the next one does not write into it."""
        super().finalize(status)
        if status != "success" and self._experiment is not None:
            wandb.finish(exit_code=1)
            self._experiment = None

    def _go_offline(self, error: Exception) -> None:
        """Without an account, a network or a valid key: the run is kept, to be uploaded later."""
        _log.warning(
            "W&B cannot be reached (%s): this run is written to %s/wandb, for `wandb sync`; log in "
            "with `wandb login`, or say logger.wandb.offline=true",
            reason(error), self._save_dir,
        )  # fmt: skip
        wandb.teardown()  # what is left of the attempt would go on trying
        self._offline, self._wandb_init["mode"] = True, "offline"
        self._keep_files_together()

    def _keep_files_together(self) -> None:
        # Tables are artifacts, which wandb stages in the home directory: a run folder that is
        # copied to another machine to be uploaded there would miss them.
        if self._offline and self._save_dir is not None and USERS_DATA_DIR is None:
            os.environ["WANDB_DATA_DIR"] = str(Path(self._save_dir, "wandb"))

    @staticmethod
    @rank_zero_only
    def _run_id(folder: Path) -> str:
        if "WANDB_SWEEP_ID" in os.environ and "WANDB_RUN_ID" in os.environ:
            return os.environ["WANDB_RUN_ID"]
        path = folder / ID_FILE
        if not path.exists():
            with replacing(path) as temporary:
                temporary.write_text(secrets.token_hex(4) + "\n", encoding="utf-8")
        return path.read_text(encoding="utf-8").strip()


def flat(options: Mapping[str, Any]) -> dict[str, Any]:
    """Nested options by their full names; lists and empty nodes are values.

    >>> flat({"head": {"loss": {"alpha": 0.85}}, "seed": 0, "sizes": [1, 2]})
    {'head/loss/alpha': 0.85, 'seed': 0, 'sizes': [1, 2]}
    """
    values: dict[str, Any] = {}
    for name, value in options.items():
        if isinstance(value, Mapping) and value:
            values |= {f"{name}/{rest}": own for rest, own in flat(value).items()}
        else:
            values[name] = value
    return values
