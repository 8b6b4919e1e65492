"""Processes of a multirun, with commands of their own instead of trainings."""

import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from bacl.command.check import CHECKED
from bacl.files.atomic import UnwritableError
from bacl.launchers.tasks import LOG, Processes, Task
from bacl.messages.errors import BUSY
from bacl.runs.outcome import FAILED, Outcome, write_failed


def task(folder, code, patience=0.0):
    job = SimpleNamespace(folder=folder, trains=False, outcome=Outcome("done"), exit_status=None)
    return Task("a job", folder, [sys.executable, "-c", code], [job], patience)


def test_output_is_appended_to_the_log_and_the_end_is_told(tmp_path, capsys):
    for word in ("first", "second"):
        task(tmp_path / "new", f"print('{word}')").run(Processes())
    assert (tmp_path / "new" / LOG).read_text() == "first\nsecond\n"
    assert capsys.readouterr().out.count("a job: done after") == 2


@pytest.mark.parametrize("trains", [False, True])
def test_only_a_training_takes_back_that_the_run_failed(tmp_path, trains):
    write_failed(tmp_path, "diverged")
    own = task(tmp_path, "")
    own.jobs[0].trains = trains
    own.run(Processes())
    assert (tmp_path / FAILED).exists() is not trains


def test_what_the_process_reads_is_written_before_it(tmp_path):
    first = task(tmp_path, f"print(open({str(tmp_path / 'plan')!r}).read())")
    first.before = lambda: (tmp_path / "plan").write_text("the plan")
    first.run(Processes())
    assert (tmp_path / LOG).read_text() == "the plan\n"


def test_the_process_knows_that_its_launcher_has_checked_it(tmp_path):
    task(tmp_path, f"import os; print(os.environ[{CHECKED!r}])").run(Processes())
    assert (tmp_path / LOG).read_text() == "1\n"


def test_a_failure_is_told_with_its_last_line(tmp_path, capsys):
    task(tmp_path, "print('too bad'); raise SystemExit(3)").run(Processes())
    assert "a job: failed (too bad (exit status 3); see" in capsys.readouterr().out


@pytest.fixture
def at_work(tmp_path):
    """The process of another launcher, at work in the folder."""
    code = (
        "from bacl.launchers.tasks import Processes, Task; from pathlib import Path; import sys; "
        "child = [sys.executable, '-c', 'import time; print(1, flush=True); time.sleep(60)']; "
        f"Task('other', Path({str(tmp_path)!r}), child, []).run(Processes())"
    )
    launcher = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    while not (tmp_path / LOG).exists() or not (tmp_path / LOG).read_text():
        assert launcher.poll() is None
        time.sleep(0.01)
    yield launcher
    os.killpg(launcher.pid, signal.SIGKILL)
    launcher.wait()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks")
def test_a_second_launcher_leaves_the_first_ones_log_alone(at_work, tmp_path, capsys):
    second = task(tmp_path, "print('second')")
    second.before = lambda: pytest.fail("the first one's process may read what this writes")
    second.run(Processes())
    assert (tmp_path / LOG).read_text() == "1\n"
    assert second.jobs[0].exit_status == BUSY
    told = capsys.readouterr().out
    assert told.startswith(f"a job: not started; {tmp_path}: another process is at work")
    assert "started, log in" not in told


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such locks")
def test_the_lock_is_the_processes_and_outlives_its_launcher(at_work, tmp_path, capsys):
    at_work.kill()
    at_work.wait()
    task(tmp_path, "print('second')").run(Processes())
    assert "not started" in capsys.readouterr().out


def test_a_folder_that_takes_no_log_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UnwritableError, match=r"job\.log cannot be written"):
        task(tmp_path / "file/run", "").run(Processes())


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")
def test_children_are_told_once_and_then_ended(monkeypatch):
    """What a terminal sends to all of them comes twice, but at the same time."""
    processes, child = Processes(), Mock()
    processes.running.add(child)
    processes.stop(signal.SIGINT, None)
    processes.stop(signal.SIGTERM, None)
    monkeypatch.setattr("bacl.launchers.tasks.TOGETHER", 0)
    processes.stop(signal.SIGINT, None)
    assert [call[0] for call in child.method_calls] == ["terminate", "terminate", "kill"]
    assert processes.stopped == signal.SIGINT
