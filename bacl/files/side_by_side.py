"""Several files that belong together, all written before the first takes its place."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bacl.files.atomic import replacing, telling_refusal
from bacl.files.leftovers import sweep_once, unfinished_folder


@contextmanager
def replacing_together(path: Path) -> Iterator[Path]:
    """Yield a file in a new folder; when the block succeeds, it and all beside it move to `path`'s.

    `path` itself comes last, so that it is never there without the others. A block that fails
    leaves everything as it was.

    Raises:
        UnwritableError: names the file and what is to be done.
    """
    with telling_refusal(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep_once(path.parent)
    with telling_refusal(path), unfinished_folder(path) as folder:
        inner = folder / path.name
        with telling_refusal(path, inner):
            yield inner
        for file in (*sorted(set(folder.iterdir()) - {inner}), inner):
            with replacing(path.with_name(file.name)) as temporary:
                file.replace(temporary)
