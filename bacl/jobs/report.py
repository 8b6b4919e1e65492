"""job=report: finished runs side by side, as tables and pictures.

With `sweep=…` the rows are those of the paper's tables, with the first head of each run; without
one they are all heads of all runs of `name`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import rich
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.markdown import Markdown

from bacl.assembly.trainer import build_loggers
from bacl.loggers.exhibits import Exhibit, Figure, Table, show_made, showcases
from bacl.messages.dispensable import Dispensable
from bacl.options.composed import last_stage, plain
from bacl.reporting.ablation import Ablation
from bacl.reporting.ablation_text import grid, markdown, write_csv
from bacl.reporting.figures.ablation_curves import draw_ablation
from bacl.reporting.html.contents import write_comparison
from bacl.reporting.html.sweep_source import SweepSource
from bacl.runs.finished import every_run, first_heads, folder_of
from bacl.runs.folder import environment, write_text
from bacl.runs.naming import variant


def run(config: DictConfig, folder: Path) -> None:
    """Write report.md, report.html, and a CSV and a picture of each table.

    They go into runs/<name>/report.
    """
    hydra = HydraConfig.get()
    runs = Path(hydra.sweep.dir)
    overrides = [text for text in hydra.overrides.task if not text.lstrip("+").startswith("sweep=")]
    tables = plain(config).get("sweep", {})
    if tables:
        stage = last_stage(config)
        ablations = [ablation(key, table, runs, overrides, stage) for key, table in tables.items()]
    else:
        ablations = every_run(runs, str(config.name), config.report.reference)
    chosen = re.sub(r"[^\w]+", "-", str(hydra.runtime.choices.get("sweep") or "runs")).strip("-")
    target = runs / "report" / f"{chosen}-{variant(overrides)}"
    text = "\n".join(markdown(table) for table in ablations)
    write_text(target / "report.md", text)
    for table in ablations:
        write_csv(target / f"{table.key}.csv", table)
    log(config, target, ablations, draw(target, ablations))
    if config.report.html:
        write_page(target, runs, str(config.name), ablations)
    with Dispensable("not shown") as shown, shown.part("tables"):
        rich.print(Markdown(text))
        print(f"Report: {target}")


def write_page(target: Path, runs: Path, name: str, tables: Sequence[Ablation]) -> None:
    """Write report.html; where it cannot be written that is told."""
    source = SweepSource(target, runs, tables, environment())
    with Dispensable(f"{target}: not written") as pages, pages.part("report.html"):
        write_comparison(target / "report.html", f"Runs of {name}", source)


def draw(target: Path, tables: Sequence[Ablation]) -> list[Path]:
    """Draw each table that has something to compare; what cannot be drawn is told and left out."""
    drawn = []
    with Dispensable(f"{target}: not drawn") as figures:
        for table in tables:
            if sum(bool(row.runs) for row in table.rows) > 1:
                with figures.part(f"{table.key}.png"):
                    drawn.append(draw_ablation(target / f"{table.key}.png", table))
    return drawn


def ablation(
    key: str, table: Mapping[str, Any], runs: Path, overrides: Sequence[str], stage: str
) -> Ablation:
    """A table of conf/sweep with the runs of its rows.

    Args:
        key: of the table.
        table: `title` and `rows`, and maybe `axis` and `note`.
        runs: folder of the runs.
        overrides: of every row.
        stage: the last one of a row's runs, where the row does not name another.
    """
    rows = [
        first_heads(
            folder_of(runs, [*overrides, *row["set"]]),
            row_stage(row["set"], stage),
            name=row["name"],
            paper=row["paper"],
            default=row.get("default", False),
        )
        for row in table["rows"]
    ]
    return Ablation(key, table["title"], rows, table.get("axis"), table.get("note"))


def row_stage(overrides: Sequence[str], default: str) -> str | None:
    """The last stage of a row's runs; None where the row has a pipeline of its own."""
    named = {key: value for key, _, value in (text.partition("=") for text in overrides)}
    return named.get("stage", None if "pipeline" in named else default)


def log(
    config: DictConfig, target: Path, tables: Sequence[Ablation], figures: Sequence[Path]
) -> None:
    """Show tables and pictures in the loggers that can."""
    loggers = showcases(build_loggers(config, target))
    grids = {table.key: grid(table) for table in tables}
    makers: dict[str, Callable[[], Exhibit]] = {
        f"report/{key}": partial(Table, *each) for key, each in grids.items()
    }
    makers |= {f"report/{path.stem}_figure": partial(Figure, path) for path in figures}
    show_made(loggers, makers, 0)
