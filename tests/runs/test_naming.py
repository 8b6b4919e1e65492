import random
import re
import shlex

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from bacl.runs.naming import variant


def test_without_changes_the_folder_is_default():
    assert (
        variant(["+experiment=bacl_demo", "seed=3", "trainer.devices=2", "job=test"]) == "default"
    )

    assert variant(["job=import", "checkpoint=a.pth", "output=b", "export.output=c"]) == "default"


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        (["head.loss.alpha=0.7"], "head.loss.alpha-0.7"),
        (["datamodule.seed=-1"], "datamodule.seed--1"),
        (["head.learning_rate=1.0e+20"], "head.learning_rate-1.0e+20"),
        (["+head@stages.classifier.heads.b=bce"], "+head+stages.classifier.heads.b-bce"),
        (["++masks=true"], "++masks-true"),
        (["~stages.classifier.heads.bacl"], "no.stages.classifier.heads.bacl"),
        (["masks=true", "head=bce"], "head-bce__masks-true"),
    ],
)
def test_a_name_reads_like_the_overrides(overrides, name):
    assert variant(overrides) == name


@pytest.mark.parametrize(
    ("override", "begins"),
    [
        ("stages.x.schedule.milestones=[4, 5]", "stages.x.schedule.milestones-4_5"),
        ("stages.x.schedule={epochs:2,milestones:[1]}", "stages.x.schedule-epochs_2_milestones_1"),
        ("detector.backbone.weights='../a b/c.pth'", "detector.backbone.weights-.._a_b_c.pth"),
        ("stages.x.heads.my-head.init=fresh", "stages.x.heads.my-head.init-fresh"),
        ("~head@stages.x.heads.y=bce", "no.head+stages.x.heads.y-bce"),
        ("head.loss.a__b=1", "head.loss.a__b-1"),
    ],
)
def test_what_cannot_be_said_to_the_letter_has_a_digest(override, begins):
    assert re.fullmatch(re.escape(begins) + "__[0-9a-f]{8}", variant([override]))


def test_order_does_not_matter_and_slashes_do_not_make_folders():
    first = variant(["head.loss.alpha=0.7", "head.fhm.weights=../a/b"])
    assert first == variant(["head.fhm.weights=../a/b", "head.loss.alpha=0.7"])
    assert "/" not in first


def test_different_settings_get_different_folders():
    assert variant(["head.loss.alpha=0.7"]) != variant(["head.loss.alpha=0.8"])
    assert variant(["detector=faster_rcnn_r50"]) != variant([])


def test_a_long_command_keeps_apart_what_differs_at_its_end():
    many = [f"head.loss.option{index}=value" for index in range(40)]
    assert variant([*many, "z=1"]) != variant([*many, "z=2"])
    assert len(variant(many)) < 200


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["a=x__b-1"], ["a=x", "b=1"]),
        (["a=x_", "b=1"], ["a=x", "b=1"]),
        (["a@b=1"], ["+a=b", "b=1"]),
        (["~a"], ["no.a="]),
        (["~a=1"], ["no.a=1"]),
        (["a=[1]"], ["a=1"]),
        (["a='1'"], ["a=1"]),
        (["a=b/c"], ["a=b_c"]),
        (["a=[1,2]"], ["a=1_2"]),
        (["a-b=1"], ["a=b-1"]),
        (["a=b", "c=d/e"], ["a=b", "c=d,e"]),
    ],
)
def test_what_looks_alike_is_kept_apart(one, other):
    assert variant(one) != variant(other)


@pytest.mark.slow
def test_no_two_lists_share_a_name_and_no_name_needs_quotes():
    """Short texts of all letters that stand for others, ten thousand lists of them."""
    draw, parser = random.Random(0), OverridesParser.create()
    letters = [
        "_",
        "__",
        "-",
        "+",
        "@",
        "~",
        "=",
        ",",
        ".",
        "no.",
        "[",
        "]",
        "/",
        "a",
        "b",
        "ab12cd34",
    ]
    lists = set()
    while len(lists) < 10_000:
        texts = ["a" + "".join(draw.choices(letters, k=draw.randint(1, 5))) for _ in range(2)]
        prefix = draw.choice(["", "+", "++", "~"])
        lists.add(tuple(sorted({prefix + texts[0] + "=1", texts[1]}))[: draw.randint(1, 2)])
    names = {each: variant(list(each)) for each in lists}
    assert len(set(names.values())) == len(names)
    for name in names.values():
        assert shlex.quote(name) == name
        path = f"runs/run/{name}/seed_0"
        assert parser.parse_override(f"checkpoint={path}").value() == path
