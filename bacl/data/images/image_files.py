"""From an image record to pixels: where the file lies and what may be wrong with it."""

from collections.abc import Hashable, Sequence
from pathlib import Path

from torch import Tensor

from bacl.data.annotations.image_names import find_image
from bacl.data.annotations.table import AnnotationTable
from bacl.data.images.picture_file import PictureError, Reading, read_picture


class ImageFiles:
    """The images of an annotation table.

    Args:
        table: the annotation table.
        folders: the folder with the images, or several.
        reading: how pictures are read; where a file asks viewers to turn it, the annotated size
            decides between the stored and the upright picture.
        outside_links: follow links that lead out of the folders. Without it, what a data set of
            unknown origin shows is what lies in it.
    """

    def __init__(
        self,
        table: AnnotationTable,
        folders: str | Path | Sequence[str | Path],
        reading: Reading | None = None,
        outside_links: bool = False,
    ) -> None:
        several = [folders] if isinstance(folders, str | Path) else folders
        self.table = table
        self.folders = [Path(folder) for folder in several]
        self.reading = reading or Reading()
        self.outside_links = outside_links
        self._resolved = [folder.resolve() for folder in self.folders]
        self._real: dict[Path, Path] = {}

    @property
    def identity(self) -> Hashable:
        """The same for the same files, read alike."""
        return str(self.table.folder), tuple(self._resolved), self.reading, self.outside_links

    def load(self, image: int) -> Tensor:
        """(3, H, W) uint8 pixels of row `image`, of the size in the annotation file.

        Raises:
            PictureError: the file is missing, broken, too large, of another size than the
                annotation file says, or behind a link that leads out.
        """
        try:
            return read_picture(self.locate(image), self.reading, self.size(image))
        except PictureError as error:
            raise PictureError(f"{error} {self.told(image)}") from error

    def locate(self, image: int) -> Path:
        """The file of row `image`.

        Raises:
            PictureError: it is missing, or a link leads out of the folders.
        """
        try:
            path = find_image(self.folders, self.table.file_name(image))
        except FileNotFoundError as error:
            raise PictureError(f"{error}; set the folder that holds the images") from None
        if not self.outside_links:
            self._check_inside(path)
        return path

    def size(self, image: int) -> tuple[int, int]:
        """Annotated width and height of row `image`."""
        height, width = self.table.image_sizes[image].tolist()
        return width, height

    def told(self, image: int) -> str:
        """What follows an error of row `image`: which it is, and how to do without it."""
        return (
            f"(image {self.table.image_ids[image]} of {self.table.source}; to go on without it: "
            f"datamodule.leave_out={quoted([self.table.file_name(image)])})"
        )

    def _check_inside(self, path: Path) -> None:
        parent = path.parent
        if parent not in self._real:  # a look at one folder, not at all above every picture
            self._real[parent] = parent.resolve()
        real = path.resolve() if path.is_symlink() else self._real[parent]
        if not any(real.is_relative_to(folder) for folder in self._resolved):
            raise PictureError(
                f"{path}: a link leads out of the image folder, to {real}; add the folder it leads "
                "to to the images, or set datamodule.outside_links=true"
            )


def quoted(names: Sequence[str]) -> str:
    """A list of names as it is typed in a shell: in quotes, whatever they hold."""
    inside = ",".join('"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"' for name in names)
    return "'[" + inside.replace("'", "'\\''") + "]'"
