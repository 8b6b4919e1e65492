"""Calibrations: worked numbers, plain loops over rows and classes, and what all have in common."""

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import Tensor, nn

from bacl.assembly.harmless import unknown_counts
from bacl.assembly.trial import try_calibration
from bacl.data.statistics import CategoryStatistics
from bacl.heads import Calibration, Classifier, Head, SecondClassifier
from bacl.heads.calibration import Uncalibrated
from bacl.heads.calibrations import (
    FRACAL,
    EffectiveNorCal,
    GroupTemperature,
    LogitAdjustment,
    LogN,
    NorCal,
    ScoreShift,
    SigmoidFRACAL,
    TauNorm,
)
from bacl.heads.predictors import NormalisedLinear
from bacl.indicators import ConfusionMatrix
from bacl.losses import (
    FCBL,
    ROG,
    BinaryCrossEntropy,
    BinaryCrossEntropyWithObjectness,
    ClassificationLoss,
    Seesaw,
    SimCal,
    SoftmaxCrossEntropy,
)
from bacl.messages.errors import OptionError
from tests.levels import level, single, training_level

C, D = 3, 6
CONF = Path(__file__).parents[2] / "conf"
IMAGES, INSTANCES, M, PHI = [1000, 50, 5], [4000, 80, 6], 2000, [1.8, 1.3, 1.0]


def statistics(**changes) -> CategoryStatistics:
    values = {
        "names": ["a", "b", "c"],
        "frequency": np.array(["f", "c", "r"]),
        "image_counts": torch.tensor(IMAGES),
        "instance_counts": torch.tensor(INSTANCES),
        "num_images": M,
        "fractal_dimensions": torch.tensor(PHI, dtype=torch.float64),
    }
    return CategoryStatistics(**values | changes)


def gathered(means=(-2.0, -3.5, -5.0), deviations=(1.5, 1.0, 0.5)) -> LogN:
    calibration = LogN(C, momentum=None)
    calibration.means.copy_(torch.tensor(means))
    calibration.variances.copy_(torch.tensor(deviations).square())
    calibration.set_extra_state({"steps": 9})
    return calibration


CALIBRATIONS: dict[str, Callable[[], Calibration]] = {
    "none": Uncalibrated,
    "norcal": lambda: NorCal(C, statistics(), gamma=0.6),
    "norcal_effective": lambda: EffectiveNorCal(C, statistics(), gamma=0.99),
    "shift": lambda: ScoreShift(C, statistics(), gamma=0.3),
    "logit_adjustment": lambda: LogitAdjustment(C, statistics(), tau=0.5, of="images"),
    "temperature": lambda: GroupTemperature(
        C, statistics(), of="images", boundaries=[5, 100], temperatures=[0.5, 2.0, 4.0]
    ),
    "fracal": lambda: FRACAL(C, statistics(), base=10.0, strength=2.0),
    "fracal_sigmoid": lambda: SigmoidFRACAL(C, statistics(), base=10.0, strength=2.0),
    "tau_norm": lambda: TauNorm(C, tau=0.7, bias=True),
    "logn": gathered,
}


def test_every_configured_calibration_is_tested():
    assert set(CALIBRATIONS) == {path.stem for path in (CONF / "calibration").glob("*.yaml")}


# Plain loops: scores of one row of logits over three classes and background.


def softmax(logits: list[float]) -> list[float]:
    total = sum(map(math.exp, logits))
    return [math.exp(logit) / total for logit in logits]


def divided(scores: list[float], divisors: list[float]) -> list[float]:
    return [score / by for score, by in zip(scores, [*divisors, 1.0], strict=True)]


def normalised(scores: list[float]) -> list[float]:
    return [score / sum(scores) for score in scores]


def softmax_of(change: Callable[[int, float], float]) -> Callable[[list[float]], list[float]]:
    """Softmax of the logits after a change of class and logit."""
    return lambda z: softmax([*(change(c, z[c]) for c in range(C)), z[C]])


def fracal(z: list[float]) -> list[float]:
    rarity = [math.log10(M / n) - math.log10(C) for n in IMAGES]
    scores = softmax_of(lambda c, logit: logit + rarity[c])(z)
    return normalised(divided(scores, [phi**2 for phi in PHI]))


def fracal_sigmoid(z: list[float]) -> list[float]:
    scores, spread = softmax(z), sum(phi**2 for phi in PHI)
    for c in range(C):
        logit = z[c] + math.log10(M / IMAGES[c]) - math.log10(C)
        logit += math.log10(1 / C) - math.log10(PHI[c] ** 2 / spread)
        scores[c] *= 1 / (1 + math.exp(-logit))
    return scores


MEANS, DEVIATIONS = (-2.0, -3.5, -5.0), (1.5, 1.0, 0.5)
LOOPS: dict[str, Callable[[list[float]], list[float]]] = {
    "none": softmax,
    "norcal": lambda z: normalised(divided(softmax(z), [n**0.6 for n in IMAGES])),
    "norcal_effective": lambda z: normalised(
        divided(softmax(z), [(1 - 0.99**n) / 0.01 for n in IMAGES])
    ),
    "shift": lambda z: divided(softmax(z), [n**0.3 for n in IMAGES]),
    "logit_adjustment": softmax_of(lambda c, z: z - 0.5 * math.log(IMAGES[c] / 1055)),
    "temperature": softmax_of(lambda c, z: z / [4.0, 2.0, 0.5][c]),
    "fracal": fracal,
    "fracal_sigmoid": fracal_sigmoid,
    "logn": softmax_of(lambda c, z: (z - (MEANS[c] - min(MEANS))) / DEVIATIONS[c]),
}


def rows(count: int = 7) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return 3 * torch.randn(count, C + 1, generator=generator, dtype=torch.float64)


def calibrated(
    calibration: Calibration, logits: Tensor, loss: ClassificationLoss | None = None
) -> Tensor:
    """Scores of logits, which the calibration looks at alone."""
    probabilities = (loss or SoftmaxCrossEntropy(C)).probabilities
    return calibration(logits, probabilities, level(torch.zeros(len(logits), D)))


@pytest.mark.parametrize("name", LOOPS)
def test_scores_are_those_of_a_plain_loop(name):
    expected = torch.tensor([LOOPS[name](row.tolist()) for row in rows()], dtype=torch.float64)
    found = calibrated(CALIBRATIONS[name](), rows())
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)


def near(found: Tensor, expected: list) -> None:
    torch.testing.assert_close(found.double(), torch.tensor(expected).double(), rtol=0, atol=2e-6)


@pytest.fixture(scope="module")
def vectors(shared):
    return json.loads((shared / "methods_vectors.json").read_text())


def test_worked_numbers(vectors):
    logits = torch.tensor(vectors["_inputs"]["Z"], dtype=torch.float64)
    near(calibrated(CALIBRATIONS["norcal"](), logits), vectors["NorCal"]["act"])
    near(calibrated(CALIBRATIONS["fracal"](), logits), vectors["FRACAL"]["act"])
    near(calibrated(CALIBRATIONS["logn"](), logits), vectors["LogN"]["act"])
    without_spread = FRACAL(C, statistics(), base=10.0, strength=0.0)
    near(without_spread.shifts, vectors["FRACAL"]["w"])
    near(calibrated(without_spread, logits), vectors["FRACAL"]["p_after_C"])


def test_worked_numbers_of_losses_without_background(vectors):
    logits = torch.tensor(vectors["_inputs"]["Z"], dtype=torch.float64)[:, :C]
    sigmoid = calibrated(CALIBRATIONS["fracal_sigmoid"](), logits, BinaryCrossEntropy(C, 0.001))
    near(sigmoid[:, :C], vectors["FRACAL_sigmoid"]["act"])
    adjustment = LogitAdjustment(C, statistics(), tau=1.0, of="instances")
    softmax_alone = adjustment(logits, lambda z: z.softmax(1), level(torch.zeros(4, D)))
    near(softmax_alone, vectors["LA_posthoc"]["prob"])


def fcbl() -> FCBL:
    return FCBL(C, 0.001, ConfusionMatrix(C), alpha=0.85, threshold=0.7)


def test_fracal_of_fcbl_multiplies_its_scores():
    logits, loss = rows(), fcbl()
    scores = calibrated(CALIBRATIONS["fracal_sigmoid"](), logits, loss)
    bare = calibrated(CALIBRATIONS["fracal_sigmoid"](), logits[:, :C], BinaryCrossEntropy(C, 0.001))
    expected = bare[:, :C] * (1 - logits[:, C:].sigmoid())
    torch.testing.assert_close(scores[:, :C], expected)
    assert torch.equal(scores[:, C], loss.probabilities(logits)[:, C])


LOSSES = {
    "softmax": lambda: SoftmaxCrossEntropy(C),
    "fcbl": fcbl,
    "objectness": lambda: BinaryCrossEntropyWithObjectness(C, 0.001),
    "seesaw": lambda: Seesaw(C, mitigation=0.8, compensation=2.0),
    "bce": lambda: BinaryCrossEntropy(C, 0.001),
}
RENORMALISE = {"norcal", "norcal_effective", "fracal"}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("name", CALIBRATIONS)
def test_scores_of_every_loss_are_scores(name, loss):
    head = Classifier(D, LOSSES[loss](), calibration=CALIBRATIONS[name]())
    features = torch.randn(5, D)
    if loss == "bce" and name in RENORMALISE:
        with pytest.raises(OptionError, match="does not score background"):
            single(head).scores([level(features)])
        return
    scores = single(head).scores([level(features)])
    assert scores.shape == (5, C + 1)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert not torch.equal(scores, head.criterion.probabilities(head.predictor(features))) or (
        name == "none"
    )
    assert single(head).scores([level(features[:0])]).shape == (0, C + 1)


@pytest.mark.parametrize("name", CALIBRATIONS)
def test_half_precision_logits_give_scores_in_float32(name):
    logits = rows().half()
    scores = calibrated(CALIBRATIONS[name](), logits)
    assert scores.dtype == torch.float32
    expected = calibrated(CALIBRATIONS[name](), logits.float())
    torch.testing.assert_close(scores, expected, rtol=5e-3, atol=1e-4)


@pytest.mark.parametrize("name", CALIBRATIONS)
def test_it_has_no_part_in_training(name):
    """The head ends bit for bit as without, and a checkpoint has what was gathered alone."""
    heads = [Classifier(D, fcbl(), calibration=each) for each in (None, CALIBRATIONS[name]())]
    before = copy.deepcopy(heads[1].calibration.state_dict())
    step = training_level(torch.randn(8, D), torch.arange(8) % (C + 1))
    for head in heads:
        optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
        head.loss(step).backward()
        optimizer.step()
    assert torch.equal(heads[0].predictor.weight, heads[1].predictor.weight)
    calibration = heads[1].calibration
    assert not list(calibration.parameters())
    assert set(calibration.state_dict()) == (
        {"means", "variances", "_extra_state"} if calibration.gathers else set()
    )
    torch.testing.assert_close(calibration.state_dict(), before, rtol=0, atol=0)
    moved = copy.deepcopy(calibration).to(torch.bfloat16)
    assert all(each.dtype == torch.bfloat16 for each in moved.buffers())


@pytest.mark.parametrize(
    "neutral",
    [
        NorCal(C, statistics(), gamma=0.0),
        EffectiveNorCal(C, statistics(), gamma=0.0),
        ScoreShift(C, statistics(), gamma=0.0),
        LogitAdjustment(C, statistics(), tau=0.0, of="images", background=0.5),
        GroupTemperature(C, statistics(), of="instances", boundaries=[], temperatures=[1.0]),
        TauNorm(C, tau=0.0, bias=True),
        gathered(means=(-1.0,) * C, deviations=(1.0,) * C),
    ],
    ids=lambda calibration: type(calibration).__name__,
)
def test_options_of_no_calibration_change_nothing(neutral):
    head = Classifier(D, SoftmaxCrossEntropy(C), calibration=neutral)
    features = torch.randn(5, D)
    expected = head.predictor(features).softmax(dim=1)
    torch.testing.assert_close(single(head).scores([level(features)]), expected)


def test_logit_adjustment_with_a_share_of_background():
    calibration = LogitAdjustment(C, statistics(), tau=1.0, of="images", background=0.8)
    priors = [*(0.2 * n / 1055 for n in IMAGES), 0.8]
    shifts = torch.tensor(priors, dtype=torch.float64).log()
    torch.testing.assert_close(calibrated(calibration, rows()), (rows() - shifts).softmax(1))
    with pytest.raises(OptionError, match=r"background=0\.8: this loss has 5 logits for 3"):
        calibrated(calibration, torch.zeros(2, C + 2), LOSSES["seesaw"]())


def test_categories_without_objects_count_as_seen_once():
    absent = statistics(image_counts=torch.tensor([0, 1, 7]))
    calibration = NorCal(C, absent, gamma=0.5)
    torch.testing.assert_close(calibration.factors, torch.tensor([1, 1, 7**-0.5]))


@pytest.mark.parametrize(("of", "expected"), [("images", [3, 2, 1]), ("instances", [3, 2, 2])])
def test_groups_have_at_most_their_boundary(of, expected):
    calibration = GroupTemperature(C, statistics(), of, [5, 80], [1.0, 2.0, 3.0])
    assert calibration.temperature.tolist() == expected


def test_one_temperature_for_each_group():
    with pytest.raises(OptionError, match=r"temperatures=\[1\.0\]: expected 2, one for each"):
        GroupTemperature(C, statistics(), "images", [10], [1.0])


def test_statistics_of_other_categories_and_earlier_versions_are_refused():
    with pytest.raises(ValueError, match=r"image_counts has shape \(3,\), expected \(4,\)"):
        NorCal(4, statistics(), gamma=1.0)
    with pytest.raises(OptionError, match=r"FRACAL reads statistics\.fractal_dimensions"):
        FRACAL(C, statistics(fractal_dimensions=None), base=10.0, strength=2.0)


def test_it_goes_by_the_statistics_it_was_given_last():
    calibration = NorCal(C, CategoryStatistics.unknown(["0", "1", "2"]), gamma=0.6)
    assert calibration.factors.tolist() == [1.0] * C
    calibration.take(statistics())
    torch.testing.assert_close(
        calibrated(calibration, rows()), calibrated(CALIBRATIONS["norcal"](), rows())
    )


@pytest.mark.parametrize("name", CALIBRATIONS)
def test_it_can_be_built_without_numbers(name):
    """As configurations are tried before data are opened."""
    with torch.device("meta"):
        assert all(buffer.is_meta for buffer in configured(name, "unknown").buffers())


@pytest.mark.parametrize("bias", [True, False])
def test_tau_norm_divides_the_weights_of_foreground(bias):
    head = Classifier(D, SoftmaxCrossEntropy(C), calibration=TauNorm(C, tau=0.7, bias=bias))
    nn.init.normal_(head.predictor.weight)
    nn.init.normal_(head.predictor.bias)
    weight, offset = head.predictor.weight.tolist(), head.predictor.bias.tolist()
    features = torch.randn(5, D)
    logits = torch.zeros(5, C + 1)
    for r, feature in enumerate(features.tolist()):
        for k in range(C + 1):
            length = sum(w * w for w in weight[k]) ** 0.5
            scale = length**-0.7 if k < C else 1.0
            product = sum(scale * w * x for w, x in zip(weight[k], feature, strict=True))
            logits[r, k] = product + (offset[k] if bias or k == C else 0.0)
    torch.testing.assert_close(single(head).scores([level(features)]), logits.softmax(dim=1))


def test_tau_norm_of_a_cascade_divides_each_levels_own_weights():
    calibrations = [TauNorm(C, tau=1.0, bias=True) for _ in range(2)]
    levels = {
        f"level{n}": Classifier(D, SoftmaxCrossEntropy(C), calibration=each, seed=n)
        for n, each in enumerate(calibrations)
    }
    features = torch.randn(5, D)
    logits = []
    for classifier in levels.values():
        divided_layer = copy.deepcopy(classifier.predictor)
        for row in divided_layer.weight.data[:C]:
            row /= row.norm()
        logits.append(divided_layer(features))
    expected = torch.stack(logits).mean(0).softmax(1)
    scores = Head(levels, dict.fromkeys(levels, 1.0)).scores([level(features)] * 2)
    torch.testing.assert_close(scores, expected)


def test_tau_norm_of_another_classifier_is_refused():
    calibration = TauNorm(C, tau=1.0, bias=True)
    head = Classifier(
        D,
        SoftmaxCrossEntropy(C),
        predictor=lambda d, k: NormalisedLinear(d, k, 20.0),
        calibration=calibration,
    )
    with pytest.raises(OptionError, match="this classifier is a NormalisedLinear"):
        single(head).scores([level(torch.randn(2, D))])
    without_bias = nn.Linear(D, C + 1, bias=False)
    assert calibration.divided(torch.zeros(2, C + 1), without_bias).shape == (2, C + 1)


def training_rows() -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(n, C + 1, generator=generator) * 2 - 4 for n in (9, 5, 12)]


@pytest.mark.parametrize("momentum", [0.1, None])
def test_logn_runs_as_a_batch_norm_does(momentum):
    norm = nn.BatchNorm1d(C, momentum=momentum, affine=False, dtype=torch.float64)
    calibration = LogN(C, momentum)
    for logits in training_rows():
        norm(logits[:, :C].double())
        calibration.observe(logits, torch.zeros(len(logits), dtype=torch.int64))
        calibration.observe(logits[:0], torch.zeros(0, dtype=torch.int64))
    torch.testing.assert_close(calibration.means, norm.running_mean)
    torch.testing.assert_close(calibration.variances, norm.running_var)
    resumed = LogN(C, momentum)
    resumed.load_state_dict(calibration.state_dict())
    assert torch.equal(calibrated(resumed, rows()), calibrated(calibration, rows()))


def test_logn_gathers_before_it_calibrates():
    calibration = LogN(C, momentum=None)
    head = single(Classifier(D, fcbl(), calibration=calibration)).eval()
    features = torch.randn(8, D)
    with pytest.raises(OptionError, match="LogN has gathered no statistics"):
        head.scores([level(features)])
    before = {k: v for k, v in copy.deepcopy(head.state_dict()).items() if "calibration" not in k}
    assert head.calibration.gathers
    head.gather([training_level(features, torch.arange(8) % (C + 1))])
    after = {k: v for k, v in head.state_dict().items() if "calibration" not in k}
    torch.testing.assert_close(after, before, rtol=0, atol=0)
    logits = head.classifiers[0].predictor(features).double()
    torch.testing.assert_close(calibration.means, logits[:, :C].mean(0).detach())
    assert not calibration.means.requires_grad
    assert head.scores([level(features)]).isfinite().all()


def test_logn_of_two_processes_is_that_of_one_with_all_rows(two_processes):
    def run(rank: int) -> dict:
        calibration = LogN(C, momentum=0.3)
        for number, logits in enumerate(training_rows()):
            share = logits[:4] if rank == 0 else logits[4:]
            if number == 1:
                share = logits if rank == 0 else logits[:0]
            calibration.observe(share, torch.zeros(len(share), dtype=torch.int64))
        return calibration.state_dict()

    alone = LogN(C, momentum=0.3)
    for logits in training_rows():
        alone.observe(logits, torch.zeros(len(logits), dtype=torch.int64))
    for state in two_processes(run):
        torch.testing.assert_close(state, alone.state_dict())


def configured(name: str, statistics_from: str, annotations: str = "none.json") -> Calibration:
    given = [f"+data.num_classes={C}", f"+data.train.annotations={annotations}"]
    with initialize_config_dir(str(CONF), version_base=None):
        node = compose(f"calibration/{name}", overrides=given).calibration
    if "statistics" in node and statistics_from == "unknown":
        node.statistics = unknown_counts(["0", "1", "2"])
    return instantiate(node, _convert_="all")


@pytest.fixture(scope="module")
def annotations(tmp_path_factory) -> str:
    """Category i in i + 1 images, twice in each."""
    images = [{"id": i, "width": 90, "height": 90, "file_name": f"{i}.jpg"} for i in range(4)]
    pairs = [(image, c) for c in range(C) for image in range(c + 1) for _ in range(2)]
    objects = [
        {"id": n, "image_id": i, "category_id": c, "bbox": [1 + n, 1, 20, 20], "area": 400}
        for n, (i, c) in enumerate(pairs, start=1)
    ]
    categories = [{"id": c, "name": f"c{c}"} for c in range(C)]
    path = tmp_path_factory.mktemp("counts") / "train.json"
    content = {"images": images, "annotations": objects, "categories": categories}
    path.write_text(json.dumps(content), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", CALIBRATIONS)
def test_configured(name, annotations):
    calibration = configured(name, "file", annotations)
    assert type(calibration) is type(CALIBRATIONS[name]())
    calibration.observe(training_rows()[0], torch.zeros(9, dtype=torch.int64))
    assert calibrated(calibration, rows()).shape == (7, C + 1)


def test_configured_values(annotations):
    norcal = configured("norcal", "file", annotations)
    torch.testing.assert_close(norcal.factors, torch.tensor([1.0, 2.0, 3.0]).pow(-0.6))
    adjustment = configured("logit_adjustment", "file", annotations)
    torch.testing.assert_close(adjustment.shifts, -torch.tensor([1, 2, 3]).div(6).log())
    both = (
        configured("fracal", "file", annotations),
        configured("fracal_sigmoid", "file", annotations),
    )
    assert {(each.base, each.strength) for each in both} == {(10.0, 2.0)}
    assert configured("logn", "file").momentum == 5e-5
    assert (configured("tau_norm", "file").tau, configured("tau_norm", "file").bias) == (1.0, True)


@pytest.mark.parametrize("name", sorted(set(CALIBRATIONS) - {"tau_norm"}))
def test_classes_with_several_logits_are_calibrated_by_their_scores_alone(name):
    """What changes the logits would change those of one of SimCal's two classifiers."""
    loss = SimCal(C, few=100, statistics=statistics(), seed=0)
    head = single(SecondClassifier(D, loss, D, side=1, layers=1))
    of_scores = name in ("none", "norcal", "norcal_effective", "shift")
    if of_scores:
        try_calibration(head, CALIBRATIONS[name](), D)
        return
    with pytest.raises(OptionError, match="changes one logit of each class, but SimCal scores by"):
        try_calibration(head, CALIBRATIONS[name](), D)


@pytest.mark.parametrize("name", ["tau_norm", "logn"])
def test_they_are_refused_before_anything_is_gathered_and_within_another_loss(name):
    loss = SimCal(C, few=100, statistics=statistics(), seed=0)
    calibration = LogN(C, momentum=None) if name == "logn" else CALIBRATIONS[name]()
    for each in (loss, ROG(loss, weight=0.1, gamma=1.0, delta=0.5)):
        with pytest.raises(OptionError, match="scores by several"):
            calibration.require_logits(each)
    calibration.require_logits(SoftmaxCrossEntropy(C))
