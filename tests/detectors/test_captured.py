"""Graphs of the extractor, with a stand-in that computes again where a GPU would replay."""

import copy
import logging
import pickle
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from bacl.detectors import captured
from bacl.detectors.captured import CapturedExtractor

TINY = ("detector.backbone.width=8", "detector.fpn.channels=16", "detector.rpn.channels=16")
FIRST, SECOND, THIRD = (64, 96), (96, 64), (96, 96)


def images(sides, count=1):
    generator = torch.Generator().manual_seed(sum(sides))
    return torch.randn(count, 3, *sides, generator=generator)


def equal(maps, others):
    return all(torch.equal(a, b) for a, b in zip(maps, others, strict=True))


@pytest.fixture
def frozen(build):
    return build("small", *TINY).eval().requires_grad_(False)


def eager(detector, pixels):
    programs, detector.extract = detector.extract, None
    levels = detector.pyramid(pixels)
    detector.extract = programs
    return levels


def test_a_shape_is_recorded_once_and_replayed_with_other_images(replayed, frozen):
    frozen.extract = replayed(2)
    for seed in range(3):
        pixels = images(FIRST) + seed
        assert equal(frozen.pyramid(pixels), eager(frozen, pixels))
    assert frozen.extract.recorded == [(16, 24)]
    assert frozen.extract.replayed == 3


def test_levels_stay_when_other_images_come(replayed, frozen):
    frozen.extract = replayed(1)
    kept = frozen.pyramid(images(FIRST))
    before = [level.clone() for level in kept]
    frozen.pyramid(images(FIRST) + 1)
    assert equal(kept, before)


def test_a_shape_beyond_the_bound_waits_for_the_place_of_the_one_used_longest_ago(replayed, frozen):
    frozen.extract = replayed(2)
    for sides in (FIRST, SECOND, FIRST, THIRD, THIRD):
        assert equal(frozen.pyramid(images(sides)), eager(frozen, images(sides)))
    assert frozen.extract.recorded == [(16, 24), (24, 16)]
    frozen.pyramid(images(THIRD))  # the third time
    frozen.pyramid(images(FIRST))  # is still there
    assert frozen.extract.recorded == [(16, 24), (24, 16), (24, 24)]
    for _ in range(3):
        frozen.pyramid(images(SECOND))  # is not
    assert frozen.extract.recorded[3:] == [(24, 16)]


def test_batches_of_other_sizes_have_programs_of_their_own(replayed, frozen):
    frozen.extract = replayed(4)
    frozen.pyramid(images(FIRST, 2))
    assert equal(frozen.pyramid(images(FIRST, 1)), eager(frozen, images(FIRST, 1)))
    assert len(frozen.extract.recorded) == 2


@pytest.mark.parametrize(
    "write",
    [
        lambda detector: detector.backbone.conv1.weight.mul_(2),
        lambda detector: detector.backbone.bn1.running_mean.add_(1),
        lambda detector: detector.fpn.output[0].bias.add_(1),
        lambda detector: detector.load_state_dict(
            {name: value + 1 for name, value in detector.state_dict().items()}
        ),
        lambda detector: detector.double().float(),
    ],
)
def test_all_is_made_anew_once_a_weight_was_written_or_moved(replayed, frozen, write):
    frozen.extract = replayed(2)
    frozen.pyramid(images(FIRST))
    with torch.no_grad():
        write(frozen)
    assert equal(frozen.pyramid(images(FIRST)), eager(frozen, images(FIRST)))
    assert len(frozen.extract.recorded) == 2
    frozen.pyramid(images(FIRST))
    assert len(frozen.extract.recorded) == 2


def test_weights_that_learn_are_read_in_each_replay(replayed, build):
    detector = build("small", *TINY).eval()
    detector.extract = replayed(1)
    optimiser = torch.optim.SGD(detector.parameters(), 0.1, fused=True)
    with torch.no_grad():
        before = detector.pyramid(images(FIRST))
        for parameter in detector.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimiser.step()  # no version counter tells
        after = detector.pyramid(images(FIRST))
        assert not equal(before, after)
        assert equal(after, eager(detector, images(FIRST)))
    assert detector.extract.replayed == 2
    assert len(detector.extract.recorded) == 1


def test_what_needs_a_gradient_is_not_captured(replayed, build):
    detector = build("small", *TINY).train()
    detector.extract = replayed(1)
    detector.pyramid(images(FIRST))[0].sum().backward()
    assert detector.extract.recorded == []
    assert detector.fpn.output[0].weight.grad is not None


def test_images_that_ask_for_a_gradient_get_it(replayed, frozen):
    frozen.extract = replayed(1)
    pixels = images(FIRST).requires_grad_()
    frozen.pyramid(pixels)[0].sum().backward()
    assert pixels.grad.abs().sum() > 0
    with torch.no_grad():
        frozen.pyramid(pixels)
    assert len(frozen.extract.recorded) == 1


def test_what_was_made_in_an_evaluation_serves_a_training(replayed, frozen):
    frozen.extract = replayed(1)
    with torch.inference_mode():
        frozen.pyramid(images(FIRST))
    level = frozen.pyramid(images(FIRST))[0]
    weight = torch.ones(1, requires_grad=True)
    (level * weight).sum().backward()
    assert len(frozen.extract.recorded) == 1


def test_autocast_computes_in_its_precision_and_casts_no_weight_in_a_replay(replayed, frozen):
    with torch.autocast("cpu", torch.bfloat16):
        without = eager(frozen, images(FIRST))
        frozen.extract = replayed(1)
        assert equal(frozen.pyramid(images(FIRST)), without)
    assert without[0].dtype == torch.bfloat16
    weight = frozen.extract._kept.extractor.backbone.conv1.weight
    assert weight.dtype == torch.bfloat16
    assert frozen.backbone.conv1.weight.dtype == torch.float32


def test_a_capture_that_fails_is_told_once_and_nothing_is_lost(frozen, replayed, caplog):
    class failing(replayed):
        def record(self, compute, device):
            self.recorded.append(None)
            raise RuntimeError("operation not permitted\nwhen stream is capturing")

    frozen.extract = failing(2)
    with caplog.at_level(logging.WARNING):
        for sides in (FIRST, FIRST, SECOND):
            assert equal(frozen.pyramid(images(sides)), eager(frozen, images(sides)))
    assert len(frozen.extract.recorded) == 1
    (message,) = caplog.messages
    assert message == (
        "compile=cuda_graphs: no program could be made (RuntimeError: operation not permitted when "
        "stream is capturing); all goes on without, as with compile=null"
    )


def test_an_error_of_the_images_is_an_error(replayed, frozen):
    frozen.extract = replayed(1)
    frozen.pyramid(images(FIRST))

    def broken():
        raise RuntimeError("out of memory")

    for program in frozen.extract._kept._made:
        frozen.extract._kept._made[program] = lambda *inputs: broken()
    with pytest.raises(RuntimeError, match="out of memory"):
        frozen.pyramid(images(FIRST))


def test_without_a_gpu_it_is_told_that_nothing_is_captured(frozen, caplog):
    frozen.extract = CapturedExtractor(2)
    assert equal(frozen.pyramid(images(FIRST)), eager(frozen, images(FIRST)))
    frozen.pyramid(images(FIRST))
    assert len(caplog.messages) == 1
    assert "on no GPU" in caplog.text


def test_a_copy_starts_without_programs_and_nothing_is_in_a_checkpoint(replayed, frozen):
    keys = set(frozen.state_dict())
    frozen.extract = replayed(3, [[96, 96]])
    frozen.pyramid(images(FIRST))
    assert set(frozen.state_dict()) == keys
    other = copy.deepcopy(frozen)
    assert other.extract.recorded == []
    assert (other.extract.shapes, other.extract.canvases.sides) == (3, [(96, 96)])
    again = pickle.loads(pickle.dumps(CapturedExtractor(3, [[96, 96]])))
    assert (again.shapes, again.canvases.sides) == (3, [(96, 96)])


@pytest.mark.filterwarnings("ignore:.torch.jit.trace. is deprecated")
def test_nothing_is_made_where_layers_are_traced_or_only_counted(replayed, frozen):
    frozen.backbone.fold_norms()
    frozen.extract = replayed(1)
    torch.jit.trace(lambda x: frozen.pyramid(x)[0], images(FIRST), check_trace=False)
    copy.deepcopy(frozen).to("meta").pyramid(torch.empty(1, 3, *FIRST, device="meta"))
    assert frozen.extract.recorded == []


class Streams:
    """What of torch.cuda a capture uses, on a CPU: streams are names, and all is written down."""

    def __init__(self, fails=False):
        self.current, self.told, self.fails, self.made = "theirs", [], fails, 0

    def current_stream(self):
        return Stream(self, self.current)

    def Stream(self):  # as torch calls it
        self.made += 1
        return Stream(self, f"ours {self.made}")

    @contextmanager
    def device(self, device):
        yield

    @contextmanager
    def stream(self, stream):
        before, self.current = self.current, stream.name
        try:
            yield
        finally:
            self.current = before

    def graph_pool_handle(self):
        self.told.append("new memory")
        return object()

    def CUDAGraph(self):  # as torch calls it
        return SimpleNamespace(replay=lambda: None)

    @contextmanager
    def graph(self, graph, pool, stream, capture_error_mode):
        assert pool is not None
        assert capture_error_mode == "thread_local"
        self.current = stream.name
        self.told.append("capture")
        yield
        if self.fails:  # as of torch 2.14: the end of a broken capture raises, and the stream stays
            raise RuntimeError("operation failed due to a previous error during capture")
        self.told.append("end")


class Stream:
    def __init__(self, streams, name):
        self.streams, self.name = streams, name

    def wait_stream(self, other):
        self.streams.told.append(f"{self.name} waits for {other.name}")


@pytest.fixture
def recorded(monkeypatch):
    """(streams, extractor) -> what was told while a graph was recorded."""

    def record(streams, extractor):
        monkeypatch.setattr(captured, "torch", SimpleNamespace(cuda=streams))
        streams.told.clear()
        extractor.record(lambda: streams.told.append(f"on {streams.current}"), None)
        return streams.told

    return record


def test_warm_up_and_capture_are_on_one_stream_that_all_else_waits_for(recorded):
    streams, extractor = Streams(), CapturedExtractor(2)
    expected = ["ours 1 waits for theirs", *["on ours 1"] * 3, "capture", "on ours 1", "end"]
    expected.append("theirs waits for ours 1")
    assert recorded(streams, extractor) == ["new memory", *expected]
    extractor._kept._made["a shape"] = None
    assert recorded(streams, extractor) == expected  # in the memory of the other graph
    extractor._kept._made.clear()
    assert recorded(streams, extractor) == ["new memory", *expected]
    extractor.forget()
    assert "on ours 2" in recorded(streams, extractor)


def test_a_capture_that_fails_leaves_its_stream(recorded):
    streams = Streams(fails=True)
    with pytest.raises(RuntimeError, match="previous error"):
        recorded(streams, CapturedExtractor(2))
    assert streams.current == "theirs"
