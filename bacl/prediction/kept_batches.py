"""What was found so far, kept beside the results until they are whole: a kill costs one batch."""

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bacl.data.batch import Detections, Target
from bacl.data.images.image_folder import Collated, FoundImages, Unreadable
from bacl.data.images.traits import Trait
from bacl.files.atomic import replacing

FOLDER, KEY = ".kept", "of.txt"
_COLUMNS = ("boxes", "scores", "labels")
_DAMAGED = (OSError, ValueError, LookupError, TypeError, EOFError, zipfile.BadZipFile)
"""What a file that is not one of these is refused with, one cut off among them."""


@dataclass(frozen=True)
class KeptBatch:
    """A batch of an earlier command."""

    collated: Collated
    """Without pictures."""
    targets: list[Target]
    """Of what could be read; of the sizes the picture's own."""
    detections: dict[str, list[Detections]]
    """By head, of each picture, in its pixels."""


class KeptBatches:
    """A file for each batch, and another that says what they are of, as each file does itself.

    Only a prediction of the same pictures with the same model goes on with them; others begin anew.
    Nothing in the files is executed.

    Args:
        output: folder of the results.
        key: of the prediction, as `prediction_key` gives it.
    """

    def __init__(self, output: Path, key: str) -> None:
        self._folder, self._key = output / FOLDER, key

    def known(self) -> Iterator[KeptBatch]:
        """The batches of an earlier command, in order; what follows a damaged one is left out."""
        if not self._is_of_this():
            self.remove()
            return
        for number in range(len(list(self._folder.glob("*.npz")))):
            try:
                yield _read(self._file(number), self._key)
            except _DAMAGED:
                return

    def keep(
        self,
        number: int,
        collated: Collated,
        targets: Sequence[Target],
        detections: Mapping[str, Sequence[Detections]],
    ) -> None:
        """Write the batch with this number, from 0, whole or not at all."""
        if not number:
            with replacing(self._folder / KEY) as path:
                path.write_text(self._key, encoding="utf-8")
        with replacing(self._file(number)) as path, path.open("wb") as file:
            arrays: Any = _arrays(self._key, collated, targets, detections)
            np.savez(file, **arrays)

    def remove(self) -> None:
        """Nothing is kept any more."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _is_of_this(self) -> bool:
        try:
            return (self._folder / KEY).read_text(encoding="utf-8") == self._key
        except (OSError, UnicodeDecodeError):
            return False

    def _file(self, number: int) -> Path:
        return self._folder / f"{number:08d}.npz"


def prediction_key(found: FoundImages, model: str, options: Mapping[str, Any]) -> str:
    """A digest of all that detections depend on.

    Args:
        found: the pictures; their names, sizes and times count.
        model: digest of the checkpoint.
        options: of the command, but for those that say what is made of detections.
    """
    whole = hashlib.blake2b(json.dumps([model, options], sort_keys=True).encode(), digest_size=16)
    for name in found.names:
        try:
            status = (found.folder / name).stat()
            # The last one changes with permissions, too, for want of which it was not read.
            state = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"
        except OSError:  # it is told when it is read
            state = "missing"
        whole.update(os.fsencode(f"{name}\0{state}\0"))
    return whole.hexdigest()


def _arrays(
    key: str,
    collated: Collated,
    targets: Sequence[Target],
    detections: Mapping[str, Sequence[Detections]],
) -> dict[str, np.ndarray]:
    said = {
        "key": key,
        "ids": [target.image_id for target in targets],
        "sizes": [target.original_size for target in targets],
        "traits": [int(each) for each in collated.traits],
        "unreadable": [asdict(each) for each in collated.unreadable],
        "heads": list(detections),
        "masks": {head: [_texts(each) for each in own] for head, own in detections.items()},
    }
    arrays = {"said": np.frombuffer(json.dumps(said).encode(), dtype=np.uint8)}
    for place, own in enumerate(detections.values()):
        for number, each in enumerate(own):
            for column in _COLUMNS:
                arrays[f"{place}/{number}/{column}"] = getattr(each, column).numpy()
    return arrays


def _texts(found: Detections) -> list[Any] | None:
    if found.masks is None:
        return None
    return [{**mask, "counts": mask["counts"].decode("ascii")} for mask in found.masks]


def _read(path: Path, key: str) -> KeptBatch:
    with np.load(path, allow_pickle=False) as arrays:
        said = json.loads(arrays["said"].tobytes())
        if said["key"] != key:  # another command has the same folder
            raise ValueError(f"{path}: of another prediction")
        detections = {
            head: [
                _detections(arrays, f"{place}/{number}", said["masks"][head][number])
                for number in range(len(said["ids"]))
            ]
            for place, head in enumerate(said["heads"])
        }
    unreadable = [Unreadable(**each) for each in said["unreadable"]]
    collated = Collated(None, [Trait(each) for each in said["traits"]], unreadable)
    pairs = zip(said["ids"], said["sizes"], strict=True)
    return KeptBatch(collated, [_target(number, tuple(size)) for number, size in pairs], detections)


def _detections(arrays: Any, at: str, masks: list[Any] | None) -> Detections:
    boxes, scores, labels = (torch.from_numpy(arrays[f"{at}/{column}"]) for column in _COLUMNS)
    own = masks and [{**mask, "counts": mask["counts"].encode("ascii")} for mask in masks]
    return Detections(boxes, scores, labels, own)


def _target(image_id: int, size: Any) -> Target:
    nothing = torch.zeros(0, dtype=torch.int64)
    return Target(image_id, torch.zeros(0, 4), nothing, size, size, size, nothing, nothing)
