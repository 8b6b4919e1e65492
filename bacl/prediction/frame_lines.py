"""frames_<head>.jsonl: a line of json for each frame of a video, as soon as it is known."""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Self

from bacl.data.batch import Detections
from bacl.data.images.video_source import Frame
from bacl.files.atomic import telling_refusal
from bacl.messages.errors import OptionError
from bacl.prediction.output import Predicted, Vocabulary


class FrameLines(ExitStack):
    """Lines {"frame", "seconds", "detections": [{"category_id", "name", "score", "bbox"}]}.

    Boxes are x, y, width and height in pixels. Written batch by batch, in whole lines: what follows
    the file sees each frame, and a kill leaves those before it.

    Args:
        output: the folder.
        heads: names.
        categories: of the training file.
        again: whether lines of an interrupted prediction are its own, and written again.

    Raises:
        OptionError: there are lines of another prediction in the folder.
    """

    def __init__(
        self, output: Path, heads: Sequence[str], categories: Vocabulary, again: bool
    ) -> None:
        super().__init__()
        if not again:
            _refuse_earlier(output)
        self._paths = {head: output / f"frames_{head}.jsonl" for head in heads}
        self._categories = list(zip(categories.ids, categories.names, strict=True))
        self._files: dict[str, IO[str]] = {}

    def __enter__(self) -> Self:
        for head, path in self._paths.items():
            with telling_refusal(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                self._files[head] = self.enter_context(path.open("w", encoding="ascii"))
        return self

    def write(self, batch: Predicted) -> None:
        """A line for each frame of a batch."""
        for head, file in self._files.items():
            pairs = zip(batch.frames, batch.accepted[head], strict=True)
            text = "".join(self._line(frame, found) for frame, found in pairs)
            with telling_refusal(self._paths[head]):
                file.write(text)
                file.flush()

    def files(self, batch: Predicted) -> Sequence[Path]:
        """None: lines are looked for by themselves."""
        return []

    def _line(self, frame: Frame, found: Detections) -> str:
        columns = zip(
            found.labels.tolist(), found.scores.tolist(), found.boxes.tolist(), strict=True
        )
        detections = []
        for label, score, (left, top, right, bottom) in columns:
            number, name = self._categories[label]
            box = [round(x, 2) for x in (left, top, right - left, bottom - top)]
            said = {"category_id": number, "name": name, "score": round(score, 6), "bbox": box}
            detections.append(said)
        said_of_frame = {"frame": frame.number, "seconds": round(frame.seconds, 3)}
        return json.dumps({**said_of_frame, "detections": detections}) + "\n"


def _refuse_earlier(output: Path) -> None:
    """Of a live source that was killed, or of another model, its lines are all there is."""
    earlier = [path for path in sorted(output.glob("frames_*.jsonl")) if path.stat().st_size]
    if earlier:
        raise OptionError(
            f"{earlier[0]} holds the frames of an earlier prediction, which did not come to its "
            "end and was of another source, model or program, or live: name another folder with "
            "predict.output=…, or delete this file"
        )
