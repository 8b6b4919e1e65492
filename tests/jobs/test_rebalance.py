"""job=rebalance on a dump of another program: the example of docs/rebalance.md."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from bacl.checkpoints.handover import load_stage
from bacl.data.builtin.data_set import build
from bacl.jobs import rebalance
from bacl.messages.errors import UserError

REPOSITORY = Path(__file__).parents[2]
TINY = (
    "+experiment=rebalance",
    "adapter=sigmoid_dump",
    "stages.classifier.schedule={epochs:2,milestones:[1],warmup_steps:2}",
    "datamodule.batch_size=4",
    "report.html=false",
    "report.errors=false",
    "trainer.accelerator=cpu",
)
FEWER = (
    "~stages.classifier.heads.fcbl",
    "~stages.classifier.heads.fhm",
    "~stages.classifier.heads.margin_fhm",
    "~stages.classifier.heads.loce",
    "~stages.classifier.heads.eqlv2",
)


def example() -> dict:
    """What the code in the document defines."""
    text = (REPOSITORY / "docs/rebalance.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict = {}
    exec(compile(code, "docs/rebalance.md", "exec"), names)
    return names


@pytest.fixture(scope="module")
def dumped(tmp_path_factory):
    """Data of letters, and the folder of their dump by the document's code."""
    folder = tmp_path_factory.mktemp("thumbnails")
    build(folder / "data", 6, 24, 8, 96, [2, 3], 0, object_size=(24, 36))
    paths = [
        (folder / "data" / f"{name}.json", folder / "data" / name) for name in ("train", "val")
    ]
    torch.manual_seed(0)
    (folder / "dump").mkdir()
    example()["dump"](folder / "dump", *paths, nn.Linear(48, 6))
    return folder


@pytest.fixture
def given(dumped, tmp_path):
    """Of the command, with a copy of the dump."""
    shutil.copytree(dumped / "dump", tmp_path / "dump")
    data = dumped / "data"
    return [
        *TINY,
        *(f"data.{name}.annotations={data}/{name}.json" for name in ("train", "val")),
        *(f"data.{name}.images={data}/{name}" for name in ("train", "val")),
        f"rebalance.dump={tmp_path}/dump",
    ]


@pytest.fixture
def config(compose_config, given):
    def composed(*more, without=FEWER):
        return compose_config(*given, *without, *more)

    return composed


def state(folder, head):
    """Weight and bias of a trained head."""
    own = load_stage(folder / "classifier/final.ckpt")["heads"][head]
    return own["first.predictor.weight"], own["first.predictor.bias"]


def test_heads_train_on_the_dump_and_the_best_is_handed_back(config, tmp_path):
    folder = tmp_path / "run"
    rebalance.run(config(), folder)
    before = load_file(tmp_path / "dump/classifier.safetensors")
    after = load_file(folder / "balanced.safetensors")
    assert {name: x.shape for name, x in after.items()} == {n: x.shape for n, x in before.items()}
    theirs = state(folder, "theirs")
    assert torch.equal(theirs[0][:6], before["weight"])  # it did not train
    assert torch.equal(theirs[1], torch.cat((before["bias"], torch.zeros(1))))
    assert not torch.equal(state(folder, "carried_on")[0], theirs[0])
    choice = json.loads((folder / "choice.json").read_text())
    found = json.loads((folder / "classifier/results.json").read_text())
    assert {"theirs", "carried_on", "bacl", "bacl_few", "balanced_softmax"} <= found.keys()
    head, _, calibration = choice["chosen"].partition(" + ")
    if not calibration:
        assert torch.equal(after["weight"], state(folder, head)[0][:6])


def test_a_finished_training_is_not_trained_again_and_hands_back_the_same(config, tmp_path):
    alone = ("balance=none", "~stages.classifier.heads.carried_on")
    folder = tmp_path / "run"
    rebalance.run(config(*alone, without=()), folder)
    first = (folder / "balanced.safetensors").read_bytes()
    finished = (folder / "classifier/final.ckpt").stat().st_mtime_ns
    (folder / "balanced.safetensors").unlink()
    rebalance.run(config(*alone, without=()), folder)
    assert (folder / "balanced.safetensors").read_bytes() == first
    assert (folder / "classifier/final.ckpt").stat().st_mtime_ns == finished
    after = load_file(folder / "balanced.safetensors")
    assert torch.equal(after["weight"], state(folder, "bacl")[0][:6])


def test_a_head_starts_from_prototypes_of_the_dump(config, dumped, tmp_path):
    """Against a plain loop over objects; nothing trains, so that what it ends with is its start."""
    still = ("head.init=prototypes", "head.learning_rate=0.0", "head.weight_decay=0.0")
    alone = ("balance=none", "~stages.classifier.heads.carried_on")
    folder = tmp_path / "run"
    rebalance.run(config(*alone, *still, without=()), folder)
    weight, bias = state(folder, "bacl")
    theirs, own_bias = state(folder, "theirs")
    assert torch.equal(bias, own_bias)
    assert torch.equal(weight[6], theirs[6])  # background
    directions = class_means(dumped)
    expected = theirs[:6].norm(dim=1).mean() * nn.functional.normalize(directions, dim=1)
    torch.testing.assert_close(weight[:6], expected.float(), rtol=1e-5, atol=1e-6)


def class_means(dumped):
    """(6, 48): sums over the objects of a category, each the mean of its repeated rows."""
    content = load_file(dumped / "dump/train-00000.safetensors")
    annotations = json.loads((dumped / "data/train.json").read_text())
    ids = sorted(each["id"] for each in annotations["categories"])
    sums, start = torch.zeros(6, 48, dtype=torch.float64), 0
    for image, count in zip(content["image_ids"], content["extra_rows"].tolist(), strict=True):
        objects = content["extra_objects"][start : start + count]
        features = content["extra_features"][start : start + count].double()
        own = [each for each in annotations["annotations"] if each["image_id"] == image]
        for number, each in enumerate(own):
            sums[ids.index(each["category_id"])] += features[objects == number].mean(dim=0)
        start += count
    return sums


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["trainer.devices=2"], r"devices=2 .*in one process; .*trainer\.devices=1"),
        (["trainer.num_nodes=2"], r"num_nodes=2: .*in one process; .*trainer\.num_nodes=1"),
        (["adapter=softmax_dump", "detector.coder=null"], "scored by softmax, and .* of a sigmoid"),
        (["~stages.classifier.heads.theirs", "report.reference=bacl"], "no `theirs`"),
        (["+head@stages.classifier.heads.seesaw=seesaw"], "leave the head out"),
    ],
)
def test_what_has_no_end_is_refused_before_it_begins(config, tmp_path, overrides, told):
    with pytest.raises(UserError, match=told):
        rebalance.run(config(*overrides), tmp_path / "run")
    assert not (tmp_path / "run/classifier").exists()


@pytest.mark.slow
def test_processes_of_torchrun_are_refused_before_they_begin(given, tmp_path):
    """Each would train by itself, and all but one be turned away from the folder."""
    launched = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    command = [*launched, "run.py", *given, f"hydra.run.dir={tmp_path}/run"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, encoding="utf-8", check=False, timeout=300,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    assert done.returncode == 1
    assert "job=rebalance works in one process, and torchrun has started 2" in done.stderr
    assert {path.name for path in tmp_path.glob("run/*")} <= {".hydra", "run.log"}


@pytest.mark.parametrize(("count", "refused"), [("2", True), ("1", False)])
def test_one_process_of_torchrun_is_as_any(config, tmp_path, monkeypatch, count, refused):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("WORLD_SIZE", count)
    told = r"torchrun has started 2: .*`python run\.py" if refused else "no `theirs`"
    with pytest.raises(UserError, match=told):
        rebalance.run(config("~stages.classifier.heads.theirs"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_several_heads_of_which_none_is_chosen_are_refused(config, tmp_path):
    with pytest.raises(UserError, match=r"bacl, carried_on are trained and none is chosen"):
        rebalance.run(config("balance=none", without=()), tmp_path / "run")


def test_a_dump_of_other_annotations_is_refused(config, tmp_path):
    path = tmp_path / "dump/dump.json"
    said = json.loads(path.read_text())
    said["splits"]["train"]["images"][0] = 999_999
    path.write_text(json.dumps(said))
    with pytest.raises(UserError, match="of other images"):
        rebalance.run(config(), tmp_path / "run")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda said: said["splits"]["val"]["sizes"].__setitem__(3, [9, 96]), "width .9, 96., and"),
        (lambda said: said["categories"].__setitem__(1, [said["categories"][1][0], "x"]), "'x'"),
        (lambda said: said["instance_counts"].__setitem__(2, 0), r"instance_counts.2. is 0, and"),
        (lambda said: said["splits"]["val"].update(
            {name: said["splits"]["val"][name][:-1] for name in ("images", "sizes")}
        ), "was not dumped"),
    ],
)  # fmt: skip
def test_a_description_that_the_annotations_contradict_is_refused(config, tmp_path, change, told):
    path = tmp_path / "dump/dump.json"
    said = json.loads(path.read_text())
    change(said)
    if len(said["splits"]["val"]["images"]) == 7:  # and no shard says otherwise
        shard = tmp_path / "dump/val-00000.safetensors"
        content = load_file(shard)
        rows = int(content["rows"][:-1].sum())
        extra = int(content["extra_rows"][:-1].sum())
        of = {"image_ids": 7, "rows": 7, "extra_rows": 7}
        of |= {"extra_features": extra, "extra_objects": extra}
        save_file({key: x[: of.get(key, rows)].clone() for key, x in content.items()}, shard)
    path.write_text(json.dumps(said))
    with pytest.raises(UserError, match=rf"dump.json: .*{told}"):
        rebalance.run(config(), tmp_path / "run")
    assert not (tmp_path / "run/classifier").exists()
