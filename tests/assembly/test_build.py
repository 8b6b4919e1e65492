import pytest
import torch

from bacl.assembly.build import build_stage
from bacl.assembly.instantiate import instantiate
from bacl.assembly.trainer import build_fabric, build_trainer, single_device_trainer
from bacl.messages.errors import OptionError
from bacl.options.libraries import Trainer
from bacl.options.marked import options_with
from bacl.options.marks import HARDWARE


def trainer_of(config, folder):
    schedule = instantiate(config.stages.representation.schedule)
    return build_trainer(config, folder, schedule, logs=False)


@pytest.mark.parametrize(
    "option",
    [
        "trainer.precision=foo",
        "trainer.accelerator=foo",
        "trainer.strategy=foo",
        "trainer.profiler=foo",
        "trainer.gradient_clip_val=foo",
        "trainer.limit_train_batches=-3",
    ],
)
def test_an_option_that_lightning_refuses_is_named(compose_config, tmp_path, option):
    config = compose_config("trainer=cpu", option)
    with pytest.raises(OptionError, match=rf"^{option}: .+") as caught:
        trainer_of(config, tmp_path)
    told = str(caught.value)
    assert "\n" not in told
    hardware = options_with(HARDWARE, Trainer)
    of_the_machine = option.split("=")[0].removeprefix("trainer.") in hardware
    assert told.endswith("; trainer=auto has options for any machine") == of_the_machine


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
@pytest.mark.parametrize("build", [single_device_trainer, build_fabric])
def test_a_gpu_that_is_not_there_is_told(compose_config, build):
    with pytest.raises(OptionError, match=r"^trainer\.accelerator=gpu: "):
        build(compose_config("trainer=gpu"))


def test_options_that_do_not_go_together_are_named_together(compose_config, tmp_path):
    config = compose_config("trainer=cpu", "trainer.devices=0")
    with pytest.raises(OptionError, match=r"accelerator=cpu, trainer.devices=0|trainer\.devices=0"):
        trainer_of(config, tmp_path)


def test_masks_of_a_detector_without_a_branch_are_refused(tiny):
    with pytest.raises(OptionError, match=r"masks=true: the detector has no mask branch.*mask_"):
        build_stage(tiny("masks=true", "data.num_classes=12"), "representation", pretrained=False)
