from functools import partial

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from PIL import Image
from torch import nn
from torchvision.transforms import v2

from bacl.callbacks.last_checkpoint import LastCheckpoint
from bacl.data.augmentation.copy_paste import CopyPaste
from bacl.data.augmentation.instance_bank import InstanceBank
from bacl.data.augmentation.transforms import Augmentation
from bacl.data.datamodule import DetectionDataModule
from bacl.data.samplers import RandomBatches, RepeatFactorBatches
from bacl.messages.errors import OptionError
from bacl.processes.agreement import Agreement

EPOCHS, BATCHES = 3, 5
PLAIN = CopyPaste(64, (0.8, 1.25), 0.5, 99, 2, 5)


@pytest.fixture
def data(ten_pictures):
    """Builds a data module over ten pictures: five batches an epoch."""
    folder = {"annotations": ten_pictures.source, "images": ten_pictures.source.parent}
    augment = Augmentation(train=v2.RandomCrop(40), test=v2.Identity())

    def build(**options):
        unchanged = {
            "augment": augment,
            "sampler": partial(RandomBatches, group_by_aspect_ratio=False),
            "batch_size": 2,
            "val_batch_size": 1,
            "num_workers": 0,
            "seed": 3,
        }
        return DetectionDataModule(folder, folder, **{**unchanged, **options})

    return build


class Seen(LightningModule):
    """Remembers what it was trained on; its weight is a fingerprint of the pixels, in order."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.batches, self.validated = [], []

    def training_step(self, batch, index):
        self.batches.append(
            (self.current_epoch, index, [target.image_id for target in batch.targets])
        )
        return self.weight * batch.images.mean() + self.weight**2

    def validation_step(self, batch, index):
        self.validated += [target.image_id for target in batch.targets]

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


class Killed(Exception):
    pass


class SaveAndDie(Callback):
    """Writes a checkpoint in the given hook after so many batches, then kills the run."""

    def __init__(self, hook, batches, path):
        self.batches, self.path = batches, path
        setattr(self, hook, self.die)

    def die(self, trainer, module, *_):
        if len(module.batches) == self.batches and not trainer.sanity_checking:
            trainer.save_checkpoint(self.path)
            raise Killed


def fit(module, data, *callbacks, checkpoint=None, **options):
    last = LastCheckpoint(data.train["annotations"].parent, Agreement())  # keeps the place, too
    trainer = Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=[last, *callbacks],
        **options,
    )
    trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=checkpoint and True)
    return module


HOOKS = {
    "within an epoch": ("on_train_batch_end", BATCHES + 2),
    "after the first batch": ("on_train_batch_end", 1),
    "at the last batch of an epoch": ("on_train_batch_end", BATCHES),
    "at the end of an epoch": ("on_train_epoch_end", 2 * BATCHES),
    "at the start of a step": ("on_train_batch_start", BATCHES + 2),
    "after a validation": ("on_validation_end", BATCHES),
    "after a validation within an epoch": ("on_validation_end", BATCHES + 3),
}


@pytest.mark.parametrize(("hook", "batches"), HOOKS.values(), ids=HOOKS)
def test_a_killed_run_goes_on_with_the_very_next_batch(data, tmp_path, hook, batches):
    within = {"val_check_interval": 3} if batches == BATCHES + 3 else {}
    straight = fit(Seen(), data(), **within)
    assert len(straight.batches) == EPOCHS * BATCHES
    path = tmp_path / "killed.ckpt"
    first = Seen()
    with pytest.raises(Killed):
        fit(first, data(), SaveAndDie(hook, batches, path), **within)
    resumed = fit(Seen(), data(), checkpoint=path, **within)
    assert first.batches + resumed.batches == straight.batches
    assert torch.equal(resumed.weight, straight.weight)


def test_another_number_of_workers_gives_the_same_run(data, tmp_path):
    straight = fit(Seen(), data())
    path, first = tmp_path / "killed.ckpt", Seen()
    with pytest.raises(Killed):
        fit(first, data(num_workers=2), SaveAndDie("on_train_batch_end", 7, path))
    resumed = fit(Seen(), data(num_workers=1), checkpoint=path)
    assert first.batches + resumed.batches == straight.batches
    assert torch.equal(resumed.weight, straight.weight)


def test_limited_epochs_resume_exactly(data, tmp_path):
    limited = {"limit_train_batches": 3}
    straight = fit(Seen(), data(), **limited)
    path, first = tmp_path / "killed.ckpt", Seen()
    with pytest.raises(Killed):
        fit(first, data(), SaveAndDie("on_train_batch_end", 3, path), **limited)
    resumed = fit(Seen(), data(), checkpoint=path, **limited)
    assert first.batches + resumed.batches == straight.batches


def test_resuming_gives_no_warning(data, tmp_path, recwarn):
    path = tmp_path / "killed.ckpt"
    with pytest.raises(Killed):
        fit(Seen(), data(), SaveAndDie("on_train_batch_end", 7, path))
    fit(Seen(), data(), checkpoint=path)
    assert not [warning for warning in recwarn if "resumable" in str(warning.message)]


@pytest.mark.parametrize("change", [{"seed": 4}, {"batch_size": 5}])
def test_other_batches_cannot_be_resumed_within_an_epoch(data, tmp_path, change):
    path = tmp_path / "killed.ckpt"
    with pytest.raises(Killed):
        fit(Seen(), data(), SaveAndDie("on_train_batch_end", 7, path))
    with pytest.raises(ValueError, match="after batch 2 of epoch 1"):
        fit(Seen(), data(**change), checkpoint=path)


def test_other_batches_can_follow_the_end_of_an_epoch(data, tmp_path):
    path = tmp_path / "killed.ckpt"
    with pytest.raises(Killed):
        fit(Seen(), data(), SaveAndDie("on_train_epoch_start", BATCHES, path))
    resumed = fit(Seen(), data(batch_size=5), checkpoint=path)
    assert len(resumed.batches) == 4


def test_a_checkpoint_that_is_only_tested_does_not_move_the_next_training(data, tmp_path):
    path = tmp_path / "killed.ckpt"
    with pytest.raises(Killed):
        fit(Seen(), data(), SaveAndDie("on_train_batch_end", 7, path))
    module, again = Seen(), data()
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)
    trainer.validate(module, datamodule=again, ckpt_path=path, verbose=False, weights_only=True)
    assert len(module.validated) == 10
    assert fit(Seen(), again).batches == fit(Seen(), data()).batches


def test_repeat_factor_sampling_resumes_exactly(data, tmp_path):
    sampler = partial(RepeatFactorBatches, threshold=0.9, group_by_aspect_ratio=True)
    straight = fit(Seen(), data(sampler=sampler))
    path, first = tmp_path / "killed.ckpt", Seen()
    with pytest.raises(Killed):
        fit(first, data(sampler=sampler), SaveAndDie("on_train_batch_end", 7, path))
    resumed = fit(Seen(), data(sampler=sampler), checkpoint=path)
    assert first.batches + resumed.batches == straight.batches


def test_copy_paste_from_a_bank_resumes_exactly(data, tmp_path):
    (tmp_path / "bank/2").mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(128, 256, (20, 30, 4), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "bank/2/one.png")

    def build():
        bank = InstanceBank(tmp_path / "bank", 5, 0.0, 0.5, 4, 0.5, 0.2)
        paste = CopyPaste(64, (0.8, 1.25), 0.5, 99, 2, 5, source_power=1.0, bank=bank)
        return data(augment=Augmentation(train=paste, test=v2.Identity()))

    straight = fit(Seen(), build())
    path, first = tmp_path / "killed.ckpt", Seen()
    with pytest.raises(Killed):
        fit(first, build(), SaveAndDie("on_train_batch_end", 7, path))
    resumed = fit(Seen(), build(), checkpoint=path)
    assert first.batches + resumed.batches == straight.batches
    assert torch.equal(resumed.weight, straight.weight)
    without = fit(Seen(), data(augment=Augmentation(train=PLAIN, test=v2.Identity())))
    assert not torch.equal(without.weight, straight.weight)


def test_validation_shows_every_image_once(data):
    loader = data(val_batch_size=3).val_dataloader()
    shown = [target.image_id for batch in loader for target in batch.targets]
    assert sorted(shown) == list(range(100, 110))


@pytest.mark.parametrize("workers", [0, 1])
def test_loading_leaves_the_generator_of_the_training_alone(data, workers):
    state = torch.get_rng_state()
    assert len(list(data(num_workers=workers).train_dataloader())) == BATCHES
    assert torch.equal(torch.get_rng_state(), state)


def test_masks_come_on_demand(data):
    with_masks = data(load_masks=True)
    batch = next(iter(with_masks.train_dataloader()))
    assert batch.targets[0].masks.size == batch.images.shape[2:]
    # Validation compares with the annotations.
    assert next(iter(with_masks.val_dataloader())).targets[0].masks is None
    assert next(iter(data().train_dataloader())).targets[0].masks is None


def test_tables_and_statistics(data):
    module = data()
    assert module.val_table.num_images == 10
    assert module.statistics.image_counts.tolist() == [10, 3, 3]


def test_a_validation_file_with_other_categories_is_refused(data, write_set, tmp_path):
    module = data()
    other = write_set(tmp_path / "other", [(40, 40)], {0: [(1, 1, 9, 9, 1)]})
    other.write_text(other.read_text().replace("kind 2", "sort 2"))
    module.val = {"annotations": other, "images": other.parent}
    with pytest.raises(ValueError, match="sort 2"):
        module.prepare_data()


def test_no_process_shares_a_picture_with_another(data, monkeypatch):
    shares = []
    for rank in range(2):
        monkeypatch.setattr("bacl.data.datamodule.num_processes", lambda: 2)
        monkeypatch.setattr("bacl.data.datamodule.process_rank", lambda rank=rank: rank)
        loader = data().train_dataloader()
        shares.append([target.image_id for batch in loader for target in batch.targets])
    assert sorted(shares[0] + shares[1]) == list(range(100, 110))


def test_only_training_keeps_its_workers(data):
    module = data(num_workers=1)
    assert module.train_dataloader().persistent_workers
    assert not module.val_dataloader().persistent_workers


@pytest.mark.parametrize("cuda", [True, False])
def test_memory_is_pinned_for_a_gpu_only(data, monkeypatch, cuda):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    assert data(pin_memory=True).train_dataloader().pin_memory == cuda
    assert not data(pin_memory=False).val_dataloader().pin_memory


@pytest.mark.parametrize(
    ("options", "processes", "message"),
    [({"batch_size": 11}, 1, "are only 10"), ({"batch_size": 4}, 3, "multiple of their number, 3")],
)
def test_batches_that_cannot_be_shared_are_refused(data, options, processes, message):
    data(batch_size=4).check(2)
    with pytest.raises(OptionError, match=message):
        data(**options).check(processes)
