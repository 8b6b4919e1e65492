"""Pretrained weights from files and, with stand-ins for the servers, by name."""

import hashlib
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torchvision.models import get_weight, resnet18

from bacl.detectors import weights as module
from bacl.detectors.resnet import ResNet
from bacl.detectors.timm_backbone import TimmBackbone
from bacl.detectors.weights import WeightsError, load_weights, read_weights

NAME = "ResNet18_Weights.IMAGENET1K_V1"
TIMM = "resnet10t"


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return resnet18(weights=None).state_dict()


@pytest.fixture
def file(state, tmp_path) -> Path:
    path = tmp_path / "resnet18.pth"
    torch.save(state, path)
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:8]


def named(path: Path, promised: str | None = None) -> Path:
    """The file under a name that carries its SHA-256, or another one."""
    return path.rename(path.with_name(f"{path.stem}-{promised or digest(path)}{path.suffix}"))


@pytest.fixture
def cache(monkeypatch, tmp_path) -> Path:
    """Folder where torch keeps downloads."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    return tmp_path / "home/hub/checkpoints"


@pytest.fixture
def served(monkeypatch):
    """Lets torchvision's name stand for a local file."""

    def serve(path: Path) -> None:
        entry = SimpleNamespace(url=path.as_uri())
        monkeypatch.setattr(module, "get_weight", lambda name: entry)

    return serve


def same(model: nn.Module, state: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


def test_a_file_is_loaded_whatever_its_name(file, state):
    assert same(ResNet(18, 0, True, str(file)), state)
    assert same(ResNet(18, 0, True, str(named(file))), state)


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_a_state_dict_may_lie_under_a_key(state, tmp_path, key):
    path = tmp_path / "checkpoint.pth"
    torch.save({key: state, "epoch": 3}, path)
    assert same(ResNet(18, 0, True, str(path)), state)


def test_old_files_do_not_count_batches(file, state):
    torch.save({k: v for k, v in state.items() if "num_batches" not in k}, file)
    model = ResNet(18, 0, True, str(file))
    assert torch.equal(model.conv1.weight, state["conv1.weight"])


def test_safetensors(state, tmp_path):
    save_file = pytest.importorskip("safetensors.torch").save_file
    path = tmp_path / "model.safetensors"
    save_file(state, path)
    assert same(ResNet(18, 0, True, str(path)), state)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match=r"model\.safetensors: damaged, not complete"):
        read_weights(path)


def test_a_name_is_downloaded_once_and_then_works_offline(file, state, cache, served):
    source = named(file)
    served(source)
    assert same(ResNet(18, 0, True, NAME), state)
    assert [path.name for path in cache.iterdir()] == [source.name]
    source.unlink()
    assert same(ResNet(18, 0, True, NAME), state)


def test_a_damaged_download_leaves_no_file(file, cache, served):
    served(named(file, "0123abcd"))
    with pytest.raises(WeightsError, match=r"could not download .*invalid hash value.*put it at"):
        ResNet(18, 0, True, NAME)
    assert not list(cache.iterdir())


def test_a_failed_download_says_what_to_put_where(cache, served, tmp_path):
    served(tmp_path / "not-served-0123abcd.pth")
    place = rf"put it at {cache}/not-served-0123abcd\.pth, or set detector\.backbone\.weights"
    with pytest.raises(WeightsError, match=rf"could not download file:.*{place}"):
        ResNet(18, 0, True, NAME)


def test_torchvisions_address_and_file_are_named(monkeypatch, cache):
    def refuse(*args):
        raise OSError("no network")

    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
    url = get_weight(NAME).url
    with pytest.raises(WeightsError, match=rf"{url} .no network.*{cache}/resnet18-f37072fd\.pth"):
        ResNet(18, 0, True, NAME)


def test_a_file_in_the_cache_is_checked_too(file, cache, served):
    source = named(file)
    served(source)
    cache.mkdir(parents=True)
    (cache / source.name).write_bytes(source.read_bytes()[:1000])
    begins = (
        rf"{source.name}: damaged or not complete \(1,000 bytes\).*{digest(source)} as its name"
    )
    with pytest.raises(WeightsError, match=begins):
        ResNet(18, 0, True, NAME)


def test_a_local_file_that_is_not_what_its_name_says_is_refused(file):
    with pytest.raises(WeightsError, match="not with 0123abcd as its name says; delete it"):
        read_weights(named(file, "0123abcd"))


def test_a_cut_off_file_without_a_digest_is_told(file):
    whole = file.read_bytes()
    for length in (len(whole) - 1000, len(whole) // 2, 5000, 10, 0):
        file.write_bytes(whole[:length])
        with pytest.raises(WeightsError, match=r"resnet18\.pth: damaged, not complete"):
            read_weights(file)


class Code:
    """Unpickles to a call."""

    def __reduce__(self):
        return (print, ("executed",))


def test_nothing_in_a_file_is_executed(tmp_path, capsys):
    torch.save({"conv1.weight": Code()}, tmp_path / "evil.pth")
    with pytest.raises(WeightsError, match=r"evil\.pth"):
        read_weights(tmp_path / "evil.pth")
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize("content", [[1, 2], {}, {"epoch": 3}, torch.zeros(2)])
def test_what_is_no_state_dict_is_told(tmp_path, content):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"other\.pth: holds no state dict"):
        read_weights(tmp_path / "other.pth")


def test_weights_of_another_model_are_refused(file, state):
    with pytest.raises(WeightsError, match=r"do not fit ResNet: missing \['layer1.2"):
        ResNet(34, 0, True, str(file))
    with pytest.raises(WeightsError, match=r"unexpected \['layer1.1.*of another shape \['conv1"):
        ResNet(10, 0, True, str(file), width=32)
    with pytest.raises(WeightsError, match=r"do not fit Linear"):
        load_weights(nn.Linear(1, 1), str(file), leave_out="fc.")


def test_missing_weights_name_what_can_be_given():
    for path in ("nowhere.pth", "folder/nowhere"):
        with pytest.raises(WeightsError, match=rf"{path} do not exist; give an existing file"):
            ResNet(18, 0, True, path)
    with pytest.raises(WeightsError, match=r"neither a file .* nor torchvision weights"):
        ResNet(18, 0, True, "ResNet18_Weights.NONSENSE")


@pytest.fixture(scope="module")
def timm():
    return pytest.importorskip("timm")


def test_timm_from_a_file(timm, tmp_path):
    torch.manual_seed(2)
    state = timm.create_model(TIMM).state_dict()
    path = tmp_path / "resnet10t.pth"
    torch.save(state, path)
    path = named(path)
    before = torch.random.get_rng_state()
    loaded = TimmBackbone(TIMM, 0, True, str(path)).model.state_dict()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(value, state[key]) for key, value in loaded.items())
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(WeightsError, match="damaged or not complete"):
        TimmBackbone(TIMM, 0, True, str(path))


def test_timm_refuses_a_file_of_another_model(timm, file, tmp_path):
    with pytest.raises(WeightsError, match="do not fit timm's resnet10t"):
        TimmBackbone(TIMM, 0, True, str(file))
    torch.save({"stem.weight": torch.zeros(3)}, tmp_path / "strange.pth")
    with pytest.raises(WeightsError, match=r"do not fit timm's resnet10t: missing \['conv1"):
        TimmBackbone(TIMM, 0, True, str(tmp_path / "strange.pth"))


def test_timm_without_network_names_the_addresses(timm, monkeypatch):
    def refuse(name, **options):
        raise OSError("no network")

    monkeypatch.setattr(timm, "create_model", refuse)
    address = r"no network.*https://huggingface\.co/timm/resnet10t.*detector\.backbone\.weights"
    with pytest.raises(WeightsError, match=address):
        TimmBackbone(TIMM, 0, True, "timm")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "an empty file"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
            "a Git LFS pointer",
        ),
        (b"<!DOCTYPE html><html><body>Not found</body></html>", "a web page"),
    ],
)
@pytest.mark.parametrize("name", ["some.pth", "some-0123abcd.pth", "some.safetensors"])
def test_what_downloads_leave_instead_is_called_that(tmp_path, name, content, told):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=rf"{name}: damaged, not complete, .*{told}"):
        read_weights(tmp_path / name)
    with pytest.raises(WeightsError, match="are a folder"):
        read_weights(tmp_path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t * float("nan"), "weight holds NaN or infinity"),
        (lambda t: t.to(torch.int8), "weight is int8, expected float32"),
        (lambda t: t.double() + 1e-12, "weight holds values that are no float32"),
        (lambda t: t.to("meta"), "weight has no values"),
        (lambda t: t.to_sparse(), "weight is no plain tensor"),
        (lambda t: torch.zeros(1).expand(10**6, 10**6), "weight declares more values"),
    ],
)
def test_weights_of_no_use_are_refused_by_name(tmp_path, change, told):
    module = nn.Linear(2, 2)
    state = {"weight": change(torch.ones(2, 2)), "bias": torch.zeros(2)}
    torch.save(state, tmp_path / "some.pth")
    with pytest.raises(WeightsError, match=told) as error:
        load_weights(module, str(tmp_path / "some.pth"), leave_out="fc.")
    assert "\n" not in str(error.value)


def test_half_precision_is_widened(tmp_path):
    module = nn.Linear(2, 2)
    state = {"weight": torch.full((2, 2), 0.5).half(), "bias": torch.zeros(2).bfloat16()}
    torch.save(state, tmp_path / "some.pth")
    load_weights(module, str(tmp_path / "some.pth"), leave_out="fc.")
    assert torch.equal(module.weight, torch.full((2, 2), 0.5))
