"""The list of what a file may name, against what conf/ names and what the packages hold."""

import ast
import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest
import yaml

from bacl.assembly.allowed import FUNCTIONS, LIBRARIES, OURS, may_be_built
from bacl.assembly.harmless import counts_categories

REPOSITORY = Path(__file__).parents[2]
NEVER_FROM_A_FILE = {"trainer", "logger", "data", "hydra", "balance", "criterion", "thresholds"}
NEVER_FROM_A_FILE |= {"cache"}
OF_REBALANCE = {"adapter"}
"""A group of conf/ for job=rebalance alone, with parts that others have, too."""
"""Groups of conf/ that only the command chooses from."""
OF_THE_COMMAND = {
    "bacl.data.datamodule.DetectionDataModule",
    "bacl.command.writable.WritableFolder",
    "bacl.rebalance.dumped_data.DumpedDataModule",
    "bacl.rebalance.dumped_detector.DumpedDetector",
    "torch.nn.Identity",  # augment=as_stored
}
"""What config.yaml and job=rebalance build themselves and a file may not."""
FUNCTIONS_OF_PYTHON = {"open", "eval", "exec", "compile", "__import__"}
METHODS = {"open", "read_text", "write_text", "read_bytes", "write_bytes", "mkdir", "unlink"}
METHODS |= {"load", "save", "urlopen", "system", "Popen", "run", "import_module"}
READ_WEIGHTS = {"bacl.detectors.weights"}
"""Reached by `weights` alone, which is not taken from a file."""


def targets(node):
    if isinstance(node, list):
        for value in node:
            yield from targets(value)
    if isinstance(node, dict):
        if "_target_" in node and not counts_categories(node):
            yield node["_target_"]
        for value in node.values():
            yield from targets(value)


def named_by(*groups: str) -> set[str]:
    files = [path for group in groups for path in (REPOSITORY / "conf" / group).rglob("*.yaml")]
    return {name for path in files for name in targets(yaml.safe_load(path.read_text("utf-8")))}


def groups() -> set[str]:
    return {path.name for path in (REPOSITORY / "conf").iterdir() if path.is_dir()}


def test_every_model_of_the_configurations_may_be_stored():
    names = named_by(*groups() - NEVER_FROM_A_FILE - OF_REBALANCE)
    names |= set(targets(yaml.safe_load((REPOSITORY / "conf/config.yaml").read_text("utf-8"))))
    assert len(names) > 40
    assert {name for name in names if not may_be_built(name)} == OF_THE_COMMAND


def test_nothing_that_only_the_command_chooses_may_be_stored():
    names = named_by(*NEVER_FROM_A_FILE)
    assert len(names) > 8
    assert [name for name in names if may_be_built(name)] == []


def modules() -> list[str]:
    found = []
    for place in OURS:
        package = importlib.import_module(place)
        found.append(place)
        for module in pkgutil.walk_packages(getattr(package, "__path__", ()), f"{place}."):
            found.append(module.name)
    return found


def allowed_classes(module: str) -> list[str]:
    names = vars(importlib.import_module(module))
    return [f"{module}.{name}" for name in names if may_be_built(f"{module}.{name}")]


def test_what_may_be_stored_neither_reads_nor_writes_nor_runs():
    """No module with an allowed class calls what touches files, but for the backbones' weights."""
    places = {inspect.getmodule(_class(name)) for m in modules() for name in allowed_classes(m)}
    guilty = {
        (module.__name__, call)
        for module in places
        if module.__name__ not in READ_WEIGHTS
        for call in _calls(module, ast.Name) & FUNCTIONS_OF_PYTHON
        | _calls(module, ast.Attribute) & METHODS
    }
    # What is pasted: images of its own data set, and cut-outs of a folder that the command names.
    pasting = "bacl.data.augmentation.copy_paste"
    assert guilty <= {(pasting, "load"), (pasting, "open")}


def _class(name: str) -> type:
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def _calls(module, kind: type) -> set[str]:
    nodes = ast.walk(ast.parse(Path(module.__file__).read_text(encoding="utf-8")))
    functions = [node.func for node in nodes if isinstance(node, ast.Call)]
    return {getattr(f, "attr", None) or f.id for f in functions if isinstance(f, kind)}


@pytest.mark.parametrize(
    "name",
    [
        "bacl.losses.base.torch.load",
        "bacl.losses.base.Tensor",
        "bacl.losses.fcbl.FCBL.forward",
        "bacl.losses.fcbl._FCBL",
        "bacl.losses.nowhere.Loss",
        "bacl.lossesx.Loss",
        "bacl.losses",
        "bacl.data.datamodule.DetectionDataModule",
        "bacl.data.statistics.CategoryStatistics.load",
        "bacl.heads.hallucination.jittered_moments",
        "torch.optim.lr_scheduler.LambdaLR",
        "torch.optim.sgd.SGD",
        "torchvision.transforms.v2.functional.resize",
        "torch.nn.Linear",
        "os.system",
        "BACL.losses.FCBL",
        "bacl.losses.fcbl.FCBL ",
        "bacl..losses.FCBL",
        "",
        None,
        5,
        ["bacl.losses.FCBL"],
    ],
)
def test_other_names_are_refused(name):
    assert not may_be_built(name)


def test_a_loss_of_a_new_file_may_be_stored(monkeypatch, tmp_path):
    """As the recipe of the README has it, without an entry in any list."""
    import bacl.losses

    text = "from bacl.losses import FCBL\nclass Newest(FCBL): ...\nclass Other: ...\n"
    (tmp_path / "newest.py").write_text(text)
    monkeypatch.setattr(bacl.losses, "__path__", [*bacl.losses.__path__, str(tmp_path)])
    assert may_be_built("bacl.losses.newest.Newest")
    assert not may_be_built("bacl.losses.newest.Other")
    assert not may_be_built("bacl.losses.newest.FCBL.forward")


def test_the_places_are_real():
    for place in (*OURS, *LIBRARIES):
        importlib.import_module(place)
    for name in FUNCTIONS:
        assert callable(_class(name))
