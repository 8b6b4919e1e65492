import pytest

from bacl.loggers.measurements import Quantity, named

QUANTITIES = (
    Quantity("train", None, "rpn_box"),
    Quantity("train", "bacl", "classification"),
    Quantity("val", "x=1", "segm/AR@300"),
    Quantity("classifier", "bacl", "second/weight_norm_r"),
    Quantity("", None, "epoch"),
)


@pytest.mark.parametrize("quantity", QUANTITIES, ids=lambda each: each.name)
def test_a_name_says_what_it_is_of(quantity):
    assert Quantity.named(quantity.name) == quantity


def test_names_differ_and_keep_their_values():
    values = {each: number for number, each in enumerate(QUANTITIES)}
    assert len(named(values)) == len(QUANTITIES)
    assert list(named(values).values()) == list(values.values())
