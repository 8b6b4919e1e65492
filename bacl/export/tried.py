"""What is done with a file before it is one: it is loaded again and tried on pictures."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from bacl.data.batch import Detections
from bacl.export.detection_agreement import Agreement, Tolerance
from bacl.export.rounding import Rounding
from bacl.export.trial_batch import Trial, compared
from bacl.files.side_by_side import replacing_together
from bacl.messages.errors import UserError, in_one_line

Finds = Callable[[Trial], list[Detections]]
"""Detections of each picture of a batch, in pixels of its images."""
_LOG = logging.getLogger(__name__)

TRIED = ".check.json"
"""Ends the name of the file with the figures, beside the file itself."""


class DisagreementError(UserError):
    """A file gives other detections than the model that it was made of."""


def write_tried(
    output: Path,
    write: Callable[[Path], None],
    opened: Callable[[Path], Finds],
    model: Finds,
    batches: Sequence[Trial],
    source: str,
    tolerance: Tolerance,
    exact: Callable[[], Finds] | None = None,
) -> Agreement:
    """Write a file, load it again, compare what it finds, and only then give it its name.

    The figures lie beside it as `output`.check.json.

    Args:
        output: file to write; an earlier one stays where this fails.
        write: writes it, and what else belongs to it in the same folder.
        opened: loads it as those do who use it.
        model: what is expected.
        batches: to try it on.
        source: of the pictures, in words.
        tolerance: what may differ.
        exact: makes the model in double precision, for files that add up in orders of their own;
            it is asked where the file differs from the model by more than the tolerance.

    Raises:
        DisagreementError: more than that differs, or there is nothing to compare.
    """
    with replacing_together(output) as inner:
        write(inner)
        program = opened(inner)
        expected, found = ([find(batch) for batch in batches] for find in (model, program))
        result, rounding = compared(expected, found), None
        if result.problems(tolerance) and exact and tolerance.rounding:
            rounding = _rounding(exact, batches, expected, found)
        _check(output, result, rounding, source, tolerance)
        figures = {"pictures_of": source, **result.plain(), "tolerance": asdict(tolerance)}
        if isinstance(rounding, Rounding):
            figures["in_double_precision"] = rounding.plain()
        told = json.dumps(figures, indent=1)
        inner.with_name(f"{inner.name}{TRIED}").write_text(told, encoding="utf-8")
    return result


def _rounding(
    exact: Callable[[], Finds],
    batches: Sequence[Trial],
    expected: Sequence[list[Detections]],
    found: Sequence[list[Detections]],
) -> Rounding | str:
    """How far model and file are from the exact values; why it is not known, where they are none.

    Some models of other libraries compute in float32 whatever they are given.
    """
    try:
        truth = exact()
        return Rounding.of([truth(batch) for batch in batches], expected, found)
    except RuntimeError as error:
        return f"the model cannot be computed in double precision: {in_one_line(error)}"


def _check(
    output: Path,
    result: Agreement,
    rounding: Rounding | str | None,
    source: str,
    tolerance: Tolerance,
) -> None:
    problems = result.problems(tolerance)
    explained = isinstance(rounding, Rounding) and not rounding.problems(tolerance)
    if problems and not explained:
        told = rounding.line() if isinstance(rounding, Rounding) else rounding
        beside = f" ({told})" if told else ""
        raise DisagreementError(
            f"{output} was not written: loaded again and tried on {source}, it differs from the "
            f"model in {'; '.join(problems)}{beside}. Other limits: export.tolerance"
        )
    if not result.expected:
        raise DisagreementError(
            f"{output} was not written: the model finds nothing in {source} (by its thresholds), "
            "so that there is nothing to compare; name pictures with objects of its categories: "
            "export.pictures=…"
        )
    if problems and isinstance(rounding, Rounding):
        _LOG.info("%s by rounding: %s", "; ".join(problems), rounding.line())
