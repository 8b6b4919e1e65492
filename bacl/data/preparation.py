"""Gets a data set ready: downloads, says what is missing, builds tables, checks counts."""

import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from bacl.data.annotations.table import AnnotationTable
from bacl.data.categories import check_categories
from bacl.data.download import download
from bacl.data.lvis import RELEASES, Archive, Release, Split
from bacl.data.missing_files import SplitPaths, image_folders, require_files
from bacl.data.unpacking import unpack

_LOG = logging.getLogger(__name__)


def prepare(
    root: str | Path,
    name: str,
    train: SplitPaths | None = None,
    val: SplitPaths | None = None,
    builder: Callable[[], object] | None = None,
) -> None:
    """Make everything that the first training step needs of a data set; what is there is kept.

    Args:
        root: Folder of the data set.
        name: A release in `bacl.data.lvis.RELEASES`, whose archives are downloaded where they are
            missing, or any other name, for data that lies there already.
        train: Paths of the training split; by default those of the release below `root`.
        val: Paths of the validation split.
        builder: Makes the files, for a data set that is generated. Where it has `sources`, they are
            files that it needs, and are downloaded first where the release knows them.

    Raises:
        DownloadError: if an archive cannot be had.
        NotEnoughSpaceError: if the disk is too small for it.
        MissingDataError: listing every file that is missing, and where it comes from.
        AnnotationError: if an annotation file is bad or the splits do not agree.
    """
    release = RELEASES.get(name)
    if release is not None:
        train = train or _default_paths(Path(root), release.train)
        val = val or _default_paths(Path(root), release.val)
        _download(Path(root), release, (train, val), getattr(builder, "sources", []))
    if builder is not None:
        builder()
    if train is None:
        known = ", ".join(RELEASES)
        raise ValueError(
            f"{name} cannot be downloaded (only {known}): give its paths in data.train"
        )
    require_files(train, val, root, name)
    _report(release, train, val)


def _default_paths(root: Path, split: Split) -> SplitPaths:
    return {"annotations": root / split.annotations, "images": root / split.images_folder}


def _download(
    root: Path, release: Release, splits: tuple[SplitPaths, SplitPaths], sources: Iterable[Path]
) -> None:
    """Fetch and unpack the archives whose files are missing and wanted."""
    wanted = [*sources, *(Path(split["annotations"]) for split in splits)]
    wanted += [folder for split in splits for folder in image_folders(split["images"])]
    missing = [
        archive
        for archive in release.archives
        if not (root / archive.creates).exists()
        and any(_concerns(path, root / archive.creates) for path in wanted)
    ]
    for place, archive in enumerate(missing, 1):
        _get(root, archive, keep=any(archive.url == later.url for later in missing[place:]))


def _concerns(path: Path, creates: Path) -> bool:
    """Whether a configured path is what an archive creates, or lies above or below it."""
    path, creates = path.absolute(), creates.absolute()
    return path.is_relative_to(creates) or creates.is_relative_to(path)


def _get(root: Path, archive: Archive, keep: bool) -> None:
    downloads = root / "downloads"
    target = downloads / Path(archive.url).name
    _LOG.info("downloading %s", archive.url)
    download(archive.url, target, archive.size, archive.md5)
    unpack(target, root, root / archive.creates, archive.files, keep)


def _report(release: Release | None, train: SplitPaths, val: SplitPaths | None) -> None:
    """Log what the annotation files hold and compare it with the release's published counts."""
    train_table = AnnotationTable.open(train["annotations"])
    if release is not None:
        check_counts(train_table, release.train)
    if val is None:
        return
    val_table = AnnotationTable.open(val["annotations"])
    check_categories(train_table, val_table)
    if release is not None:
        check_counts(val_table, release.val)


def check_counts(table: AnnotationTable, split: Split) -> list[str]:
    """The differences between a table and a release's published counts, also logged as warnings."""
    found = table.report()
    found_groups = {group: int((table.frequency == group).sum()) for group in split.groups}
    differences = [
        f"{table.source}: {have[key]} {key}, published {number}"
        for have, published in ((found, split.counts), (found_groups, split.groups))
        for key, number in published.items()
        if have[key] != number
    ]
    for difference in differences:
        _LOG.warning("%s", difference)
    if not differences:
        _LOG.info("%s: counts and groups are the published ones", table.source)
    return differences
