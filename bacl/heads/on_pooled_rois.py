"""What classifiers share that look at pooled RoIs, and not at features alone."""

from bacl.heads.added_features import AddedFeatures
from bacl.messages.errors import OptionError


def refuse_added(hallucination: AddedFeatures | None) -> None:
    """Added features have no RoI.

    Raises:
        OptionError: features are to be added.
    """
    if hallucination is not None:
        raise OptionError(
            "this head looks at pooled RoIs, and added features have none: "
            "fhm@head.hallucination=none"
        )
