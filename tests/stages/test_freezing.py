import pytest
from torch import nn

from bacl.stages.freezing import frozen_modules, train_only


def model() -> nn.ModuleDict:
    return nn.ModuleDict(
        {"body": nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), "head": nn.Linear(2, 2)}
    )


def trainable(module: nn.Module) -> set[str]:
    return {name for name, parameter in module.named_parameters() if parameter.requires_grad}


def test_only_matching_parameters_train():
    module = model()
    train_only(module, ["head.*"])
    assert trainable(module) == {"head.weight", "head.bias"}


def test_star_keeps_what_the_module_froze_itself():
    module = model()
    module["body"][0].weight.requires_grad_(False)
    train_only(module, ["*"])
    assert "body.0.weight" not in trainable(module)
    assert len(trainable(module)) == 5


def test_an_exclamation_mark_takes_away_whatever_the_order():
    for patterns in (["*", "!body.*"], ["!body.*", "*"]):
        module = model()
        train_only(module, patterns)
        assert trainable(module) == {"head.weight", "head.bias"}
    train_only(module, ["!head.*"])
    assert trainable(module) == set()


@pytest.mark.parametrize("pattern", ["!hed.*", "!", "!!head.*"])
def test_a_pattern_without_parameters_is_an_error_there_too(pattern):
    with pytest.raises(ValueError, match="no parameter matches"):
        train_only(model(), ["*", pattern])


def test_a_pattern_without_parameters_is_an_error_that_names_it():
    with pytest.raises(ValueError, match=r"'hed\.\*'.*body\.0"):
        train_only(model(), ["head.*", "hed.*"])


def test_frozen_modules_are_those_without_any_trained_parameter():
    module = model()
    train_only(module, ["head.*", "body.1.bias"])
    frozen = list(frozen_modules(module))
    assert module["body"][0] in frozen
    assert module["body"][1] not in frozen
    assert module["head"] not in frozen
