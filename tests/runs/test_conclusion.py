"""What of an evaluation is shown, by loggers that can."""

import pytest
from lightning.pytorch.loggers import Logger

from bacl.heads import Classifier
from bacl.loggers.exhibits import BoxedPictures, Figure, Showcase, Table
from bacl.loggers.spared_logger import SparedLogger
from bacl.losses.bce import BinaryCrossEntropy
from bacl.runs import conclusion
from bacl.runs.conclusion import Conclusion
from tests.levels import single
from tests.reporting.html.made import REPORT, made_data, made_source

HEADS = {"baseline": 0.5, "bacl": 0.9}
CATEGORIES = 12


class Shown(Logger, Showcase):
    """Keeps what it is given; from some call on it fails."""

    name, version = "shown", 0

    def __init__(self, fails: bool = False) -> None:
        super().__init__()
        self.fails, self.exhibits, self.steps = fails, {}, set()

    def show(self, exhibits, step):
        if self.fails:
            raise ConnectionError("the server is gone")
        self.exhibits |= exhibits
        self.steps.add(step)

    def log_hyperparams(self, params):
        pass

    def log_metrics(self, metrics, step=None):
        pass


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("concluded")
    paths = made_data(folder / "data", CATEGORIES, train=12, val=6)
    return made_source(folder / "run", paths, HEADS)


@pytest.fixture
def conclude(source, tmp_path, monkeypatch):
    heads = {name: single(Classifier(4, BinaryCrossEntropy(CATEGORIES, 0.001))) for name in HEADS}
    report = REPORT | {"save_detections": False, "errors": True, "label_errors": 5}
    monkeypatch.setattr(conclusion, "draw", lambda *_: [tmp_path / "one.png"])  # takes seconds

    def write(logger):
        loggers = [SparedLogger(logger)]
        Conclusion(tmp_path, source.evaluations, heads, source.data, report, loggers, 7).write()

    return write


def test_a_showcase_has_pictures_boxes_and_tables_at_the_step(conclude):
    logger = Shown()
    conclude(logger)
    kinds = {key: type(exhibit) for key, exhibit in logger.exhibits.items()}
    assert kinds["examples/detections"] is BoxedPictures
    assert kinds["tables/categories"] is kinds["tables/confused_pairs"] is Table
    assert kinds["figures/one"] is Figure
    assert len(logger.exhibits["examples/detections"].pictures) == REPORT["images"]
    assert logger.steps == {7}


def test_results_are_written_whoever_fails_to_show_them(conclude, tmp_path, caplog):
    conclude(Shown(fails=True))
    assert (tmp_path / "results.json").exists()
    assert sum("nothing more is logged to" in each.getMessage() for each in caplog.records) == 1
