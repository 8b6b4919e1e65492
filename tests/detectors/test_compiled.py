"""Programs of torch.compile, by backends that record without compiling; inductor among the slow."""

import logging

import pytest
import torch
from torch._dynamo.backends.common import aot_autograd
from torch._dynamo.exc import BackendCompilerFailed
from torch._functorch import config as functorch

from bacl.detectors.compiled import NOT_LATER, CompiledExtractor

SIDES = (64, 96)
TINY = ("detector.backbone.depth=10", "detector.backbone.width=8", "detector.fpn.channels=16")


@pytest.fixture(autouse=True)
def _nothing_of_other_tests():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.fixture
def narrow(build):
    torch.manual_seed(0)
    return build("small", *TINY).eval()


def images(sides=SIDES, seed=0):
    return torch.randn(1, 3, *sides, generator=torch.Generator().manual_seed(seed))


def gradients(detector):
    detector.zero_grad()
    sum(level.square().sum() for level in detector.pyramid(images())).backward()
    return {name: x.grad.clone() for name, x in detector.named_parameters() if x.grad is not None}


def computed(detector):
    """Levels that need no gradient."""
    with torch.no_grad():
        return detector.pyramid(images())


def told(caplog):
    """By us; torch's compiler may log what it likes."""
    return [each.getMessage() for each in caplog.records if each.name.startswith("bacl.")]


def assert_close(found, expected):
    for level, other in zip(found, expected, strict=True):
        torch.testing.assert_close(level, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backend", ["eager", pytest.param("aot_eager", marks=pytest.mark.slow)])
def test_the_frozen_extractor_is_compiled_once_for_a_shape(narrow, backend):
    narrow.requires_grad_(False)
    expected = computed(narrow)
    narrow.extract = CompiledExtractor(1, backend=backend)
    assert_close(computed(narrow), expected)
    with torch.inference_mode():  # the same program
        assert_close(narrow.pyramid(images()), expected)
    assert len(narrow.extract._kept) == 1
    with torch.no_grad():
        narrow.fpn.output[0].bias.add_(1)
    torch.testing.assert_close(computed(narrow)[0], expected[0] + 1, rtol=1e-4, atol=1e-5)


def test_more_shapes_are_compiled_than_torch_allows_of_one_function(caplog):
    count = torch._dynamo.config.recompile_limit + 2
    programs = CompiledExtractor(count, backend="eager")
    with caplog.at_level(logging.WARNING):
        for number in range(count):
            program, levels = programs.make(lambda x: (x + 1,), [torch.zeros(number + 1)])
            assert levels[0].tolist() == program(torch.zeros(number + 1))[0].tolist()
    assert not caplog.messages  # torch tells that it goes on without compiling


def test_what_learns_has_the_gradients_of_its_layers(narrow):
    narrow.train()
    expected = gradients(narrow)
    narrow.extract = CompiledExtractor(1, backend="aot_eager")
    found = gradients(narrow)
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-3, atol=1e-4)
    assert "_orig_mod" not in "".join(narrow.state_dict())


def test_weights_that_learn_are_those_of_the_step(narrow):
    narrow.extract = CompiledExtractor(1, backend="aot_eager")
    computed(narrow)
    optimiser = torch.optim.SGD(narrow.parameters(), 0.1, fused=True)
    for parameter in narrow.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimiser.step()
    found = computed(narrow)
    narrow.extract = None
    assert_close(found, computed(narrow))


def test_a_compiler_that_fails_is_told_once(narrow, monkeypatch, caplog):
    def broken(*args, **options):
        raise OSError("no compiler is here")

    monkeypatch.setattr(torch, "compile", lambda *args, **options: broken)
    narrow.requires_grad_(False)
    expected = computed(narrow)
    narrow.extract = CompiledExtractor(1)
    for _ in range(2):
        assert_close(computed(narrow), expected)
    assert caplog.messages == [
        "compile=inductor: no program could be made (OSError: no compiler is here); all goes on "
        "without, as with compile=null"
    ]


def fails_at_gradients(graph, inputs):
    raise NotImplementedError("no such gradient")


NO_GRADIENTS = aot_autograd(fw_compiler=lambda graph, inputs: graph, bw_compiler=fails_at_gradients)
at_once = pytest.mark.skipif(not hasattr(functorch, NOT_LATER), reason="torch does so later")


@at_once
def test_gradients_are_compiled_before_one_is_asked_for():
    weight = torch.ones(3, requires_grad=True)
    programs = CompiledExtractor(1, backend=NO_GRADIENTS)
    with pytest.raises(BackendCompilerFailed, match="no such gradient"):
        programs.make(lambda x: (x * weight,), [torch.zeros(3)])


@at_once
@pytest.mark.slow
def test_a_step_whose_gradients_cannot_be_compiled_goes_on_layer_by_layer(narrow, caplog):
    expected = gradients(narrow.train())
    narrow.extract = CompiledExtractor(1, backend=NO_GRADIENTS)
    found = gradients(narrow)
    assert all(torch.equal(found[name], gradient) for name, gradient in expected.items())
    (message,) = told(caplog)
    assert "no program could be made (BackendCompilerFailed" in message
    assert "no such gradient" in message


@pytest.mark.slow
@pytest.mark.parametrize("frozen", [True, False])
def test_inductor(narrow, frozen, caplog):
    narrow.requires_grad_(not frozen)
    expected = computed(narrow) if frozen else gradients(narrow).values()
    narrow.extract = CompiledExtractor(1)
    found = computed(narrow) if frozen else gradients(narrow).values()
    for value, other in zip(found, expected, strict=True):
        torch.testing.assert_close(value, other, rtol=1e-3, atol=1e-4)
    assert not told(caplog)
