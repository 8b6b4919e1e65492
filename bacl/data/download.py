"""Downloads that go on where they stopped, and are checked."""

import hashlib
import http.client
import logging
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO

from bacl.files.disk_space import require_space
from bacl.messages.errors import UserError
from bacl.processes.progress import byte_progress

_LOG = logging.getLogger(__name__)
_BLOCK = 1 << 20
_NETWORK = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)


class DownloadError(UserError, RuntimeError):
    """A file that could not be had, with what to do about it."""


class _CutOffError(ConnectionError):
    """The server closed the connection before the end."""


def download(
    url: str,
    target: Path,
    size: int | None = None,
    md5: str | None = None,
    attempts: int = 5,
    wait: float = 2.0,
) -> None:
    """Fetch `url` to `target` unless it is there; an interrupted download goes on where it was.

    Args:
        url: http, https or file.
        target: Appears only when complete and checked; until then there is `target`.part.
        size: Bytes it must have; None: as many as the server announces.
        md5: Checksum in lower-case hexadecimal; None: not checked.
        attempts: Tries in a row without a single new byte before giving up.
        wait: Seconds before the second try, doubled with each further one.

    Raises:
        DownloadError: if it cannot be reached, or is not what was expected.
        NotEnoughSpaceError: if it does not fit on the disk.
    """
    if target.is_file():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    failures = 0
    while not _complete(part, size):
        before = _length(part)
        try:
            _fetch(url, part, size)
            break
        except _NETWORK as error:
            failures = 0 if _length(part) > before else failures + 1
            if failures >= attempts or _refused(error):
                raise DownloadError(_unreachable(url, target, part, error)) from error
            _LOG.warning("%s stopped (%s); going on from byte %d", url, error, _length(part))
            time.sleep(wait * 2 ** max(failures - 1, 0) if failures else 0)
    _verify(url, part, size, md5)
    part.replace(target)


def _fetch(url: str, part: Path, size: int | None) -> None:
    """Append to `part` what is missing of `url`."""
    start = _length(part)
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    with urllib.request.urlopen(request, timeout=30) as response:
        if start and response.status != http.client.PARTIAL_CONTENT:
            start = 0  # the server cannot go on in the middle: once more from the beginning
        announced = response.headers.get("Content-Length")
        total = start + int(announced) if announced else size
        if size is not None and total != size:
            problem = f"{url} has {total} bytes now, expected {size}; has it been replaced?"
            raise DownloadError(problem)
        if total is not None:
            require_space(part.parent, total - start, url)
        with (
            part.open("ab" if start else "wb") as file,
            byte_progress(part.stem, total, start) as advance,
        ):
            _copy(response, file, advance)
    if total is not None and _length(part) < total:
        raise _CutOffError(f"connection closed after {_length(part)} of {total} bytes")


def _copy(source: IO[bytes], target: IO[bytes], advance: Callable[[int], None]) -> None:
    while block := source.read(_BLOCK):
        target.write(block)
        advance(len(block))


def _complete(part: Path, size: int | None) -> bool:
    return size is not None and _length(part) == size


def _length(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _refused(error: BaseException) -> bool:
    """Whether trying again is useless: the server answered that there is no such file."""
    return isinstance(error, urllib.error.HTTPError) and error.code in (401, 403, 404, 410)


def _unreachable(url: str, target: Path, part: Path, error: BaseException) -> str:
    kept = f" {_length(part)} bytes are kept: run again to go on." if _length(part) else ""
    return (
        f"cannot download {url}: {error}.{kept} On a machine without access, fetch it elsewhere, "
        f"put it at {target} and run again"
    )


def _verify(url: str, part: Path, size: int | None, md5: str | None) -> None:
    """Raise, and delete `part`, unless its size and checksum are the expected ones."""
    if size is not None and _length(part) != size:
        found, expected = f"{_length(part)} bytes", f"{size} bytes"
    elif md5 is not None and (digest := _digest(part)) != md5:
        found, expected = f"MD5 {digest}", f"MD5 {md5}"
    else:
        return
    part.unlink()
    raise DownloadError(
        f"{url} arrived with {found}, expected {expected}; "
        "it was deleted, run again to download it anew"
    )


def _digest(path: Path) -> str:
    """MD5: what is published for these archives; it guards against damage, not against malice."""
    digest = hashlib.md5(usedforsecurity=False)
    with (
        path.open("rb") as file,
        byte_progress(f"checking {path.stem}", path.stat().st_size) as advance,
    ):
        while block := file.read(_BLOCK):
            digest.update(block)
            advance(len(block))
    return digest.hexdigest()
