"""The command line: what is filled in, and what a command leaves behind."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bacl.command.completion import completed
from bacl.runs.naming import variant

REPOSITORY = Path(__file__).parents[2]
QUIET = ["hydra.output_subdir=null", "hydra/job_logging=stdout"]


def run(folder: Path, *arguments: str, status: int = 0) -> str:
    """The output of a command given in a folder."""
    done = subprocess.run(
        [sys.executable, REPOSITORY / "run.py", *arguments],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stdout
    return done.stdout


def left(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (["experiment=bacl_demo"], ["+experiment=bacl_demo"]),
        (["+experiment=bacl_demo", "job=fit"], ["+experiment=bacl_demo", "job=fit"]),
        (["job=doctor"], ["job=doctor", *QUIET]),
        (["job=rebalance", "seed=1"], ["+experiment=rebalance", "job=rebalance", "seed=1"]),
        (["job=rebalance", "experiment=rebalance"], ["job=rebalance", "+experiment=rebalance"]),
        (["++job=doctor"], ["++job=doctor", *QUIET]),
        (["job=test", "--cfg", "job"], ["job=test", *QUIET, "--cfg", "job"]),
        (["seed=0,1", "-m"], ["--multirun", "seed=0,1", "hydra/launcher=process"]),
        (
            ["seed=0,1", "-m", "hydra/launcher=one_pass"],
            ["--multirun", "seed=0,1", "hydra/launcher=one_pass"],
        ),
        (["sweep=alpha,beta"], ["--multirun", "+sweep=[alpha,beta]"]),
        (["job=report", "sweep=alpha"], ["job=report", "+sweep=alpha", *QUIET]),
        (["output=a-b/c", "job=import"], ["output=a-b/c", "job=import", *QUIET]),
    ],
)
def test_what_goes_without_saying_is_filled_in(given, wanted):
    assert completed(given) == wanted


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["epochs=5,6"], r"^epochs=5: no such option here; did you mean stages\..*\.epochs=5"),
        (["sed=3"], r"^sed: no such option; did you mean seed\?"),
        (["head.loss.alph=0.1,0.2"], r"alph: no such option; did you mean alpha\?"),
        (["head=bakl,seesaw"], r"^head=bakl: no such option; did you mean bacl\?"),
        (["head=glob(nope*)"], r"^head=glob\(nope\*\): has no values"),
        (["seed=range(0)"], r"^seed=range\(0\): has no values"),
        (["head=glob(ba*)", "sed=3"], r"^sed: no such option"),
    ],
)
def test_a_multirun_is_refused_as_a_single_run_is(words, message):
    with pytest.raises(SystemExit, match=message):
        completed(["+experiment=bacl_demo", *words, "-m"])


def test_a_multirun_that_can_be_meant_passes():
    words = ["head=bacl,seesaw", "seed=range(2)", "hydra.launcher.parallel=2", "detector=glob(sm*)"]
    words = [*words, "datamodule.batch_size=interval(1,2)"]
    assert completed([*words, "-m"])[1:-1] == words


def test_a_value_that_hydra_cannot_read_is_told_with_the_mend():
    with pytest.raises(SystemExit, match=r"""alpha==3: not understood.*head\.loss\.alpha='"=3"'"""):
        completed(["head.loss.alpha==3"])
    path = "runs/run/head.loss.alpha=0.7,head=bce/seed_0/final.ckpt"  # of an earlier version
    with pytest.raises(SystemExit, match=rf"""not understood.* checkpoint='"{path}"'"""):
        completed(["job=test", f"checkpoint={path}"])


def test_an_unknown_job_is_refused_before_anything_is_written(tmp_path):
    assert "did you mean test?" in run(tmp_path, "job=tst", status=1)
    assert not left(tmp_path)


@pytest.mark.slow
def test_a_job_that_writes_nothing_leaves_nothing(tmp_path):
    assert "no such checkpoint" in run(tmp_path, "job=test", status=1)
    assert not left(tmp_path)


@pytest.mark.slow
def test_jobs_take_a_runs_path_as_it_is_and_leave_only_what_they_write(finished, tiny, tmp_path):
    setting = variant(["head.loss.alpha=0.7", "fhm@head.hallucination=bacl", "~head", "x=[1,2]"])
    own = tmp_path / "runs/name" / setting / "seed_0/classifier"
    own.mkdir(parents=True)
    shutil.copy(finished / "classifier/final.ckpt", own)
    path = (own / "final.ckpt").relative_to(tmp_path)
    before = left(tmp_path)
    checkpoint = f"checkpoint={path}"
    images = tiny().data.val.images
    fast = ["cost.images=2", "cost.warm_up=1", "datamodule.num_workers=0", "trainer=cpu"]
    data = ["data=builtin", f"data.root={tiny().data.root}", "~data.builder"]
    assert "data=custom data.train.annotations=" in run(tmp_path, "job=cost", checkpoint, status=1)
    run(tmp_path, "job=cost", checkpoint, *data, *fast)
    assert left(own) == {"final.ckpt", "cost", "cost/cost.json", "cost/cost.md"}
    assert json.loads((own / "cost/cost.json").read_text())["checkpoint"] == str(path)
    shutil.rmtree(own / "cost")
    run(tmp_path, "job=test", checkpoint, *data, "report.images=1", "trainer=cpu")
    (results,) = own.glob("test_*")
    shutil.rmtree(results)
    run(tmp_path, "job=export", checkpoint, "export.head=bacl", "export.format=mmdet")
    (own / "final_bacl.pth").unlink()
    run(tmp_path, "job=predict", checkpoint, f"predict.images={images}", "trainer=cpu")
    shutil.rmtree(tmp_path / "predictions")
    assert left(tmp_path) == before


@pytest.mark.parametrize("text", ["--experiment=bacl_demo", "-trainer=cpu", "--head.loss.alpha=1"])
def test_options_with_dashes_are_told(text):
    with pytest.raises(SystemExit, match=f"options have no dashes: {text.lstrip('-')}"):
        completed([text])
    assert completed(["--cfg=job", "+experiment=bacl_demo"])[0] == "--cfg=job"


@pytest.mark.slow
def test_jobs_of_a_launcher_of_hydras_own_are_compared_too(tmp_path):
    told = run(tmp_path, "-m", "hydra/launcher=basic", "job=doctor", "report.images=-1", status=1)
    assert "report.images=-1: expected a whole number of at least 1" in told
