"""How a running stage writes the checkpoint that it can be resumed from, and reads it again."""

from itertools import chain
from pathlib import Path
from typing import Any

from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from bacl.checkpoints.handover import CheckpointError
from bacl.files.kinds import FINAL, UnreadableFileError, checkpoint_kind
from bacl.files.saving import save
from bacl.files.torch_file import read_torch_file
from bacl.messages.errors import UserError
from bacl.messages.shown import shown

RESUMES = {
    "state_dict": dict, "loops": dict, "callbacks": dict,
    "optimizer_states": list, "lr_schedulers": list, "epoch": int, "global_step": int,
}  # fmt: skip
"""What a checkpoint of a training holds; Lightning goes on without what it does not find."""
NEVER_EMPTY = ("state_dict", "loops", "optimizer_states")
SHAPED = {"momentum_buffer", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"}
"""What torch's optimisers keep for a parameter in its own shape, and take in any."""


class WholeFiles(TorchCheckpointIO):
    """Writes a checkpoint beside its place and moves it there: a kill leaves the earlier one whole.

    Lightning's own writer collects the file in the system's temporary folder. Where that is another
    file system, the move is a copy, and a kill inside it destroys the only checkpoint there is.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Write `checkpoint` to the local file `path`."""
        save(checkpoint, Path(path))

    def load_checkpoint(
        self, path: Any, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read the local file `path`; nothing in it is executed.

        Raises:
            CheckpointError: it is damaged, or another kind of file.
        """
        self.taken_up = Path(path)
        try:
            content = read_torch_file(self.taken_up)
        except UnreadableFileError as error:
            raise _lost(self.taken_up, str(error)) from error
        if problem := _lacking(content):
            raise _lost(self.taken_up, problem)
        return content


def _lacking(content: Any) -> str | None:
    if not isinstance(content, dict):
        return "no checkpoint of a training"
    if checkpoint_kind(content) == FINAL:
        return FINAL
    for key, kind in RESUMES.items():
        value = content.get(key)
        if not isinstance(value, kind) or (key in NEVER_EMPTY and not value):
            return f"no checkpoint of a training: {key} is missing, empty or of another kind"
    if not all(_optimises(state) for state in content["optimizer_states"]):
        return "no checkpoint of a training: optimizer_states are of another kind"
    return None


def _optimises(state: Any) -> bool:
    """Whether this is an optimiser's state: tensors, numbers and None by parameter."""
    parameters = state.get("state") if isinstance(state, dict) else None
    return isinstance(parameters, dict) and all(
        isinstance(each, dict)
        and all(isinstance(x, Tensor | int | float | None) for x in each.values())
        for each in parameters.values()
    )


class Restoring(Callback):
    """Knows whether a training has begun: until then a checkpoint is handed to its parts.

    The last one of the callbacks, so that it comes after those that a checkpoint restores.
    """

    def __init__(self) -> None:
        self.is_over = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """What fails from here on is not the checkpoint's fault.

        Raises:
            CheckpointError: its optimiser is of parameters of other shapes, which the first step
                would find.
        """
        path = getattr(trainer.strategy.checkpoint_io, "taken_up", None)
        states = (each.state.items() for each in trainer.optimizers)
        for parameter, state in chain.from_iterable(states):
            for name in SHAPED & set(state):
                if path is not None and getattr(state[name], "shape", None) != parameter.shape:
                    problem = f"optimizer_states: a {name} is not of its parameter's shape"
                    raise _lost(path, problem)
        self.is_over = True


def not_restored(
    trainer: Trainer, restoring: Restoring, error: Exception
) -> CheckpointError | None:
    """What to tell of an error between reading a checkpoint and the first step after it, if any.

    There Lightning hands the parts of the file to model, optimisers, loops and callbacks, each of
    which fails in its own way over what it cannot take.
    """
    path = getattr(trainer.strategy.checkpoint_io, "taken_up", None)
    if path is None or restoring.is_over or isinstance(error, UserError):
        return None
    return _lost(path, shown(f"{type(error).__name__}: {error}", 300), "if it is to blame, ")


def _lost(path: Path, reason: str, doubt: str = "") -> CheckpointError:
    return CheckpointError(
        f"{path}: the stage cannot go on from this file: {reason}; {doubt}delete it, and the stage "
        "starts anew (its steps so far are lost, finished stages are not)"
    )
