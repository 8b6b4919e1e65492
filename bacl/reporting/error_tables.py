"""What went wrong with every head, in words and as tables in Markdown; numbers are in percent."""

from collections.abc import Callable, Iterator
from enum import IntEnum

from bacl.evaluation.errors.detection_kinds import words
from bacl.evaluation.errors.error_findings import ErrorFindings
from bacl.evaluation.errors.error_rates import JUDGED_KINDS, KINDS, ErrorRate
from bacl.evaluation.errors.object_fates import ObjectFate
from bacl.messages.shown import as_markdown, shown
from bacl.reporting.error_results import ALL, ErrorResults
from bacl.reporting.head_rows import Cell, compared, in_percent
from bacl.reporting.markdown_table import header, row

PAIRS = 5
"""Of confused categories that are told of a head."""
FATES = (
    "Of 100 annotated objects. Right: the best detection over the object, of any category (IoU at "
    "least 0.5), has its category; wrong category: it has another one; badly localised: there is "
    "none, but one of its category at an IoU of 0.1 to 0.5; missed: neither. (± one standard error "
    "of the difference to the first head, by bootstrap over images; ≈: less than two.)"
)
DETECTIONS = (
    "Judged detections from the operating threshold on, for each 100 objects of the group; a "
    "detection belongs to the group of its own category. From a head's threshold on ({thresholds}) "
    "it has as many judged detections as there are objects, unless `report.score_threshold` says "
    "another. Kinds as in TIDE (Bolya et al. 2020); both: near an object of another category, at "
    "an IoU of 0.1 to 0.5. What cannot be judged is not among them: {unjudged} detections."
)
COSTS = (
    "What AP50 would gain if all errors of one kind were mended and nothing else (TIDE's dAP, over "
    "all scores; gains do not add up)."
)
CONFUSED = (
    "Most confused: objects whose best detection has another category. Where it cannot be judged "
    "in the image, the object is no confusion."
)


def error_tables(results: ErrorResults) -> Iterator[str]:
    """Lines: what became of the objects, what detections are, costs, confused categories."""
    groups = [ALL, *(group.name for group in results.grouping.groups)]
    yield from ("", "## Errors", "", FATES, "", *header(["objects", "head"], groups))
    for fate in ObjectFate:
        yield from _rates(results, fate, KINDS.index(fate))
    thresholds = _of_heads(results, lambda each: f"{each.threshold:.3g}")
    unjudged = _of_heads(results, lambda each: f"{int(each.unjudged.sum()):,}")
    told = DETECTIONS.format(thresholds=thresholds, unjudged=unjudged)
    yield from ("", told, "", *header(["detections", "head"], groups))
    for place, kind in enumerate(JUDGED_KINDS, len(ObjectFate)):
        yield from _rates(results, kind, place)
    yield from ("", COSTS, "", *_costs(results), "", CONFUSED, "", *_confused(results), "")


def _rates(results: ErrorResults, kind: IntEnum, place: int) -> Iterator[str]:
    for name, groups in results.rates.items():
        cells = [_cell(own[place]).text for own in groups.values()]
        yield row([words(kind), _name(name)], cells)


def _cell(rate: ErrorRate) -> Cell:
    if rate.difference is None:
        return Cell(in_percent(rate.value))
    return compared(100 * rate.value, rate.difference)


def _costs(results: ErrorResults) -> Iterator[str]:
    titles = {group.key: group.name for group in results.grouping.groups}
    yield from header(["categories", "head"], ["AP50", *results.mended])
    for key, members in results.members.items():
        for name, found in results.findings.items():
            gains = [found.parts.cost(kind, members) for kind in results.mended]
            cells = map(in_percent, [found.parts.mean(members), *gains])
            yield row([as_markdown(titles.get(key, key)), _name(name)], cells)


def _confused(results: ErrorResults) -> Iterator[str]:
    keys = results.grouping.keys.tolist()
    yield from header(["head", "annotated", "detected"], ["objects", "% of them"])
    for head, found in results.confusions.items():
        for cell in found.most_confused(PAIRS).tolist():
            pair = (int(found.annotated[cell]), int(found.detected[cell]))
            texts = [f"{_name(results.names[each])} ({keys[each]})" for each in pair]
            cells = [f"{found.counts[cell]:,}", in_percent(float(found.shares[cell]))]
            yield row([_name(head), *texts], cells)


def _of_heads(results: ErrorResults, told: Callable[[ErrorFindings], str]) -> str:
    return ", ".join(f"{_name(name)} {told(each)}" for name, each in results.findings.items())


def _name(text: str) -> str:
    return as_markdown(shown(text))
