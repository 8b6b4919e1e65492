"""Representation learning stage (Sec. III-B), and end-to-end training (Tab. X)."""

from bacl.stages.stage import DetectionStage


class RepresentationStage(DetectionStage):
    """The whole detector trains with one classifier head's loss.

    With the BCE head of Eq. 2-5 this is the first stage of BACL; with a softmax head over 24 epochs
    the paper's baseline; with the BACL head (FCBL and hallucination) the end-to-end row of Tab. X.
    """
