"""Archives are unpacked whole or not at all."""

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

from bacl.data.download import DownloadError
from bacl.files.disk_space import require_space
from bacl.processes.progress import byte_progress


def unpack(archive: Path, folder: Path, creates: Path, files: int, keep: bool = False) -> None:
    """Unpack the file or folder `creates.name` of a zip file: complete or not at all.

    Args:
        archive: The zip file; deleted when it is unpacked, unless `keep`.
        folder: An existing folder on the disk of `creates`, for the work.
        creates: Where the file or folder shall be.
        files: How many files it must hold.
        keep: whether the archive is needed again.

    Raises:
        DownloadError: if the archive is damaged or holds something else.
        NotEnoughSpaceError: if its content does not fit on the disk.
    """
    work = folder / f".unpacking-{archive.name}"
    shutil.rmtree(work, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as content:
            members = [m for m in content.infolist() if creates.name in m.filename.split("/")]
            total = sum(member.file_size for member in members)
            require_space(folder, total, f"{archive.name}, unpacked,")
            with byte_progress(f"unpacking {archive.name}", total) as advance:
                _extract(content, members, work, advance)
        _move_wanted(archive, work, creates, files)
    except zipfile.BadZipFile as error:
        archive.unlink()
        problem = f"{archive} is damaged ({error}) and was deleted; run again to download it anew"
        raise DownloadError(problem) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if not keep:
        archive.unlink()


def _extract(
    content: zipfile.ZipFile,
    members: list[zipfile.ZipInfo],
    work: Path,
    advance: Callable[[int], None],
) -> None:
    for member in members:
        content.extract(member, work)  # checks each file's CRC
        advance(member.file_size)


def _move_wanted(archive: Path, work: Path, creates: Path, files: int) -> None:
    wanted = next((path for path in sorted(work.rglob(creates.name))), None)
    if wanted is None:
        raise DownloadError(f"{archive} does not hold {creates.name}")
    found = sum(path.is_file() for path in wanted.rglob("*")) if wanted.is_dir() else 1
    if found != files:
        raise DownloadError(f"{archive} holds {found} files of {creates.name}, expected {files}")
    creates.parent.mkdir(parents=True, exist_ok=True)
    wanted.replace(creates)
