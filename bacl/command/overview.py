"""What there is to ask for: jobs, experiments, sweeps and groups, as they are found."""

import ast
import textwrap
from collections.abc import Mapping
from pathlib import Path

from bacl.command.known_jobs import JOBS

ROOT = Path(__file__).parents[2]
CONF = ROOT / "conf"
NAMED_ABOVE = ("experiment", "sweep", "hydra")
WIDTH = 110


def overview() -> str:
    """The answer to `python run.py --help`, and to a command that asks for nothing."""
    jobs = {name: _first_line(module) for name, module in JOBS.items()}
    parts = (
        "Long-tailed object detection with BACL. A first training, minutes on a CPU:",
        "  python run.py +experiment=bacl_demo",
        "",
        "job=… (fit, where none is named)",
        *_table(jobs),
        "",
        "experiment=… (conf/experiment: what it trains, the paper's figures)",
        *_table(_described("experiment")),
        "",
        "sweep=… (conf/sweep: an experiment once for each row of a table of the paper)",
        *_table(_described("sweep")),
        "",
        "Parts to exchange, as in detector=mask_small (conf/<part>)",
        *_table(_groups(), lines=None),
        "",
        "Every option can be set, as in head.loss.alpha=0.7:",
        "  python run.py +experiment=bacl_demo --cfg job    prints all of them with their values",
        "  conf/config.yaml                                 says what they mean",
        "  python run.py … -m seed=0,1                      runs several values (`multirun`)",
        "  python run.py --hydra-help                       lists the flags, such as --cfg and -m",
    )
    return "\n".join(parts)


def names(group: str) -> list[str]:
    """What a group of the configuration has to choose from."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def _groups() -> dict[str, str]:
    groups = sorted(path.name for path in CONF.iterdir() if path.is_dir())
    return {group: ", ".join(names(group)) for group in groups if group not in NAMED_ABOVE}


def _described(group: str) -> dict[str, str]:
    """Each file's first sentences of its comment, before the command."""
    return {name: _comment(CONF / group / f"{name}.yaml") for name in names(group)}


def _comment(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    comments = [line.removeprefix("# ") for line in lines if line.startswith("# ")]
    told = [line for line in comments if not line.startswith("@package")]
    commands = [number for number, line in enumerate(told) if line.startswith("python run.py")]
    return " ".join(told[: commands[0] if commands else 1])


def _first_line(module: str) -> str:
    """Of a module's docstring, without importing it: torch would come with it."""
    path = ROOT / f"{module.replace('.', '/')}.py"
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].partition(": ")[2]


def _table(rows: Mapping[str, str], lines: int | None = 1) -> list[str]:
    """Names beside texts, which are cut off after so many lines."""
    beside = max(map(len, rows)) + 4
    cells = {
        name: textwrap.wrap(text, WIDTH - beside, max_lines=lines, placeholder=" …")
        for name, text in rows.items()
    }
    return [
        f"{'' if number else f'  {name}':<{beside}}{line}"
        for name, cell in cells.items()
        for number, line in enumerate(cell or [""])
    ]
