"""How a run ended: the DONE or FAILED file in its folder."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bacl.atomic import replacing

DONE, FAILED = "DONE", "FAILED"


@dataclass(frozen=True)
class Outcome:
    """What a sweep's table tells of a run."""

    status: str
    """done, failed, unfinished (it began, and neither ended well nor told why), or not run."""
    stage: str = ""
    """The last stage of a finished run."""
    head: str = ""
    """The first head of the run's last stage: the one that an ablation varies."""
    measures: Mapping[str, float] = field(default_factory=dict)
    """Its AP and other measures in [0, 1], -1 where there is nothing to average."""
    seconds: float = 0.0
    """Wall time of the process that finished it."""
    reason: str = ""
    """Of a failure."""


def write_done(
    folder: Path, stage: str, results: Mapping[str, Mapping[str, float]], seconds: float
) -> None:
    """Mark a run as finished, with the measures of every head of its last stage."""
    content = {"stage": stage, "seconds": round(seconds, 1), "results": results}
    with replacing(folder / DONE) as path:
        path.write_text(json.dumps(content, indent=1) + "\n")
    (folder / FAILED).unlink(missing_ok=True)


def write_failed(folder: Path, reason: str) -> None:
    """Note why a run ended without a result."""
    with replacing(folder / FAILED) as path:
        path.write_text(json.dumps({"reason": reason}) + "\n")


def read_outcome(folder: Path) -> Outcome:
    """How the run in this folder ended."""
    if (folder / DONE).exists():
        content = json.loads((folder / DONE).read_text())
        head, measures = next(iter(content["results"].items()))
        return Outcome("done", content["stage"], head, measures, content["seconds"])
    if (folder / FAILED).exists():
        return Outcome("failed", reason=json.loads((folder / FAILED).read_text())["reason"])
    return Outcome("unfinished" if (folder / "config.yaml").exists() else "not run")
