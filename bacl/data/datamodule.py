"""Training and validation data for Lightning, resumable at any batch."""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Interval
from lightning.pytorch import LightningDataModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch.utils.data import DataLoader

from bacl.data.annotations.table import AnnotationTable
from bacl.data.augmentation.transforms import Augmentation
from bacl.data.categories import check_categories
from bacl.data.dataset import DetectionDataset
from bacl.data.images.picture_file import MAX_PIXELS, Reading
from bacl.data.loading import batch_loader
from bacl.data.samplers import EvaluationBatches, RandomBatches
from bacl.data.selection import MIN_SIDE, Choice
from bacl.data.split_messages import listed_names, require_named, tell_pictures, tell_splits
from bacl.data.statistics import CategoryStatistics
from bacl.options.marks import Free, OfModel, Samples
from bacl.options.ranges import Count, Pixels, Seed, Text
from bacl.processes.cores import usable_cores
from bacl.processes.distributed import num_processes, process_rank


class DetectionDataModule(LightningDataModule):
    """Loaders over a training and a validation set in COCO or LVIS format.

    A checkpoint holds the epoch and the number of batches trained on; a resumed run goes on with
    the very next batch, whatever its number of workers or processes.

    Args:
        train: `annotations` (a json file) and `images` (a folder, or several).
        val: the same, for validation. May have fewer categories, not others.
        augment: what happens to the samples.
        sampler: builds the training batches, called with `dataset`, `batch_size`, `seed`,
            `num_processes` and `process`: a `RandomBatches` or one of its kind, partially applied.
        batch_size: training images per step over all processes.
        val_batch_size: images per batch of one process in validation.
        num_workers: processes that load data, for each training process; 0 loads in the training
            process itself. Those of validation end with it. There are no more than cores.
        seed: of the order of the images and of their augmentation.
        load_masks: give masks with the training targets, for a detector that learns them. They
            cost time; validation compares with the annotations and needs none.
        pin_memory: load into pinned memory, for faster copies to a GPU; nothing without CUDA.
        multiprocessing_context: how workers start ("fork", "spawn", "forkserver"); None takes the
            platform's way.
        min_side: images with a shorter side, in pixels, are not trained on.
        negatives: train on images without any annotation too.
        leave_out: pictures to do without, in training and validation: their file names as in the
            annotation file, or a text file with one on each line. A run may go on with others:
            those of the training keep their places, where other pictures are drawn for them.
        orientation: "upright" or "stored": which picture is meant where a file has an EXIF
            orientation and the annotated size fits both.
        max_pixels: larger pictures are refused.
        outside_links: follow links that lead out of the image folders.
        check_pictures: look at the headers of all pictures before the first step.
    """

    def __init__(
        self,
        train: Mapping[str, Any],
        val: Mapping[str, Any],
        augment: Augmentation,
        sampler: Callable[..., RandomBatches],
        batch_size: Samples[Count],
        val_batch_size: Free[OfModel[Count]],
        num_workers: Free[Annotated[int, Interval(ge=0, le=4096)]],
        seed: Seed,
        load_masks: OfModel[bool] = False,
        pin_memory: Free[bool] = False,
        multiprocessing_context: Literal["fork", "spawn", "forkserver"] | None = None,
        min_side: Samples[Pixels] = MIN_SIDE,
        negatives: Samples[bool] = False,
        leave_out: Free[Text | Sequence[Text] | None] = None,
        orientation: OfModel[Literal["upright", "stored"]] = "upright",
        max_pixels: Free[Annotated[int, Interval(ge=1, le=10**10)]] = MAX_PIXELS,
        outside_links: Free[bool] = False,
        check_pictures: Free[bool] = True,
    ) -> None:
        super().__init__()
        self.train, self.val = train, val
        self.augment = augment
        self.sampler = sampler
        self.batch_size = batch_size
        self.val_batch_size = val_batch_size
        self.num_workers = min(num_workers, usable_cores())
        self.seed = seed
        self.load_masks = load_masks
        self.choice = Choice(min_side, negatives, listed_names(leave_out))
        self.check_pictures = check_pictures
        self._dataset = partial(
            DetectionDataset,
            choice=self.choice,
            reading=Reading(orientation, max_pixels),
            outside_links=outside_links,
        )
        self.loader = partial(
            batch_loader,
            num_workers=self.num_workers,
            pin_memory=pin_memory,
            multiprocessing_context=multiprocessing_context,
        )
        self._batches: RandomBatches | None = None
        self._resumed: Mapping[str, int] | None = None

    @cached_property
    def train_table(self) -> AnnotationTable:
        """Annotations to train on."""
        return AnnotationTable.open(self.train["annotations"])

    @cached_property
    def val_table(self) -> AnnotationTable:
        """Annotations to evaluate on, with the labels and groups of the training annotations."""
        return check_categories(self.train_table, AnnotationTable.open(self.val["annotations"]))

    @cached_property
    def statistics(self) -> CategoryStatistics:
        """Category counts of the training annotations."""
        return CategoryStatistics.of(self.train_table)

    @cached_property
    def train_set(self) -> DetectionDataset:
        """Images to train on."""
        return self._dataset(
            self.train_table, self.train["images"], self.augment.train, load_masks=self.load_masks
        )

    @cached_property
    def val_set(self) -> DetectionDataset:
        """Images to evaluate on."""
        return self._dataset(self.val_table, self.val["images"], self.augment.test, keep_empty=True)

    def prepare_data(self) -> None:
        """Build the annotation tables, once per machine."""
        _ = self.val_table

    def setup(self, stage: str) -> None:
        """Tell what is trained on, and look at the pictures; every process must call it.

        Raises:
            PictureError: names all pictures that cannot be used.
            OptionError: `leave_out` names what is no picture of these data.
        """
        splits = [self.train_set, self.val_set] if stage == "fit" else [self.val_set]
        require_named(self.choice.leave_out, [self.train_table, self.val_table])
        tell_splits(splits, self.load_masks)
        if self.check_pictures:
            for split in splits:
                tell_pictures(split)

    def train_dataloader(self) -> DataLoader:
        """This process' share of the training `Batch`es, from where a resumed checkpoint ended."""
        self._batches = self._training_batches(num_processes(), process_rank())
        if self._resumed is not None:
            self._batches.go_on(self._resumed)
            self._resumed = None
        return self.load(self.train_set, self._batches, persistent=self.num_workers > 0)

    def observed_dataloader(self) -> DataLoader:
        """This process' share of an epoch of training `Batch`es, to look at beside any training."""
        batches = self._training_batches(num_processes(), process_rank())
        return self.load(self.train_set, batches)

    def val_dataloader(self) -> DataLoader:
        """This process' share of the validation images."""
        share = EvaluationBatches(
            self.val_set, self.val_batch_size, num_processes(), process_rank()
        )
        return self.load(self.val_set, share)

    def object_dataloader(self) -> DataLoader:
        """This process' share of the images with objects that are trained on, each once and alone.

        They are transformed as in an evaluation, so nothing is drawn.
        """
        folders, transform = self.train["images"], self.augment.test
        images = self._dataset(self.train_table, folders, transform, keep_empty=True)
        chosen = np.isin(images.records, images.selection.with_objects)
        own = np.flatnonzero(chosen)[process_rank() :: num_processes()]
        return self.load(images, [[index] for index in own.tolist()])

    def load(
        self, images: DetectionDataset, batches: Iterable[list[Any]], persistent: bool = False
    ) -> DataLoader:
        """A loader of the `Batch`es of some of the module's images.

        Args:
            images: indexed by the batches.
            batches: of indices, or of (index, key).
            persistent: keep the workers after the last batch.
        """
        return self.loader(images, batches, persistent=persistent)

    def check(self, processes: int) -> None:
        """Refuse, before any of them starts, what so many processes cannot share.

        Raises:
            OptionError: the batch is no multiple of them, or larger than the training set.
        """
        self._training_batches(processes, 0)

    def _training_batches(self, processes: int, process: int) -> RandomBatches:
        return self.sampler(
            dataset=self.train_set,
            batch_size=self.batch_size,
            seed=self.seed,
            num_processes=processes,
            process=process,
        )

    def place(self, epoch: int, batch: int) -> dict[str, int]:
        """What `load_state_dict` takes, after so many batches of an epoch.

        Who saves a checkpoint puts it there (`bacl.callbacks.last_checkpoint`): it has to agree
        with the trainer's counters. With them goes a checksum of the epoch's batches.

        After all of them no batch is left in it, also where the trainer limits an epoch to fewer
        than there are.
        """
        assert self._batches is not None
        if self.trainer is not None and batch >= self.trainer.num_training_batches:
            batch = len(self._batches)
        checksum = self._batches.fingerprint() if batch else 0
        return {"epoch": epoch, "batch": batch, "checksum": checksum}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Let the next training begin where the checkpoint ended."""
        if state_dict and self.trainer is not None and self.trainer.state.fn == TrainerFn.FITTING:
            self._resumed = state_dict
            # Lightning cannot know that our loaders are.
            warnings.filterwarnings("ignore", message=".*your dataloader is not resumable")


def data_of(trainer: Trainer) -> DetectionDataModule:
    """What a trainer was given to train or to judge on, once it was."""
    return trainer.datamodule  # type: ignore[attr-defined]
