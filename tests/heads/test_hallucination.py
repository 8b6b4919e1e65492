import json

import numpy as np
import torch
from counting import Operators
from torch import Tensor

from bacl.detectors.levels import ExtraFeatures
from bacl.heads import FeatureHallucination
from bacl.heads.hallucination import jittered_moments
from bacl.indicators import ConfusionMatrix
from tests.levels import training_level

C, D = 6, 3


def build(**settings) -> FeatureHallucination:
    defaults = {"categories": 4, "samples": 5, "beta": 0.9, "seed": 0}
    return FeatureHallucination(C, D, **(defaults | settings))


def observe(module: FeatureHallucination, features: Tensor, labels: Tensor) -> None:
    module.follow(jittered_moments(ExtraFeatures(features, labels), module.num_classes))


def seen_all(**settings) -> FeatureHallucination:
    module = build(**settings)
    observe(module, torch.randn(40 * C, D), torch.arange(C).repeat(40))
    return module


def test_first_observation_is_copied_and_the_second_averaged():
    module = build()
    first = torch.tensor([[1.0, 2.0, 0.0], [3.0, 2.0, 1.0]])
    observe(module, first, torch.tensor([4, 4]))
    assert module.prototypes[4].tolist() == [2.0, 2.0, 0.5]
    assert module.variances[4].tolist() == [2.0, 0.0, 0.5]
    observe(module, torch.tensor([[12.0, 2.0, 0.5]]), torch.tensor([4]))
    torch.testing.assert_close(module.prototypes[4], torch.tensor([3.0, 2.0, 0.5]))
    # A single feature has variance 0.
    torch.testing.assert_close(module.variances[4], torch.tensor([1.8, 0.0, 0.45]))
    assert module.seen.nonzero().tolist() == [[4]]


def test_drawn_rows_are_counted_and_are_no_part_of_a_checkpoint():
    module = seen_all()
    features, labels = torch.randn(2, D), torch.tensor([0, 1])
    _, first = module.added(
        training_level(features, labels, (features, labels)), ConfusionMatrix(C)
    )
    _, again = module.added(
        training_level(features, labels, (features, labels)), ConfusionMatrix(C)
    )
    counts = torch.bincount(torch.cat([first, again]), minlength=C)
    assert module.class_draws.tolist() == counts.tolist()
    assert "drawn_classes" not in module.state_dict()


def test_modules_that_share_sums_end_as_those_that_observe():
    sharing = [seen_all(beta=beta) for beta in (0.9, 0.2)]
    alone = [build(beta=beta) for beta in (0.9, 0.2)]
    for ours, theirs in zip(sharing, alone, strict=True):
        theirs.load_state_dict(ours.state_dict())
    features, labels = torch.randn(20, D), torch.randint(C, (20,))
    shared, none = training_level(features, labels, (features, labels)), torch.zeros(0, D)
    for ours, theirs in zip(sharing, alone, strict=True):
        own = training_level(none, labels[:0], (features, labels))
        found = ours.added(shared, ConfusionMatrix(C))
        assert all(map(torch.equal, found, theirs.added(own, ConfusionMatrix(C))))
    assert len(shared._made) == 1
    for ours, theirs in zip(sharing, alone, strict=True):
        torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), rtol=0, atol=0)
    assert not torch.equal(sharing[0].prototypes, sharing[1].prototypes)


def test_classes_that_do_not_occur_stay(shared):
    module = seen_all()
    before = module.prototypes.clone()
    observe(module, torch.randn(3, D), torch.tensor([1, 1, 5]))
    changed = (module.prototypes != before).any(dim=1)
    assert changed.tolist() == [False, True, False, False, False, True]


def test_average_matches_the_worked_numbers(shared):
    vector = json.loads((shared / "methods_vectors.json").read_text())["FHM_ema"]
    module = FeatureHallucination(1, 2, 1, 1, beta=0.9, seed=0)
    module.prototypes[0] = torch.tensor(vector["mu0"])
    module.variances[0] = torch.tensor(vector["var0"])
    module.seen[0] = True
    observe(module, torch.tensor(vector["x"]), torch.zeros(3, dtype=torch.int64))
    torch.testing.assert_close(module.prototypes[0], torch.tensor(vector["mu"]))
    torch.testing.assert_close(module.variances[0], torch.tensor(vector["var"]))
    deviations = module.variances[0].sqrt()
    torch.testing.assert_close(deviations, torch.tensor(vector["std"]), rtol=0, atol=1e-5)


def test_statistics_match_a_loop_over_classes():
    module = build()
    features, labels = torch.rand(200, D) * 50 + 1000, torch.randint(C, (200,))
    observe(module, features, labels)
    for category in range(C):
        rows = features[labels == category].double()
        torch.testing.assert_close(module.prototypes[category], rows.mean(0).float())
        torch.testing.assert_close(module.variances[category], rows.var(0).float())


def test_equal_features_have_no_variance():
    module = build()
    observe(module, torch.full((7, D), 0.1), torch.zeros(7, dtype=torch.int64))
    assert module.variances[0].max() < 1e-12


def test_no_variance_is_below_zero_by_rounding():
    module = FeatureHallucination(
        1, 1000, 4, 5, 0.9, seed=0
    )  # of a thousand values, some round down
    observe(module, torch.rand(1, 1000).expand(1000, -1), torch.zeros(1000, dtype=torch.int64))
    assert module.variances.min() >= 0
    assert module.features(torch.tensor([0]), torch.ones(1, 1000)).isfinite().all()


def test_no_features_change_nothing():
    module = seen_all()
    before = {name: value.clone() for name, value in module.named_buffers()}
    observe(module, torch.zeros(0, D), torch.zeros(0, dtype=torch.int64))
    torch.testing.assert_close(dict(module.named_buffers()), before, rtol=0, atol=0)


def test_generates_m_features_of_each_drawn_class():
    features, labels = seen_all().generate(torch.zeros(C))
    assert features.shape == (20, D)
    assert features.dtype == torch.float32
    assert labels.shape == (20,)
    assert (labels.view(4, 5) == labels.view(4, 5)[:, :1]).all()


def test_unseen_classes_are_drawn_and_skipped():
    module = build(categories=300, samples=1)
    observe(module, torch.randn(2, D), torch.tensor([2, 2]))
    _, labels = module.generate(torch.zeros(C))
    assert labels.unique().tolist() == [2]
    # About one draw in six, not all of them.
    assert 30 < len(labels) < 75
    features, labels = build().generate(torch.zeros(C))
    assert features.shape == (0, D)
    assert labels.shape == (0,)


def test_the_host_asks_once_which_drawn_classes_have_been_seen():
    module = build(categories=30)
    observe(module, torch.randn(8, D), torch.tensor([1, 3]).repeat(4))
    with Operators() as counted:
        module.generate(torch.full((C,), 0.5))
    assert counted.waits == {"tolist": 1}
    # On CUDA torch 2.6 has no nonzero of a known size, and one of unknown size waits.
    assert not [name for name in counted.launched if name.startswith("nonzero")]


def test_weak_classes_are_drawn_in_proportion():
    module = seen_all(categories=20000, samples=1)
    strength = torch.tensor([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    _, labels = module.generate(strength)
    shares = labels.bincount(minlength=C) / 20000
    expected = (1 - strength) / (1 - strength).sum()
    torch.testing.assert_close(shares, expected, rtol=0, atol=0.015)
    assert shares[5] == 0


def test_strong_classes_all_alike_are_drawn_uniformly():
    probabilities = build().selection_probabilities(torch.ones(C))
    torch.testing.assert_close(probabilities, torch.full((C,), 1 / C, dtype=torch.float64))


def test_features_follow_the_distribution_of_their_class():
    module = build(categories=1, samples=40000)
    module.prototypes[3] = torch.tensor([1.0, -2.0, 0.0])
    module.variances[3] = torch.tensor([4.0, 0.25, 0.0])
    module.seen[3] = True
    strength = torch.ones(C)
    strength[3] = 0
    features, labels = module.generate(strength)
    assert labels.unique().tolist() == [3]
    torch.testing.assert_close(features.mean(0), module.prototypes[3], rtol=0, atol=0.04)
    # The deviation is the square root of the stored variance.
    torch.testing.assert_close(features.std(0), torch.tensor([2.0, 0.5, 0.0]), rtol=0, atol=0.03)


def test_generating_leaves_the_statistics_alone():
    module = seen_all()
    before = {name: value.clone() for name, value in module.named_buffers()}
    module.generate(torch.zeros(C))
    torch.testing.assert_close(dict(module.named_buffers()), before, rtol=0, atol=0)


def draw(module: FeatureHallucination, times: int) -> Tensor:
    return torch.stack([module.generate(torch.zeros(C))[0] for _ in range(times)])


def test_draws_depend_on_the_seed_alone():
    torch.manual_seed(3)
    module = seen_all(seed=1)
    state = module.state_dict()
    first = draw(module, 2)
    twin = build(seed=1)
    twin.load_state_dict(state)
    torch.manual_seed(99)
    assert torch.equal(draw(twin, 2), first)
    assert not torch.equal(first[0], first[1])
    other = build(seed=2)
    other.load_state_dict(state)
    assert not torch.equal(draw(other, 2), first)


def test_global_generator_is_not_touched():
    module = seen_all()
    before = torch.get_rng_state()
    module.generate(torch.zeros(C))
    assert torch.equal(torch.get_rng_state(), before)


def test_resumed_run_repeats_the_draws():
    module = seen_all()
    draw(module, 3)
    saved = module.state_dict()
    expected = draw(module, 2)
    resumed = build()
    resumed.load_state_dict(saved)
    assert torch.equal(draw(resumed, 2), expected)


def test_what_is_loaded_without_the_draws_may_have_seen_fewer_classes():
    module = seen_all()
    module.generate(torch.full((C,), 0.5))
    assert module.all_seen
    fewer = build()
    observe(fewer, torch.randn(8, D), torch.tensor([1, 3]).repeat(4))
    buffers = {key: value for key, value in fewer.state_dict().items() if "extra" not in key}
    module.load_state_dict(buffers, strict=False)
    assert set(module.generate(torch.full((C,), 0.5))[1].tolist()) <= {1, 3}


def test_processes_draw_differently(monkeypatch):
    module = seen_all()
    saved = module.state_dict()
    first = draw(module, 1)
    monkeypatch.setattr("bacl.processes.own_draws.process_rank", lambda: 1)
    module.load_state_dict(saved)
    assert not torch.equal(draw(module, 1), first)


def test_published_draws_give_the_published_number_of_features(shared):
    # Eq. 12 on the recorded diagonal; classes without an object have never been seen.
    recorded = np.load(shared / "published" / "e_train_classifier_C30.npz")
    module = FeatureHallucination(30, 1, categories=8, samples=12, beta=0.9, seed=0)
    seen = recorded["gt_classes"]
    for number in (1, 2):
        strength = torch.zeros(30)
        strength[seen] = torch.from_numpy(recorded[f"s{number - 1}_cm_diag_rows"])
        cumulative = module.selection_probabilities(strength).cumsum(0).numpy()
        drawn = np.searchsorted(cumulative, recorded[f"s{number}_sorted_uniforms"])
        assert 12 * np.isin(drawn, seen).sum() == recorded[f"s{number}_n_hallucinated"]
