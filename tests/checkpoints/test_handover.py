from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bacl.checkpoints.handover import (
    Categories,
    CheckpointError,
    load_stage,
    save_stage,
    saved_categories,
)
from bacl.checkpoints.taken_over import fill, finite_heads, inherit, load_strictly
from bacl.heads import Predictor

CONFIG = {"seed": 0, "detector": {}, "stages": {"only": {"heads": {"one": {}}}}}


class Scaled(Predictor):
    """A linear layer within a predictor that has a statistic of its own."""

    def __init__(self, features: int, logits: int):
        super().__init__()
        self.base = nn.Linear(features, logits)
        self.register_buffer("mean", torch.zeros(features))

    @property
    def classes(self) -> nn.Module:
        return self.base

    def forward(self, features: Tensor) -> Tensor:
        return 2 * self.base(features)


class Head(nn.Module):
    def __init__(self, classes: int = 4, predictor: type[nn.Module] = nn.Linear):
        super().__init__()
        self.first = nn.Module()
        self.first.predictor = predictor(3, classes)
        self.first.register_buffer("counts", torch.ones(classes))

    def named_classifiers(self):
        yield "first.", self.first


def categories(*names: str) -> Categories:
    return Categories(list(range(1, len(names) + 1)), list(names))


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, nn.Module, Head]:
    detector, head = nn.Linear(2, 2), Head()
    path = tmp_path / "final.ckpt"
    save_stage(path, detector, nn.ModuleDict({"one": head}), categories("cat", "dog"), CONFIG)
    return path, detector, head


def test_a_saved_stage_comes_back_without_executing_anything(saved):
    path, detector, head = saved
    content = load_stage(path)  # weights_only
    assert torch.equal(content["detector"]["weight"], detector.weight)
    assert torch.equal(content["heads"]["one"]["first.counts"], head.first.counts)
    assert saved_categories(content) == categories("cat", "dog")
    assert not list(path.parent.glob("*.tmp"))


@pytest.mark.parametrize("earlier", [nn.Linear, Scaled])
def test_a_predictor_continues_a_plain_layer_and_one_of_its_own_kind(tmp_path, earlier):
    source, path = Head(predictor=earlier), tmp_path / "final.ckpt"
    for parameter in source.parameters():
        nn.init.normal_(parameter)
    save_stage(path, nn.Linear(2, 2), {"one": source}, categories("cat", "dog"), CONFIG)
    head = Head(predictor=Scaled)
    head.first.predictor.mean.fill_(7)
    inherit(nn.Linear(2, 2), {"a": head}, load_stage(path), path)
    weights = [p.detach() for p in source.first.predictor.parameters()]
    assert all(map(torch.equal, head.first.predictor.base.parameters(), weights))
    assert head.first.predictor.mean.tolist() == [7, 7, 7]


def test_every_head_starts_from_the_earlier_classifier_but_with_empty_statistics(saved):
    path, detector, head = saved
    new_detector, heads = nn.Linear(2, 2), nn.ModuleDict({"a": Head(), "b": Head()})
    heads["a"].first.counts.zero_()
    inherit(new_detector, heads, load_stage(path), path)
    assert torch.equal(new_detector.weight, detector.weight)
    for new in heads.values():
        assert torch.equal(new.first.predictor.weight, head.first.predictor.weight)
    assert heads["a"].first.counts.sum() == 0


def test_misfits_are_listed_by_name(saved):
    path, *_ = saved
    with pytest.raises(ValueError, match=r"weight is \(2, 2\), expected \(5, 2\)"):
        load_strictly(nn.Linear(2, 5), load_stage(path)["detector"], path)
    with pytest.raises(ValueError, match=r"missing 0\.weight"):
        load_strictly(nn.Sequential(nn.Linear(2, 2)), load_stage(path)["detector"], path)


def test_other_categories_are_refused_by_their_first_difference(tmp_path):
    with pytest.raises(ValueError, match=r"label 1 is \(2, 'cow'\).*\(2, 'dog'\)"):
        categories("cat", "dog").check(categories("cat", "cow"), tmp_path)
    with pytest.raises(ValueError, match="trained on 1 categories, but the data has 2"):
        categories("cat", "dog").check(categories("cat"), tmp_path)


def test_a_missing_or_foreign_file_says_what_to_do(tmp_path):
    with pytest.raises(CheckpointError, match="train it first"):
        load_stage(tmp_path / "final.ckpt")
    with pytest.raises(CheckpointError, match=r"is a folder; name the final\.ckpt"):
        load_stage(tmp_path)
    for content, told in (
        ({"state_dict": {}, "pytorch-lightning_version": "2.6"}, "a last.ckpt, which only resumes"),
        ({"state_dict": {}}, "another project; make one of ours of it with job=import"),
        ({"detector": {}, "heads": {}}, "a file that lacks categories"),
        ([1, 2], "a list"),
    ):
        torch.save(content, tmp_path / "bad.ckpt")
        with pytest.raises(
            CheckpointError, match=rf"bad\.ckpt: no final\.ckpt of a stage: .*{told}"
        ):
            load_stage(tmp_path / "bad.ckpt")


def chosen(**changes: Any) -> dict[str, Any]:
    """Thresholds of a head, changed."""
    lists = {"per_group": [0.5, 0.5], "per_category": [0.1, 0.5]}
    return {"one": {"objective": "best F1", "global": 0.5, **lists, **changes}}


CHANGES: list[tuple[tuple[str, ...], Any, str]] = [
    (("detector",), None, "detector is None, expected a dictionary"),
    (("detector",), [], r"detector is \[\], expected a dictionary"),
    (("detector", "weight"), 3, "detector.weight is 3, expected a tensor"),
    (("detector", "weight"), None, "detector.weight is None, expected a tensor"),
    (("heads",), torch.zeros(2), "heads is a Tensor, expected a dictionary"),
    (("heads",), {5: {}}, r"heads is \{5: \{\}\}, expected a dictionary with names"),
    (("heads",), {"/tmp/one": {}}, "heads is '/tmp/one', expected names without"),
    (("heads",), {"..": {}}, r"heads is '\.\.', expected names without"),
    (("heads",), {"": {}}, "heads is '', expected names without"),
    (("heads",), {"a\n": {}}, "expected names without"),
    (("heads",), {"keys": {}}, "heads is 'keys', expected other names"),
    (("heads", "one"), "x", "heads.one is 'x', expected a dictionary"),
    (("categories",), None, "categories is None"),
    (("categories",), {"names": []}, r"categories is \['names'\], expected ids and names"),
    (("categories", "ids"), "ab", "categories.ids is 'ab', expected a list"),
    (("categories", "ids"), [1, "2"], r"categories.ids\[1\] is '2', expected of type int"),
    (("categories", "ids"), [1, True], r"categories.ids\[1\] is True, expected of type int"),
    (("categories", "ids"), [1, 10**30], "categories.ids: beyond 64 bits"),
    (("categories", "ids"), [7, 7], "categories.ids: not all different"),
    (("categories", "ids"), [1], "1 ids and 2 names"),
    (("categories", "names"), ["cat", 5], r"categories.names\[1\] is 5, expected of type str"),
    (("thresholds",), [], r"thresholds is \[\], expected a dictionary"),
    (("thresholds",), {"one": {}}, r"thresholds.one is \[\], expected global, objective, per_cat"),
    (("thresholds",), chosen(per_group=[0.5]), r"one.per_group is \[0.5\], expected a list of 2"),
    (("thresholds",), chosen(per_category=[0.5, 2.0]), "one is 2.0, expected thresholds from 0"),
    (("thresholds",), chosen(**{"global": 1}), "one is 1, expected thresholds from 0 to 1"),
    (("thresholds",), chosen(objective="x" * 999), "one.objective is .*, expected a short text"),
    (("config",), None, "holds no configuration"),
    (("config",), {}, "holds no configuration"),
    (("config",), torch.zeros(2), "config is a Tensor"),
    (("config", "stages"), [], r"config.stages is \[\]"),
    (("config", "stages", "only"), 1, "config.stages.only is 1"),
    (("config", "stages", "only", "heads"), None, "config.stages.only.heads is None"),
    (("config", "seed"), torch.zeros(2), "config.seed is a Tensor, expected a plain value"),
    (("config", "seed"), 10**30, "config.seed is 10+, expected a plain value"),
    (
        ("config", "seed"),
        [{1: 2}],
        r"config.seed\[\] is \{1: 2\}, expected a dictionary with names",
    ),
]


@pytest.mark.parametrize(("place", "value", "told"), CHANGES)
def test_another_structure_is_refused_by_its_place(saved, place, value, told):
    path, *_ = saved
    content = node = torch.load(path)
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=told) as error:
        load_stage(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_configuration_that_holds_itself_ends(saved):
    path, *_ = saved
    content = torch.load(path)
    content["config"]["self"] = content["config"]
    torch.save(content, path)
    with pytest.raises(CheckpointError, match="config: more than 50 levels"):
        load_stage(path)
    laughs: list[Any] = []
    for _ in range(40):
        laughs = [laughs, laughs]
    content["config"]["self"] = laughs
    torch.save(content, path)
    with pytest.raises(CheckpointError, match="config: more than 500,000 values"):
        load_stage(path)


NAN = float("nan")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t.double(), "weight is float64, expected float32"),
        (lambda t: t.half(), "weight is float16, expected float32"),
        (lambda t: t.to(torch.int8), "weight is int8, expected float32"),
        (lambda t: t.bool(), "weight is bool, expected float32"),
        (lambda t: t.to(torch.complex64), "weight is complex64, expected float32"),
        (lambda t: t * NAN, "weight holds NaN or infinity"),
        (lambda t: t / 0, "weight holds NaN or infinity"),
        (lambda t: t.to_sparse(), "weight is no plain tensor"),
        (lambda t: t.to("meta"), "weight has no values"),
        (lambda t: torch.zeros(1).expand(10**6, 10**6), "weight declares more values"),
        (lambda t: torch.ones(1).expand(2, 2), "weight declares more values"),
        (lambda t: t[:1], r"weight is \(1, 2\), expected \(2, 2\)"),
    ],
)
def test_weights_of_another_kind_are_refused_by_name(saved, change, told):
    path, detector, _ = saved
    content = torch.load(path)
    content["detector"]["weight"] = change(content["detector"]["weight"] + 1)
    torch.save(content, path)
    before = detector.weight.clone()
    with pytest.raises(CheckpointError, match=told) as error:
        load_strictly(detector, load_stage(path)["detector"], path)
    assert "\n" not in str(error.value)
    assert torch.equal(detector.weight, before)


def test_counts_and_variances_are_never_negative(tmp_path):
    norm = nn.BatchNorm2d(2)
    for name, told in (("running_var", "negative variances"), ("num_batches_tracked", "counts")):
        state = {key: value.clone() for key, value in norm.state_dict().items()}
        state[name] -= 5
        with pytest.raises(CheckpointError, match=rf"{name} holds negative .*{told}|{told}"):
            load_strictly(norm, state, tmp_path)


class Counted(nn.Module):
    calls = 0

    def get_extra_state(self) -> dict[str, int]:
        return {"calls": self.calls}

    def set_extra_state(self, state: dict[str, int]) -> None:
        self.calls = state["calls"]


def test_what_a_module_adds_must_be_counts_of_the_same_names(tmp_path):
    module = Counted()
    load_strictly(module, {"_extra_state": {"calls": 3}}, tmp_path)
    assert module.calls == 3
    for value in (None, {}, {"calls": -1}, {"calls": "x"}, {"calls": 1.5}, torch.zeros(1)):
        with pytest.raises(CheckpointError, match="_extra_state is none of calls, counted from 0"):
            load_strictly(module, {"_extra_state": value}, tmp_path)


def test_weights_that_lie_otherwise_in_memory_are_taken(saved):
    path, detector, _ = saved
    content = torch.load(path)
    weight = content["detector"]["weight"]
    content["detector"]["weight"] = nn.Parameter(weight.T.contiguous().T)
    torch.save(content, path)
    load_strictly(detector, load_stage(path)["detector"], path)
    assert torch.equal(detector.weight, weight)


def test_heads_that_diverged_are_told_apart(saved):
    path, *_ = saved
    content = load_stage(path)
    other = {key: value * NAN for key, value in content["heads"]["one"].items()}
    assert finite_heads({"heads": {"one": content["heads"]["one"], "other": other}}) == {"one"}


def test_categories_are_as_many_as_the_model_tells_apart(saved):
    path, detector, head = saved
    detector.num_classes = 3
    with pytest.raises(CheckpointError, match="names 2 categories, but its model tells 3 apart"):
        fill(detector, {"one": head}, load_stage(path), path)
    detector.num_classes = 2
    fill(detector, {"one": head}, load_stage(path), path)
