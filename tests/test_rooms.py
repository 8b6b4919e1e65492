"""Which folder of bacl/ may import which, as its `__init__.py` says: arrows run one way.

Files are parsed and never imported.
"""

import ast
import re
from collections import Counter
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

BACL = Path(__file__).parents[1] / "bacl"
ROOMS = {folder.parent.name: folder.parent for folder in sorted(BACL.glob("*/__init__.py"))}
# Modules and rooms that may import a library; all others do without.
SERVE_ALL = {"messages", "files", "processes"}
LIBRARIES = {
    "torch.distributed": {"processes.distributed"},
    "lightning": {
        *("stages", "callbacks", "loggers", "assembly", "runs", "one_pass", "jobs"),
        *("data.datamodule", "checkpoints.whole_files"),
    },
    "pytorch_lightning": set(),
    "hydra": {"command", "assembly", "jobs.report", "launchers"},
    "omegaconf": {"options", "assembly", "runs", "one_pass", "jobs", "command", "launchers"},
    "torchmetrics": {"stages", "evaluation"},
    "wandb": {"loggers"},
    "timm": {"detectors.timm_models", "detectors.swin_windows"},
    "cv2": {"data.images.video", "reporting.video_file"},
    "safetensors": {"rebalance", "detectors.weights", "checkpoints.safetensors_file"},
    "matplotlib": {"reporting", "data.builtin.glyphs"},
}


def imported(code: str) -> set[str]:
    """Full names of all that a file imports, also inside of functions, and of torch.distributed."""
    names = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports have full names"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute) and node.attr == "distributed":
            names |= {"torch.distributed"} & {ast.unparse(node)}
    return names


def within(name: str, place: str) -> bool:
    return name == place or name.startswith(f"{place}.")


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(BACL).with_suffix("").parts).removesuffix(".__init__")


@cache
def imports() -> dict[str, set[str]]:
    """What each module imports."""
    return {
        module_of(file): imported(file.read_text(encoding="utf-8"))
        for file in sorted(BACL.rglob("*.py"))
        if file != BACL / "__init__.py"  # the door to all rooms
    }


def allowed(room: str) -> set[str]:
    """What the last sentence of the room's docstring lets it import."""
    text = ast.get_docstring(ast.parse((ROOMS[room] / "__init__.py").read_text(encoding="utf-8")))
    said = re.search(r"^Imports: ([^:]+)\.$", text or "", re.MULTILINE)
    assert said, f"bacl/{room}/__init__.py ends its docstring with a line `Imports: room, room.`"
    places = set(re.split(r",\s+", said[1])) - {"nothing"}
    assert {place.split(".")[0] for place in places} <= set(ROOMS) - {room}
    return places if room in SERVE_ALL else places | SERVE_ALL


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_what_it_says(room):
    places = {room} | allowed(room)
    strangers = {
        f"{module}: {name}"
        for module, names in imports().items()
        for name in (full.removeprefix("bacl.") for full in names if within(full, "bacl"))
        if within(module, room)
        and name.split(".")[0] in ROOMS
        and not any(within(name, place) for place in places)
    }
    assert strangers == set()


def test_what_lies_outside_of_rooms_imports_none():
    outside = {module: names for module, names in imports().items() if "." not in module}
    strangers = {
        f"{module}: {name}"
        for module, names in outside.items()
        for name in names
        if module not in ROOMS and any(within(name, f"bacl.{room}") for room in ROOMS)
    }
    assert strangers == set()


def test_arrows_run_one_way():
    graph = {room: {place.split(".")[0] for place in allowed(room)} for room in ROOMS}
    assert len(list(TopologicalSorter(graph).static_order())) == len(ROOMS)  # raises CycleError


def test_no_two_files_have_one_name():
    """But those of contracts: the `base` of a room is its own."""
    names = Counter(file.stem for file in BACL.rglob("*.py") if file.stem != "__init__")
    assert [name for name, number in names.items() if number > 1] == ["base"]


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_is_named_where_it_belongs(library):
    places = LIBRARIES[library]
    users = {
        module for module, names in imports().items() if any(within(n, library) for n in names)
    }
    assert {user for user in users if not any(within(user, place) for place in places)} == set()
    assert {place for place in places if not any(within(user, place) for user in users)} == set()


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("import torch.distributed as dist", "torch.distributed"),
        ("from torch import distributed", "torch.distributed"),
        ("import torch\ntorch.distributed.barrier()", "torch.distributed"),
        ("def late():\n    from bacl.heads import Head", "bacl.heads.Head"),
        ("from bacl import heads", "bacl.heads"),
    ],
)
def test_every_way_to_import_is_seen(code, name):
    assert name in imported(code)
