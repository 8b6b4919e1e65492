"""A file of another toolkit: weights by name, read and written without executing anything."""

from argparse import Namespace
from collections.abc import Mapping
from functools import cached_property
from hashlib import file_digest
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from torch import Tensor

from bacl.files.kinds import UnreadableFileError
from bacl.files.saving import save
from bacl.files.torch_file import read_torch_file
from bacl.messages.errors import OptionError, UserError

WEIGHTS = "model"
"""Where training scripts keep a model's weights in a file of more."""
AGAIN = "state_dict"
"""Where Lightning keeps them too, below the name of the module that holds the model."""

PLAIN = {"argparse.Namespace": Namespace, "types.SimpleNamespace": SimpleNamespace}
"""Classes without code of their own that toolkits keep options in: values by name."""


class OtherCheckpointError(UserError, ValueError):
    """A file of another toolkit is missing, damaged, or not of the detector that was named."""


class OtherCheckpoint:
    """What another toolkit saved.

    Args:
        path: of the file.

    Raises:
        OptionError: none is named.
        OtherCheckpointError: there is no such file.
    """

    def __init__(self, path: str | None) -> None:
        if path is None:
            raise OptionError("rebalance.checkpoint is not set: name the other toolkit's file")
        self.path = Path(path)
        if not self.path.is_file():
            raise OtherCheckpointError(f"rebalance.checkpoint={path}: no such file")

    @cached_property
    def content(self) -> Mapping[str, Any]:
        """All that it holds.

        Raises:
            OtherCheckpointError: it is damaged, asks for code, or is no dictionary.
        """
        try:
            content = read_torch_file(self.path, lambda _: PLAIN)
        except UnreadableFileError as error:
            raise self.refusal(
                f"{error}; save the weights alone, as in torch.save(model.state_dict(), …)"
            ) from error
        if not isinstance(content, dict):
            raise self.refusal("no dictionary with weights")
        return content

    @property
    def weights(self) -> Mapping[str, Tensor]:
        """The model's.

        Raises:
            OtherCheckpointError: it holds none.
        """
        found = self.content.get(WEIGHTS, self.content)
        if not isinstance(found, dict) or not all(isinstance(x, Tensor) for x in found.values()):
            raise self.refusal(f"neither weights by name nor a dictionary with them as `{WEIGHTS}`")
        return found

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the file."""
        with self.path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest()

    def write(self, path: Path, changed: Mapping[str, Tensor]) -> None:
        """Write the file with other tensors in the model, by their names; all else as it was."""
        content = dict(self.content)
        if WEIGHTS not in content:
            save({**content, **changed}, path)
            return
        content[WEIGHTS] = {**content[WEIGHTS], **changed}
        if isinstance(content.get(AGAIN), dict):
            again = {f"{WEIGHTS}.{name}": value for name, value in changed.items()}
            known = {name: value for name, value in again.items() if name in content[AGAIN]}
            content[AGAIN] = {**content[AGAIN], **known}
        save(content, path)

    def refusal(self, problem: str) -> OtherCheckpointError:
        """What is wrong with the file, as an error to raise."""
        return OtherCheckpointError(f"rebalance.checkpoint={self.path}: {problem}")
