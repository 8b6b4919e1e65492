"""docs/wandb: the sweep's commands can be meant, the view names what is logged."""

import importlib.util
import json
from pathlib import Path

import pytest
import yaml

from bacl.command.check import check_command
from bacl.loggers.wandb_logger import flat

FOLDER = Path(__file__).parents[1] / "docs/wandb"


def argv(sweep, values):
    """What W&B's agent makes of a sweep's command, after its program."""
    after = sweep["command"][sweep["command"].index("${program}") + 1 :]
    parts = [f"{name}={value}" for name, value in values.items()]
    return [part for each in after for part in (parts if each == "${args_no_hyphens}" else [each])]


def test_a_trial_of_the_sweep_is_a_command(compose_config):
    sweep = yaml.safe_load((FOLDER / "sweep.yaml").read_text(encoding="utf-8"))
    values = {name: own.get("values", [own.get("max")])[-1]
              for name, own in sweep["parameters"].items()}  # fmt: skip
    words = argv(sweep, values)
    check_command(words)
    config = compose_config(*words)
    assert (FOLDER.parents[1] / sweep["program"]).exists()
    assert flat(config.head)["loss/alpha"] == values["head.loss.alpha"]
    section, head, measure = sweep["metric"]["name"].split("/")
    assert (section, measure) == ("val", "right_label_r")
    assert config.stages.classifier.heads[head].hallucination.samples == 16


def test_the_view_names_options_and_panels_that_there_are(compose_config):
    pytest.importorskip("wandb_workspaces", reason="needs pip install wandb-workspaces")
    spec = importlib.util.spec_from_file_location("workspace", FOLDER / "workspace.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = module.workspace("me", "bacl", ["baseline", "bacl"], ["r", "c", "f"])
    text = json.dumps([each._to_model().model_dump() for each in made.sections], default=str)
    options = flat(compose_config("+experiment=bacl_demo"))
    assert set(module.SWEPT.values()) <= set(options)
    for key in ("val/bacl/APr", "val/baseline/right_label_f", "examples/detections",
                "tables/categories", "figures/errors", "classifier/bacl/weight_norm_r",
                "config:head/loss/alpha.value"):  # fmt: skip
        assert f'"{key}"' in text
