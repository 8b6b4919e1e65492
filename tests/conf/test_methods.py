"""Rows of Tab. XIII: `+experiment=method_lvis05 method=…` composes each of them."""

import re

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from bacl.command.check import CONF, wrong_command
from bacl.options.composed import changes, plain

METHODS = sorted(path.stem for path in (CONF / "method").glob("*.yaml"))
DECOUPLED = {
    *("acsl", "bacl", "bags", "balms", "balms_meta", "crt", "disalign", "loce", "lws", "ncm"),
    "simcal",
}


def composed(*overrides: str):
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=["data.num_classes=1230", *overrides])


@pytest.mark.parametrize("data", ["lvis05", pytest.param("lvis1", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", METHODS)
def test_every_method_composes(name, data):
    config = composed(f"+experiment=method_{data}", f"method={name}")
    assert not wrong_command(config)
    assert next(iter(config.stages)) == ("representation" if name in DECOUPLED else "end_to_end")
    # Sec. IV-B: proposals are doubled for BACL, in both stages.
    doubled = name in ("bacl", "forest")  # published of the latter
    assert config.detector.rpn.training.total == (2000 if doubled else 1000)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_says_what_it_is(name):
    text = (CONF / "method" / f"{name}.yaml").read_text(encoding="utf-8")
    assert re.search("^# (Tab|No row of Tab). XIII[,:] ", text, re.MULTILINE)
    assert f"python run.py +experiment=method_lvis05 method={name} " in text


@pytest.mark.parametrize(
    ("method", "experiment"), [("bacl", "bacl_lvis05"), ("cross_entropy", "baseline_lvis05")]
)
def test_a_row_with_an_experiment_of_its_own_is_that_experiment(method, experiment):
    row = plain(composed("+experiment=method_lvis05", f"method={method}"))
    own = plain(composed(f"+experiment={experiment}"))
    assert changes(own, row) == []


def test_a_method_goes_with_another_detector():
    config = composed("+experiment=method_lvis1", "method=eqlv2", "detector=faster_rcnn_r101")
    assert config.detector.backbone.depth == 101


def test_the_sweeps_have_the_same_figures_of_every_row_of_the_paper():
    rows = {
        row["name"]: row["paper"]
        for sweep in ("methods", "methods_decoupled")
        for row in OmegaConf.load(CONF / "sweep" / f"{sweep}.yaml").sweep[sweep].rows
        if row["paper"] is not None
    }
    said = r"Tab\. XIII, row (.+), R-50-FPN: AP \(r/c/f\) ([\d.]+) \(([\d./]+)\) on LVIS v0\.5"
    texts = [(CONF / "method" / f"{name}.yaml").read_text(encoding="utf-8") for name in METHODS]
    found = [match for text in texts if (match := re.search(said, text))]
    figures = {m[1]: [float(m[2]), *map(float, m[3].split("/"))] for m in found}
    assert len(figures) == 20
    assert figures == rows
