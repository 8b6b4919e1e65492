"""Representation learning stage (Sec. III-B), and end-to-end training (Tab. X)."""

from contextlib import AbstractContextManager, nullcontext

from bacl.stages.stage import DetectionStage


class RepresentationStage(DetectionStage):
    """The whole detector trains with the classifier head's loss.

    With one BCE head this is the first stage of BACL; with a softmax head over 24 epochs the
    paper's baseline; with the BACL head (FCBL and hallucination) the end-to-end row of Tab. X.
    """

    def extraction(self) -> AbstractContextManager[object]:
        """The extractor learns: gradients flow into backbone and FPN."""
        return nullcontext()
