"""How a run ended: the DONE or FAILED file in its folder."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bacl.evaluation.measures import Measure, undeclared
from bacl.files.atomic import remove, replacing

DONE, FAILED = "DONE", "FAILED"


@dataclass(frozen=True)
class Outcome:
    """What a sweep's table tells of a run."""

    status: str
    """done, failed, unfinished (it began, and neither ended well nor told why), or not run."""
    stage: str = ""
    """The last stage of a finished run."""
    seconds: float = 0.0
    """Wall time of the process that finished it."""
    reason: str = ""
    """Of a failure."""
    results: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """AP and other measures of every head of the run's last stage.

    In [0, 1], -1 where there is nothing to average.
    """
    declared: Sequence[Measure] = ()
    """What these are measures of."""
    part: str = ""
    """Of the images, where not all were judged; see `Evaluation.part`."""

    @property
    def head(self) -> str:
        """The first head of the run's last stage: the one that an ablation varies."""
        return next(iter(self.results), "")

    @property
    def measures(self) -> Mapping[str, float]:
        """Those of the first head."""
        return self.results.get(self.head, {})


def write_done(
    folder: Path,
    stage: str,
    results: Mapping[str, Mapping[str, float]],
    seconds: float,
    measures: Sequence[Measure] = (),
    part: str = "",
) -> None:
    """Mark a run as finished, with the results of every head of its last stage.

    Args:
        folder: of the run.
        stage: its last one.
        results: by head and the measures' names.
        seconds: wall time of the process that finished it.
        measures: what the results are of.
        part: of the images, where not all were judged.
    """
    content = {
        "stage": stage,
        "seconds": round(seconds, 1),
        "results": results,
        "measures": [asdict(measure) for measure in measures],
        "evaluated": part,
    }
    with replacing(folder / DONE) as path:
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    remove(folder / FAILED)


def write_failed(folder: Path, reason: str) -> None:
    """Note why a run ended without a result."""
    with replacing(folder / FAILED) as path:
        path.write_text(json.dumps({"reason": reason}) + "\n", encoding="utf-8")


def read_outcome(folder: Path, stage: str | None = None) -> Outcome:
    """How the run in this folder ended; a damaged DONE or FAILED does not count, and is told.

    Args:
        folder: of the run.
        stage: what was to be its last one; a run that another command finished with an earlier
            stage is unfinished.
    """
    done = _read(folder / DONE, _done)
    if done is not None:
        return done if stage in (None, done.stage) else Outcome("unfinished")
    failed = _read(
        folder / FAILED, lambda content: Outcome("failed", reason=str(content["reason"]))
    )
    if failed is not None:
        return failed
    return Outcome("unfinished" if (folder / "config.yaml").exists() else "not run")


def _done(content: Any) -> Outcome:
    results = {
        str(head): {str(name): float(value) for name, value in measures.items()}
        for head, measures in content["results"].items()
    }
    names = list(dict.fromkeys(name for measures in results.values() for name in measures))
    measures = [Measure(**each) for each in content.get("measures", [])] or undeclared(names)
    stage, seconds = str(content["stage"]), float(content["seconds"])
    part = str(content.get("evaluated", ""))
    return Outcome("done", stage, seconds, "", results, measures, part)


def _read(path: Path, meaning: Callable[[Any], Outcome]) -> Outcome | None:
    if not path.exists():
        return None
    try:
        return meaning(json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        print(f"{path} is damaged and does not count; delete it, or run again", flush=True)
        return None
