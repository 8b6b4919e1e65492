import threading

import pytest

from bacl.prediction.behind import Behind


def test_one_thread_does_everything_in_order():
    done = []
    with Behind(1, 3) as behind:
        for number in range(20):
            behind.do(done.append, number)
    assert done == list(range(20))


def test_who_gives_too_much_waits():
    gate, done = threading.Event(), []

    def work(number):
        gate.wait(10)
        done.append(number)

    with Behind(2, 2) as behind:
        behind.do(work, 0)
        behind.do(work, 1)
        threading.Timer(0.05, gate.set).start()
        behind.do(work, 2)
        assert 0 in done
    assert sorted(done) == [0, 1, 2]


def fail():
    raise OSError("disk full")


def failing(then: Exception | None) -> None:
    with Behind(1, 5) as behind:
        behind.do(fail)
        if then is not None:
            raise then


def test_an_error_is_raised_at_the_end_and_hides_no_other():
    with pytest.raises(OSError, match="disk full"):
        failing(None)
    with pytest.raises(KeyError):
        failing(KeyError("another one"))
