"""A stage's head bears the name of the one chosen: with `head=seesaw` it is `heads.seesaw`.

Hydra imports what lies here before it composes. A key of the configuration cannot refer to a
choice, but a defaults list can: `/head/named@stages.classifier.heads: ${head}`.
"""

from hydra.core.config_store import ConfigStore

from bacl.command.overview import names

for name in names("head"):
    ConfigStore.instance().store(name, {name: "${head}"}, group="head/named")
