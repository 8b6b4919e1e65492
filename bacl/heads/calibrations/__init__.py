"""Calibrations of finished classifiers, one paper each; `calibration=norcal`."""

from bacl.heads.calibrations.fracal import FRACAL, SigmoidFRACAL
from bacl.heads.calibrations.logn import LogN
from bacl.heads.calibrations.norcal import EffectiveNorCal, NorCal
from bacl.heads.calibrations.post_hoc_adjustment import LogitAdjustment
from bacl.heads.calibrations.shift import ScoreShift
from bacl.heads.calibrations.tau_norm import TauNorm
from bacl.heads.calibrations.temperature import GroupTemperature

__all__ = [
    "FRACAL",
    "EffectiveNorCal",
    "GroupTemperature",
    "LogN",
    "LogitAdjustment",
    "NorCal",
    "ScoreShift",
    "SigmoidFRACAL",
    "TauNorm",
]
