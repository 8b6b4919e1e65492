"""Classification losses, one paper per file.

Imports: indicators, detectors.levels, detectors.full_precision, options.
"""

from bacl.losses.acsl import ACSL
from bacl.losses.area import AREA
from bacl.losses.bags import BAGS
from bacl.losses.balms import BalancedSigmoid
from bacl.losses.balms_meta import MetaBalancedSigmoid
from bacl.losses.base import ClassificationLoss
from bacl.losses.bce import BinaryCrossEntropy, BinaryCrossEntropyWithObjectness
from bacl.losses.c2am import C2AM
from bacl.losses.class_balanced import ClassBalancedSigmoid, ClassBalancedSoftmax
from bacl.losses.cross_entropy import SoftmaxCrossEntropy
from bacl.losses.drawing import DrawingLoss
from bacl.losses.droploss import DropLoss
from bacl.losses.ebl import EquilibriumLoss
from bacl.losses.ecm import ECM
from bacl.losses.efl import EFL
from bacl.losses.epochs import FollowsEpochs
from bacl.losses.eql import EQL
from bacl.losses.eqlv2 import EQLv2
from bacl.losses.fcbl import FCBL
from bacl.losses.federated import FederatedLoss
from bacl.losses.focal import Focal
from bacl.losses.forest import Forest
from bacl.losses.gol import GOL
from bacl.losses.gumbel import GumbelCrossEntropy
from bacl.losses.idg import IDGC2AM, IDGFocal, IDGSeesaw
from bacl.losses.iif import IIF
from bacl.losses.iterations import FollowsIterations
from bacl.losses.ldam import LDAM
from bacl.losses.logit_adjustment import LogitAdjustment
from bacl.losses.pcb import PCB
from bacl.losses.reweighted import ReweightedCrossEntropy
from bacl.losses.rog import ROG
from bacl.losses.rows import Rows
from bacl.losses.seesaw import Seesaw
from bacl.losses.simcal import SimCal

__all__ = [
    "ACSL",
    "AREA",
    "BAGS",
    "C2AM",
    "ECM",
    "EFL",
    "EQL",
    "FCBL",
    "GOL",
    "IDGC2AM",
    "IIF",
    "LDAM",
    "PCB",
    "ROG",
    "BalancedSigmoid",
    "BinaryCrossEntropy",
    "BinaryCrossEntropyWithObjectness",
    "ClassBalancedSigmoid",
    "ClassBalancedSoftmax",
    "ClassificationLoss",
    "DrawingLoss",
    "DropLoss",
    "EQLv2",
    "EquilibriumLoss",
    "FederatedLoss",
    "Focal",
    "FollowsEpochs",
    "FollowsIterations",
    "Forest",
    "GumbelCrossEntropy",
    "IDGFocal",
    "IDGSeesaw",
    "LogitAdjustment",
    "MetaBalancedSigmoid",
    "ReweightedCrossEntropy",
    "Rows",
    "Seesaw",
    "SimCal",
    "SoftmaxCrossEntropy",
]
