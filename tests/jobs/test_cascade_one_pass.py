"""A multirun on a cascade shares one training, and each job gets what its own run would leave."""

import csv

import numpy as np
import pytest

from bacl.checkpoints.handover import load_stage
from bacl.jobs import fit, fit_group
from bacl.one_pass.plan import PlannedJob, write_plan

JOBS = (["head.loss.alpha=0.3"], ["head.loss.alpha=0.9", "head.learning_rate=0.01"])


def columns(path) -> dict[str, list[float]]:
    """What was logged, but for the time it took."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if not name.startswith("speed/")]
    return {name: [float(row[name]) for row in rows if row[name]] for name in names}


@pytest.mark.slow
def test_each_job_gets_the_folder_of_a_run_of_its_own(tiny, tmp_path):
    given = ["detector=cascade_small", "~stages.classifier.heads.baseline", "report.reference=null"]
    configs = [tiny(*given, *overrides) for overrides in JOBS]
    jobs = [
        PlannedJob(tmp_path / f"job{number}", overrides, config)
        for number, (overrides, config) in enumerate(zip(JOBS, configs, strict=True))
    ]
    group = tmp_path / "group"
    group.mkdir()
    write_plan(group, jobs)
    fit_group.run(configs[0].copy(), group)
    for number, overrides in enumerate(JOBS):
        alone, ours = tmp_path / f"alone{number}/classifier", tmp_path / f"job{number}/classifier"
        fit.run(tiny(*given, *overrides), alone.parent)
        states = [load_stage(folder / "final.ckpt")["heads"]["bacl"] for folder in (ours, alone)]
        assert states[0].keys() == states[1].keys()
        np.testing.assert_equal(*(
            {name: value.numpy() for name, value in state.items() if not name.endswith("_state")}
            for state in states
        ))  # fmt: skip
        names = [sorted(path.name for path in (f / "heads").glob("*.npz")) for f in (ours, alone)]
        assert names[0] == names[1] == [f"bacl.{n}.npz" for n in ("first", "second", "third")]
        for name in names[0]:
            with np.load(ours / "heads" / name) as one, np.load(alone / "heads" / name) as other:
                np.testing.assert_equal(dict(one), dict(other))
        assert columns(ours / "metrics.csv") == columns(alone / "metrics.csv")
        assert (ours / "results.json").read_text() == (alone / "results.json").read_text()
