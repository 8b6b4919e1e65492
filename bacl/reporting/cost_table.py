"""The table of what models cost (Tab. XI), for the console and in Markdown."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from bacl.messages.shown import as_markdown, shown, visible
from bacl.speed.head_memory import HeadMemory
from bacl.speed.image_times import Times
from bacl.speed.work import MultiplyAdds, Parameters


@dataclass(frozen=True, slots=True)
class CostRow:
    """One classifier head with its detector."""

    head: str
    parameters: Parameters
    trained: int
    """Parameters that train in the stage."""
    memory: HeadMemory
    work: MultiplyAdds
    times: Times


LINES = (
    *("params (M)", "trained (M)", "head (MB)", "its statistics (MB)", "head, training (MB)"),
    *("multiply-adds (G)", "candidates", "images/s"),
    *("image (ms)", "extractor (ms)", "RoIs (ms)", "post-processing (ms)"),
)


def cost_table(rows: Sequence[CostRow], notes: Sequence[str]) -> Table:
    """A console table with one column for each of `columns`, and the notes below it."""
    table = Table(caption=Text("\n".join(map(visible, notes))), caption_justify="left")
    table.add_column("")
    titled = columns(rows)
    for title in titled:
        table.add_column(Text(title), justify="right")
    for line in _lines(titled):
        table.add_row(*line)
    return table


def cost_markdown(rows: Sequence[CostRow], notes: Sequence[str]) -> str:
    """The same table in Markdown."""
    titled = columns(rows)
    lines = [f"| | {' | '.join(map(as_markdown, titled))} |", "|---|" + "---:|" * len(titled)]
    lines += [f"| {' | '.join(line)} |" for line in _lines(titled)]
    return "\n".join([*lines, "", *[f"- {as_markdown(note)}" for note in notes]]) + "\n"


def columns(rows: Sequence[CostRow]) -> dict[str, CostRow]:
    """The columns by title: the head and, where it has several rows, their candidates.

    Rows of a head with equally many candidates measured the same thing: the first one stands for
    all.
    """
    distinct: dict[tuple[str, int], CostRow] = {}
    for row in rows:
        distinct.setdefault((row.head, row.times.candidates), row)
    several = Counter(head for head, _ in distinct)
    return {
        f"{shown(head)}, {candidates:,} candidates" if several[head] > 1 else shown(head): row
        for (head, candidates), row in distinct.items()
    }


def _lines(titled: Mapping[str, CostRow]) -> list[tuple[str, ...]]:
    return list(zip(LINES, *[_cells(row) for row in titled.values()], strict=True))


def _cells(row: CostRow) -> list[str]:
    times, memory = row.times, row.memory
    parts = (times.total, times.extractor, times.rois, times.postprocess)
    return [
        f"{row.parameters.learnable / 1e6:.2f}",
        f"{row.trained / 1e6:.2f}",
        *[f"{size / 1e6:.1f}" for size in (memory.weights, memory.statistics, memory.training)],
        f"{row.work.published / 1e9:.2f}",
        f"{times.candidates:,}",
        f"{times.images_per_second:.2f}",
        *[f"{1000 * seconds:.1f}" for seconds in parts],
    ]
