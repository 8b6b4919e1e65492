"""What a training takes of its device's memory is told, and what will not fit is ended early."""

import logging
import mmap
import weakref

import pytest
import torch

from bacl.assembly.data import open_data
from bacl.callbacks import memory_watch
from bacl.callbacks.memory_watch import MEASURED, WARM_UP, MemoryWatch
from bacl.callbacks.roi_memory import RoIMemory
from bacl.callbacks.smaller_batch import TooLargeError
from bacl.callbacks.step_memory import StepMemory
from bacl.detectors.roi_pooling import RoIPooling
from bacl.jobs import fit as fit_job
from bacl.processes import control_groups
from bacl.runs.timed_steps import time_steps
from bacl.speed import device_memory
from bacl.speed.device_memory import GIB, CudaMemory, ProcessMemory, memory_of


class Device:
    """A stand-in: so many GiB, of which weights take one and a step's peak `peak`."""

    name = "cuda:0"

    def __init__(self, limit, peak):
        self._limit, self._peak, self.starts = limit, peak, 0

    def start(self):
        self.starts += 1
        return 1 * GIB

    def taken(self):
        return 1 * GIB

    def peak(self):
        return int(self._peak * GIB)

    def limit(self):
        return self._limit * GIB


@pytest.fixture
def device(monkeypatch):
    """Of the limit and the peak."""

    def given(limit, peak):
        made = Device(limit, peak)
        monkeypatch.setattr(memory_watch, "memory_of", lambda device: made)
        return made

    return given


def found(limit, peak, largest, of_images=0, of_rois=0):
    sizes = (each * GIB for each in (2, peak, limit))
    more = (each * GIB for each in (of_images, of_rois))
    return StepMemory(*sizes, (8, 800, 1000), largest, *more)


def test_what_a_step_takes_grows_with_its_pixels():
    step = found(40, 22, (8, 1200, 1000))  # 20 GiB beyond the base, times 1.5
    assert step.growth == 1.5
    assert step.expected == 32 * GIB
    assert step.fitting == 10  # 38 GiB of 30 / 8 each
    assert step.told("cuda:0") == (
        "22.0 GiB on cuda:0, measured with 8 images of 800 x 1000 pixels; about 32.0 with "
        "1200 x 1000 pixels, the largest that the data can give (estimated); there are 40.0"
    )


@pytest.mark.parametrize(
    ("of_images", "of_rois", "expected"),
    [
        (10, 4, 2 + 1.5 * (20 - 4) + 4),  # the peak is with the RoIs
        (20, 4, 2 + 1.5 * 20),  # it is where there are no RoIs yet, as of a frozen extractor
        (0, 20, 2 + 20),
        (0, 30, 2 + 20),  # what was freed in between counts once
    ],
)
def test_what_rois_give_does_not_grow_with_pixels(of_images, of_rois, expected):
    step = found(40, 22, (8, 1200, 1000), of_images, of_rois)
    assert step.expected == expected * GIB
    assert step.fitting == int(38 / ((expected - 2) / 8))


def test_all_that_a_step_takes_grows_with_its_images():
    step = found(40, 10, (24, 1200, 1000), 2, 4)  # (1.5 · 4 + 4) / 8 each
    assert step.expected == (2 + 24 * 1.25) * GIB
    assert step.fitting == 30
    assert "; about 32.0 with 24 images of 1200 x 1000 pixels, the largest" in step.told("cuda:0")
    one = found(40, 10, (1, 800, 1000))
    assert "about 3.0 with 1 image of 800 x 1000 pixels" in one.told("cuda:0")


def test_rois_are_measured_from_the_first_pooling_to_the_losses():
    class Readings:
        """What is taken: when RoIs are first pooled, and at the losses; and the peak then."""

        def __init__(self):
            self.left = [7, 12]

        def taken(self):
            return self.left.pop(0)

        def peak(self):
            return 9

    pooling = RoIPooling(2, [4], 8, 1, True)
    levels, rois = [torch.zeros(1, 3, 8, 8)], torch.tensor([[0.0, 0, 0, 8, 8]])
    measured = RoIMemory(torch.nn.Sequential(pooling), Readings(), 4)
    for _ in range(2):  # as a cascade does, and a mask branch
        pooling(levels, rois)
    measured.losses_are_there()
    pooling(levels, rois)  # of the next step
    measured.losses_are_there()
    assert (measured.of_images, measured.of_rois) == (5, 5)
    assert not pooling._forward_pre_hooks


def test_a_step_without_rois_takes_nothing_for_them():
    measured = RoIMemory(torch.nn.Linear(1, 1), None, 4)
    measured.losses_are_there()
    assert (measured.of_images, measured.of_rois) == (0, 0)


def test_a_canvas_is_measured_and_not_estimated():
    for largest in ((8, 800, 1000), None):
        step = found(40, 22, largest)
        assert step.expected == step.peak
        assert "estimated" not in step.told("cuda:0")


def test_a_larger_shape_seen_than_known_of_counts():
    assert found(40, 22, (8, 100, 100)).expected == 22 * GIB


def test_a_run_that_will_not_fit_ends_with_the_batch_that_will(tiny, tmp_path, device):
    device(limit=4, peak=9)  # 2 GiB an image: one fits
    with pytest.raises(TooLargeError, match=r"will not fit.*9\.0 GiB on cuda:0, measured") as told:
        fit_job.run(tiny(), tmp_path)
    assert "datamodule.batch_size=1 trainer.accumulate_grad_batches=4, which" in str(told.value)


def test_steps_that_are_timed_name_the_batch_of_all_processes(tiny, device):
    device(limit=4, peak=9)
    config = tiny("trainer.devices=2", "datamodule.batch_size=4", "data.num_classes=12")
    open_data(config)
    with pytest.raises(TooLargeError, match=r"batch_size=2 trainer.accumulate_grad_batches=2, "):
        time_steps(config, "representation", 2)


def test_a_batch_far_too_large_is_refused_before_it_is_tried(tiny, device, monkeypatch):
    """With an image a step takes 2 GiB; with four, that would be 8, it is never asked."""
    device(limit=6, peak=3)
    config, batches = tiny("data.num_classes=12", "trainer.accumulate_grad_batches=2"), []
    open_data(config)
    seen = MemoryWatch.on_train_batch_end

    def noted(watch, trainer, stage, outputs, batch, index):
        batches.append(len(batch.images))
        seen(watch, trainer, stage, outputs, batch, index)

    monkeypatch.setattr(MemoryWatch, "on_train_batch_end", noted)
    with pytest.raises(TooLargeError, match=r"about 9\.0 with 4 images of .*") as told:
        time_steps(config, "representation", 2)
    assert "datamodule.batch_size=2 trainer.accumulate_grad_batches=4, which" in str(told.value)
    assert "3.0 GiB on cuda:0, measured with 1 image of" in str(told.value)
    assert set(batches) == {1}


def test_the_trial_of_an_image_leaves_nothing_to_the_steps_that_are_timed(tiny, monkeypatch):
    config, stages = tiny("data.num_classes=12"), []
    open_data(config)
    begin = MemoryWatch.on_train_start

    def noted(watch, trainer, stage):
        begin(watch, trainer, stage)
        assert not any(earlier() for earlier in stages)
        stages.append(weakref.ref(stage))

    monkeypatch.setattr(MemoryWatch, "on_train_start", noted)
    time_steps(config, "representation", 2)
    assert len(stages) == 2


def test_a_run_that_may_not_fit_is_warned_of(tiny, tmp_path, device, caplog):
    device(limit=9, peak=9)
    with caplog.at_level(logging.WARNING):
        fit_job.run(tiny(), tmp_path)
    (line,) = {r.getMessage() for r in caplog.records if "may not fit" in r.getMessage()}
    assert "datamodule.batch_size=2" in line


def test_what_will_not_fit_goes_on_where_that_is_asked_for(tiny, tmp_path, device, caplog):
    device(limit=5, peak=9)
    with caplog.at_level(logging.WARNING):
        fit_job.run(tiny("check_memory=false"), tmp_path)
    assert any("may not fit" in record.getMessage() for record in caplog.records)


def test_a_training_without_such_memory_says_nothing(fit, monkeypatch, caplog):
    monkeypatch.setattr(memory_watch, "memory_of", lambda device: None)
    watch = MemoryWatch()
    with caplog.at_level(logging.INFO):
        fit(watch, batches=8)
    assert watch.found is None
    assert "memory" not in caplog.text


def test_memory_is_measured_once_after_the_warm_up(fit, device, caplog):
    made, watch = device(limit=40, peak=9), MemoryWatch()
    with caplog.at_level(logging.INFO):
        fit(watch, batches=WARM_UP + MEASURED + 2, epochs=2)
    assert made.starts == 1
    assert [r.getMessage()[:16] for r in caplog.records if "memory:" in r.getMessage()] == [
        "memory: 9.0 GiB "
    ]


def test_it_is_measured_with_what_the_optimiser_keeps(fit, device):
    """Which is there after a step of it, of several batches."""
    made, at = device(limit=40, peak=9), []

    class Count(MemoryWatch):
        batches_seen = 0

        def on_train_batch_end(self, *given):
            super().on_train_batch_end(*given)
            self.batches_seen += 1

    watch = Count()
    made.start = lambda: at.append(watch.batches_seen) or GIB
    fit(watch, batches=8, epochs=1, accumulate_grad_batches=4)
    assert at == [4]
    assert watch.found is not None


TOLD = memory_of(torch.device("cpu")) is not None


def fresh_memory(size):
    """Pages of the system itself, all touched: a tensor may get what the process holds freed."""
    pages = mmap.mmap(-1, size)
    torch.frombuffer(pages, dtype=torch.uint8).fill_(1)
    return pages


@pytest.mark.skipif(not TOLD, reason="the system does not tell")
@pytest.mark.parametrize("anew", [True, False])
def test_what_was_taken_before_is_no_peak_of_the_steps(monkeypatch, tmp_path, anew):
    """As by an earlier stage of the same process: a training that fits would be refused."""
    if not anew:
        monkeypatch.setattr(device_memory, "_CLEAR", tmp_path)  # cannot be written to
    memory = ProcessMemory()
    fresh_memory(256 << 20).close()
    base = memory.start()
    assert memory.peak() - base < 128 << 20
    more = fresh_memory(96 << 20)
    assert memory.peak() - base > 64 << 20
    more.close()


@pytest.mark.skipif(not TOLD, reason="the system does not tell")
def test_what_was_freed_and_kept_for_later_is_taken_again():
    """Of blocks of this size the C library gives none back by itself while one above is in use."""
    blocks = [torch.ones(1 << 14) for _ in range(1 << 11)]  # 128 MiB
    above = blocks[-1].clone()
    del blocks
    memory = ProcessMemory()
    base = memory.start()
    blocks = [torch.ones(1 << 14) for _ in range(1 << 11)]
    assert memory.peak() - base > 96 << 20
    assert len(blocks) == 1 << 11
    assert above.sum() == 1 << 14


@pytest.mark.skipif(not TOLD, reason="the system does not tell")
def test_the_memory_of_this_process():
    memory = ProcessMemory()
    before = memory.start()
    block = fresh_memory(64 << 20)
    assert memory.start() - before > 48 << 20
    assert memory.limit() > memory.peak() >= memory.start() - (1 << 20) > len(block)
    block.close()


def test_devices_by_their_kind():
    assert isinstance(memory_of(torch.device("cuda", 0)), CudaMemory)
    assert memory_of(torch.device("meta")) is None


@pytest.mark.skipif(not TOLD, reason="the system does not tell")
@pytest.mark.parametrize(
    ("membership", "file"),
    [("0::/job", "job/memory.max"), ("3:memory:/job\n0::/", "memory/job/memory.limit_in_bytes")],
)
def test_a_container_limits_the_memory(tmp_path, monkeypatch, membership, file):
    monkeypatch.setattr(control_groups, "GROUPS", tmp_path)
    monkeypatch.setattr(control_groups, "MEMBERSHIP", tmp_path / "membership")
    (tmp_path / "membership").write_text(f"5:cpu:/job\n{membership}\n")
    whole = ProcessMemory().limit()
    (tmp_path / file).parent.mkdir(parents=True)
    for text, expected in (("max", whole), (str(3 * GIB), 3 * GIB), (str(1 << 62), whole)):
        (tmp_path / file).write_text(f"{text}\n")
        assert ProcessMemory().limit() == expected
