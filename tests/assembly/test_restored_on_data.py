import re

import pytest

from bacl.assembly.restored_on_data import restore_on_data
from bacl.messages.errors import OptionError, UserError


def test_the_stage_and_its_data_come_ready_to_be_judged(finished, tiny):
    restored = restore_on_data(tiny(), finished, ())
    assert not any(module.training for module in restored.stage.modules())
    assert restored.name == "classifier"
    assert restored.config.data.num_classes == len(restored.categories.ids) == 12


def test_the_data_of_a_checkpoint_from_elsewhere_are_named_by_the_command(finished, tiny):
    config = tiny(f"checkpoint={finished / 'classifier/final.ckpt'}")
    data = config.data
    typed = (
        f"data=custom data.train.annotations={data.train.annotations} "
        f"data.train.images={data.train.images} data.val.annotations={data.val.annotations} "
        f"data.val.images={data.val.images}"
    )
    with pytest.raises(OptionError, match=re.escape(typed)):
        restore_on_data(config, finished, ["data.val.images=elsewhere"])
    named = restore_on_data(config, finished, [f"data.root={data.root}"])
    assert named.config.data.train.annotations == data.train.annotations


def test_an_option_that_nothing_takes_is_told(finished, tiny):
    option = "+detector.fpn.typo=3"
    with pytest.raises(UserError, match=r"detector\.fpn\.typo: no such option.*channels"):
        restore_on_data(tiny(option), finished, [option])
