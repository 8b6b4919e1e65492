"""Signals to processes of their own, which do nothing but wait."""

import os
import signal
import subprocess
import sys
import time

import pytest

from bacl.processes.interruption import INTERRUPTION, Interrupted, Interruption

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")

BEGIN = """
import os, signal, sys, time
from bacl.processes import interruption
from bacl.processes import peers
peers.AFTER_THE_FIRST = 0.3
I = interruption.INTERRUPTION
I.listen()
I.place = "here"
"""
READY = "\nprint(os.getpid(), flush=True)\n"
SOON_READY = """
import threading
threading.Timer(0.5, lambda: print(os.getpid(), flush=True)).start()
"""
"""Once the main thread does nothing but what follows."""
SLEEP = "time.sleep(30)\n"
IN_A_LIBRARY = """
interruption.GRACE = 0.3
signal.pthread_sigmask(signal.SIG_BLOCK, interruption.SIGNALS)
"""
"""Nothing wakes the main thread up: no handler of Python runs."""


@pytest.fixture
def waiting():
    """Starts a script; returns its process once it is ready, as the script says."""
    started = []

    def start(code, **variables):
        process = subprocess.Popen(
            [sys.executable, "-c", BEGIN + code], env=os.environ | variables, encoding="utf-8",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
        started.append(process)
        process.stdout.readline()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def end(process, *numbers):
    """Send the signals; returns exit status and what was said."""
    for number in numbers:
        process.send_signal(number)
    said = process.communicate(timeout=20)[1]
    return process.returncode, said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_command_in_one_line(waiting, number):
    status, said = end(waiting(READY + SLEEP), number)
    assert status == 128 + number
    assert said == f"ended by {number.name} here; run the same command to go on\n"


def test_what_a_block_has_to_clean_up_is_cleaned_up(waiting, tmp_path):
    code = (
        f"try:\n    print(1, flush=True); {SLEEP}finally:\n    open({str(tmp_path / 'f')!r}, 'w')"
    )
    end(waiting(code), signal.SIGTERM)
    assert (tmp_path / "f").exists()


def test_a_command_that_waits_in_a_library_is_ended(waiting):
    status, said = end(waiting(IN_A_LIBRARY + SOON_READY + SLEEP), signal.SIGTERM)
    assert status == 143
    assert said.startswith("ended by SIGTERM here, where it did not end by itself; ")


def test_a_postponed_end_takes_place_when_it_may(waiting):
    code = "I.postpone()" + READY + "while I.asked is None: time.sleep(0.01)\n"
    code += "I.place = 'after the step'\nI.take_place()\n" + SLEEP
    status, said = end(waiting(code), signal.SIGTERM)
    assert (status, said.split(";")[0]) == (143, "ended by SIGTERM after the step")


def test_a_second_signal_ends_at_once(waiting):
    code = "interruption.TOGETHER = 0.2; I.postpone()"
    process = waiting(code + READY + "while True: time.sleep(1)")
    deadline = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < deadline:
        process.send_signal(signal.SIGTERM)
        time.sleep(0.4)
    status, said = end(process)
    assert status == 143
    assert said.startswith("ended by SIGTERM at once, as it was told twice, what follows")


def test_a_step_that_does_not_end_is_not_waited_for(waiting):
    code = "interruption.GRACE = 0.3; I.postpone()" + READY + "while True: time.sleep(0.1)"
    status, said = end(waiting(code), signal.SIGTERM)
    assert status == 143
    assert (
        "here, where it did not end by itself, what follows its last checkpoint unsaved; " in said
    )


@pytest.mark.parametrize(("last_step", "patience"), [(0.0, 10), (3.0, 15), (100.0, 60)])
def test_a_step_has_five_times_the_last_ones_seconds(monkeypatch, last_step, patience):
    clock = iter([100.0, 100.0 + last_step])
    monkeypatch.setattr("bacl.processes.interruption.time.monotonic", lambda: next(clock))
    interruption = Interruption()
    interruption.listens = True
    interruption.postpone()
    interruption.end_step()
    assert interruption._patience == patience
    interruption.postponed = False
    assert interruption._patience == 10


def test_saving_a_step_has_time_of_its_own(waiting):
    code = "interruption.GRACE = 0.6; I.postpone()" + READY
    code += "while I.asked is None: time.sleep(0.01)\n"
    code += "time.sleep(0.4); I.end_step(); time.sleep(0.4); I.take_place()"
    status, said = end(waiting(code), signal.SIGTERM)
    assert (status, said.split(";")[0]) == (143, "ended by SIGTERM here")


def test_what_was_printed_is_not_lost(waiting):
    code = "print('kept'); os.kill(os.getpid(), signal.SIGTERM)\n"
    process = waiting(IN_A_LIBRARY + READY + code + SLEEP, PYTHONUNBUFFERED="")
    assert "kept\n" in process.stdout.read()


def test_a_full_pipe_keeps_no_process(waiting):
    code = "interruption.GRACE = 0.3; I.postpone()" + READY
    process = waiting(code + "while True: print('x' * 10000)")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 143


def test_what_a_terminal_and_a_launcher_hand_on_is_one_request(waiting):
    code = "interruption.TOGETHER = 30; I.postpone()" + READY
    code += "while I.asked is None: time.sleep(0.01)\ntime.sleep(0.3); I.take_place()"
    status, said = end(waiting(code), signal.SIGINT, signal.SIGTERM)
    assert status in (130, 143)  # the handler of the lower number is called first
    assert said.count("\n") == 1
    assert said.startswith("ended by SIG")
    assert " here; " in said


def test_a_forked_process_leaves_ctrl_c_to_its_parent(waiting):
    code = """
child = os.fork()
if not child:
    time.sleep(0.2)
    print(1, flush=True)
    time.sleep(0.3)
    os._exit(7)
I.postpone()
sys.exit(os.WEXITSTATUS(os.waitpid(child, 0)[1]))
"""
    process = waiting(code)
    os.killpg(process.pid, signal.SIGINT)
    assert end(process) == (7, "")


CHILD = "import time; time.sleep(30)"
WITH_PEER = f"""
import subprocess
from bacl.processes.peers import PEERS
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}])
PEERS.watch([child])
print(child.pid, flush=True)
"""


def test_a_killed_peer_ends_the_first_process(waiting):
    killing = WITH_PEER.replace("print(child.pid", "child.kill(); print(0")
    process = waiting(IN_A_LIBRARY + killing + SLEEP)
    status, said = end(process)
    assert status == 137
    assert said.startswith("process 2 of 2 was killed by SIGKILL (out of memory?); run the same")


def test_a_signal_is_handed_on_to_peers(waiting):
    process = waiting(WITH_PEER + SLEEP)
    assert end(process, signal.SIGTERM)[0] == 143  # the peer has closed the pipe, too


PEER_THAT_COUNTS = """
import signal, time
told = []
signal.signal(signal.SIGTERM, lambda *_: told.append(1))
print("ready", flush=True)
end = time.monotonic() + 1.5
while time.monotonic() < end: time.sleep(0.1)
print("told", len(told), flush=True)
"""


def test_a_signal_is_handed_on_once(waiting):
    """The handler is called long after the thread has seen the signal."""
    code = f"""
import subprocess
from bacl.processes.peers import PEERS
I.postpone()
child = subprocess.Popen([sys.executable, "-c", {PEER_THAT_COUNTS!r}], stdout=subprocess.PIPE)
child.stdout.readline()
PEERS.watch([child])
original = I._notice
def late(number):
    time.sleep(0.5)
    original(number)
I._notice = late
print(1, flush=True)
child.wait()
print(child.stdout.read().decode(), flush=True)
"""
    process = waiting(code)
    process.send_signal(signal.SIGTERM)
    assert "told 1\n" in process.stdout.read()


def test_a_process_that_ends_at_once_hands_on_first(waiting):
    code = "original = I._notice\nI._notice = lambda number: (time.sleep(0.3), original(number))"
    process = waiting(WITH_PEER.replace("print(child", code + "\nprint(child") + SLEEP)
    assert end(process, signal.SIGTERM)[0] == 143  # the peer has closed the pipe, too


def test_a_peer_ends_with_the_process_that_started_it(tmp_path):
    script, ready = tmp_path / "peer.py", tmp_path / "ready"
    script.write_text(f"{BEGIN}open({str(ready)!r}, 'w').close()\n{SLEEP}")
    code = f"""
import os, subprocess, sys, time
subprocess.Popen([sys.executable, {str(script)!r}], env=os.environ | {{"LOCAL_RANK": "1"}})
{SLEEP}"""
    first = subprocess.Popen(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, encoding="utf-8",
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    deadline = time.monotonic() + 20
    while not ready.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    first.kill()
    said = first.communicate(timeout=20)[1]  # until the peer has closed the pipe
    assert "the first process has ended" in said


def test_signals_of_other_programs_are_left_alone():
    assert not INTERRUPTION.listens
    INTERRUPTION.postpone()
    assert not INTERRUPTION.postponed
    INTERRUPTION.take_place()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_the_status_is_128_and_the_signal():
    assert Interrupted(signal.SIGTERM).code == 143
