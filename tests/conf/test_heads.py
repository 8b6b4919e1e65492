"""Every head of the configuration: tried before data are opened, trained, stored and restored."""

import copy
import shlex
from collections.abc import Mapping

import pytest
import torch
from omegaconf import DictConfig, OmegaConf, open_dict

from bacl.assembly.build import build_stage
from bacl.assembly.harmless import harmless, unknown_counts
from bacl.assembly.trial import try_to_build
from bacl.command.check import CONF, wrong_command
from bacl.heads import Classifier, Head
from bacl.heads.predictors import class_module
from bacl.options.composed import plain
from bacl.runs.prototypes import imprint
from tests.levels import level, training_level

HEADS = sorted(path.stem for path in (CONF / "head").glob("*.yaml"))
INDICATORS = sorted(path.stem for path in (CONF / "indicator").glob("*.yaml"))
C, D = 12, 32


@pytest.fixture(scope="module")
def config(compose_config, counts_file) -> DictConfig:
    """A classifier stage with every head, and FCBL by every indicator."""
    at = "+head@stages.classifier.heads"
    indicator = "indicator@stages.classifier.heads"
    return compose_config(
        *("detector=small", "trainer=cpu", "stage=classifier", f"data.num_classes={C}"),
        *(f"detector.feature_dim={D}", f"detector.fpn.channels={D}", "detector.pooling.side=1"),
        "detector.box_regression.class_agnostic=true",
        f"data.train.annotations={counts_file}",
        *(f"{at}.{name}={name}" for name in HEADS if name != "bacl"),
        *(f"{at}.by_{name}=fcbl" for name in INDICATORS),
        *(f"{indicator}.by_{name}.loss.indicator={name}" for name in INDICATORS),
    )


@pytest.fixture(scope="module")
def heads(config) -> Mapping[str, Head]:
    return build_stage(config, "classifier", pretrained=False).heads


@pytest.fixture(scope="module")
def stored_heads(config) -> Mapping[str, Head]:
    """Those that a checkpoint describes, which knows no annotations."""
    node, stored = plain(config.stages), config.copy()
    labels = [str(label) for label in range(C)]
    of_file = harmless({"stages": node}, CONF, unknown_counts(labels), C)
    with open_dict(stored):
        stored.stages = OmegaConf.create(of_file["stages"])
    return build_stage(stored, "classifier", pretrained=False).heads


def test_all_heads_can_be_tried_before_data_are_opened(config):
    assert not wrong_command(config)
    assert {*HEADS} <= {*try_to_build(config)["classifier"].heads}


@pytest.mark.parametrize("name", HEADS)
def test_every_head_says_what_it_is(name):
    assert (CONF / "head" / f"{name}.yaml").read_text(encoding="utf-8").startswith("# ")


COMMANDS = {
    name: shlex.split(line.removeprefix("# python run.py ").replace("…", "data"))
    for name in HEADS
    for line in (CONF / "head" / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    if line.startswith("# python run.py ")
}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_of_a_head_can_be_meant(compose_config, name):
    config = compose_config(*COMMANDS[name])
    assert not wrong_command(config, COMMANDS[name])
    *_, last = config.stages.values()
    (head,) = last.heads.values()
    assert head == config.head
    own = OmegaConf.to_container(compose_config(f"head={name}").head)
    assert OmegaConf.to_container(config.head) == own


PUBLISHED = {
    "eql": {"prior": 0.001, "tail": None},
    "droploss": {"prior": 0.001, "tail": None},
    "gol": {"tail": None},
    "acsl": {"prior": 0.01, "threshold": 0.7, "common": 0.1, "rare": 0.01},
    "federated": {"prior": 0.01, "classes": 50, "power": 0.5},
    "ecm": {"background": 6.3313},
    "bags": {"boundaries": [10, 100, 1000], "others": 8},
    "iif": {"factor": "raw"},
    "balms": {"prior": 0.001},
    "balms_meta": {"prior": 0.001, "rate": 0.01, "inner_rate": 0.02},
    "logit_adjustment": {"tau": 1},
    "class_balanced": {"beta": 0.999, "limits": [0.1, 5]},
    "class_balanced_sigmoid": {"prior": 0.001, "beta": 0.999, "limits": [0.1, 5]},
    "focal": {"prior": 0.01, "gamma": 2, "alpha": 0.25},
    "efl": {"prior": 0.001, "gamma": 2, "scale": 8, "alpha": 0.25},
    "ldam": {"margin": 0.5, "deferred": 0.8, "beta": 0.9999},
    "rog": {"weight": 0.1, "gamma": 1, "delta": 0.5},
    "forest": {"parents": [50], "trees": None},
    "simcal": {"few": 100},
    "pcb": {"alpha": 0.4, "decay": 0.99, "deferred": 0.7},
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_numbers_of_losses(config, name):
    loss = plain(config.stages.classifier.heads[name].loss)
    parts = ("_target_", "num_classes", "statistics", "seed", "base", "first")
    assert {key: value for key, value in loss.items() if key not in parts} == PUBLISHED[name]


def test_published_ways_of_heads(config, heads):
    assert heads["bags"].learning_rate == heads["simcal"].learning_rate == 0.01
    assert heads["ecm"].classifiers[0].predictor.temperature == 20
    assert heads["ldam"].classifiers[0].predictor.cosine_scale == 30
    continuing = {name for name in PUBLISHED if heads[name].init is None}
    assert continuing == {"acsl", "class_balanced", "forest", "logit_adjustment", "pcb", "rog"}


def train(classifier: Classifier) -> None:
    """Three steps."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        features = torch.rand(40, D, generator=generator)
        labels = torch.randint(C + 1, (40,), generator=generator)
        around = torch.rand(32, D, generator=generator)
        jittered = around, labels[labels < C][:2].repeat_interleave(16)
        value = classifier.loss(training_level(features, labels, jittered))
        assert value.isfinite()
        value.backward()
        with torch.no_grad():
            for parameter in filter(lambda each: each.requires_grad, classifier.parameters()):
                parameter -= 0.1 * parameter.grad
                parameter.grad = None


def scores(classifier: Classifier, features: torch.Tensor) -> torch.Tensor:
    classifier.eval()
    at = level(features)
    return classifier.scores(classifier.logits(features, at), at)


@pytest.mark.parametrize("name", [*HEADS, *(f"by_{name}" for name in INDICATORS)])
def test_a_stored_head_scores_as_the_trained_one_without_its_data(heads, stored_heads, name):
    (trained,), (stored,) = heads[name].classifiers, stored_heads[name].classifiers
    train(trained)
    stored.load_state_dict(trained.state_dict())
    features = torch.rand(6, D)
    expected = scores(trained, features)
    assert torch.equal(scores(stored, features), expected)
    assert ((expected >= 0) & (expected <= 1)).all()


@pytest.mark.parametrize("name", HEADS)
def test_a_feature_like_a_prototype_scores_best_at_its_class(heads, name):
    """The first rows of every head's predictor are those of the classes."""
    head = copy.deepcopy(heads[name]).eval()
    (classifier,) = head.classifiers
    prototypes = 20 * torch.eye(C, D, dtype=torch.float64)
    imprint(head, [prototypes])
    for key, parameter in classifier.predictor.named_parameters():
        if key == "lengths":  # of classes, positive where they were not drawn for a test
            parameter.data.abs_()
    features = prototypes.to(torch.float32)
    logits = class_module(classifier.predictor)(features)[:, :C]
    assert logits.argmax(dim=1).tolist() == list(range(C))
    bare = torch.zeros(C, classifier.criterion.num_logits)
    raised = classifier.criterion.probabilities(bare + torch.eye(*bare.shape))
    assert raised[:, :C].argmax(dim=1).tolist() == list(range(C))
