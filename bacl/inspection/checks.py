"""All checks, in the order in which they are told: adding one is a file, a line here and a test."""

from bacl.inspection.box_outliers import box_outliers
from bacl.inspection.contradictions import contradictions
from bacl.inspection.coverage import coverage
from bacl.inspection.finding import Finding, Severity
from bacl.inspection.inspected import Check, Inspected
from bacl.inspection.left_out import left_out
from bacl.inspection.network_sizes import network_sizes
from bacl.inspection.odd_pictures import odd_pictures
from bacl.inspection.repeated_annotations import repeated_annotations
from bacl.inspection.repeated_objects import repeated_objects
from bacl.inspection.repeated_pictures import repeated_pictures
from bacl.inspection.shapeless_masks import shapeless_masks
from bacl.inspection.unusable_pictures import unusable_pictures

CHECKS: tuple[Check, ...] = (
    unusable_pictures,
    repeated_pictures,
    contradictions,
    coverage,
    left_out,
    repeated_objects,
    repeated_annotations,
    box_outliers,
    odd_pictures,
    shapeless_masks,
    network_sizes,
)
_ORDER = list(Severity)


def findings(data: Inspected) -> list[Finding]:
    """What all checks find, the gravest first."""
    found = [finding for check in CHECKS for finding in check(data)]
    return sorted(found, key=lambda finding: _ORDER.index(finding.fault.severity))
