"""How a running stage writes the checkpoint that it can be resumed from."""

from pathlib import Path
from typing import Any

from lightning.fabric.plugins.io import TorchCheckpointIO

from bacl.checkpoints.saving import save


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
