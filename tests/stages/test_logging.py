import pytest
from lightning.pytorch import Callback
from lightning.pytorch.loggers.logger import DummyLogger

from bacl.loggers.measurements import named


class Rows(DummyLogger):
    """What a logger is given to write, by step."""

    def __init__(self):
        super().__init__()
        self.rows = []

    def log_metrics(self, metrics, step=None):
        self.rows.append(metrics)


class Losses(Callback):
    """Every step's losses, and what was logged of them."""

    def __init__(self):
        self.losses, self.logged = [], 0

    def on_train_start(self, trainer, pl_module):
        log = pl_module.log_dict

        def counted(*args, **options):
            self.logged += 1
            log(*args, **options)

        pl_module.log_dict = counted

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.losses.append({k: float(v) for k, v in named(pl_module.step_losses).items()})
        self.shown = trainer.progress_bar_metrics


@pytest.fixture
def logged(bench):
    def fit(*overrides):
        table, losses, rows = bench("classifier", *overrides), Losses(), Rows()
        trainer = table.trainer(losses)
        trainer.loggers = [rows]
        trainer.fit(table.stage, datamodule=table.data)
        return losses, [
            {name: value for name, value in row.items() if name.startswith("train/")}
            for row in rows.rows
        ]

    return fit


@pytest.mark.parametrize(("every", "accumulated"), [(1, 1), (2, 1), (3, 1), (1, 2), (2, 2)])
def test_losses_are_written_once_in_so_many_steps_and_logged_in_no_others(
    logged, every, accumulated
):
    losses, rows = logged(
        f"trainer.log_every_n_steps={every}", f"trainer.accumulate_grad_batches={accumulated}"
    )
    assert len(losses.losses) == 4
    stepped = losses.losses[accumulated - 1 :: accumulated]
    assert rows == stepped[every - 1 :: every]
    assert losses.logged == len(rows) * accumulated


def test_no_loss_is_read_from_the_device_to_be_shown(logged):
    losses, _ = logged("trainer.log_every_n_steps=1")
    assert losses.shown == {}
