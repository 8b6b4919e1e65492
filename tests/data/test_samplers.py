import json

import numpy as np
import pytest
import torch

from bacl.command.check import wrong_command
from bacl.data.samplers import (
    ClassAwareBatches,
    EpisodicBatches,
    EvaluationBatches,
    InstanceAwareRepeatFactorBatches,
    RandomBatches,
    RepeatFactorBatches,
    category_repeat_factors,
    image_repeat_factors,
)
from bacl.data.statistics import CategoryStatistics


class Images:
    """A data set as samplers see it: pairs of image and category, of a file of these counts.

    By default the file has these images and objects, all of them to train on.
    """

    def __init__(self, size, pairs=(), counts=None, annotated=()):
        self.size = size
        self.aspect_ratios = np.where(np.arange(size) % 3 == 0, 0.75, 1.5)
        self.pairs = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        self.annotated = np.array([*pairs, *annotated], dtype=np.int64).reshape(-1, 2).T
        self.statistics = statistics(counts or self.counted())

    def counted(self):
        """Images and objects of each category, and images with objects."""
        unique = np.unique(self.annotated, axis=1)
        categories = self.annotated[1].max(initial=0) + 1
        of = (np.bincount(rows, minlength=categories) for rows in (unique[1], self.annotated[1]))
        return (*of, len(np.unique(self.annotated[0])))

    def annotated_pairs(self):
        return self.annotated[0], self.annotated[1]

    def __len__(self):
        return self.size

    def category_pairs(self):
        return self.pairs[0], self.pairs[1]


def statistics(counts):
    images, objects, annotated = counts
    number = len(images)
    return CategoryStatistics(
        names=[str(label) for label in range(number)],
        frequency=np.full(number, "r"),
        image_counts=torch.as_tensor(images),
        instance_counts=torch.as_tensor(objects),
        num_images=annotated + 7,
        num_annotated=annotated,
    )


def random_batches(size=20, batch_size=4, seed=5, group=False, **processes):
    return RandomBatches(Images(size), batch_size, seed, group, **processes)


def indices(batches):
    return [index for batch in batches for index, _ in batch]


@pytest.mark.parametrize("group", [False, True])
def test_an_epoch_shows_every_image_once(group):
    batches = random_batches(group=group)
    assert len(batches) == len(list(batches)) == 5
    assert sorted(indices(batches)) == list(range(20))
    assert indices(batches) != sorted(indices(batches))


def test_an_incomplete_last_batch_is_left_out():
    batches = random_batches(size=23, group=True)
    assert len(batches) == len(list(batches)) == 5
    assert len(set(indices(batches))) == 20


def test_seed_and_epoch_decide_order_and_keys():
    first, again, other = random_batches(), random_batches(), random_batches(seed=6)
    assert list(first) == list(first) == list(again)
    assert list(first) != list(other)
    again.set_epoch(1)
    assert list(first) != list(again)
    keys = {key for batch in [*first, *again] for _, key in batch}
    assert len(keys) == 40


def test_processes_share_out_the_batches_of_one_process():
    alone = list(random_batches(group=True))
    shares = [list(random_batches(group=True, num_processes=2, process=rank)) for rank in (0, 1)]
    assert [first + second for first, second in zip(*shares, strict=True)] == alone
    assert not set(indices(shares[0])) & set(indices(shares[1]))


def test_a_resumed_epoch_is_the_rest_of_it_and_the_next_one_whole():
    straight, resumed = random_batches(), random_batches()
    straight.set_epoch(3)
    resumed.start_at(3, 2)
    resumed.set_epoch(3)  # as Lightning announces the epoch under way once more
    assert list(resumed) == list(straight)[2:]
    assert len(resumed) == 5
    straight.set_epoch(4)
    resumed.set_epoch(4)
    assert list(resumed) == list(straight)


def test_fingerprint_sees_what_changes_the_batches():
    same = random_batches().fingerprint()
    assert random_batches(num_processes=2, process=1).fingerprint() == same
    others = [random_batches(seed=6), random_batches(batch_size=5), random_batches(group=True)]
    assert same not in {other.fingerprint() for other in others}


def test_groups_do_not_mix_except_in_what_is_left():
    batches = random_batches(size=32, batch_size=4, group=True)  # 11 portrait, 21 landscape
    portrait = [sum(index % 3 == 0 for index, _ in batch) for batch in batches]
    assert sorted(portrait) == [0, 0, 0, 0, 0, 3, 4, 4]


def test_lightning_finds_set_epoch():
    batches = random_batches()
    assert batches.sampler is batches


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 4, "num_processes": 3}, "multiple of their number, 3"),
        ({"size": 3, "batch_size": 4}, "are only 3; take a smaller batch"),
    ],
)
def test_impossible_batch_sizes(options, message):
    with pytest.raises(ValueError, match=message):
        random_batches(**options)


@pytest.mark.parametrize(
    ("share", "threshold", "expected"),
    [
        ([0.5, 0.025, 0.0025], 0.001, [1, 1, 1]),
        ([0.5, 0.025, 0.0025], 0.01, [1, 1, 2]),
        ([4e-5, 1e-5], 0.001, [5, 10]),
    ],
)
def test_category_repeat_factors(share, threshold, expected):
    factors = category_repeat_factors(np.array(share), threshold)
    np.testing.assert_allclose(factors, expected, rtol=1e-12)


def test_categories_without_objects_are_not_repeated():
    np.testing.assert_array_equal(category_repeat_factors(np.array([0.0, 1.0]), 0.5), [1, 1])


def test_an_image_takes_the_factor_of_its_rarest_category():
    # 400 images; category 0 in 200, category 2 in one (twice there): f = 0.5 and 0.0025, t = 0.01
    pairs = [(number, 0) for number in range(200)] + [(7, 2), (7, 2)]
    factors = image_repeat_factors(400, *np.array(pairs).T, factors=np.array([1.0, 1.0, 2.0]))
    expected = np.ones(400)
    expected[7] = 2
    np.testing.assert_allclose(factors, expected)


def test_images_without_objects_keep_their_place_and_factor_one():
    of_categories = np.array([1.0, 3**0.5])
    factors = image_repeat_factors(3, np.array([2]), np.array([1]), of_categories)
    np.testing.assert_allclose(factors, [1, 1, 3**0.5])
    none = np.zeros(0, dtype=np.int64)
    np.testing.assert_allclose(image_repeat_factors(2, none, none, of_categories), [1, 1])


def repeat_factor(pairs, threshold, size=10, batch_size=2):
    return RepeatFactorBatches(
        Images(size, pairs),
        threshold=threshold,
        batch_size=batch_size,
        seed=0,
        group_by_aspect_ratio=False,
    )


def test_repeat_factor_sampling_shows_images_in_proportion_to_their_factors():
    # image 0 alone shows category 1: f = 0.1, t = 0.625, r = 2.5; all others r = 1
    pairs = [(number, 0) for number in range(10)] + [(0, 1)]
    batches = repeat_factor(pairs, threshold=0.625)
    np.testing.assert_allclose(batches.factors, [2.5] + [1] * 9)
    counts = np.zeros(10)
    for epoch in range(2000):
        batches.set_epoch(epoch)
        drawn = indices(batches)
        assert len(drawn) == 10
        counts += np.bincount(drawn, minlength=10)
    # the list has 11 or 12 entries of which 10 are taken: 0.5 * 2 / 11 + 0.5 * 3 / 12
    np.testing.assert_allclose(counts[0] / counts.sum(), 0.5 * 2 / 11 + 0.5 * 3 / 12, rtol=0.03)
    np.testing.assert_allclose(counts[1:] / counts.sum(), 0.5 / 11 + 0.5 / 12, rtol=0.05)


def test_repeat_factors_of_one_are_random_sampling():
    pairs = [(number, 0) for number in range(10)]
    assert sorted(indices(repeat_factor(pairs, threshold=0.001))) == list(range(10))


FILE = [1000, 50, 5], [4000, 80, 6], 2000
"""Images and objects of three categories, and images with objects."""


@pytest.mark.parametrize(
    ("sampler", "threshold", "expected"),
    [
        (RepeatFactorBatches, 0.01, [1, 1, 2]),
        (RepeatFactorBatches, 0.001, [1, 1, 1]),
        # Geometric means of 0.5 and 4000 / 4086, 0.025 and 80 / 4086, 0.0025 and 6 / 4086.
        (InstanceAwareRepeatFactorBatches, 0.01, [1, 1, 2.284556]),
    ],
)
def test_factors_are_those_of_the_file_whatever_is_left_of_it(sampler, threshold, expected):
    """Three of its images are trained on, one of each category; an object is not trained on."""
    images = Images(3, [(0, 0), (1, 1)], FILE, annotated=[(2, 2)])
    batches = sampler(
        images, threshold=threshold, batch_size=1, seed=0, group_by_aspect_ratio=False
    )
    np.testing.assert_allclose(batches.factors, expected, rtol=1e-6)


def test_worked_numbers_of_instance_aware_factors(shared):
    vector = json.loads((shared / "methods_vectors.json").read_text())["IRFS"]
    batches = InstanceAwareRepeatFactorBatches(
        Images(3, [(0, 0)], FILE), threshold=0.01, batch_size=1, seed=0, group_by_aspect_ratio=True
    )
    shares = batches.shares(statistics(FILE))
    np.testing.assert_allclose(shares, vector["f_gm"], atol=1e-6)
    found = category_repeat_factors(shares, 0.01)
    np.testing.assert_allclose(found, vector["r_t0.01"], atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 2])
@pytest.mark.parametrize(("images", "processes"), [(11, 3), (4, 3), (3, 2), (1, 2), (2, 5), (7, 2)])
def test_every_process_evaluates_equally_many_images(images, processes, batch_size):
    """A process without a batch would leave the others waiting in the next collective."""
    shares = [EvaluationBatches(Images(images), batch_size, processes, p) for p in range(processes)]
    shown = [[index for batch in share for index in batch] for share in shares]
    assert {len(share) for share in shown} == {-(-images // processes)}
    assert {len(share) for share in shares} == {-(-len(shown[0]) // batch_size)}
    assert {index for share in shown for index in share} == set(range(images))
    # What is shown again was shown by an earlier process: the metrics keep the first of equals.
    order = [index for batch in EvaluationBatches(Images(images), images) for index in batch]
    order = order if batch_size > 1 else list(range(images))
    owners = [order.index(index) % processes for index in range(images)]
    everyone = [index for share in shown for index in share]
    firsts = [everyone.index(index) // len(shown[0]) for index in range(images)]
    assert firsts == owners


def test_no_images_are_no_batches():
    assert list(EvaluationBatches(Images(0), 1, 2, 1)) == []


def test_evaluation_of_single_images_keeps_the_order_of_the_file():
    assert list(EvaluationBatches(Images(4), 1)) == [[0], [1], [2], [3]]


# Category 0 is in images 0 to 7, category 1 in 8 and 9, category 2 in 9 alone, twice.
LONG_TAIL = [*((image, 0) for image in range(8)), (8, 1), (9, 1), (9, 2), (9, 2)]


def class_aware(size=10, pairs=LONG_TAIL, batch_size=5, seed=0, **options):
    images = Images(size, pairs)
    return ClassAwareBatches(
        images, batch_size=batch_size, seed=seed, group_by_aspect_ratio=False, **options
    )


def drawn(batches, epochs=1):
    found = []
    for epoch in range(epochs):
        batches.set_epoch(epoch)
        found += [index for batch in batches for index, _ in batch]
    return np.bincount(found, minlength=10)


def test_class_aware_draws_every_category_equally_often():
    counts = drawn(class_aware(), epochs=300)
    assert counts.sum() == 3000
    # 1,000 draws of each category, to one an epoch: 8 images share the first, 8 and 9 the second.
    np.testing.assert_allclose(counts[:8], 125, atol=25)
    np.testing.assert_allclose(counts[8], 500, atol=60)
    np.testing.assert_allclose(counts[9], 500 + 1000, atol=90)


def test_class_aware_takes_every_image_of_a_category_before_one_again():
    pairs = [(image, 0) for image in range(4)] + [(4, 1)]
    batches = ClassAwareBatches(Images(8, pairs), batch_size=8, seed=3, group_by_aspect_ratio=False)
    assert drawn(batches)[:5].tolist() == [1, 1, 1, 1, 4]


def test_class_aware_without_objects_is_random():
    assert sorted(index for batch in class_aware(pairs=[]) for index, _ in batch) == [*range(10)]


def test_class_aware_shares_and_resumes_as_the_others_do():
    whole = [index for batch in class_aware(batch_size=4) for index, _ in batch]
    halves = [list(class_aware(batch_size=4, num_processes=2, process=p)) for p in (0, 1)]
    together = [i for pair in zip(*halves, strict=True) for half in pair for i, _ in half]
    assert together == whole
    later = class_aware(batch_size=4)
    later.start_at(0, 1)
    assert [index for batch in later for index, _ in batch] == whole[4:]


def episodic(batch_size=4, pairs=None, size=12, **options):
    """Category c has the images 2c and 2c + 1, and the last one image 11 alone."""
    pairs = [*((image, image // 2) for image in range(10)), (11, 5)] if pairs is None else pairs
    return EpisodicBatches(Images(size, pairs), batch_size=batch_size, seed=0, **options)


def test_every_episode_has_distinct_categories_and_all_come_equally_often():
    batches = episodic()
    counts = np.zeros(12)
    for epoch in range(400):
        batches.set_epoch(epoch)
        episodes = [[index for index, _ in batch] for batch in batches]
        assert len(episodes) == 3
        for episode in episodes:
            assert len({index // 2 for index in episode}) == 4
            counts += np.bincount(episode, minlength=12)
    # 4 of 6 categories in each of 1,200 episodes, each with one of its images.
    np.testing.assert_allclose(counts[:10], 400, atol=70)
    assert counts[10] == 0
    np.testing.assert_allclose(counts[11], 800, atol=70)


def test_few_categories_come_round_again_within_an_episode():
    (batch,) = episodic(batch_size=8, pairs=[(0, 0), (1, 1), (2, 2)], size=8)
    drawn_indices = [index for index, _ in batch]
    assert set(np.bincount(drawn_indices).tolist()) == {2, 3}
    assert sorted(drawn_indices[:3]) == sorted(drawn_indices[3:6]) == [0, 1, 2]


def test_an_episode_without_objects_takes_any_image():
    assert {index for batch in episodic(pairs=[]) for index, _ in batch} <= set(range(12))


def test_episodes_share_and_resume_as_the_others_do():
    whole = list(episodic())
    shares = [list(episodic(num_processes=2, process=rank)) for rank in (0, 1)]
    assert [first + second for first, second in zip(*shares, strict=True)] == whole
    later = episodic()
    later.start_at(0, 1)
    assert list(later) == whole[1:]
    assert episodic(num_processes=2, process=1).fingerprint() == episodic().fingerprint()
    assert list(EpisodicBatches(Images(12), batch_size=4, seed=1)) != whole


def test_instance_aware_sampling_shares_and_resumes_as_the_others_do():
    def batches(**processes):
        images = Images(10, [(number, 0) for number in range(10)] + [(0, 1)])
        return InstanceAwareRepeatFactorBatches(
            images, threshold=0.625, batch_size=2, seed=0, group_by_aspect_ratio=True, **processes
        )

    whole = list(batches())
    shares = [list(batches(num_processes=2, process=rank)) for rank in (0, 1)]
    assert [first + second for first, second in zip(*shares, strict=True)] == whole
    later = batches()
    later.start_at(0, 2)
    assert list(later) == whole[2:]


def test_the_episodic_sampler_can_be_that_of_one_stage(compose_config):
    chosen = ["+experiment=bacl_demo", "+sampler@stages.classifier.sampler=episodic"]
    config = compose_config(*chosen, "data.num_classes=12")
    assert not wrong_command(config)
    assert config.stages.classifier.sampler.group_by_aspect_ratio is False
