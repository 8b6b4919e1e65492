"""Classifier heads, what an ablation varies: they know levels and losses, and no detector.

Imports: detectors.levels, detectors.boxes, detectors.full_precision, detectors.transfers, losses,
indicators, data.batch, options.
"""

from bacl.heads.added_features import AddedFeatures
from bacl.heads.box_generator import BoxGenerator
from bacl.heads.calibration import Calibration
from bacl.heads.classifier import Classifier
from bacl.heads.feature_distributions import FeatureDistributions
from bacl.heads.hallucination import FeatureHallucination
from bacl.heads.head import Head, classifiers_by_name
from bacl.heads.predictors import Predictor
from bacl.heads.refining_classifier import RefiningClassifier
from bacl.heads.second_classifier import SecondClassifier
from bacl.heads.tree_classifier import TreeClassifier

__all__ = [
    "AddedFeatures",
    "BoxGenerator",
    "Calibration",
    "Classifier",
    "FeatureDistributions",
    "FeatureHallucination",
    "Head",
    "Predictor",
    "RefiningClassifier",
    "SecondClassifier",
    "TreeClassifier",
    "classifiers_by_name",
]
