"""Rows and sentences of an inspection, the same on the screen and on the page."""

from collections.abc import Sequence
from typing import Any

from bacl.inspection.finding import Finding, Place
from bacl.messages.shown import shown, span, visible
from bacl.reporting.inspection_report import InspectionReport
from bacl.speed.step_times import StepTimes

NAMES = {"train": "training", "val": "validation", "both": "both"}
GROUPS = ("group", "categories", "training images", "training objects", "validation objects")
SIZE_TITLES = (
    *("view", "picture, median", "object: 10 % / median / 90 %", "under 8", "under 16"),
    *("cut", "no anchor, IoU 0.5", "no anchor, IoU 0.7"),
)
LONGEST = 240
"""Characters of what goes together: two pictures with names as exports write them."""


def split_rows(report: InspectionReport) -> list[list[str]]:
    """A title and a cell for each split."""
    splits = list(report.splits.values())
    rows = [
        ["images", *[f"{each['images']:,}" for each in splits]],
        ["used", *[f"{each['images_used']:,}" for each in splits]],
        ["annotations", *[f"{each['annotations_in_file']:,}" for each in splits]],
        ["objects used", *[f"{each['objects_used']:,}" for each in splits]],
        ["objects of an image", *[_quantiles(each["objects_of_an_image"]) for each in splits]],
        ["short side, pixels", *[_quantiles(each["short_side"]) for each in splits]],
        ["categories of an image", *[_mean(each, "annotated") for each in splits]],
    ]
    if any(each["federated"] for each in splits):
        rows += [
            ["verified absent", *[_mean(each, "absent") for each in splits]],
            ["not exhaustive", *[_mean(each, "not_exhaustive") for each in splits]],
        ]
    return rows


def group_rows(report: InspectionReport) -> list[list[str]]:
    """Key, categories, training images and objects, validation objects of each group."""
    rows = []
    for key, name in (("r", "rare"), ("c", "common"), ("f", "frequent")):
        own = [row for row in report.categories if row["frequency"] == key]
        sums = [sum(row[field] for row in own) for field in ("trained_objects", "val_objects")]
        images = [row["train_images"] for row in own]
        told = span(min(images), max(images)) if own else "–"
        rows.append([name, f"{len(own):,}", told, *[f"{each:,}" for each in sums]])
    return rows


def size_rows(report: InspectionReport) -> list[list[str]]:
    """A row for each view: its frame, objects, and how many are small, cut, or not reached."""
    rows = []
    for view in report.views:
        width, height = view["frame"]["median"]
        length, unreached = view["length"], view["unreached"]
        rows.append(
            [
                view["name"],
                f"{width:.0f} × {height:.0f}",
                f"{length['10%']:.0f} / {length['median']:.0f} / {length['90%']:.0f}",
                *[_share(view["below"][limit], view) for limit in ("8", "16")],
                _share(view["cut"]["0.999"], view),
                *[_share(unreached and unreached[overlap], view) for overlap in ("0.5", "0.7")],
            ]
        )
    return rows


def preset_rows(report: InspectionReport) -> list[list[str]]:
    """Part, overrides and reason of each advice."""
    return [[each.part, "\n".join(each.overrides) or "–", each.reason] for each in report.advice]


def step_lines(report: InspectionReport) -> list[str]:
    """What each stage takes with the preset, all together, and what was not timed."""
    changed = report.steps and any(each.overrides for each in report.advice)
    told = ["timed with the preset:"] if changed else []
    return [*told, *cost_lines(report.steps), *report.untimed]


def cost_lines(steps: Sequence[StepTimes]) -> list[str]:
    """What each stage takes, and all together."""
    lines = [
        f"{each.stage}: {each.seconds:.2f} s a step of {each.images} images "
        f"({each.waiting:.2f} s of them waiting for data), {each.steps_per_epoch:,} steps × "
        f"{each.epochs} epochs = {hours(each.hours)}; {_memory(each.memory_mib)} ({each.device})"
        for each in steps
    ]
    if len(steps) > 1:
        lines.append(f"all stages: {hours(sum(each.hours for each in steps))}")
    return lines


def _memory(mib: float | None) -> str:
    return "memory unknown" if mib is None else f"{mib:,.0f} MiB"


def hours(number: float) -> str:
    """A time for people.

    >>> hours(0.05), hours(1.5), hours(100)
    ('3.0 minutes', '1.5 hours', '4.2 days')
    """
    if number < 1:
        return f"{60 * number:.1f} minutes"
    return f"{number:.1f} hours" if number < 48 else f"{number / 24:.1f} days"


def places(finding: Finding, most: int) -> list[str]:
    """The first places, or categories, of a finding, and how many more there are."""
    told = [shown(_together(each), LONGEST) for each in finding.places[:most]]
    told = told or [shown(name) for name in finding.names[: 3 * most]]
    more = (len(finding.names) or finding.count) - len(told)
    return [*told, f"and {more:,} more"] if more > 0 else told


def _together(places: Sequence[Place]) -> str:
    return " = ".join(f"{place.split}: {told_place(place)}" for place in places)


def told_place(place: Place) -> str:
    """The file, its annotations, and what of them."""
    ids = ", ".join(map(str, place.annotation_ids))
    annotations = f" #{ids}" if ids else ""
    return visible(
        f"{place.file_name}{annotations}" + (f" ({place.detail})" if place.detail else "")
    )


def _share(count: int | None, view: dict[str, Any]) -> str:
    return "–" if count is None else f"{count:,} ({100 * count / max(view['objects'], 1):.1f} %)"


def _quantiles(each: dict[str, float]) -> str:
    return f"{each['smallest']:,.0f} / {each['median']:,.0f} / {each['largest']:,.0f}"


def _mean(split: dict[str, Any], key: str) -> str:
    each = split["categories_of_an_image"][key]
    return f"{each['mean']:.1f} (up to {each['largest']:,})"
