"""The table of what models cost."""

from rich.console import Console

from bacl.reporting.cost_table import CostRow, cost_markdown, cost_table
from bacl.speed.head_memory import HeadMemory
from bacl.speed.image_times import Times
from bacl.speed.work import MultiplyAdds, Parameters

PARAMETERS = Parameters(total=47_645_344, learnable=47_420_000)
WORK = MultiplyAdds(published=221_710_000_000, extractor=0, rois=0)

MEMORY = HeadMemory(weights=5_000_000, statistics=12_300_000, training=27_300_000)


def row(head, candidates, total):
    times = Times(0.1, 0.02, 0.005, total, candidates, images=3)
    return CostRow(head, PARAMETERS, 6_900_000, MEMORY, WORK, times)


def test_the_title_tells_the_rows_of_a_head_apart():
    rows = [row("bacl", 30_000, 0.5), row("bacl", 90_000, 0.25), row("baseline", 30_000, 0.5)]
    lines = cost_markdown(rows, ["a note"]).splitlines()
    assert lines[0] == "| | bacl, 30,000 candidates | bacl, 90,000 candidates | baseline |"
    assert lines[1] == "|---|---:|---:|---:|"
    assert lines[2] == "| params (M) | 47.42 | 47.42 | 47.42 |"
    assert lines[5] == "| its statistics (MB) | 12.3 | 12.3 | 12.3 |"
    assert lines[9] == "| images/s | 2.00 | 4.00 | 2.00 |"
    assert lines[-1] == "- a note"
    console = Console(width=120, color_system=None)
    with console.capture() as capture:
        console.print(cost_table(rows, ["a note"]))
    for part in ("30,000 candidates", "90,000 candidates", "baseline", "4.00", "a note"):
        assert part in capture.get()


def test_rows_that_measured_the_same_are_one_column():
    # More candidates than there are pairs of proposals and classes are asked for twice.
    rows = [row("bacl", 360, 0.5), row("bacl", 360, 0.25), row("baseline", 360, 1.0)]
    lines = cost_markdown(rows, []).splitlines()
    assert lines[0] == "| | bacl | baseline |"
    assert lines[9] == "| images/s | 2.00 | 1.00 |"
