"""Every table of conf/sweep composes row by row, and its default row is the experiment as it is."""

import re

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from bacl.assembly.trial import try_to_build
from bacl.command.check import CONF, wrong_command
from bacl.options.composed import changes, last_stage, plain
from bacl.runs.start import Start
from bacl.runs.start_check import check_hand_over

SWEEPS = sorted(path.stem for path in (CONF / "sweep").glob("*.yaml"))
FULL_TRAININGS = ("representation", "pipeline", "methods")
OF_METHODS = ("methods", "methods_decoupled")
"""Their default row is another method than BACL."""
OURS = ("hallucinated_rows",)
"""Of settings that the paper has no table of."""
LONG = (
    *OF_METHODS, "hallucinated_rows", "indicator", "representation", "components", "alpha",
    "samples", "threshold",
)  # fmt: skip
"""Their rows are composed by the slow tests: options like those of the others."""
NUMBER_OF_ROWS = {
    "alpha": 6, "beta": 3, "components": 8, "confusion": 2, "hallucinated_rows": 8, "indicator": 7,
    "methods": 13, "methods_decoupled": 23, "pipeline": 2,
    "representation": 6, "samples": 5, "threshold": 5, "weight_term": 3,
}  # fmt: skip


def composed(*overrides: str):
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", overrides=list(overrides), return_hydra_config=True)
    OmegaConf.set_struct(config, False)
    return config


def experiment(sweep: str) -> str:
    return f"+experiment={'bacl_lvis05' if sweep in FULL_TRAININGS else 'bacl_demo'}"


def tables(sweep: str) -> dict:
    config = composed(experiment(sweep), f"+sweep={sweep}")
    return plain(config.sweep)


# Rows of methods choose heads, each of which is composed by the tests of heads.
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in LONG else [])
        for name in SWEEPS
        if name != "paper"
    ],
)
def test_every_row_composes_and_has_the_papers_figures(name):
    (table,) = tables(name).values()
    assert len(table["rows"]) == NUMBER_OF_ROWS[name]
    for row in table["rows"]:
        config = composed(experiment(name), *row["set"])
        del config["hydra"]
        assert not wrong_command(config)
        assert row["paper"] is None or len(row["paper"]) == 4
    assert sum(row.get("default", False) for row in table["rows"]) == 1


METHODS = {
    row[1]: path.stem
    for path in (CONF / "method").glob("*.yaml")
    if (row := re.search("row (.+), R-50-FPN", path.read_text(encoding="utf-8")))
}
"""Of rows of Tab. XIII."""


@pytest.mark.parametrize("number", range(NUMBER_OF_ROWS["methods"]))
def test_a_row_of_the_methods_is_the_method_by_itself(number):
    row = OmegaConf.load(CONF / "sweep" / "methods.yaml").sweep.methods.rows[number]
    of_sweep = composed("+experiment=baseline_lvis05", "data.num_classes=1230", *row.set)
    method = f"method={METHODS[row.name]}"
    alone = composed("+experiment=method_lvis05", "data.num_classes=1230", method)
    for config in (of_sweep, alone):
        del config["hydra"]
    assert changes(plain(alone), plain(of_sweep)) == []


@pytest.mark.slow
def test_every_method_of_the_second_stage_can_start_after_the_first(tmp_path):
    (table,) = tables("methods_decoupled").values()
    for row in table["rows"]:
        config = composed(experiment("methods_decoupled"), *row["set"])
        del config["hydra"]
        starts = {name: Start.of(config, tmp_path, name) for name in config.stages}
        built = try_to_build(config, 12)
        for start in starts.values():
            check_hand_over(start, built)


@pytest.mark.parametrize(
    "name", [name for name in SWEEPS if name not in ("paper", *FULL_TRAININGS, *OF_METHODS)]
)
def test_the_default_row_is_the_experiment_as_it_is(name):
    (table,) = tables(name).values()
    (default,) = [row for row in table["rows"] if row.get("default")]
    plain_run, row = (composed("+experiment=bacl_demo", *s) for s in ([], default["set"]))
    stage = last_stage(plain_run)
    assert plain_run.stages[stage] == row.stages[stage]
    assert default["paper"] == [27.8, 20.1, 28.2, 30.3]


@pytest.mark.parametrize("name", SWEEPS)
def test_every_sweep_carries_its_command_and_is_launched_as_it_should(name):
    assert f"sweep={name}" in (CONF / "sweep" / f"{name}.yaml").read_text()
    hydra = composed(experiment(name), f"+sweep={name}").hydra
    assert hydra.sweeper._target_.endswith("RowSweeper")
    expected = "ProcessLauncher" if name in FULL_TRAININGS else "OnePassLauncher"
    assert hydra.launcher._target_.endswith(expected)
    chosen = composed(experiment(name), f"+sweep={name}", "hydra/launcher=process").hydra.launcher
    assert chosen._target_.endswith("ProcessLauncher")


def test_the_papers_sweep_is_all_ablations_of_the_classifier_stage():
    assert set(tables("paper")) == set(NUMBER_OF_ROWS) - {*FULL_TRAININGS, *OF_METHODS, *OURS}
    # imported once Hydra has looked for plugins: it loads the module of the base class anew
    from bacl.launchers.row_sweeper import RowSweeper

    sweeper = RowSweeper(None, None, tables("paper"))
    overrides = OverridesParser.create().parse_overrides(
        ["+experiment=bacl_demo", "+sweep=paper", "seed=0,1", "sweep.alpha.title=x"]
    )
    (jobs,) = sweeper.split_arguments(overrides, None)
    # The soft and the hard confusion matrix stand in Tab. VIII and in Fig. 4.
    rows = sum(NUMBER_OF_ROWS[name] for name in tables("paper")) - 2
    assert len(jobs) == 2 * rows == len({tuple(job) for job in jobs})
    assert all(job[0] == "+experiment=bacl_demo" for job in jobs)
    assert not [text for job in jobs for text in job if "sweep" in text]
    assert {job[1] for job in jobs} == {"seed=0", "seed=1"}
