"""A training step under autocast: losses are computed in float32, and statistics stay precise."""

import pytest
import torch

ONE_STEP = "trainer.limit_train_batches=1"


@pytest.mark.parametrize("name", ["representation", "classifier"])
def test_losses_of_a_step_are_those_of_float32_but_for_the_features_rounding(bench, name):
    precise = bench(name, ONE_STEP).fit()
    stage = bench(name, ONE_STEP, "trainer.precision=bf16-mixed").fit()
    assert stage.step_losses.keys() == precise.step_losses.keys()
    for quantity, loss in stage.step_losses.items():
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, precise.step_losses[quantity], rtol=0.03, atol=1e-3)
    kinds = [{key: value.dtype for key, value in each.named_buffers()} for each in (stage, precise)]
    assert kinds[0] == kinds[1]
    assert torch.bfloat16 not in kinds[0].values()
    assert {parameter.dtype for parameter in stage.parameters()} == {torch.float32}
