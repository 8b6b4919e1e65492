import errno
import logging

import pytest

from bacl.files.atomic import UnwritableError
from bacl.messages.dispensable import Dispensable


def test_what_fails_is_one_warning_and_the_rest_goes_on(caplog):
    done = []
    with Dispensable("not drawn") as figures:
        for name in ("a.png", "b.png", "c.png"):
            with figures.part(name):
                if name != "b.png":
                    raise ValueError("no\x1b[31m\nroom")
                done.append(name)
    assert done == ["b.png"]
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage() == r"not drawn: a.png, c.png (ValueError: no\x1b[31m room)"


def test_it_is_said_once_and_the_traceback_is_there_for_debugging(caplog):
    caplog.set_level(logging.DEBUG, "bacl")
    views = Dispensable("not drawn")
    for _ in range(3):
        with views, views.part("norms.png"):
            raise UnwritableError("norms.png cannot be written: the disk is full")
    warnings = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert warnings == ["not drawn: norms.png (norms.png cannot be written: the disk is full)"]
    assert all(each.exc_info for each in caplog.records if each.levelname == "DEBUG")


def test_many_parts_are_counted(caplog):
    with Dispensable("not drawn") as figures:
        for number in range(1000):
            with figures.part(f"{number}.png"):
                raise OSError(errno.ENOSPC, "full")
    assert "6.png, 7.png and 992 more (OSError: [Errno 28] full)" in caplog.text


def test_nothing_is_said_where_nothing_fails(caplog):
    with Dispensable("not drawn") as figures, figures.part("a.png"):
        pass
    assert not caplog.records


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_the_end_of_the_process_is_no_failure(end):
    with pytest.raises(end), Dispensable("not drawn") as figures, figures.part("a.png"):
        raise end


def test_an_error_outside_the_parts_is_an_error():
    with pytest.raises(OSError, match="full"), Dispensable("not drawn"):
        raise OSError(errno.ENOSPC, "full")
