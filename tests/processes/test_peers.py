import os
import signal

import pytest
import torch
from torch.utils.data import DataLoader, Dataset
from torch.utils.data._utils import signal_handling

from bacl.processes.peers import LostProcessError, lost_connection, lost_worker, telling_losses


@pytest.mark.parametrize(
    "text",
    [
        "[../gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:30232",
        "NCCL error: remote process exited or there was a network error",
        "recvValue failed on SocketImpl: Connection reset by peer",
    ],
)
def test_a_lost_connection_is_known_by_what_the_backends_say(text, monkeypatch):
    monkeypatch.setattr("bacl.processes.peers.PATIENCE", 0)
    assert lost_connection(RuntimeError(text))
    with pytest.raises(LostProcessError, match="another process is no more"), telling_losses():
        raise RuntimeError(text)


def test_other_errors_are_left_as_they_are():
    for error in (RuntimeError("shape mismatch"), ValueError("Connection closed by peer")):
        with pytest.raises(type(error)) as caught, telling_losses():
            raise error
        assert caught.value is error


def test_how_a_loading_process_ended_is_told():
    killed = RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")
    assert "was killed by Killed: where the memory" in lost_worker(killed)
    assert "was killed or has ended" in lost_worker(
        RuntimeError("DataLoader worker (pid(s) 1, 2) exited unexpectedly")
    )
    assert lost_worker(FileNotFoundError("a.jpg")) == ""


class Deadly(Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        if index == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return torch.zeros(3)


@pytest.fixture
def _watched(monkeypatch):
    """As `watch_processes`."""
    monkeypatch.setattr(signal_handling, "_SIGCHLD_handler_set", True)
    earlier = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGCHLD, earlier)


@pytest.mark.usefixtures("_watched")
def test_a_killed_loading_process_is_one_line():
    lost = pytest.raises(LostProcessError, match="a process that loads data was killed")
    batches = iter(DataLoader(Deadly(), num_workers=1))
    with lost, telling_losses():
        list(batches)
    batches._shutdown_workers()  # or torch's handler finds it at the next child's end
