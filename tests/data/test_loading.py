"""Signals to the processes that load data, of commands and of programs that use the package."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")

BEGIN = """
import multiprocessing, os, signal, time
import torch
from torch.utils.data import Dataset
from torch.utils.data._utils import signal_handling
from bacl.data import loading
from bacl.processes.interruption import INTERRUPTION

signal_handling._SIGCHLD_handler_set = True  # as `watch_processes`

class Slow(Dataset):
    def __len__(self):
        return 4
    def __getitems__(self, indices):
        time.sleep(0.3)
        return loading.UserError(f"SIGTERM: {signal.getsignal(signal.SIGTERM).name}")

def first_error(early=None):
    start = loading.DataLoader.__iter__
    def started(loader):
        batches = start(loader)
        for process in batches._workers if early else ():
            os.kill(process.pid, early)  # before it can have said what it does about signals
        return batches
    loading.DataLoader.__iter__ = started
    loader = loading.batch_loader(
        Slow(), [[0], [1]], 1, persistent=True, multiprocessing_context="fork"
    )
    try:
        next(iter(loader))
    except loading.UserError as error:
        print(error, flush=True)
    return loader._iterator._workers[0]
"""


def said(code: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", BEGIN + code], capture_output=True, encoding="utf-8", timeout=60,
        check=True,
    )  # fmt: skip
    assert run.stderr == ""
    return run.stdout


def test_what_loads_for_a_command_leaves_signals_to_it_from_its_start():
    """They are ended with it, and no others are."""
    code = """
INTERRUPTION.listen()
child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,), daemon=True)
child.start()
worker = first_error(signal.SIGTERM)
loading._end_workers()
worker.join(5)
print(worker.exitcode, child.is_alive())
"""
    assert said(code) == "SIGTERM: SIG_IGN\n-9 True\n"


def test_other_programs_keep_their_signals_and_processes():
    code = """
first_error()
child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(0.5,), daemon=True)
child.start()
loading._end_workers()
child.join()
print(child.exitcode)
"""
    assert said(code) == "SIGTERM: SIG_DFL\n0\n"
