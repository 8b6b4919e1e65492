import pytest

from bacl.options.later import Versions, compared, completed

LOSS = "bacl.losses.FCBL"


def run(**options):
    return {"masks": False, "seed": 0} | options


def stage(**options):
    return run(stages={"classifier": options})


def test_options_of_a_section_are_found_by_their_paths():
    was = run(validation={"every": 1, "take": "best"}, old=1)
    now = run(validation={"every": 1, "take": "best", "measure": "AP"}, metric={"a": 1})
    later = {"validation.measure": "AP", "metric": {"a": 1}}
    assert compared(was, now) == Versions(later, {"old": 1})


def test_options_of_a_part_are_found_where_the_same_class_is_built():
    was = run(head={"loss": {"_target_": LOSS, "alpha": 1}})
    now = run(head={"loss": {"_target_": LOSS, "alpha": 1, "tau": 2}})
    assert compared(was, now).later == {"head.loss.tau": 2}
    now["head"]["loss"]["_target_"] = "bacl.losses.Seesaw"
    assert compared(was, now) == Versions()


@pytest.mark.parametrize(
    ("was", "now"),
    [
        (run(stages={}), run(stages={"classifier": {}})),
        (stage(heads={"a": {"_target_": LOSS}}), stage(heads={"b": {"_target_": LOSS}})),
        (
            run(head={"_target_": LOSS, "rates": {"a": 1}}),
            run(head={"_target_": LOSS, "rates": {"b": 1}}),
        ),
        (run(sampler=[{"_target_": LOSS}]), run(sampler=[{"_target_": LOSS}] * 2)),
    ],
    ids=["another stage", "another head", "an entry of a dictionary", "a longer list"],
)
def test_what_is_no_option_is_a_difference(was, now):
    assert compared(was, now) == Versions()


def test_free_options_are_of_no_interest():
    assert compared(run(), run(predict={"images": None}, cache=None, name="run")) == Versions()
    assert compared(run(predict={}), run(predict={"images": None})) == Versions()


def test_parts_in_a_list_are_completed_one_by_one():
    was = run(sampler={"_target_": "x", "parts": [{"_target_": LOSS}, {"_target_": LOSS, "a": 1}]})
    now = run(
        sampler={"_target_": "x", "parts": [{"_target_": LOSS}, {"_target_": LOSS, "a": 1, "b": 2}]}
    )
    found = compared(was, now)
    assert found.later == {"sampler.parts[1].b": 2}
    assert completed(was, found.later) == now
    assert "b" not in was["sampler"]["parts"][1]
