"""Makes a training step draw what was recorded.

The random generators of the published code's time need not be imitated: what they drew was
recorded, and stands in for our draws. Everything else is `DetectionStage.training_step`.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from bacl.assembly.build import only_head
from bacl.data.batch import Batch
from bacl.detectors.levels import TrainingLevel
from bacl.detectors.matching import BACKGROUND
from bacl.detectors.sampled_rois import Drawn
from bacl.heads import BoxGenerator, FeatureHallucination
from bacl.heads.hallucination import jittered_moments
from bacl.indicators import LongTermIndicator
from bacl.stages import DetectionStage
from tests.published.recorded import Numbers, images, numbers, pyramid, targets

IMAGES = range(2)
FIRST_SEED = 77
"""Of torch's generator in the first recorded step of the classifier stage; the others follow."""
TIES = (3e-7, 4.5e-7, 6e-7, 8e-7)
"""Differences of two scores in [0, 1] whose order may be rounding's: how far scores of different
processors lie apart. The first that explains the recorded gradient is taken."""
ROUNDING = 5e-7
"""Of a gradient; one swap changes it by 1e-5 to 1e-3."""


class Replay:
    """Makes a stage draw what was recorded, and keeps what it could have drawn from."""

    def __init__(self, stage: DetectionStage, recorded: Numbers, proposals: int) -> None:
        self.stage, self.recorded, self.proposals = stage, recorded, proposals
        self.ranked: list[tuple[Tensor, Tensor]] = []
        self.normals = torch.zeros(0, 0)
        self.begin(0)
        detector = stage.detector
        detector.rpn.sampler = self._sampler("rpn")
        detector.sampler.sampler = self._sampler("rcnn")
        self._wrap_proposals()
        self._wrap_rois()
        for head in stage.heads.values():
            hallucination = head.classifiers[0].hallucination
            if hallucination is not None:
                hallucination.box_generator = Recorded(True, self)
                hallucination.added = partial(self._added, hallucination)
        # What Lightning's trainer is needed for, and our own seeds.
        stage._seed_step = lambda purpose: None
        stage._log_losses = lambda images: None

    def begin(self, step: int, swapped: Sequence[tuple[int, int]] = ()) -> None:
        """The next step's draws, and which neighbours among our proposals (image, rank) to swap."""
        self.step, self.swapped = step, swapped
        self.seen: dict[str, list[Tensor]] = {"rpn": [], "rcnn": []}
        self.rois: list[Tensor] = []
        self.images_jittered = 0

    def __getitem__(self, key: str) -> Tensor:
        return self.recorded[f"s{self.step}_{key}"]

    def _sampler(self, part: str):
        def draw(matches: Tensor, by_image: bool, awaited: object) -> Drawn:
            first, self.seen[part] = 0, []
            for image, own in enumerate(matches):
                self.seen[part].append(torch.where(own >= 0, own - first, own))
                first += len(targets()[image].boxes)
            kinds = [
                [self[f"{part}_img{i}_{kind}_inds"] for i in range(len(matches))]
                for kind in ("pos", "neg")
            ]
            counts = np.array([[len(image) for image in images] for images in kinds])
            rows = [[i * matches.shape[1] + own for i, own in enumerate(x)] for x in kinds]
            order = zip(*rows, strict=True) if by_image else rows
            return Drawn(torch.cat([own for group in order for own in group]), counts)

        return draw

    def _wrap_proposals(self) -> None:
        """Draws are indices into the proposals: in the first step these are the recorded ones.

        Of ours a few neighbours, whose scores tie to rounding, are swapped.
        """
        own = self.stage.detector.rpn.training_selection
        backbone = numbers("e_backbone_rpn")

        def select(*args) -> list[tuple[Tensor, Tensor]]:
            if self.step > 0:
                self.ranked = [(boxes.clone(), scores) for boxes, scores in own(*args)]
                for image, rank in self.swapped:
                    boxes = self.ranked[image][0]
                    boxes[[rank, rank + 1]] = boxes[[rank + 1, rank]]
                return self.ranked
            boxes = (backbone[f"train2000_proposals_img{i}"] for i in IMAGES)
            return [image[: self.proposals].split([4, 1], dim=1) for image in boxes]

        self.stage.detector.rpn.training_selection = select

    def recorded_rois(self, image: int) -> tuple[Tensor, Tensor]:
        """Indices and boxes of all positives and of every 16th negative."""
        key = f"rcnn_img{image}"
        index = torch.cat([self[f"{key}_pos_inds"], self[f"{key}_neg_inds"][::16]])
        boxes = torch.cat([self[f"{key}_pos_bboxes"], self[f"{key}_neg_bboxes_every16"]])
        return index, boxes

    def _wrap_rois(self) -> None:
        own = self.stage.detector.sampler

        def sample(*args):
            result = own(*args)
            self.rois = list(result.boxes)
            return result

        self.stage.detector.sampler = sample

    def next_magnitudes(self) -> Tensor:
        """(1, 16, 4), what the box generator drew for the next image."""
        magnitudes = self["boxgn_rand"][self.images_jittered].t().unsqueeze(0)
        self.images_jittered += 1
        return magnitudes

    def _added(
        self,
        hallucination: FeatureHallucination,
        level: TrainingLevel,
        indicator: LongTermIndicator,
    ) -> tuple[Tensor, Tensor]:
        """See `FeatureHallucination.added`."""
        around = level.extra[hallucination.box_generator]
        hallucination.follow(jittered_moments(around, hallucination.num_classes))
        return self._drawn(hallucination, indicator.strength())

    def _drawn(
        self, hallucination: FeatureHallucination, strength: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Inverse of the distribution function in float32, at the recorded uniforms (D14)."""
        probabilities = hallucination.selection_probabilities(strength).float()
        drawn = torch.searchsorted(probabilities.cumsum(0), self["sorted_uniforms"].float())
        labels = drawn[hallucination.seen[drawn]].repeat_interleave(hallucination.samples)
        normals = self._normals(len(labels), hallucination.prototypes.shape[1])
        self.normals = normals
        return hallucination.features(labels, normals), labels

    def _normals(self, count: int, width: int) -> Tensor:
        """The recorded normals, of which 8 columns are stored: what the step's generator drew last.

        Before, it permuted the negatives of every image and drew the box generator's magnitudes.
        """
        generator = torch.Generator().manual_seed(FIRST_SEED + self.step)
        for matches in (*self.seen["rpn"], *self.seen["rcnn"]):
            torch.randperm(int((matches == BACKGROUND).sum()), generator=generator)
        for magnitudes in self["boxgn_rand"]:
            torch.rand(magnitudes.shape, generator=generator)
        return torch.randn((count, width), generator=generator)


@dataclass(frozen=True)
class Recorded(BoxGenerator):
    """Jitters boxes as was recorded."""

    replay: Replay | None = None

    def draw(self, count: int, device: torch.device) -> Tensor:
        """See `BoxGenerator`."""
        return self.replay.next_magnitudes()


def swapped_neighbours(stage: DetectionStage, replay: Replay, step: int) -> list[tuple[int, int]]:
    """Which proposals (image, rank) trade places with the next one in the recorded order.

    Only the order of scores that tie to rounding can differ, and it matters where one of the two
    was drawn. Swapping the negatives a and b changes the gradient of the classifier's bias by the
    difference of their probabilities over the rows. The recorded gradient is thus an equation for
    every logit, more than there are such pairs; that all of them hold with every pair swapped
    exactly once or not at all is no accident. Loss and gradient of the weights stay checks.
    """
    (classifier,) = stage.heads[only_head(stage, "classifier")].classifiers
    statistics = deepcopy(stage.heads.state_dict())
    replay.begin(step)
    stage.zero_grad()
    stage.training_step(Batch(images(), targets()), step).backward()
    missing = replay["grad_fc_cls_bias"] - classifier.predictor.bias.grad
    stage.heads.load_state_dict(statistics)
    for tie in TIES:
        pairs = _tied_pairs(replay, tie)
        effects = torch.cat([_effects(stage, replay, image, pairs[image]) for image in IMAGES])
        chosen = _whole_solution(effects.double(), missing.double())
        if chosen is not None:
            ranks = [(image, rank) for image in IMAGES for rank in pairs[image].tolist()]
            return [pair for pair, swapped in zip(ranks, chosen, strict=True) if swapped]
    raise AssertionError(f"no swaps of scores within {TIES[-1]} explain the recorded gradient")


def _tied_pairs(replay: Replay, tie: float) -> list[Tensor]:
    """For each image the ranks whose score is the next one's to `tie`, one of both being drawn."""
    pairs = []
    for image in IMAGES:
        boxes, scores = replay.ranked[image]
        drawn = torch.zeros(len(boxes))
        drawn[replay[f"rcnn_img{image}_neg_inds"] - _objects(image)] = 1
        close = -scores.sigmoid().diff() < tie
        pairs.append((close & (drawn.diff() != 0)).nonzero().flatten())
    return pairs


@torch.no_grad()
def _effects(stage: DetectionStage, replay: Replay, image: int, ranks: Tensor) -> Tensor:
    """What swapping each of the ranks (n,) with the next adds to the bias's gradient, (n, K)."""
    boxes, _ = replay.ranked[image]
    first_is_drawn = torch.isin(ranks, replay[f"rcnn_img{image}_neg_inds"] - _objects(image))
    per_image = [torch.cat([boxes[ranks], boxes[ranks + 1]]) if i == image else boxes[:0]
                 for i in IMAGES]  # fmt: skip
    features = stage.detector.roi_features(pyramid(), per_image)
    (classifier,) = stage.heads[only_head(stage, "classifier")].classifiers
    first, second = classifier.predictor(features).sigmoid().chunk(2)
    rows = len(torch.cat(replay.rois)) + len(replay.normals)
    return torch.where(first_is_drawn.unsqueeze(1), second - first, first - second) / rows


def _whole_solution(effects: Tensor, missing: Tensor) -> list[bool] | None:
    """Which effects (n, K) add up to what is missing (K,); None where none do, or several might."""
    if len(effects) >= len(missing):
        return None
    solution = torch.linalg.lstsq(effects.t(), missing.unsqueeze(1)).solution.squeeze(1)
    chosen = solution.round().clamp(0, 1)
    left = (chosen @ effects - missing).abs().max()
    return chosen.bool().tolist() if left < ROUNDING else None


def _objects(image: int) -> int:
    """How many RoIs come before the proposals of an image: its annotated objects."""
    return len(targets()[image].boxes)
